"""Stop: what stands, what a stop would reach before it is confirmed or asked for, and the way out of one."""

from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse, reverse_lazy
from django.utils.functional import cached_property
from django.utils.http import urlencode
from django.views.generic import DetailView, FormView

from arm.forms import ReasonForm
from arm.models import Tenant, User
from arm.panels import seen_by_visitor
from arm.rights import Right
from arm.views import FilteredList, Scoped, current_tenant
from policy import forms, services
from policy.engine import Mode
from policy.filters import PostureFilter
from policy.models import Posture, RestrictionRequest
from policy.queries import stops as queries
from policy.queries.restricting import Way
from policy.queries.restriction_pages import waiting
from policy.views.commands import Command, Create, actor_of, may_anywhere
from registry.lifecycle import InstanceState
from registry.models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    DeploymentSlot,
    Environment,
    Provider,
)

VERBS = {
    Mode.DRAINING: "Drain",
    Mode.PAUSED: "Pause",
    Mode.READ_ONLY: "Make read-only",
    Mode.QUARANTINED: "Quarantine",
    Mode.KILLED: "Kill",
}
SETS = (Right.RESTRICT_WIDELY, Right.RESTRICT_INSTANCE)
ASKS = (Right.REQUEST_RESTRICTION, Right.MANAGE_INCIDENT)


LISTED_BY = {
    Environment: ("environment", "slug"),
    Provider: ("provider", "slug"),
    AgentTemplate: ("template", "typeid"),
    AgentVersion: ("version", "typeid"),
    DeploymentSlot: ("slot", "typeid"),
}
"""How the list of instances is asked for what stands below a scope."""


def links(scope: Any) -> dict[str, str]:
    """Where the numbers of a reach have their rows; nothing where no list holds exactly those."""
    waiting_url = reverse("policy:approval_waiting")
    if isinstance(scope, AgentInstance):
        query = {"instance": scope.typeid}
        return {"agents": scope.get_absolute_url(), "waiting": f"{waiting_url}?{urlencode(query)}"}
    if isinstance(scope, Tenant):
        query = {}
    elif type(scope) in LISTED_BY:
        name, attribute = LISTED_BY[type(scope)]
        query = {name: getattr(scope, attribute)}
    else:
        return {}
    live = [state.value for state in InstanceState if state != InstanceState.RETIRED]
    rows = reverse("registry:instance_list")
    found = {
        "agents": f"{rows}?{urlencode(query | {'state': live}, doseq=True)}",
        "active": f"{rows}?{urlencode(query | {'state': InstanceState.ACTIVE.value})}",
    }
    return found | ({"waiting": waiting_url} if isinstance(scope, Tenant) else {})


def tabs(active: str) -> list[dict[str, Any]]:
    """What stands, what is asked for, what was."""
    pages = (
        ("standing", "In force", "policy:stop_list"),
        ("requests", "Requests", "policy:restriction_list"),
        ("history", "History", "policy:stop_history"),
    )
    return [{"label": label, "url": reverse(name), "active": key == active} for key, label, name in pages]


class StopList(FilteredList):
    """The stops in force, newest first."""

    queryset = queries.with_scope(Posture.objects.all())
    view_right = Right.READ_POLICY
    filterset_class = PostureFilter
    template_name = "policy/stop_list.html"
    tab: ClassVar[str] = "standing"
    columns = (
        ("id", "typeid"),
        ("scope", "target_kind"),
        ("on", "target"),
        ("mode", "mode"),
        ("tool", lambda row: row.tool or row.tool_class),
        ("reason", "reason"),
        ("set by", "set_by"),
        ("set", "set_at"),
        ("until", "until"),
        ("lifted by", "lifted_by"),
        ("lifted", "lifted_at"),
    )

    def get_queryset(self) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.part(super().get_queryset()).order_by("-set_at", "-pk")
        return rows

    def part(self, rows: Any) -> Any:
        return rows.in_force()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        asked = seen_by_visitor(RestrictionRequest.objects.all(), self.request, Right.READ_POLICY)
        open_requests = list(waiting(asked)) if self.tab == "standing" else []
        return super().get_context_data(
            tab=self.tab,
            tabs=tabs(self.tab),
            open_requests=open_requests,
            may_stop=may_anywhere(self.request, *SETS),
            may_ask=may_anywhere(self.request, *ASKS),
            **kwargs,
        )


class StopHistory(StopList):
    """Every stop that was ever set."""

    tab = "history"

    def part(self, rows: Any) -> Any:
        return rows


class ChooseStop(FormView[forms.StopForm]):
    """First page: scope and mode. It changes nothing; it leads to the preview."""

    form_class = forms.StopForm
    template_name = "policy/stop_choose.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        current_tenant(request)
        if not may_anywhere(request, *SETS, *ASKS):
            raise PermissionDenied
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        heading = "Stop something" if may_anywhere(self.request, *SETS) else "Request a stop"
        return super().get_context_data(heading=heading, **kwargs)

    def get_form_kwargs(self) -> dict[str, Any]:
        asked = self.request.GET if "mode" in self.request.GET else None
        tenant = current_tenant(self.request)
        return {
            **super().get_form_kwargs(),
            "data": self.request.POST or asked,
            "tenant": tenant,
            "actor": actor_of(self.request),
        }

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), "named": self.request.GET.get("named", "")}

    def form_valid(self, form: forms.StopForm) -> HttpResponse:
        kept = {
            name: form.data.get(name, "")
            for name in ("scope", "named", "mode", "tool", "tool_class", "until")
        }
        url = reverse("policy:stop_preview", query={name: value for name, value in kept.items() if value})
        return redirect(url)


class PreviewStop(Create):
    """Second page: how far it reaches, what it denies, who can end it; then the reason and the button. Where one
    person is not enough, or may only ask, the button asks."""

    template_name = "policy/stop_preview.html"
    heading, submit, tone = "Stop", "Stop", "danger"
    cancel_to = reverse_lazy("policy:stop_list")
    act_rights = frozenset({*SETS, *ASKS})

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        self.asked: Any = None
        self.query: QueryDict = request.GET
        if request.user.is_authenticated:
            self.asked = forms.StopForm(request.GET, tenant=current_tenant(request), actor=actor_of(request))

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if self.asked is not None and not self.asked.is_valid():
            return redirect(f"{reverse('policy:stop_choose')}?{request.GET.urlencode()}")
        return super().dispatch(request, *args, **kwargs)

    @cached_property
    def preview(self) -> queries.Preview:
        chosen = self.asked.cleaned_data
        return queries.preview(
            chosen["target"],
            chosen["mode"],
            actor_of(self.request),
            tool=chosen["tool"],
            tool_class=chosen["tool_class"],
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """A mode other than the one whose reach was shown is shown first; what was typed stays."""
        wanted = request.POST.get("mode") or self.asked.cleaned_data["mode"].value
        if wanted == self.asked.cleaned_data["mode"].value:
            return super().post(request, *args, **kwargs)
        query = request.GET.copy()
        query["mode"] = wanted
        other = forms.StopForm(query, tenant=current_tenant(request), actor=actor_of(request))
        if not other.is_valid():
            return super().post(request, *args, **kwargs)
        self.asked, self.query = other, query
        form = self.get_form_class()(initial=request.POST.dict(), phrase=self.phrase)
        return self.render_to_response(self.get_context_data(form=form, changed=True))

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), "mode": self.asked.cleaned_data["mode"].value}

    def get_form_class(self) -> Any:
        return forms.ConfirmStopForm if self.preview.way == Way.AT_ONCE else forms.RequestStopForm

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "phrase": self.phrase}

    @property
    def phrase(self) -> str:
        """Who only asks stops nothing yet, so nothing is typed."""
        return "" if self.preview.way == Way.ASK else self.preview.phrase

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        query = self.query.urlencode()
        change = f"{reverse('policy:stop_choose')}?{query}"
        context = super().get_context_data(preview=self.preview, change_url=change, **kwargs)
        context["links"] = links(self.preview.scope)
        context["here"] = f"{reverse('policy:stop_preview')}?{query}"
        agents = f"{self.preview.numbers['agents']} agent{'' if self.preview.numbers['agents'] == 1 else 's'}"
        verb = VERBS[self.preview.mode]
        context["confirm_title"] = f"{verb} {self.preview.only or self.preview.scope}"
        context["confirm_button"] = {
            Way.AT_ONCE: f"{verb} {agents}",
            Way.FIRST_OF_TWO: "Ask the second person",
        }.get(self.preview.way, "Request a stop")
        context["phrase"] = self.phrase
        context["confirm_tone"] = "primary" if self.preview.way == Way.ASK else "danger"
        context["choose_title"] = "Stop something" if may_anywhere(self.request, *SETS) else "Request a stop"
        context["until"] = self.asked.cleaned_data["until"]
        return context

    def run(self, actor: User, cleaned: dict[str, Any]) -> Posture | RestrictionRequest:
        chosen = self.asked.cleaned_data
        what = {
            "scope": chosen["target"],
            **{name: chosen[name] for name in ("mode", "until", "tool", "tool_class")},
        }
        if self.preview.way == Way.AT_ONCE:
            self.success_message = f"{chosen['target']} is {chosen['mode'].replace('_', ' ')} from now on."
            return services.set_posture(actor=actor, reason=cleaned["reason"], **what)
        self.success_message = "Asked. Nothing is stopped until another person confirms it."
        return services.request_restriction(
            actor=actor, reason=cleaned["reason"], reason_code=cleaned["reason_code"], **what
        )


class StopDetail(Scoped, DetailView[Posture]):
    queryset = queries.with_scope(Posture.objects.all())
    view_right = Right.READ_POLICY
    template_name = "policy/stop_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        target = self.object.target
        url = target.get_absolute_url() if hasattr(target, "get_absolute_url") else ""
        lift = queries.lift_page(self.object, actor_of(self.request))
        return super().get_context_data(lift=lift, target_url=url, **kwargs)


class LiftStop(Command):
    """Ends a stop, as far as the rule of its mode lets this person."""

    queryset = queries.with_scope(Posture.objects.all())
    form_class = ReasonForm
    act_rights = frozenset({Right.RELEASE_INSTANCE, Right.APPROVE_RELEASE})
    heading, submit, template_name = "Lift the stop", "Lift", "policy/stop_lift.html"
    success_message = "The stop is lifted."

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(lift=queries.lift_page(self.object, actor_of(self.request)), **kwargs)

    def run(self, actor: User, cleaned: dict[str, Any]) -> Posture:
        return services.lift_posture(posture=self.object, actor=actor, reason=cleaned["reason"])


class AskForLift(LiftStop):
    """Asks approvers to agree to the end of a stop."""

    heading, submit = "Ask for its end", "Ask approvers"
    success_message = "Approvers are asked."

    def run(self, actor: User, cleaned: dict[str, Any]) -> Any:
        return services.request_lift(posture=self.object, actor=actor, reason=cleaned["reason"])

    def get_success_url(self) -> str:
        url: str = self.result.get_absolute_url()
        return url
