"""The core's nouns in the admin: accounts, tenants, members, teams, bindings, keys, records, the security log."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from arm import services
from arm.admin.base import ScopedAdmin
from arm.admin.commands import AdminCommand
from arm.admin.scopes import ScopeAdmin
from arm.models import ApiKey, ChangeRecord, Membership, RoleBinding, SecurityEvent, Team, Tenant, User
from arm.permissions import allowed
from arm.rights import Right

admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[misc,type-arg]
    """Accounts are the platform's business: superusers only."""

    form, add_form, change_password_form = UserChangeForm, UserCreationForm, AdminPasswordChangeForm
    list_display = ("username", "email", "kind", "is_active", "last_login")
    list_filter = ("kind", "is_active", "is_superuser")

    def _platform(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._platform(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._platform(request)

    has_change_permission = has_view_permission

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._platform(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Tenant)
class TenantAdmin(ScopeAdmin):
    view_right = Right.MANAGE_TENANT
    list_display = ("name", "slug", "currency", "cost_center", "key_mode")
    search_fields = ("name", "slug")


@admin.register(Membership)
class MembershipAdmin(ScopedAdmin):
    view_right = Right.MANAGE_TENANT
    list_display = ("user", "active", "created_at")
    list_select_related = ("user", "tenant")
    search_fields = ("user__username", "user__email")
    list_filter = ("active",)


@admin.register(Team)
class TeamAdmin(ScopedAdmin):
    view_right = Right.MANAGE_TENANT
    list_display = ("name",)
    search_fields = ("name",)


class ReasonOnly(forms.Form):
    reason = forms.CharField(max_length=500)


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


@admin.register(SecurityEvent)
class SecurityEventAdmin(ScopedAdmin):
    """Sign-ins have no tenant: the platform's people read them. What was taken out of a tenant, or refused in it, its own
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
