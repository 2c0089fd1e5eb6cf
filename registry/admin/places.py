"""Environments, providers, projects and slots in the admin."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from arm.admin import AdminCommand, ScopeAdmin
from arm.errors import NotFound
from arm.ids import decode
from arm.models import User
from arm.permissions import visible
from arm.rights import Right

from .. import services
from ..models import (
    AgentVersion,
    DeploymentSlot,
    Environment,
    Project,
    Provider,
    SlotBinding,
)
from .reasoned import ReadOnlyInline, ReasonedAdmin


@admin.register(Environment)
class EnvironmentAdmin(ReasonedAdmin, ScopeAdmin):
    add_right = edit_right = Right.MANAGE_DIRECTORY
    list_display = ("name", "slug", "position", "production", "risk_default", "retention_days")
    list_filter = ("production", "risk_default")
    search_fields = ("name", "slug")
    made_of = ("slug", "name", "production", "risk_default", "retention_days", "cost_tags")
    changed = ("name", *made_of[2:], "aggregate_days")
    shown = ("slug", "name", "position", *made_of[2:], "aggregate_days", "created_at")
    export_columns = (("id", "typeid"), ("slug", "slug"), ("name", "name"), ("production", "production"))

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        return services.create_environment(
            tenant=request.tenant,  # type: ignore[attr-defined]
            actor=request.user,  # type: ignore[arg-type]
            **cleaned,
        )

    def edit(self, request: HttpRequest, obj: Any, cleaned: dict[str, Any]) -> None:
        """Its place in the order is changed on its page, which shows before what that changes."""
        cleaned["cost_tags"] = cleaned.get("cost_tags") or {}
        services.update_environment(environment=obj, actor=request.user, **cleaned)  # type: ignore[arg-type]


@admin.register(Provider)
class ProviderAdmin(ReasonedAdmin, ScopeAdmin):
    add_right = edit_right = Right.MANAGE_DIRECTORY
    list_display = ("name", "slug", "kind", "region", "heartbeat_seconds", "closed_at")
    list_filter = ("kind",)
    search_fields = ("name", "slug")
    made_of = ("slug", "name", "kind", "description", "heartbeat_seconds")
    changed = ("name", "description", "region", "terms", "heartbeat_seconds")
    shown = ("slug", "kind", *changed, "closed_at", "created_at")
    export_columns = (("id", "typeid"), ("slug", "slug"), ("name", "name"), ("kind", "kind"))

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        return services.create_provider(
            tenant=request.tenant,  # type: ignore[attr-defined]
            actor=request.user,  # type: ignore[arg-type]
            **cleaned,
        )

    def edit(self, request: HttpRequest, obj: Any, cleaned: dict[str, Any]) -> None:
        services.update_provider(provider=obj, actor=request.user, **cleaned)  # type: ignore[arg-type]


@admin.register(Project)
class ProjectAdmin(ReasonedAdmin):
    add_right = edit_right = Right.MANAGE_DIRECTORY
    list_display = ("name", "slug", "cost_center")
    search_fields = ("name", "slug")
    made_of = ("slug", "name", "cost_center")
    changed = ("name", "cost_center")
    shown = made_of
    export_columns = (("id", "typeid"), ("slug", "slug"), ("name", "name"), ("cost centre", "cost_center"))

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        return services.create_project(
            tenant=request.tenant,  # type: ignore[attr-defined]
            actor=request.user,  # type: ignore[arg-type]
            **cleaned,
        )

    def edit(self, request: HttpRequest, obj: Any, cleaned: dict[str, Any]) -> None:
        services.update_project(project=obj, actor=request.user, **cleaned)  # type: ignore[arg-type]


class BindForm(forms.Form):
    version = forms.CharField(max_length=60, help_text="Identifier (ver_…) of the version that works here.")
    acknowledged = forms.CharField(
        max_length=2000, required=False, help_text="Why it may break what callers or tools rely on."
    )
    reason = forms.CharField(max_length=500)

    def clean_version(self) -> str:
        value: str = self.cleaned_data["version"].strip()
        try:
            decode("ver", value)
        except ValueError as problem:
            raise ValidationError(str(problem)) from problem
        return value


def _bind(row: DeploymentSlot, actor: User, cleaned: dict[str, Any]) -> object:
    versions = AgentVersion.objects.filter(pk=decode("ver", cleaned["version"]))
    version = visible(versions, actor, Right.READ_DIRECTORY).first()
    if version is None:
        raise NotFound("There is no such version, or it is not yours to see.")
    return services.bind_slot(slot=row, actor=actor, **cleaned | {"version": version})


class BindingInline(ReadOnlyInline):
    model = SlotBinding
    fields = readonly_fields = ("version", "since", "until", "actor_label", "reason")
    ordering = ("-since", "-pk")
    show_change_link = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.select_related("version__template")


@admin.register(DeploymentSlot)
class DeploymentSlotAdmin(ReasonedAdmin):
    add_right = Right.PROMOTE_RELEASE
    list_display = ("__str__", "provider", "current_version", "previous_version", "generation")
    list_select_related = (
        "environment",
        "role",
        "provider",
        "current_version__template",
        "previous_version__template",
    )
    list_filter = ("environment", "provider", "role")
    search_fields = ("role__name", "role__slug", "environment__name")
    inlines = (BindingInline,)
    made_of = ("environment", "role", "provider", "ordinal")
    shown = (*made_of, "current_version", "previous_version", "generation")
    export_columns = (
        ("id", "typeid"),
        ("environment", "environment.slug"),
        ("role", "role.slug"),
        ("provider", "provider.slug"),
        ("ordinal", "ordinal"),
        ("current", lambda row: row.current_version and row.current_version.typeid),
        ("previous", lambda row: row.previous_version and row.previous_version.typeid),
    )
    commands = (
        AdminCommand(
            "bind",
            "Bind to a version",
            Right.PROMOTE_RELEASE,
            _bind,
            BindForm,
            "What is bound now becomes the previous version, which a rollback returns to.",
        ),
    )

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return () if obj is None else self.inlines

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        return services.create_slot(actor=request.user, **cleaned)  # type: ignore[arg-type]
