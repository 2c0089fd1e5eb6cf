"""The core's nouns in the admin: bindings, keys, records, the security log."""

from typing import Any

import django_q.admin  # noqa: F401 - offers its pages by itself; taken away below
from django.apps import apps
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django_q.models import Failure, OrmQ, Schedule, Success

from arm import ids, services
from arm.admin.base import ScopedAdmin
from arm.admin.commands import AdminCommand
from arm.admin.people import PlatformOnly, ReasonOnly
from arm.models import ApiKey, ChangeRecord, RoleBinding, SecurityEvent
from arm.permissions import allowed
from arm.rights import Right

for _model in (
    Schedule,
    Success,
    Failure,
    OrmQ,
):  # django-q's own pages run any function by name, off the record
    admin.site.unregister(_model)


@admin.register(Failure)
class FailureAdmin(PlatformOnly):
    """Background work that has failed: to read."""

    list_display = ("name", "func", "started", "stopped", "attempt_count")
    search_fields = ("name", "func")


@admin.register(RoleBinding)
class RoleBindingAdmin(ScopedAdmin):
    """Who holds which role where; ended here, given on the object-permission page of the scope."""

    view_right = Right.MANAGE_TENANT
    list_display = ("role", "user", "group", "scope_kind", "scope_label", "expires_at", "ended_at")
    list_select_related = ("user", "group")
    list_filter = ("role", "scope_kind")
    search_fields = ("user__username", "scope_label")
    export_columns = (("role", "role"), ("user", "user"), ("scope", "scope_label"), ("expires", "expires_at"))
    commands = (
        AdminCommand(
            "end_binding",
            "End the bindings",
            Right.BIND_ROLE,
            lambda row, actor, cleaned: services.unbind(binding=row, actor=actor, reason=cleaned["reason"]),
            ReasonOnly,
            "The rights are gone at once.",
        ),
    )


@admin.register(ApiKey)
class ApiKeyAdmin(ScopedAdmin):
    view_right = Right.MANAGE_KEYS
    list_display = ("name", "kind", "last4", "user", "expires_at", "revoked_at", "last_used_at")
    list_select_related = ("user",)
    list_filter = ("kind",)
    search_fields = ("name", "last4")
    fields = readonly_fields = ("name", "kind", "last4", "user", "created_at", "expires_at", "revoked_at")
    commands = (
        AdminCommand(
            "revoke",
            "Revoke the keys",
            Right.MANAGE_KEYS,
            lambda row, actor, cleaned: services.revoke_key(key=row, actor=actor, reason=cleaned["reason"]),
            ReasonOnly,
            "Whoever uses these keys is refused from now on.",
        ),
    )


@admin.register(ChangeRecord)
class ChangeRecordAdmin(ScopedAdmin):
    view_right = Right.READ_AUDIT
    list_display = ("at", "actor_label", "verb", "target_label", "reason")
    list_filter = ("verb", "target_kind")
    search_fields = ("actor_label", "target_label", "request_id")
    export_columns = (("at", "at"), ("actor", "actor_label"), ("verb", "verb"), ("target", "target_label"))
    fields = readonly_fields = (
        "identifier",
        "at",
        "recorded_at",
        "actor_label",
        "with_credential",
        "verb",
        "target_label",
        "target",
        "reason",
        "in_request",
        "before",
        "after",
        "links",
        "digest",
    )

    @admin.display(description="Identifier")
    def identifier(self, record: ChangeRecord) -> str:
        return record.typeid

    @admin.display(description="Target identifier")
    def target(self, record: ChangeRecord) -> str:
        """As the pages and the API write it; what has no identifier of that kind is named by its kind."""
        try:
            prefix = apps.get_model(record.target_kind).prefix
        except (LookupError, AttributeError):
            return f"{record.target_kind} {record.target_id}"
        return ids.encode(prefix, record.target_id)

    @admin.display(description="Credential")
    def with_credential(self, record: ChangeRecord) -> str:
        return record.credential or "none: made by a command"

    @admin.display(description="Request")
    def in_request(self, record: ChangeRecord) -> str:
        return record.request_id or "none: made by a command"


@admin.register(SecurityEvent)
class SecurityEventAdmin(ScopedAdmin):
    """Sign-ins have no tenant: the platform's people read them (the wall, too, says so). What was taken out of a tenant, or refused in it, its own
    people may read, too."""

    view_right = Right.READ_AUDIT
    list_display = ("at", "kind", "label", "request_id")
    list_filter = ("kind",)
    search_fields = ("label", "request_id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        if request.user.is_superuser:
            return SecurityEvent.objects.all()
        tenant = request.tenant  # type: ignore[attr-defined]
        if tenant is None or not allowed(request.user, Right.READ_AUDIT, tenant):
            return SecurityEvent.objects.none()
        return SecurityEvent.objects.filter(tenant_id=tenant.pk)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if obj is None:
            return super().has_view_permission(request)
        return self.get_queryset(request).filter(pk=obj.pk).exists()
