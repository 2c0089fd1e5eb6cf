"""Releases in the admin: what was planned, done and let pass; verbs that need no form of their own."""

import json
from typing import Any, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from arm.admin import AdminCommand, ScopedAdmin
from arm.admin.people import ReasonOnly
from arm.models import User
from arm.rights import Right
from registry import queries, services

from ..models import ReleaseException, Rollback, Rollout, RolloutSlot, RolloutStep
from .reasoned import ReadOnlyInline

ABORTS = "Every slot that it has changed returns to the version it had; instances of the new version drain."


class StepInline(ReadOnlyInline):
    model = RolloutStep
    fields = readonly_fields = ("number", "percent", "batch", "state", "due_at", "health", "confirmed_by")
    ordering = ("number",)
    show_change_link = False


class SlotInline(ReadOnlyInline):
    model = RolloutSlot
    fields = readonly_fields = ("slot", "batch", "from_version", "held", "bound_at")
    show_change_link = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.select_related("slot__role", "slot__environment", "from_version__template")


def _pause(row: Rollout, actor: User, cleaned: dict[str, Any]) -> object:
    return services.pause_rollout(rollout=row, actor=actor, reason=cleaned["reason"])


def _resume(row: Rollout, actor: User, cleaned: dict[str, Any]) -> object:
    return services.resume_rollout(rollout=row, actor=actor, reason=cleaned["reason"])


def _abort(row: Rollout, actor: User, cleaned: dict[str, Any]) -> object:
    return services.abort_rollout(rollout=row, actor=actor, reason=cleaned["reason"])


@admin.register(Rollout)
class RolloutAdmin(ScopedAdmin):
    list_display = ("__str__", "strategy", "state", "state_since", "waits_for_person")
    list_select_related = ("environment", "role", "version__template")
    list_filter = ("state", "strategy", "environment")
    search_fields = ("role__name", "version__template__name")
    fields = readonly_fields = (
        *("environment", "role", "version", "strategy", "state", "state_since", "said", "gates", "limits"),
        *("reaction", "acknowledged", "drift", "reason", "created_by", "created_at"),
    )
    inlines = (StepInline, SlotInline)
    export_columns = (
        ("id", "typeid"),
        ("environment", "environment.slug"),
        ("role", "role.slug"),
        ("version", "version.typeid"),
        ("strategy", "strategy"),
        ("state", "state"),
    )
    commands = (
        AdminCommand("pause", "Pause", Right.ROLL_BACK_RELEASE, _pause, ReasonOnly),
        AdminCommand("resume", "Resume", Right.PROMOTE_RELEASE, _resume, ReasonOnly),
        AdminCommand("abort", "Abort", Right.ROLL_BACK_RELEASE, _abort, ReasonOnly, ABORTS),
    )


@admin.register(Rollback)
class RollbackAdmin(ScopedAdmin):
    list_display = ("slot", "from_version", "to_version", "at", "drained", "provisioned", "actor_label")
    list_select_related = (
        *("slot__role", "slot__environment"),
        *("from_version__template", "to_version__template"),
    )
    list_filter = ("slot__environment",)
    search_fields = ("slot__role__name", "reason")
    fields = readonly_fields = (
        *("slot", "from_version", "to_version", "reason", "actor_label", "at"),
        *("drained", "provisioned", "dossier_as_seen"),
    )
    export_columns = (("id", "typeid"), ("slot", "slot.typeid"), ("at", "at"), ("reason", "reason"))

    def get_object(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Rollback | None:
        row: Rollback | None = super().get_object(request, *args, **kwargs)
        if row is not None:
            queries.with_dossiers([row], cast(User, request.user))
        return row

    @admin.display(description="Dossier")
    def dossier_as_seen(self, row: Rollback) -> str:
        """Of what was carried over, what the visitor may see."""
        hidden = row.carried_hidden  # type: ignore[attr-defined]
        told = row.dossier_seen | ({"carried_hidden": hidden} if hidden else {})  # type: ignore[attr-defined]
        return json.dumps(told, ensure_ascii=False)


@admin.register(ReleaseException)
class ReleaseExceptionAdmin(ScopedAdmin):
    list_display = ("__str__", "until", "granted_by", "used_at", "used_by_label")
    list_select_related = ("slot__role", "slot__environment", "version__template", "granted_by")
    list_filter = ("gate",)
    search_fields = ("slot__role__name", "reason")
    fields = readonly_fields = (
        *("slot", "version", "gate", "reason", "until", "granted_by", "granted_at"),
        *("used_at", "used_by_label", "withdrawn_at"),
    )
    export_columns = (("id", "typeid"), ("slot", "slot.typeid"), ("gate", "gate"), ("until", "until"))
