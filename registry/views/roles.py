"""Pages of roles: the job, who does it, and where somebody is missing."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.urls import reverse, reverse_lazy
from django.views.generic import DetailView

from arm.models import User
from arm.panels import rights_of_visitor, scopes_of_visitor
from arm.permissions import held_on
from arm.rights import Right
from arm.views import FilteredList, Scoped
from registry import queries, services
from registry.filters.roles import AssignmentFilter, RoleFilter
from registry.forms import ReasonForm
from registry.forms.roles import (
    AssignForm,
    DeprecationRuleForm,
    EvidenceRuleForm,
    RoleChangeForm,
    RoleEditForm,
    RoleForm,
)
from registry.models import DirectoryRules, RoleAssignment, RoleDefinition
from registry.views.commands import Command, Create, SeenCommand, actor_of, may_anywhere

WORDS = (
    ("id", "typeid"),
    ("slug", "slug"),
    ("name", "name"),
    ("tier", "tier"),
    ("risk", "risk"),
    ("capabilities", lambda row: " ".join(f"{name}={least}" for name, least in row.needs.items())),
    ("certifications", lambda row: " ".join(row.certifications)),
    ("coverage", lambda row: " ".join(f"{slug}={least}" for slug, least in row.covers.items())),
    ("budget per day", "budget_per_day"),
    ("budget per month", "budget_per_month"),
    ("budget per outcome", "budget_per_outcome"),
    ("currency", "currency"),
    ("revision", "revision"),
)


class RoleList(FilteredList):
    """Roles and coverage: every job, how many do it, and which environment lacks how many."""

    queryset = RoleDefinition.objects.order_by("slug")
    view_right = Right.READ_DIRECTORY
    filterset_class = RoleFilter
    template_name = "registry/role_list.html"
    columns = WORDS

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        context["rows"] = queries.role_rows(
            list(context["object_list"]),
            actor_of(self.request),
            scopes_of_visitor(self.request, self.view_right),
        )
        context["may_create"] = may_anywhere(self.request, Right.MANAGE_DIRECTORY)
        return context


class RoleDetail(Scoped, DetailView[RoleDefinition]):
    queryset = RoleDefinition.objects.all()
    view_right = Right.READ_DIRECTORY
    template_name = "registry/role_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = queries.role_page(self.object, actor_of(self.request))
        may = Right.PROMOTE_RELEASE.value in rights_of_visitor(self.request)
        return super().get_context_data(page=page, may_assign=may, **kwargs)


class RoleCreate(Create):
    form_class = RoleForm
    act_right = Right.MANAGE_DIRECTORY
    heading, submit = "Define a role", "Define"
    intro = "The job, apart from who does it: what it asks of a version, what it may cost, how well it must be done."
    cancel_url = reverse_lazy("registry:role_list")  # type: ignore[assignment]
    success_message = "The role is defined."

    def run(self, actor: User, cleaned: dict[str, Any]) -> RoleDefinition:
        return services.create_role(tenant=self.object, actor=actor, **cleaned)


class RoleEdit(SeenCommand):
    queryset = RoleDefinition.objects.all()
    form_class = RoleChangeForm
    act_rights = frozenset({Right.MANAGE_DIRECTORY})
    heading, submit = "Change the role", "Save"
    intro = "Who does the job already goes on; the page then names whom it no longer fits, and nobody else like that is let in."
    success_message = "The role is changed."

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), **RoleEditForm.initial_of(self.object)}

    def shown(self) -> int:
        revision: int = self.object.revision
        return revision

    def run(self, actor: User, cleaned: dict[str, Any]) -> RoleDefinition:
        return services.update_role(role=self.object, actor=actor, **cleaned)


class AssignRole(Command):
    """Who may bring releases into no environment gets 403; the service asks for the one that is chosen."""

    queryset = RoleDefinition.objects.all()
    form_class = AssignForm
    act_rights = frozenset(Right)
    heading, submit = "Assign somebody", "Assign"
    intro = "A version that lacks something which the role asks is refused, and everything that it lacks is named."
    success_message = "The role is assigned."

    def setup(self, request: Any, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        if request.user.is_authenticated and not may_anywhere(request, Right.PROMOTE_RELEASE):
            raise PermissionDenied

    def get_initial(self) -> dict[str, Any]:
        names = ("environment", "version", "instance")
        return {**super().get_initial(), **{name: self.request.GET.get(name, "") for name in names}}

    def run(self, actor: User, cleaned: dict[str, Any]) -> RoleAssignment:
        return services.assign_role(role=self.object, actor=actor, **cleaned)


class AssignmentList(FilteredList):
    queryset = RoleAssignment.objects.for_list()
    view_right = Right.READ_DIRECTORY
    filterset_class = AssignmentFilter
    template_name = "registry/assignment_list.html"
    columns = (
        ("id", "typeid"),
        ("role", "role.slug"),
        ("environment", "environment.slug"),
        ("version", "version.typeid"),
        ("instance", lambda row: row.instance and row.instance.typeid),
        ("from", "since"),
        ("until", "until"),
        ("by", "assigned_by"),
        ("reason", "reason"),
    )


class EndAssignment(Command):
    queryset = RoleAssignment.objects.for_list()
    form_class = ReasonForm
    act_rights = frozenset({Right.PROMOTE_RELEASE})
    heading, submit, tone = "End the assignment", "End it", "danger"
    intro = "It does the job no more. What runs is not stopped by it."
    success_message = "The assignment has ended."

    def may_act(self, actor: User) -> bool:
        return bool(self.act_rights & held_on(actor, self.object.environment))

    def run(self, actor: User, cleaned: dict[str, Any]) -> RoleAssignment:
        return services.end_assignment(assignment=self.object, actor=actor, reason=cleaned["reason"])


class DeprecationRule(Create):
    form_class = DeprecationRuleForm
    act_right = Right.MANAGE_DIRECTORY
    heading, submit = "Forced deprecation", "Save"
    intro = (
        "From how severe an incident on the version that it is about is deprecated by itself. Nothing new is bound to it"
        " then; slots that bind it keep it until their due date, and nothing of theirs is drained."
    )
    cancel_url = reverse_lazy("home")  # type: ignore[assignment]
    success_message = "The rule is saved."

    def get_initial(self) -> dict[str, Any]:
        held = DirectoryRules.objects.filter(tenant=self.object.pk).values_list("deprecates_from", flat=True)
        return {**super().get_initial(), "severity": held.first() or ""}

    def get_success_url(self) -> str:
        return reverse("registry:deprecation_rule")

    def run(self, actor: User, cleaned: dict[str, Any]) -> DirectoryRules:
        return services.deprecate_from(tenant=self.object, actor=actor, **cleaned)


class EvidenceRule(Create):
    form_class = EvidenceRuleForm
    act_right = Right.MANAGE_DIRECTORY
    heading, submit = "Evidence before work", "Save"
    intro = (
        "Whether a version needs an Agent Card that is signed and verified before a slot or a role takes it. "
        "What is bound already stays so."
    )
    cancel_url = reverse_lazy("home")  # type: ignore[assignment]
    success_message = "The rule is saved."

    def get_initial(self) -> dict[str, Any]:
        held = DirectoryRules.objects.asks_evidence(self.object.pk)
        return {**super().get_initial(), "required": held}

    def get_success_url(self) -> str:
        return reverse("registry:evidence_rule")

    def run(self, actor: User, cleaned: dict[str, Any]) -> DirectoryRules:
        return services.require_evidence(tenant=self.object, actor=actor, **cleaned)
