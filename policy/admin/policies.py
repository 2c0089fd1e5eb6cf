"""Policies, versions, bindings and tool classes."""

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from arm.admin import AdminCommand, ReasonOnly, ScopedAdmin
from arm.models import User
from arm.permissions import visible
from arm.rights import Right
from arm.views import current_tenant

from .. import services
from ..engine import ToolClass
from ..forms import DocumentField, scope_by_id
from ..models import Binding, Policy, PolicyVersion, ToolRisk


class PolicyForm(forms.ModelForm[Policy]):
    """A new policy with the document of its first version."""

    document = DocumentField(help_text="A policy document (arm.policy/v1) as JSON.")
    reason = forms.CharField(max_length=500)

    class Meta:
        model = Policy
        fields = ("name", "slug", "purpose")


@admin.register(Policy)
class PolicyAdmin(ScopedAdmin):
    view_right = Right.READ_POLICY
    add_right = Right.DRAFT_POLICY
    list_display = ("name", "slug", "created_by", "created_at")
    list_select_related = ("created_by",)
    search_fields = ("name", "slug", "purpose")
    fields = readonly_fields = ("name", "slug", "purpose", "created_by", "created_at")
    export_columns = (("id", "typeid"), ("name", "name"), ("slug", "slug"), ("purpose", "purpose"))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("name", "slug", "purpose", "document", "reason") if obj is None else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else self.fields

    def plain_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return PolicyForm if obj is None else super().plain_form(request, obj, change, **kwargs)

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        return services.create_policy(
            tenant=current_tenant(request),
            name=cleaned["name"],
            slug=cleaned["slug"],
            purpose=cleaned["purpose"],
            content=cleaned["document"],
            actor=request.user,  # type: ignore[arg-type]
            reason=cleaned["reason"],
        ).policy


@admin.register(PolicyVersion)
class PolicyVersionAdmin(ScopedAdmin):
    view_right = Right.READ_POLICY
    list_display = ("policy", "number", "state", "tier", "created_by", "activated_by", "activated_at")
    list_select_related = ("policy", "created_by", "activated_by")
    list_filter = ("state", "tier")
    search_fields = ("policy__name", "digest", "note")
    fields = readonly_fields = (
        "policy",
        "number",
        "state",
        "tier",
        "digest",
        "note",
        "created_by",
        "created_at",
        "activated_by",
        "activated_at",
        "ended_at",
        "text",
    )
    export_columns = (
        ("id", "typeid"),
        ("policy", "policy"),
        ("number", "number"),
        ("state", "state"),
        ("tier", "tier"),
        ("digest", "digest"),
        ("activated at", "activated_at"),
    )
    commands = (
        AdminCommand(
            "activate",
            "Activate",
            Right.ACTIVATE_POLICY,
            lambda row, actor, cleaned: services.activate_version(version=row, actor=actor, **cleaned),
            ReasonOnly,
            "They take effect at once wherever their policies are bound. Their authors cannot do this.",
        ),
        AdminCommand(
            "withdraw",
            "Withdraw drafts",
            Right.DRAFT_POLICY,
            lambda row, actor, cleaned: services.withdraw_version(version=row, actor=actor, **cleaned),
            ReasonOnly,
        ),
    )

    @admin.display(description="Document")
    def text(self, row: PolicyVersion) -> str:
        return format_html("<pre>{}</pre>", json.dumps(row.document, indent=2, ensure_ascii=False))


@admin.register(Binding)
class BindingAdmin(ScopedAdmin):
    view_right = Right.READ_POLICY
    add_right = Right.BIND_POLICY
    list_display = ("policy", "target_kind", "target", "since", "until", "bound_by")
    list_select_related = (
        "policy", "tenant", "environment", "role", "template", "version__template", "slot__role",
        "slot__environment", "instance", "bound_by",
    )  # fmt: skip
    # No filters: their choices would name policies and environments that the person may not see.
    search_fields = ("policy__name", "reason", "template__name", "instance__name")
    fields = readonly_fields = (
        "policy",
        "target_kind",
        "target",
        "since",
        "bound_by",
        "reason",
        "until",
        "ended_by",
    )
    export_columns = (
        ("id", "typeid"),
        ("policy", "policy"),
        ("kind", "target_kind"),
        ("target", "target"),
        ("since", "since"),
        ("until", "until"),
        ("reason", "reason"),
    )
    commands = (
        AdminCommand(
            "unbind",
            "End the bindings",
            Right.ACTIVATE_POLICY,
            lambda row, actor, cleaned: services.unbind_policy(binding=row, actor=actor, **cleaned),
            ReasonOnly,
            "That loosens: agents without any other policy may then do nothing, others may do more.",
        ),
    )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("policy", "scope", "reason") if obj is None else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else self.fields

    def plain_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            return super().plain_form(request, obj, change, **kwargs)
        actor, tenant = request.user, current_tenant(request)

        class BindForm(forms.ModelForm[Binding]):
            """The target is named by its identifier."""

            policy = forms.ModelChoiceField(
                visible(Policy.objects.filter(versions__state="active"), actor, Right.READ_POLICY)
            )
            scope = forms.CharField(
                max_length=60, help_text="ten_…, env_…, rol_…, tpl_…, ver_…, slt_… or ins_…."
            )
            reason = forms.CharField(max_length=500)

            class Meta:
                model = Binding
                fields: tuple[str, ...] = ()

            def clean_scope(self) -> Model:
                return scope_by_id(self.cleaned_data["scope"], tenant, actor, Right.BIND_POLICY)  # type: ignore[arg-type]

            def _post_clean(self) -> None:
                """The service and the table's constraints judge the row; the form holds no row of its own."""

        return BindForm

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        return services.bind_policy(
            policy=cleaned["policy"],
            target=cleaned["scope"],
            actor=request.user,  # type: ignore[arg-type]
            reason=cleaned["reason"],
        )


class ToolForm(forms.ModelForm[ToolRisk]):
    """An entry in the tenant's part of the catalogue."""

    risk = forms.ChoiceField(choices=[("", "only a ceiling"), *ToolRisk.RISKS], required=False)
    tool_class = forms.ChoiceField(
        choices=[("", "as known"), *((each.value, each.value) for each in ToolClass)], required=False
    )

    class Meta:
        model = ToolRisk
        fields = ("tool", "environment", "risk", "tool_class", "ceiling", "note")

    def _post_clean(self) -> None:
        """The service judges: it knows the catalogue."""


def _end(row: ToolRisk, actor: User, cleaned: dict[str, Any]) -> object:
    return services.end_tool_risk(entry=row, actor=actor, reason=cleaned["reason"])


@admin.register(ToolRisk)
class ToolRiskAdmin(ScopedAdmin):
    view_right = Right.READ_POLICY
    add_right = Right.DRAFT_POLICY
    list_display = ("tool", "environment", "risk", "tool_class", "ceiling", "created_by", "since", "until")
    list_select_related = ("created_by", "environment")
    list_filter = ("risk",)
    search_fields = ("tool", "note")
    fields = readonly_fields = (
        "tool",
        "environment",
        "risk",
        "tool_class",
        "ceiling",
        "note",
        "created_by",
        "since",
        "until",
    )
    export_columns = (("tool", "tool"), ("risk", "risk"), ("ceiling", "ceiling"), ("since", "since"))
    commands = (
        AdminCommand(
            "end",
            "End the entries",
            Right.ACTIVATE_POLICY,
            _end,
            ReasonOnly,
            "The seeded catalogue, or “unknown”, holds again.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.order_by("-since")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (
            ("tool", "environment", "risk", "tool_class", "ceiling", "note") if obj is None else self.fields
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else self.fields

    def plain_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return ToolForm if obj is None else super().plain_form(request, obj, change, **kwargs)

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        return services.set_tool_risk(
            tenant=current_tenant(request),
            actor=request.user,  # type: ignore[arg-type]
            **cleaned,
        )
