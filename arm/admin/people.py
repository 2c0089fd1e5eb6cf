"""Accounts, tenants, members and teams in the admin: every write is one service call with a reason."""

from typing import Any

import django.contrib.auth.admin  # noqa: F401 - offers groups by itself; taken away below
from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from arm import services
from arm.admin.base import ScopedAdmin
from arm.admin.commands import AdminCommand
from arm.admin.scopes import ScopeAdmin
from arm.errors import Invalid, Problem
from arm.models import Membership, Team, Tenant, User
from arm.queries import account_named
from arm.rights import Right

admin.site.unregister(Group)


class ReasonOnly(forms.Form):
    reason = forms.CharField(max_length=500)


class NamedPerson(ReasonOnly):
    """A person by user name, and why."""

    username = forms.CharField(max_length=150, label="User name")
    field_order = ("username", "reason")


class AccountForm(forms.ModelForm[User]):
    reason = forms.CharField(max_length=500)

    class Meta:
        model = User
        fields = ("username", "first_name", "last_name", "email", "kind")


class TenantForm(forms.ModelForm[Tenant]):
    admin = forms.CharField(max_length=150, label="User name of its administrator")
    reason = forms.CharField(max_length=500)

    class Meta:
        model = Tenant
        fields = ("slug", "name")


class MemberForm(forms.ModelForm[Membership]):
    username = forms.CharField(
        max_length=150,
        label="User name",
        help_text="Of an account that exists. New accounts: console, People and roles.",
    )
    reason = forms.CharField(max_length=500)

    class Meta:
        model = Membership
        fields = ()


class NewTeamForm(forms.ModelForm[Team]):
    reason = forms.CharField(max_length=500)

    class Meta:
        model = Team
        fields = ("name",)


def _named(username: str, field: str = "username") -> User:
    user = account_named(username)
    if user is None:
        message = "There is no account of this name."
        raise Invalid(message, [Problem(pointer=f"/{field}", code="unknown", message=message)])
    return user


class Added(ScopedAdmin):
    """The add page has a form of its own; what exists is shown and changed by commands only."""

    add_form: type[forms.ModelForm[Any]]

    def plain_form(self, request: HttpRequest, obj: Any, change: bool, **kwargs: Any) -> Any:
        if change:
            return super().plain_form(request, obj, change, **kwargs)
        return super().plain_form(request, obj, change, **{**kwargs, "form": self.add_form, "fields": None})

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return list(self.add_form.base_fields) if obj is None else super().get_fields(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else super().get_readonly_fields(request, obj)


class PlatformOnly(ScopedAdmin):
    """Accounts and background work are the platform's business."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_module_permission(request)


def one_time_page(
    site: admin.AdminSite, request: HttpRequest, passwords: list[tuple[User, str]]
) -> HttpResponse:
    """The answer that shows one-time passwords, this once."""
    context = {**site.each_context(request), "title": "One-time passwords", "passwords": passwords}
    answer = TemplateResponse(request, "admin/one_time_password.html", context)
    answer["Cache-Control"] = "private, no-store"
    return answer


class ResetPasswords(AdminCommand):
    """The passwords are the answer; a message would stay in a cookie."""

    def __call__(self, modeladmin: Any, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        answer = super().__call__(modeladmin, request, queryset)
        made: list[tuple[User, str]] = getattr(request, "one_time_passwords", [])
        return one_time_page(modeladmin.admin_site, request, made) if made else answer

    def done(self, request: HttpRequest, row: Any, made: Any) -> None:
        request.one_time_passwords = [*getattr(request, "one_time_passwords", []), (row, made)]  # type: ignore[attr-defined]


@admin.register(User)
class UserAdmin(Added, PlatformOnly):
    view_right = Right.MANAGE_TENANT
    add_form = AccountForm
    list_display = ("username", "email", "kind", "is_active", "is_superuser", "last_login")
    list_filter = ("kind", "is_active", "is_superuser")
    search_fields = ("username", "first_name", "last_name", "email")
    fields = readonly_fields = (
        "username", "first_name", "last_name", "email", "kind", "is_active", "is_superuser",
        "must_change_password", "last_login", "date_joined",
    )  # fmt: skip
    commands = (
        AdminCommand(
            "close_account",
            "Close the accounts",
            Right.MANAGE_TENANT,
            lambda row, actor, cleaned: services.close_account(user=row, actor=actor, **cleaned),
            ReasonOnly,
            "Nobody signs in or calls as these accounts, in any tenant.",
        ),
        AdminCommand(
            "reopen_account",
            "Reopen the accounts",
            Right.MANAGE_TENANT,
            lambda row, actor, cleaned: services.reopen_account(user=row, actor=actor, **cleaned),
            ReasonOnly,
        ),
        ResetPasswords(
            "reset_password",
            "Give one-time passwords",
            Right.MANAGE_TENANT,
            lambda row, actor, cleaned: services.reset_password(user=row, actor=actor, **cleaned),
            ReasonOnly,
            "Their sessions end; each is asked for a password of their own at the next sign-in.",
        ),
        AdminCommand(
            "make_platform_admin",
            "Make platform administrators",
            Right.MANAGE_TENANT,
            lambda row, actor, cleaned: services.make_platform_admin(user=row, actor=actor, **cleaned),
            ReasonOnly,
            "They may do everything in every tenant.",
        ),
        AdminCommand(
            "unmake_platform_admin",
            "End being platform administrators",
            Right.MANAGE_TENANT,
            lambda row, actor, cleaned: services.unmake_platform_admin(user=row, actor=actor, **cleaned),
            ReasonOnly,
        ),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_module_permission(request)

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        reason = cleaned.pop("reason")
        user, password = services.create_account(
            account=services.Account(**cleaned),
            actor=request.user,  # type: ignore[arg-type]
            reason=reason,
        )
        if password:
            request.one_time_passwords = [(user, password)]  # type: ignore[attr-defined]
        return user

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        made = getattr(request, "one_time_passwords", [])
        if made:
            return one_time_page(self.admin_site, request, made)
        answer: HttpResponse = super().response_add(request, obj, post_url_continue)
        return answer


@admin.register(Tenant)
class TenantAdmin(Added, ScopeAdmin):
    view_right = Right.MANAGE_TENANT
    add_form = TenantForm
    list_display = ("name", "slug", "currency", "cost_center", "key_mode")
    search_fields = ("name", "slug")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        who = _named(cleaned.pop("admin"), "admin")
        return services.create_tenant(admin=who, actor=request.user, **cleaned)  # type: ignore[arg-type]


@admin.register(Membership)
class MembershipAdmin(Added):
    view_right = add_right = Right.MANAGE_TENANT
    add_form = MemberForm
    list_display = ("user", "active", "created_at")
    list_select_related = ("user", "tenant")
    search_fields = ("user__username", "user__email")
    list_filter = ("active",)
    commands = (
        AdminCommand(
            "remove_member",
            "Remove the members",
            Right.MANAGE_TENANT,
            lambda row, actor, cleaned: services.remove_member(member=row, actor=actor, **cleaned),
            ReasonOnly,
            "Their roles, teams and keys in this tenant end at once.",
        ),
    )

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        return services.add_member(
            tenant=request.tenant,  # type: ignore[attr-defined]
            user=_named(cleaned["username"]),
            actor=request.user,  # type: ignore[arg-type]
            reason=cleaned["reason"],
        )


@admin.register(Team)
class TeamAdmin(Added):
    view_right = add_right = Right.MANAGE_TENANT
    add_form = NewTeamForm
    list_display = ("name",)
    search_fields = ("name",)
    commands = (
        AdminCommand(
            "join_team",
            "Let somebody join",
            Right.MANAGE_TENANT,
            lambda row, actor, cleaned: services.join_team(
                team=row, user=_named(cleaned["username"]), actor=actor, reason=cleaned["reason"]
            ),
            NamedPerson,
            "They hold the roles of the teams from then on.",
        ),
        AdminCommand(
            "leave_team",
            "Let somebody leave",
            Right.MANAGE_TENANT,
            lambda row, actor, cleaned: services.leave_team(
                team=row, user=_named(cleaned["username"]), actor=actor, reason=cleaned["reason"]
            ),
            NamedPerson,
        ),
    )

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        tenant = request.tenant  # type: ignore[attr-defined]
        return services.create_team(tenant=tenant, members=[], actor=request.user, **cleaned)  # type: ignore[arg-type]
