"""The verbs of approving: approve a candidate, take that back; and the rule that says how many must."""

from dataclasses import replace
from typing import Any

from django.urls import reverse, reverse_lazy

from arm.models import User
from arm.permissions import held_on
from arm.rights import Right, Risk
from registry import queries, services
from registry.forms import ReasonForm
from registry.forms.approvals import ApprovalsForm
from registry.gates.approving import QUORUM
from registry.lifecycle import VersionState
from registry.models import AgentVersion, DirectoryRules
from registry.views.commands import Command, Create, actor_of


class ApproveVersion(Command):
    queryset = AgentVersion.objects.select_related("template", "genome")
    form_class = ReasonForm
    template_name = "registry/version_approve.html"
    act_rights = frozenset({Right.APPROVE_VERSION})
    heading, submit = "Approve the version", "Approve"
    success_message = "Your approval is kept."

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        actor = actor_of(self.request)
        rights = held_on(actor, self.object)
        steps = [
            replace(step, verdicts=tuple(one for one in step.verdicts if one.gate != QUORUM))
            for step in queries.version_steps(self.object, actor)
            if step.to == VersionState.APPROVED
        ]
        return super().get_context_data(
            approving=queries.approving(self.object, actor, rights), steps=steps, rights=rights, **kwargs
        )

    def run(self, actor: User, cleaned: dict[str, Any]) -> AgentVersion:
        return services.approve_version(version=self.object, actor=actor, reason=cleaned["reason"])


class WithdrawApproval(Command):
    queryset = AgentVersion.objects.select_related("template", "genome")
    form_class = ReasonForm
    act_rights = frozenset({Right.READ_DIRECTORY})  # the service looks for one's own approval
    heading, submit, tone = "Take your approval back", "Take it back", "danger"
    intro = (
        "The approval stays on record as taken back, and counts no more. You may approve the version again."
    )
    success_message = "Your approval is taken back."

    def run(self, actor: User, cleaned: dict[str, Any]) -> Any:
        return services.withdraw_approval(version=self.object, actor=actor, reason=cleaned["reason"])


class ApprovalsRule(Create):
    form_class = ApprovalsForm
    act_right = Right.MANAGE_DIRECTORY
    heading, submit = "Approvals of versions", "Save"
    intro = (
        "How many people must approve a version before it is Approved, by the risk class of its agent and of the roles that"
        " the agent does. A role may ask for more. Versions that are approved already stay so."
    )
    cancel_url = reverse_lazy("home")  # type: ignore[assignment]
    success_message = "The rule is saved."

    def get_initial(self) -> dict[str, Any]:
        held = DirectoryRules.objects.approvals_of(self.object.pk)
        return {**super().get_initial(), **{risk.value: held.get(risk.value, 1) for risk in Risk}}

    def get_success_url(self) -> str:
        return reverse("registry:approvals_rule")

    def run(self, actor: User, cleaned: dict[str, Any]) -> DirectoryRules:
        by_risk = {risk.value: cleaned[risk.value] for risk in Risk}
        return services.require_approvals(
            tenant=self.object, by_risk=by_risk, actor=actor, reason=cleaned["reason"]
        )
