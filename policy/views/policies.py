"""Policy Center: policies, their versions in words, differences, bindings, and the catalogue of tools."""

import json
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.urls import reverse_lazy
from django.views.generic import DetailView

from arm import ids
from arm.errors import DomainError
from arm.forms import ReasonForm
from arm.models import User
from arm.permissions import held_anywhere, visible
from arm.rights import Right
from arm.views import FilteredList, Scoped, current_tenant
from policy import forms, services
from policy.engine import SCHEMA
from policy.engine.wording import differences
from policy.filters import BindingFilter, PolicyFilter
from policy.models import Binding, Policy, PolicyVersion, ToolRisk
from policy.queries import policies as queries
from policy.views.commands import Command, Create, actor_of, may_anywhere

STARTER = {
    "schema": SCHEMA,
    "tier": 2,
    "tools": [{"match": {"tool": "*"}, "effect": "allow"}],
    "network": [],
    "paths": [],
    "commands": [],
    "limits": [{"per": "day", "unit": "calls", "max": 1000, "on_breach": "throttle"}],
}
"""Where a new policy begins: supervised, reaching nothing outside."""


class PolicyList(FilteredList):
    queryset = queries.for_list(Policy.objects.order_by("name"))
    view_right = Right.READ_POLICY
    filterset_class = PolicyFilter
    template_name = "policy/policy_list.html"
    columns = (
        ("id", "typeid"),
        ("name", "name"),
        ("slug", "slug"),
        ("active version", lambda row: row.in_force[0].number if row.in_force else ""),
        ("digest", lambda row: row.in_force[0].digest if row.in_force else ""),
        ("drafts", "drafts"),
        ("bindings", "bound"),
    )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(may_draft=may_anywhere(self.request, Right.DRAFT_POLICY), **kwargs)


class PolicyDetail(Scoped, DetailView[Policy]):
    queryset = Policy.objects.select_related("created_by")
    view_right = Right.READ_POLICY
    template_name = "policy/policy_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = queries.policy_page(self.object, actor_of(self.request))
        may_bind = may_anywhere(self.request, Right.BIND_POLICY)
        return super().get_context_data(page=page, may_bind=may_bind, **kwargs)


class PolicyVersionDetail(Scoped, DetailView[PolicyVersion]):
    queryset = PolicyVersion.objects.select_related("policy", "created_by", "activated_by")
    view_right = Right.READ_POLICY
    template_name = "policy/version_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = queries.version_page(self.object, actor_of(self.request))
        return super().get_context_data(page=page, **kwargs)


class PolicyVersionDiff(Scoped, DetailView[PolicyVersion]):
    """In words, against `?with=pov_…`, or against what the version replaces."""

    queryset = PolicyVersion.objects.select_related("policy")
    view_right = Right.READ_POLICY
    template_name = "policy/version_diff.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        other = self._other()
        nearby = PolicyVersion.objects.filter(policy=self.object.policy_id).exclude(pk=self.object.pk)
        return super().get_context_data(
            other=other,
            differences=differences(other.document, self.object.document) if other else (),
            nearby=nearby.select_related("policy").defer("content").order_by("-number")[:20],
            **kwargs,
        )

    def _other(self) -> PolicyVersion | None:
        asked = self.request.GET.get("with", "")
        if not asked:
            return queries.predecessor(self.object)
        try:
            pk = ids.decode(PolicyVersion.prefix, asked)
        except ValueError:
            raise Http404 from None
        rows = visible(self.queryset.filter(pk=pk), self.request.user, self.view_right)
        found = rows.first()
        if found is None:
            raise Http404
        return found


class _Document:
    """A form with a policy document: every wrong member is named at the field, and nothing typed is lost."""

    def refused(self, form: Any, refusal: DomainError) -> HttpResponse:
        problems = refusal.extra.pop("errors", ())
        for problem in problems:  # type: ignore[attr-defined]
            form.add_error("content", f"{problem['pointer'] or '/'}: {problem['message']}")
        return super().refused(form, refusal)  # type: ignore[misc,no-any-return]


class CreatePolicy(_Document, Create):
    form_class = forms.PolicyForm
    act_rights = frozenset({Right.DRAFT_POLICY})
    heading, submit = "New policy", "Save the draft"
    intro = "It becomes a draft. It takes effect when another person activates it, where it is bound."
    cancel_to = reverse_lazy("policy:policy_list")
    success_message = "The draft is stored."

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), "content": json.dumps(STARTER, indent=2)}

    def run(self, actor: User, cleaned: dict[str, Any]) -> PolicyVersion:
        return services.create_policy(tenant=current_tenant(self.request), actor=actor, **cleaned)


class DraftVersion(_Document, Command):
    queryset = Policy.objects.all()
    form_class = forms.DraftForm
    act_rights = frozenset({Right.DRAFT_POLICY})
    heading, submit = "New version", "Save the draft"
    intro = "It starts from the newest version. It takes effect when another person activates it."
    success_message = "The draft is stored."

    def get_initial(self) -> dict[str, Any]:
        newest = self.object.versions.order_by("-number").first()
        document = newest.document if newest else STARTER
        return {**super().get_initial(), "content": json.dumps(document, indent=2, ensure_ascii=False)}

    def run(self, actor: User, cleaned: dict[str, Any]) -> PolicyVersion:
        return services.draft_version(
            policy=self.object, content=cleaned["content"], actor=actor, note=cleaned["reason"]
        )

    def get_success_url(self) -> str:
        url: str = self.result.get_absolute_url()
        return url


class ActivateVersion(Command):
    """Shows in words what takes effect before it does."""

    queryset = PolicyVersion.objects.select_related("policy", "created_by")
    form_class = ReasonForm
    act_rights = frozenset({Right.ACTIVATE_POLICY})
    heading, submit, template_name = "Activate the version", "Activate", "policy/version_activate.html"
    success_message = "The version is active wherever its policy is bound."

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = queries.version_page(self.object, actor_of(self.request))
        bound = queries.with_target(Binding.objects.in_force().filter(policy=self.object.policy_id))
        return super().get_context_data(page=page, bindings=list(bound[: queries.SHOWN]), **kwargs)

    def run(self, actor: User, cleaned: dict[str, Any]) -> PolicyVersion:
        return services.activate_version(version=self.object, actor=actor, reason=cleaned["reason"])


class WithdrawVersion(Command):
    queryset = PolicyVersion.objects.select_related("policy")
    form_class = ReasonForm
    act_rights = frozenset({Right.DRAFT_POLICY})
    heading, submit, tone = "Withdraw the draft", "Withdraw", "danger"
    intro = "It stays readable and can no longer be activated."
    success_message = "The draft is withdrawn."

    def run(self, actor: User, cleaned: dict[str, Any]) -> PolicyVersion:
        return services.withdraw_version(version=self.object, actor=actor, reason=cleaned["reason"])


class BindingList(FilteredList):
    queryset = queries.with_target(Binding.objects.order_by("-since"))
    view_right = Right.READ_POLICY
    filterset_class = BindingFilter
    template_name = "policy/binding_list.html"
    columns = (
        ("id", "typeid"),
        ("policy", "policy.name"),
        ("kind", "target_kind"),
        ("holds for", "target"),
        ("since", "since"),
        ("until", "until"),
        ("bound by", "bound_by"),
        ("reason", "reason"),
    )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        held = held_anywhere(actor_of(self.request))
        return super().get_context_data(
            may_bind=Right.BIND_POLICY.value in held, may_unbind=Right.ACTIVATE_POLICY.value in held, **kwargs
        )


class BindPolicy(Create):
    form_class = forms.BindForm
    act_rights = frozenset({Right.BIND_POLICY})
    heading, submit = "Bind a policy", "Bind"
    intro = "It holds at once, together with all that already holds there: the strictest rule of any counts."
    cancel_to = reverse_lazy("policy:binding_list")
    success_message = "The policy holds there from now on."

    def get_form_kwargs(self) -> dict[str, Any]:
        return {
            **super().get_form_kwargs(),
            "tenant": current_tenant(self.request),
            "actor": actor_of(self.request),
        }

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), "policy": self.request.GET.get("policy", "")}

    def run(self, actor: User, cleaned: dict[str, Any]) -> Binding:
        return services.bind_policy(
            policy=cleaned["policy"], target=cleaned["target"], actor=actor, reason=cleaned["reason"]
        )

    def get_success_url(self) -> str:
        url: str = self.result.policy.get_absolute_url()
        return url


class EndBinding(Command):
    queryset = queries.with_target(Binding.objects.all())
    form_class = ReasonForm
    act_rights = frozenset({Right.ACTIVATE_POLICY})
    heading, submit, tone = "End the binding", "End it", "danger"
    intro = "What the policy took away there is no longer taken away by it."
    success_message = "The binding has ended."

    def cancel_url(self) -> str:
        return self.object.policy.get_absolute_url()  # type: ignore[no-any-return]

    def get_success_url(self) -> str:
        return self.cancel_url()

    def run(self, actor: User, cleaned: dict[str, Any]) -> Binding:
        return services.unbind_policy(binding=self.object, actor=actor, reason=cleaned["reason"])


class ToolCatalogue(FilteredList):
    """All known tools with the tenant's entries beside them, on one page."""

    queryset = ToolRisk.objects.filter(until=None).select_related("created_by", "environment")
    view_right = Right.READ_POLICY
    template_name = "policy/tool_list.html"
    paginate_by = None  # type: ignore[assignment]

    def get_queryset(self) -> QuerySet[Any]:
        return super().get_queryset().order_by("tool")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        context["rows"] = queries.catalogue(context["object_list"])
        held = held_anywhere(actor_of(self.request))
        context["may_end"] = Right.ACTIVATE_POLICY.value in held
        context["may_classify"] = context["may_end"] or Right.DRAFT_POLICY.value in held
        return context


class ClassifyTool(Create):
    form_class = forms.ToolRiskForm
    act_rights = frozenset({Right.DRAFT_POLICY, Right.ACTIVATE_POLICY})
    heading, submit = "Classify a tool", "Save"
    intro = "A known tool can only be raised. Calling an unknown tool green or yellow loosens, so approvers do that."
    cancel_to = reverse_lazy("policy:tool_list")
    success_message = "The class counts from now on."

    def get_initial(self) -> dict[str, Any]:
        chosen = {name: self.request.GET.get(name, "") for name in ("tool", "environment")}
        return {**super().get_initial(), **chosen}

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "actor": actor_of(self.request)}

    def get_success_url(self) -> str:
        return str(self.cancel_to)

    def run(self, actor: User, cleaned: dict[str, Any]) -> ToolRisk:
        note = cleaned.pop("reason")
        return services.set_tool_risk(tenant=current_tenant(self.request), actor=actor, note=note, **cleaned)


class EndToolRisk(Command):
    queryset = ToolRisk.objects.all()
    form_class = ReasonForm
    act_rights = frozenset({Right.ACTIVATE_POLICY})
    heading, submit, tone = "End the entry", "End it", "danger"
    intro = "The class that everybody has, or “unknown”, counts again."
    success_message = "The entry has ended."

    def cancel_url(self) -> str:
        return str(reverse_lazy("policy:tool_list"))

    def get_success_url(self) -> str:
        return self.cancel_url()

    def run(self, actor: User, cleaned: dict[str, Any]) -> ToolRisk:
        return services.end_tool_risk(entry=self.object, actor=actor, reason=cleaned["reason"])
