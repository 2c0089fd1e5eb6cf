"""The incident center: the queue, the incident with its timeline, and one page per step."""

from dataclasses import asdict
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404
from django.urls import reverse
from django.utils.functional import cached_property
from django.views.generic import DetailView

from arm.forms import ReasonForm
from arm.models import User
from arm.permissions import held_anywhere, held_on, visible
from arm.rights import Right
from arm.views import CommandView, CreateView, FilteredList, Scoped, current_tenant
from registry.engine import Drain
from registry.forms.releases import seen_of, shown_targets
from registry.lifecycle import InstanceState, instance_move
from registry.models import AgentInstance
from registry.queries import RollbackPreview, rollback_preview
from registry.views.commands import DoesWhatWasShown

from .. import services
from ..filters import IncidentQueueFilter
from ..forms import (
    AssignForm,
    IncidentForm,
    MitigateForm,
    NoteForm,
    ResolveForm,
    ReviewForm,
    RollBackForm,
    TriageForm,
    WhyForm,
)
from ..lifecycle import Detection, IncidentKind, Severity
from ..models import Incident
from ..queries import (
    before_you_deprecate,
    before_you_roll_back,
    before_you_stop,
    harm_may_be_said,
    harm_told,
    hours_around,
    open_by_severity,
    slot_to_roll_back,
    timeline,
    version_to_deprecate,
)

SORTS = {
    "severity": ("severity", "opened_at", "pk"),
    "-severity": ("-severity", "opened_at", "pk"),
    "opened": ("opened_at", "pk"),
    "-opened": ("-opened_at", "-pk"),
    "state": ("state", "severity", "opened_at", "pk"),
    "-state": ("-state", "severity", "opened_at", "pk"),
}


class IncidentList(FilteredList):
    """The queue: worst first, then whatever has waited longest."""

    queryset = Incident.objects.for_list()
    view_right = Right.READ_INCIDENTS
    filterset_class = IncidentQueueFilter
    also_takes = ("sort",)
    template_name = "telemetry/incident_list.html"
    columns = (
        ("id", "typeid"),
        ("severity", "severity"),
        ("state", "state"),
        ("kind", "kind"),
        ("title", "title"),
        ("subject", "subject_label"),
        ("environment", "environment.slug"),
        ("owner", "owner"),
        ("opened at", "opened_at"),
        ("root cause", "root_cause"),
    )

    def get_queryset(self) -> QuerySet[Any]:
        order = SORTS.get(self.request.GET.get("sort", ""), SORTS["severity"])
        return super().get_queryset().order_by(*order)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        mine = self.filterset.queryset if self.filterset else Incident.objects.none()  # before the filter
        may_open = Right.MANAGE_INCIDENT in held_anywhere(self.request.user)
        return super().get_context_data(tiles=open_by_severity(mine), may_open=may_open, **kwargs)


class IncidentDetail(Scoped, DetailView[Incident]):
    """What is known of it, what was done, and the next step."""

    queryset = Incident.objects.select_related(
        "tenant",
        "template",
        "version__template",
        "version__tenant",
        "version__genome",
        "environment",
        "provider",
        "owner",
        "opened_by",
        "recurrence_of",
        "instance__tenant",
        "instance__template",
        "instance__environment",
        "instance__provider",
    ).defer("version__genome__content")
    view_right = Right.READ_INCIDENTS
    template_name = "telemetry/incident_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        incident, actor = self.object, _person(self.request.user)
        held = held_on(actor, incident)
        manages = Right.MANAGE_INCIDENT in held
        stops = manages and incident.live
        return super().get_context_data(
            moments=[asdict(moment) for moment in timeline(incident, actor)],
            recurrences=visible(incident.recurrences.for_list(), actor, self.view_right)[:20],
            manages=manages,
            note_form=NoteForm() if manages else None,
            around=_around(incident),
            harm=harm_told(incident),
            slot=slot_to_roll_back(incident, actor) if stops else None,
            to_deprecate=version_to_deprecate(incident, actor) if stops else None,
            **(_stopping(incident, actor) if stops and incident.instance else {}),
            **kwargs,
        )


def _stopping(incident: Incident, actor: User) -> dict[str, Any]:
    """The measures that would restrict the instance as it is now, and how far they reach; for who may only ask, where
    to ask."""
    instance = incident.instance
    if instance is None:
        return {}
    held = held_on(actor, instance)
    if Right.RESTRICT_INSTANCE not in held:
        asks = Right.REQUEST_RESTRICTION in held
        return {"ask_url": _stop_page(instance, InstanceState.QUARANTINED)} if asks else {}
    measures = [m for m in services.MEASURES if _restricts(instance.state, m)]
    return {
        "measures": measures,
        "kill_url": _stop_page(instance, "killed"),
        "reach": before_you_stop(instance, actor),
        "mitigate_form": MitigateForm(initial={"reason": incident.title}),
    }


def _stop_page(instance: AgentInstance, mode: str) -> str:
    """The page that shows how far a stop of this instance reaches and who must agree, before it is set or asked for."""
    query = {"named": instance.typeid, "mode": str(mode)}
    return reverse("policy:stop_preview", query=query)


def _around(incident: Incident) -> str:
    """Where all events of the hours around the opening are; "" where it is about no single instance."""
    if incident.instance is None:
        return ""
    since, until = hours_around(incident)
    query = {"instance": incident.instance.typeid, "since": since.isoformat(), "until": until.isoformat()}
    return reverse("telemetry:event_list", query=query)


def _restricts(state: str, to: str) -> bool:
    move = instance_move(state, to)
    return move is not None and move.value == "restriction"


class IncidentCommand(CommandView):
    """One step of an incident; the page says what it is about beside the form."""

    queryset = Incident.objects.select_related("template", "environment", "owner", "instance")
    view_right = Right.MANAGE_INCIDENT
    template_name = "telemetry/incident_command.html"
    heading = ""
    submit = "Save"
    tone = "primary"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(heading=self.heading, submit=self.submit, tone=self.tone, **kwargs)


class TriageIncident(IncidentCommand):
    form_class = TriageForm
    heading, submit = "Triage", "Triage"
    success_message = "Triaged."

    def get_initial(self) -> dict[str, Any]:
        owner = self.object.owner or self.request.user
        held = {"severity": self.object.severity, "harm": self.object.harm}
        return {**held, "owner": getattr(owner, "username", "")}

    def get_form_kwargs(self) -> dict[str, Any]:
        asks = harm_may_be_said(self.object, _person(self.request.user))
        return super().get_form_kwargs() | {"tenant": current_tenant(self.request), "asks_harm": asks}

    def run(self, actor: User, cleaned: dict[str, Any]) -> Incident:
        return services.triage(
            incident=self.object,
            severity=Severity(cleaned["severity"]),
            owner=cleaned["owner"],
            actor=actor,
            reason=cleaned["reason"],
            harm=cleaned.get("harm"),
        )


class MitigateIncident(IncidentCommand):
    form_class = MitigateForm
    heading, submit, tone = "Mitigate", "Mitigate", "danger"
    success_message = "Mitigated."

    def get_initial(self) -> dict[str, Any]:
        return {"measure": self.request.GET.get("measure", ""), "reason": self.object.title}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        instance = self.object.instance
        reach = before_you_stop(instance, _person(self.request.user)) if instance else []
        return super().get_context_data(reach=reach, **kwargs)

    def run(self, actor: User, cleaned: dict[str, Any]) -> Incident:
        return services.mitigate(
            incident=self.object, measure=cleaned["measure"], actor=actor, reason=cleaned["reason"]
        )


class RollBack(DoesWhatWasShown, IncidentCommand):
    """Before the slot goes back to its previous version: what that changes, and what it does not."""

    form_class = RollBackForm
    template_name = "telemetry/incident_roll_back.html"
    heading, submit, tone = "Roll back", "Roll back", "danger"
    success_message = "Rolled back."

    @cached_property
    def preview(self) -> RollbackPreview | None:
        actor = _person(self.request.user)
        slot = slot_to_roll_back(self.object, actor)
        return rollback_preview(slot, actor, drain=Drain.AT_ONCE) if slot else None

    def shown(self) -> dict[str, str]:
        preview = self.preview
        return {"targets": shown_targets({preview.slot.pk: preview.targets} if preview else {})}

    def look_again(self) -> None:
        super().look_again()
        vars(self).pop("preview", None)

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), "reason": self.object.title}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        preview = self.preview
        if preview is None and "refusal" not in kwargs:
            raise Http404  # nothing to go back to, or not theirs to do: the incident's page shows no button either
        reach = [asdict(tile) for tile in before_you_roll_back(preview)] if preview else []
        return super().get_context_data(preview=preview, reach=reach, **kwargs)

    def run(self, actor: User, cleaned: dict[str, Any]) -> Incident:
        instance = self.object.instance
        chosen = [instance.slot_id] if instance and instance.slot_id else []
        seen = seen_of(cleaned["targets"], chosen)
        return services.roll_back(incident=self.object, seen=seen, actor=actor, reason=cleaned["reason"])


class DeprecateVersion(IncidentCommand):
    """Before the incident's version is deprecated: what goes on as it is."""

    form_class = ReasonForm
    template_name = "telemetry/incident_deprecate.html"
    heading, submit, tone = "Deprecate the version", "Deprecate", "danger"
    success_message = "Deprecated."

    def get_initial(self) -> dict[str, Any]:
        return {"reason": self.object.title}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        actor = _person(self.request.user)
        version = version_to_deprecate(self.object, actor) if self.object.live else None
        if version is None and "refusal" not in kwargs:
            raise Http404  # nothing to deprecate, or not theirs to do: the incident's page shows no button either
        reach = [asdict(tile) for tile in before_you_deprecate(version, actor)] if version else []
        return super().get_context_data(version=version, reach=reach, **kwargs)

    def run(self, actor: User, cleaned: dict[str, Any]) -> Incident:
        return services.deprecate_version(incident=self.object, actor=actor, reason=cleaned["reason"])


class ResolveIncident(IncidentCommand):
    form_class = ResolveForm
    heading, submit = "Resolve", "Resolve"
    success_message = "Resolved."

    def get_initial(self) -> dict[str, Any]:
        return {"root_cause": self.object.root_cause, "remediation": self.object.remediation}

    def run(self, actor: User, cleaned: dict[str, Any]) -> Incident:
        return services.resolve(
            incident=self.object,
            root_cause=cleaned["root_cause"],
            remediation=cleaned["remediation"],
            actor=actor,
        )


class ReviewIncident(IncidentCommand):
    form_class = ReviewForm
    heading, submit = "Review", "Close the incident"
    success_message = "Reviewed and closed."

    def run(self, actor: User, cleaned: dict[str, Any]) -> Incident:
        return services.review(incident=self.object, lessons=cleaned["lessons"], actor=actor)


class ReopenIncident(IncidentCommand):
    form_class = WhyForm
    heading, submit = "Reopen", "Reopen"
    success_message = "Reopened."

    def run(self, actor: User, cleaned: dict[str, Any]) -> Incident:
        return services.reopen(incident=self.object, actor=actor, reason=cleaned["reason"])


class AssignIncident(IncidentCommand):
    form_class = AssignForm
    heading, submit = "Assign", "Assign"
    success_message = "Assigned."

    def get_initial(self) -> dict[str, Any]:
        return {"owner": getattr(self.object.owner or self.request.user, "username", "")}

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"tenant": current_tenant(self.request)}

    def run(self, actor: User, cleaned: dict[str, Any]) -> Incident:
        return services.assign(
            incident=self.object, owner=cleaned["owner"], actor=actor, reason=cleaned["reason"]
        )


class AddNote(IncidentCommand):
    form_class = NoteForm
    heading, submit = "Add a note", "Add the note"
    success_message = "Noted."

    def run(self, actor: User, cleaned: dict[str, Any]) -> object:
        return services.add_note(incident=self.object, text=cleaned["text"], actor=actor)


class OpenIncident(CreateView):
    """Somebody has seen something wrong. The incident that stands already is shown instead of a second."""

    form_class = IncidentForm
    template_name = "telemetry/incident_open.html"
    success_message = "Opened."

    def get_object(self, queryset: QuerySet[Any] | None = None) -> Model:
        if Right.MANAGE_INCIDENT not in held_anywhere(_person(self.request.user)):
            raise PermissionDenied
        return super().get_object(queryset)

    def get_initial(self) -> dict[str, Any]:
        return {"subject": self.request.GET.get("subject", "")}

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"actor": self.request.user}

    def run(self, actor: User, cleaned: dict[str, Any]) -> Incident:
        return services.open_incident(
            kind=IncidentKind(cleaned["kind"]),
            severity=Severity(cleaned["severity"]),
            title=cleaned["title"],
            subject=cleaned["subject"],
            actor=actor,
            detected=Detection(cleaned["detected"]),
            note=cleaned["note"],
            harm=cleaned["harm"] or None,  # an empty box leaves it to the kind
        )


def _person(user: Any) -> User:
    if not isinstance(user, User):
        raise TypeError("Only somebody who has signed in comes here.")
    return user
