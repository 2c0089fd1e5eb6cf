"""Pages of what passed a gate once, and of what went back: their lists, and the verbs on exceptions."""

from typing import Any

from django.db.models import Prefetch

from arm.models import User
from arm.rights import Right
from arm.views import FilteredList
from registry import services
from registry.filters.releases import ExceptionFilter, RollbackFilter
from registry.forms import ReasonForm
from registry.forms.releases import ExceptionForm
from registry.models import AgentVersion, ReleaseException, Rollback
from registry.views.commands import Command, may_anywhere
from registry.views.places import SLOTS

SIDES = ("from_version", "to_version")
"""Read by themselves: joined to the list they make eight tables of it, and with few rows in them, which PostgreSQL keeps no
statistics of, it may begin with the product of all agents."""


class RollbackList(FilteredList):
    """What went back: by when, from what to what, and why."""

    queryset = (
        Rollback.objects.select_related("slot__environment", "slot__role")
        .prefetch_related(
            *(Prefetch(side, AgentVersion.objects.select_related("template")) for side in SIDES)
        )
        .order_by("-pk")
    )
    view_right = Right.READ_DIRECTORY
    filterset_class = RollbackFilter
    template_name = "registry/rollback_list.html"
    columns = (
        ("id", "typeid"),
        ("at", "at"),
        ("slot", "slot.typeid"),
        ("from", "from_version.typeid"),
        ("to", "to_version.typeid"),
        ("drained", "drained"),
        ("provisioned", "provisioned"),
        ("by", "actor_label"),
        ("reason", "reason"),
    )


class ExceptionList(FilteredList):
    """Who may pass a gate of a binding once: those that stand, were used, withdrawn or ended."""

    queryset = ReleaseException.objects.select_related(
        "slot__environment", "slot__role", "version__template", "granted_by"
    ).order_by("-pk")
    view_right = Right.READ_DIRECTORY
    filterset_class = ExceptionFilter
    template_name = "registry/exception_list.html"
    columns = (
        ("id", "typeid"),
        ("version", "version.typeid"),
        ("slot", "slot.typeid"),
        ("gate", "gate"),
        ("until", "until"),
        ("standing", "standing"),
        ("granted by", "granted_by.username"),
        ("used by", "used_by_label"),
        ("reason", "reason"),
    )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        may = may_anywhere(self.request, Right.APPROVE_RELEASE)
        return super().get_context_data(may_withdraw=may, **kwargs)


class WithdrawException(Command):
    queryset = ReleaseException.objects.select_related("slot__environment", "slot__role", "version__template")
    form_class = ReasonForm
    act_rights = frozenset({Right.APPROVE_RELEASE})
    heading, submit, tone = "Withdraw the exception", "Withdraw", "danger"
    intro = "Nobody can use it any more. What it has let in already is not touched."
    success_message = "The exception is withdrawn."

    def may_act(self, actor: Any) -> bool:
        """Who granted it takes it back, whatever right they have by now."""
        return actor.pk == self.object.granted_by_id or super().may_act(actor)

    def run(self, actor: User, cleaned: dict[str, Any]) -> ReleaseException:
        return services.withdraw_exception(exception=self.object, actor=actor, reason=cleaned["reason"])


class GrantException(Command):
    queryset = SLOTS
    form_class = ExceptionForm
    act_rights = frozenset({Right.APPROVE_RELEASE})
    heading, submit = "Grant an exception", "Grant"
    intro = "One version may be bound here once without what the gate asks. Somebody else binds it."
    success_message = "The exception is granted."

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), "version": self.request.GET.get("version", "")}

    def run(self, actor: User, cleaned: dict[str, Any]) -> ReleaseException:
        return services.grant_exception(slot=self.object, actor=actor, **cleaned)
