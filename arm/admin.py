"""The second workplace: every noun with object-level rights; every write goes through a service and is recorded."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from arm import services
from arm.errors import DomainError
from arm.models import (
    ApiKey,
    ChangeRecord,
    Membership,
    RoleBinding,
    SecurityEvent,
    Team,
    Tenant,
    User,
)
from arm.permissions import allowed, held_anywhere, visible
from arm.rights import Right
from arm.views import csv_response

admin.site.unregister(Group)


def _has_workplace(request: HttpRequest) -> bool:
    """Whoever works in a tenant may enter the admin: what they see there is what their bindings say."""
    return bool(request.user.is_active and getattr(request, "tenant", None) is not None)


admin.site.has_permission = _has_workplace  # type: ignore[method-assign]


class EstimatedPaginator(Paginator[Any]):
    """Counts at most 100,000 rows: enough to page by, cheap on tables that only grow."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by().values("pk")[:100_000].count())


class ScopedAdmin(ModelAdmin):  # type: ignore[misc]
    """Rows the person may not see do not exist: not in lists, autocompletes, exports, counts, or by address.

    `view_right` opens a row. `edit_right` and `add_right` open the form whose `save_model` calls a service (`edit`,
    `create`); without them the admin shows and never writes. Deleting is never offered: history stays.
    """

    view_right: ClassVar[Right] = Right.READ_DIRECTORY
    edit_right: ClassVar[Right | None] = None
    add_right: ClassVar[Right | None] = None
    export_columns: ClassVar[Sequence[tuple[str, str | Callable[[Any], Any]]]] = ()
    commands: ClassVar[Sequence["AdminCommand"]] = ()
    list_per_page = 50
    show_full_result_count = False
    paginator = EstimatedPaginator
    compressed_fields = True
    warn_unsaved_form = True
    object_history_template = "admin/change_records.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return visible(super().get_queryset(request), request.user, self.view_right)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.view_right.value in held_anywhere(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if obj is None:
            return self.view_right.value in held_anywhere(request.user)
        return allowed(request.user, self.view_right, obj)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if self.edit_right is None:
            return False
        if obj is None:
            return self.edit_right.value in held_anywhere(request.user)
        return allowed(request.user, self.edit_right, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.add_right is not None and self.add_right.value in held_anywhere(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        """The service call that makes a row from the add form."""
        raise PermissionDenied

    def edit(self, request: HttpRequest, obj: Any, cleaned: dict[str, Any]) -> None:
        """The service call that carries a change form out."""
        raise PermissionDenied

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Never `obj.save()`: the service writes. A refusal is shown as a message and nothing is stored."""
        if change:
            stored = self.get_queryset(request).get(pk=obj.pk)
            self.edit(request, stored, form.cleaned_data)
        else:
            made = self.create(request, form.cleaned_data)
            obj.pk = made.pk
            obj.__dict__.update({k: v for k, v in made.__dict__.items() if k != "_state"})
            obj._state.adding = False

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Nothing beside the service: related rows are its business."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        """The change record is the history."""

    log_change = log_addition

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        try:
            with transaction.atomic():
                answer: HttpResponse = super().changeform_view(request, object_id, form_url, extra_context)
            return answer
        except DomainError as refusal:
            messages.error(request, _sentence(refusal))
            return redirect(request.get_full_path())

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """History comes from change records."""
        obj = self.get_object(request, object_id)
        if obj is None:
            raise Http404
        context = {
            **self.admin_site.each_context(request),
            "title": f"History of {obj}",
            "records": ChangeRecord.objects.about(obj)[:500],
            "object": obj,
            "opts": self.opts,
            "module_name": str(self.opts.verbose_name_plural),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/change_records.html", context)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = {}
        held = held_anywhere(request.user)
        if self.export_columns and Right.EXPORT.value in held:
            actions["export_csv"] = (type(self).export_csv, "export_csv", "Export as CSV")
        for command in self.commands:
            if command.right.value in held:
                actions[command.name] = (command, command.name, command.label)
        return actions

    def export_csv(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        kept = visible(queryset, request.user, Right.EXPORT)
        services.note_security(
            SecurityEvent.Kind.EXPORTED,
            str(self.opts.verbose_name_plural),
            user=request.user,  # type: ignore[arg-type]
            detail={"rows": kept.count()},
        )
        return csv_response(kept, self.export_columns, str(self.opts.model_name))


class AdminCommand:
    """An action with a confirm page: shows the rows and a form, then calls one service per row.

    `run(row, actor, cleaned)` is that call. Rows that refuse are named with their reason; the others are done.
    """

    def __init__(
        self,
        name: str,
        label: str,
        right: Right,
        run: Callable[[Any, User, dict[str, Any]], object],
        form: type[forms.Form],
        warning: str = "",
    ) -> None:
        self.name, self.label, self.right, self.run, self.form, self.warning = (
            name,
            label,
            right,
            run,
            form,
            warning,
        )
        self.__name__ = name

    def __call__(
        self, modeladmin: ScopedAdmin, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        rows = list(visible(queryset, request.user, self.right))
        confirmed = "confirmed" in request.POST
        form = self.form(request.POST if confirmed else None)
        if confirmed and form.is_valid():
            self._carry_out(modeladmin, request, rows, form.cleaned_data)
            return None
        context = {
            **modeladmin.admin_site.each_context(request),
            "title": self.label,
            "command": self,
            "rows": rows,
            "left_out": queryset.count() - len(rows),
            "form": form,
            "opts": modeladmin.opts,
        }
        return TemplateResponse(request, "admin/command_confirm.html", context)

    def _carry_out(
        self, modeladmin: ScopedAdmin, request: HttpRequest, rows: list[Any], cleaned: dict[str, Any]
    ) -> None:
        done = 0
        for row in rows:
            try:
                with transaction.atomic():
                    self.run(row, request.user, cleaned)  # type: ignore[arg-type]
                done += 1
            except DomainError as refusal:
                messages.error(request, f"{row}: {_sentence(refusal)}")
        if done:
            messages.success(request, f"{self.label}: {done} of {len(rows)} done.")


def _sentence(refusal: DomainError) -> str:
    errors = refusal.extra.get("errors") or ()
    return " ".join([refusal.message, *(f"{e['pointer']}: {e['message']}" for e in errors)])  # type: ignore[attr-defined]


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
class TenantAdmin(ScopedAdmin):
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
    """Sign-ins have no tenant: the platform's people read this stream."""

    list_display = ("at", "kind", "label", "request_id")
    list_filter = ("kind",)
    search_fields = ("label", "request_id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return SecurityEvent.objects.all() if request.user.is_superuser else SecurityEvent.objects.none()

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(request.user.is_superuser)

    has_module_permission = has_view_permission
