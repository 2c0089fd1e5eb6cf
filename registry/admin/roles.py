"""Roles, who is assigned to them, and successors of owners in the admin."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from arm.admin import AdminCommand, ReasonOnly, ScopedAdmin
from arm.rights import Right

from .. import services
from ..models import RoleAssignment, RoleDefinition, Successor
from .reasoned import ReadOnlyInline, ReasonedAdmin, ReasonedForm

LISTS = ("capabilities", "certifications", "coverage")
BESIDE = (
    *("name", "purpose", "tier", "risk", "cost_center", "capabilities", "certifications"),
    *("budget_per_day", "budget_per_month", "budget_per_outcome", "currency"),
    *("success_rate", "latency_ms", "availability", "coverage", "failover", "approvals"),
)


def _told(cleaned: dict[str, Any]) -> dict[str, Any]:
    """An empty field of JSON is an empty list."""
    told = cleaned | {name: cleaned[name] or [] for name in LISTS if name in cleaned}
    return told | {"approvals": cleaned.get("approvals") or 1}


class RoleForm(ReasonedForm):
    """`seen` is the revision that the page showed. Once it was said what has changed since, it is the one of now."""

    seen = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["seen"] = self.instance.revision
        refusal = getattr(self, "refusal", None)
        if isinstance(refusal, services.ChangedMeanwhile):
            self.data = self.data.copy()  # type: ignore[attr-defined]
            self.data["seen"] = str(self.instance.revision)  # type: ignore[index]


class AssignmentInline(ReadOnlyInline):
    model = RoleAssignment
    fields = readonly_fields = ("version", "instance", "environment", "since", "until", "assigned_by")
    ordering = ("-since", "-pk")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.select_related("role", "version__template", "instance", "environment", "assigned_by")


@admin.register(RoleDefinition)
class RoleDefinitionAdmin(ReasonedAdmin):
    form = RoleForm
    add_right = edit_right = Right.MANAGE_DIRECTORY
    list_display = ("name", "slug", "tier", "risk", "cost_center", "revision")
    list_filter = ("tier", "risk")
    search_fields = ("name", "slug")
    inlines = (AssignmentInline,)
    made_of = ("slug", *BESIDE)
    changed = BESIDE
    shown = (*made_of, "revision")
    export_columns = (
        ("id", "typeid"),
        ("slug", "slug"),
        ("name", "name"),
        ("tier", "tier"),
        ("risk", "risk"),
        ("revision", "revision"),
    )

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return () if obj is None else self.inlines

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_fields(request, obj)
        return (*fields, "seen") if obj is not None and "reason" in fields else fields

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        del cleaned["seen"]
        return services.create_role(
            tenant=request.tenant,  # type: ignore[attr-defined]
            actor=request.user,  # type: ignore[arg-type]
            **_told(cleaned),
        )

    def edit(self, request: HttpRequest, obj: Any, cleaned: dict[str, Any]) -> None:
        services.update_role(role=obj, actor=request.user, **_told(cleaned))  # type: ignore[arg-type]


@admin.register(RoleAssignment)
class RoleAssignmentAdmin(ReasonedAdmin):
    add_right = Right.PROMOTE_RELEASE
    list_display = ("role", "environment", "version", "instance", "since", "until", "assigned_by")
    list_select_related = ("role", "environment", "version__template", "instance", "assigned_by")
    list_filter = (("until", admin.EmptyFieldListFilter), "environment", "role")
    search_fields = ("role__name", "role__slug", "version__template__name")
    autocomplete_fields = ("version", "instance")
    made_of = ("role", "environment", "version", "instance", "until")
    shown = ("role", "environment", "version", "instance", "since", "until", "assigned_by", "reason")
    export_columns = (
        ("id", "typeid"),
        ("role", "role.slug"),
        ("environment", "environment.slug"),
        ("version", "version.typeid"),
        ("from", "since"),
        ("until", "until"),
    )
    commands = (
        AdminCommand(
            "end_assignment",
            "End the assignments",
            Right.PROMOTE_RELEASE,
            lambda row, actor, cleaned: services.end_assignment(assignment=row, actor=actor, **cleaned),
            ReasonOnly,
            "They do the job no more. What runs is not stopped by it.",
        ),
    )

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        return services.assign_role(actor=request.user, **cleaned)  # type: ignore[arg-type]


@admin.register(Successor)
class SuccessorAdmin(ScopedAdmin):
    """Read here; set on the agent's page."""

    list_display = ("template", "user", "position", "since", "until")
    list_select_related = ("template", "user")
    list_filter = (("until", admin.EmptyFieldListFilter),)
    search_fields = ("template__name", "user__username")
    fields = readonly_fields = list_display
    export_columns = (
        ("id", "typeid"),
        ("agent", "template.slug"),
        ("successor", "user.username"),
        ("place", "position"),
    )
