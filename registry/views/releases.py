"""Pages of releases: channels, rollouts with their steps, rollbacks with their preview, exceptions."""

from functools import partial
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.generic import DetailView

from arm import clock, ids
from arm.models import ChangeRecord, User
from arm.panels import seen_by_visitor
from arm.permissions import allowed, held_on
from arm.rights import Right
from arm.views import FilteredList, Scoped
from registry import queries, services
from registry.engine import StepState, Strategy
from registry.filters.releases import ChannelFilter, RolloutFilter
from registry.forms import ReasonForm
from registry.forms.releases import (
    WORDS,
    AbortForm,
    ConfirmForm,
    PlanRolloutForm,
    RollBackForm,
    StartRolloutForm,
    seen_of,
    shown_targets,
)
from registry.models import AgentVersion, RoleDefinition, Rollback, Rollout, RolloutStep
from registry.views.commands import Command, DoesWhatWasShown, actor_of, may_anywhere
from registry.views.places import SLOTS

PROMOTES = frozenset({Right.PROMOTE_RELEASE})
TONES = {
    "waiting": "mute",
    "passed": "ok",
    "stopped": "stop",
    "": "info",
    "healthy": "ok",
    "unhealthy": "bad",
    "unknown": "warn",
}
STOPS = frozenset({Right.PROMOTE_RELEASE, Right.ROLL_BACK_RELEASE})


IRREVERSIBLE = (
    "The version left is deprecated: it can be bound nowhere again, and a new version must be approved instead."
    " What drains does not come back by itself, and once it has nothing left to do ARM retires it with its tokens; what"
    " had not begun is retired at once."
)


class ChannelBoard(FilteredList):
    """Which version is where, in the order in which versions climb."""

    queryset = RoleDefinition.objects.all()
    view_right = Right.READ_DIRECTORY
    filterset_class = ChannelFilter
    template_name = "registry/channel_board.html"

    def get_queryset(self) -> QuerySet[Any]:
        self.see = partial(seen_by_visitor, request=self.request, right=self.view_right)
        roles = queries.roles_in_channels(self.see)  # seen by their slots, not by the role's own scope
        return self.filtered(ChannelFilter, roles)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        context["may_open"] = may = may_anywhere(self.request, Right.PROMOTE_RELEASE)
        promotes = (
            partial(seen_by_visitor, request=self.request, right=Right.PROMOTE_RELEASE) if may else None
        )
        context["channels"], context["rows"] = queries.channel_board(
            context["object_list"], self.see, promotes
        )
        return context


class RolloutList(FilteredList):
    queryset = Rollout.objects.for_list()
    view_right = Right.READ_DIRECTORY
    filterset_class = RolloutFilter
    template_name = "registry/rollout_list.html"
    columns = (
        ("id", "typeid"),
        ("environment", "environment.slug"),
        ("role", "role.slug"),
        ("version", "version.typeid"),
        ("strategy", "strategy"),
        ("state", "state"),
        ("since", "state_since"),
        ("said", "said"),
    )


class RolloutDetail(Scoped, DetailView[Rollout]):
    """A rollout. While it is held its part renews itself; once it stands otherwise than the page's head says (`seen`), the
    whole page is fetched anew: its buttons are others."""

    queryset = Rollout.objects.for_list()
    view_right = Right.READ_DIRECTORY
    stands = ""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        answer = super().get(request, *args, **kwargs)
        if getattr(request, "htmx", False) and request.GET.get("seen", self.stands) != self.stands:
            answer["HX-Refresh"] = "true"
        return answer

    def get_template_names(self) -> list[str]:
        htmx = getattr(self.request, "htmx", False)
        return ["registry/_rollout.html" if htmx else "registry/rollout_detail.html"]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = queries.rollout_page(self.object, actor_of(self.request))
        current = page.current
        bars = [
            {
                "label": f"Step {step.number}",
                "value": step.percent if self.object.strategy != Strategy.PHASED else step.batch,
                "tone": TONES[step.health if step.state == StepState.BAKING else step.state],
                "note": step.get_state_display(),
            }
            for step in page.steps
        ]
        due = current is not None and current.due_at is not None and current.due_at <= clock.now()
        self.stands = f"{self.object.state}.{current.number if current else 0}.{int(due)}"
        return super().get_context_data(
            page=page,
            bars=bars,
            gates=[WORDS.get(name, name) for name in self.object.gates],
            unit="%" if self.object.strategy != Strategy.PHASED else "batch",
            at=clock.now(),
            may_run=bool(PROMOTES & page.rights),
            may_stop=bool(STOPS & page.rights),
            due=due,
            stands=self.stands,
            **kwargs,
        )


class PlanRollout(Command):
    """From a slot: it and its neighbours of the same role in the same environment can be chosen."""

    queryset = SLOTS
    form_class = PlanRolloutForm
    act_rights = PROMOTES
    heading, submit = "Plan a rollout", "Plan"
    intro = "Nothing changes before you start it; the next page says what it would meet."
    success_message = "The rollout is planned."

    def may_act(self, actor: User) -> bool:
        """As planning asks: of the environment. A right on the provider alone binds slots one by one."""
        return allowed(actor, Right.PROMOTE_RELEASE, self.object.environment)

    def get_initial(self) -> dict[str, Any]:
        return {
            **super().get_initial(),
            "version": self.request.GET.get("version", ""),
            "slots": [self.object.pk],
            "health_gates": ["errors", "incidents"],
        }

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "around": self.object}

    def run(self, actor: User, cleaned: dict[str, Any]) -> Rollout:
        rows = list(cleaned.pop("slots").select_related("environment", "role"))
        return services.plan_rollout(slots=rows, actor=actor, **cleaned)

    def get_success_url(self) -> str:
        return str(self.result.get_absolute_url())


class RolloutCommand(Command):
    queryset = Rollout.objects.for_list()
    form_class = ReasonForm
    act_rights = STOPS


class StartRollout(RolloutCommand):
    """What it would meet: gates of every slot, differences that break something; and its reach in numbers."""

    form_class = StartRolloutForm
    template_name = "registry/rollout_start.html"
    act_rights = PROMOTES
    heading, submit = "Start the rollout", "Start"
    success_message = "The rollout has begun."

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = queries.rollout_page(self.object, actor_of(self.request))
        running = queries.instances_there([row.slot for row in page.slots])
        numbers = [
            {"label": "Slots", "value": len(page.slots)},
            {"label": "Steps", "value": len(page.steps)},
            {"label": "Instances there now", "value": running},
        ]
        return super().get_context_data(page=page, numbers=numbers, **kwargs)

    def run(self, actor: User, cleaned: dict[str, Any]) -> Rollout:
        return services.start_rollout(rollout=self.object, actor=actor, **cleaned)


class PauseRollout(RolloutCommand):
    heading, submit = "Pause the rollout", "Pause"
    intro = "It stays where it is: the slots keep the share they have, and no step follows."
    success_message = "The rollout is paused."

    def run(self, actor: User, cleaned: dict[str, Any]) -> Rollout:
        return services.pause_rollout(rollout=self.object, actor=actor, reason=cleaned["reason"])


class ResumeRollout(RolloutCommand):
    act_rights = PROMOTES
    heading, submit = "Resume the rollout", "Resume"
    intro = "The step that was paused bakes again from now on, and is judged by what happens from now on."
    success_message = "The rollout goes on."

    def run(self, actor: User, cleaned: dict[str, Any]) -> Rollout:
        return services.resume_rollout(rollout=self.object, actor=actor, reason=cleaned["reason"])


class AbortRollout(RolloutCommand):
    form_class = AbortForm
    heading, submit, tone = "Abort the rollout", "Abort", "danger"
    intro = (
        "Every slot that it has changed returns to the version it had; instances of the new version drain,"
        " and ARM retires them once they have nothing left to do."
        " The version itself stays as it is: an abort is no rollback."
    )
    success_message = "The rollout is aborted."

    def run(self, actor: User, cleaned: dict[str, Any]) -> Rollout:
        return services.abort_rollout(rollout=self.object, actor=actor, **cleaned)


class ConfirmStep(DoesWhatWasShown, RolloutCommand):
    """A yes to the step that the page shows. Where another one waits by now the form comes back with that one."""

    form_class = ConfirmForm
    act_rights = PROMOTES
    template_name = "registry/rollout_confirm.html"
    heading, submit = "Confirm the step", "Confirm"
    intro = (
        "Nothing that is known lets this step go on by itself. You vouch for it, and the next step begins."
    )
    success_message = "The step is confirmed."

    def _waiting(self) -> RolloutStep | None:
        if not hasattr(self, "_shown"):  # what is shown and what the form names is one step, looked up once
            self._shown = queries.waiting_step(self.object)
        return self._shown

    def shown(self) -> dict[str, Any]:
        step = self._waiting()
        return {"step": step.number if step else ""}

    def look_again(self) -> None:
        super().look_again()
        vars(self).pop("_shown", None)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        step = self._waiting()
        named = f"Confirm step {step.number}" if step else self.heading
        return super().get_context_data(**{"step": step, "heading": named, "submit": named, **kwargs})

    def run(self, actor: User, cleaned: dict[str, Any]) -> Rollout:
        return services.confirm_step(rollout=self.object, actor=actor, **cleaned)


class RollBackSlot(DoesWhatWasShown, Command):
    """One click, after what it does was shown in numbers."""

    queryset = SLOTS
    form_class = RollBackForm
    template_name = "registry/slot_roll_back.html"
    act_rights = frozenset({Right.ROLL_BACK_RELEASE})
    heading, submit, tone = "Roll back", "Roll back", "danger"
    success_message = "Rolled back."

    def _preview(self) -> queries.RollbackPreview | None:
        if not hasattr(self, "_shown"):
            self._shown = queries.rollback_preview(self.object, actor_of(self.request))
        return self._shown

    def get_form_kwargs(self) -> dict[str, Any]:
        preview = self._preview()
        return {**super().get_form_kwargs(), "others": preview.others if preview else ()}

    def shown(self) -> dict[str, str]:
        leaving, preview = self.object.current_version, self._preview()
        offered = {self.object.pk: preview.targets} if preview else {}
        offered |= {one.slot.pk: one.targets for one in preview.others} if preview else {}
        return {"leaving": leaving.typeid if leaving else "", "targets": shown_targets(offered)}

    def look_again(self) -> None:
        super().look_again()
        vars(self).pop("_shown", None)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        preview = self._preview()
        if preview is None and "refusal" not in kwargs:
            raise Http404
        numbers = []
        if preview is not None:
            rows = reverse("registry:instance_list")
            here = f"{rows}?slot={self.object.typeid}&version={preview.leaving.typeid}"
            numbers = [
                {
                    "label": "Drain",
                    "value": preview.drains,
                    "note": "as they are replaced, or at once",
                    "url": here,
                },
                {"label": "Are withdrawn", "value": preview.withdrawn, "note": "they had not begun"},
                {"label": "Are provisioned", "value": preview.provisioned, "note": f"on {preview.target}"},
                {"label": "Stay stopped", "value": preview.left, "url": here},
            ]
        return super().get_context_data(preview=preview, numbers=numbers, irreversible=IRREVERSIBLE, **kwargs)

    def run(self, actor: User, cleaned: dict[str, Any]) -> Rollback:
        current = self.object.current_version
        leaving = (
            current if current and current.typeid == cleaned["leaving"] else self._named(cleaned["leaving"])
        )
        also = list(cleaned.get("also") or ())
        return services.roll_back_slot(
            slot=self.object,
            leaving=leaving,
            also=also,
            seen=seen_of(cleaned["targets"], [self.object.pk, *(one.pk for one in also)]),
            drain=cleaned["drain"],
            within=cleaned["within"],
            actor=actor,
            reason=cleaned["reason"],
        )

    def _named(self, typeid: str) -> AgentVersion:
        """The version that the preview showed, where the slot has moved on since: the service says so."""
        bindings = self.object.bindings.select_related("version__template")
        found = [binding.version for binding in bindings if binding.version.typeid == typeid]
        if not found:
            raise Http404
        version: AgentVersion = found[0]
        return version

    def get_success_url(self) -> str:
        return str(self.result.get_absolute_url())


class RollbackDetail(Scoped, DetailView[Rollback]):
    queryset = Rollback.objects.select_related(
        "slot__environment", "slot__role", "slot__provider", "from_version__template", "to_version__template"
    )
    view_right = Right.READ_DIRECTORY
    template_name = "registry/rollback_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        change = ids.encode(ChangeRecord.prefix, self.object.change_id)
        queries.with_dossiers([self.object], actor_of(self.request))
        incident = self.object.incident_id
        rights = held_on(actor_of(self.request), self.object)
        signed = queries.dossier_of(self.object) if Right.READ_EVIDENCE in rights else None
        return super().get_context_data(
            change_id=change,
            change_url=reverse("change_detail", args=[change]),
            handovers=self.object.handovers.select_related("slot", "version__template"),
            may_audit=Right.READ_AUDIT in rights,
            may_read_evidence=Right.READ_EVIDENCE in rights,
            may_sign=Right.ISSUE_EVIDENCE in rights and (signed is None or bool(signed.artefact.problem)),
            signed=signed,
            has_key=queries.signs_evidence(self.object.tenant_id),
            incident_id=ids.encode("inc", incident) if incident else "",
            incident_url=f"{reverse('search')}?q={ids.encode('inc', incident)}" if incident else "",
            **kwargs,
        )
