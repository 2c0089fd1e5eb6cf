"""What every admin page of ours shares: object-level rights, writes through services, history from change records."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.filters import RelatedFieldListFilter
from django.contrib.admin.utils import get_fields_from_path
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin

from arm.admin.commands import AdminCommand
from arm.conflicts import whole
from arm.errors import DomainError, Invalid
from arm.models import ChangeRecord
from arm.panels import rights_of_visitor
from arm.permissions import allowed, visible
from arm.rights import Right
from arm.views import base, export_csv


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


def _scoped_choices(site: admin.AdminSite, model: Any, request: HttpRequest) -> QuerySet[Any] | None:
    """The rows of a related noun that the person may see; None for a noun without a workplace of its own."""
    related = site._registry.get(model)
    return related.get_queryset(request) if isinstance(related, ScopedAdmin) else None


class SeenFilter(RelatedFieldListFilter):
    """A filter by a related row offers the rows that the person may see, and no others."""

    def field_choices(
        self, field: Any, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, Any]]:
        seen = _scoped_choices(model_admin.admin_site, field.remote_field.model, request)
        if seen is None:
            return []
        ordering = self.field_admin_ordering(field, request, model_admin)
        found: list[tuple[str, Any]] = field.get_choices(
            include_blank=False, ordering=ordering, limit_choices_to={"pk__in": seen.order_by().values("pk")}
        )
        return found


class RefusedForm:
    """A form that a service has refused: what was typed, and why not, beside the fields that the refusal points at."""

    refusal: ClassVar[DomainError]

    def full_clean(self) -> None:
        super().full_clean()  # type: ignore[misc]
        form: Any = self
        form.add_error(None, self.refusal.message)
        for problem in self.refusal.extra.get("errors", ()):  # type: ignore[attr-defined]
            name = problem["pointer"].removeprefix("/")
            known = name in form.fields
            said = problem["message"] if known else f"{problem['pointer'] or '/'}: {problem['message']}"
            form.add_error(name if known else None, said)


class ScopedAdmin(ModelAdmin):  # type: ignore[misc]
    """Rows the person may not see do not exist: not in lists, autocompletes, exports, counts, or by address.

    `view_right` opens a row. `edit_right` and `add_right` open the form whose `save_model` calls a service (`edit`,
    `create`); without them the admin shows and never writes. Deleting is never offered: history stays.
    """

    view_right: ClassVar[Right] = Right.READ_DIRECTORY
    edit_right: ClassVar[Right | None] = None
    add_right: ClassVar[Right | None] = None
    export_columns: ClassVar[Sequence[tuple[str, str | Callable[[Any], Any]]]] = ()
    commands: ClassVar[Sequence[AdminCommand]] = ()
    list_per_page = 50
    show_full_result_count = False
    paginator = EstimatedPaginator
    compressed_fields = True
    warn_unsaved_form = True
    object_history_template = "admin/change_records.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return visible(super().get_queryset(request), request.user, self.view_right)

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        """Filters by related rows become `SeenFilter`s: a filter's choices are a list, too."""
        return [
            (item, SeenFilter)
            if isinstance(item, str) and get_fields_from_path(self.model, item)[-1].is_relation
            else item
            for item in super().get_list_filter(request)
        ]

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Only rows that the person may see can be chosen."""
        seen = _scoped_choices(self.admin_site, db_field.remote_field.model, request)
        kwargs["queryset"] = db_field.remote_field.model._default_manager.none() if seen is None else seen
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.view_right.value in rights_of_visitor(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if obj is None:
            return self.view_right.value in rights_of_visitor(request)
        return allowed(request.user, self.view_right, obj)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if self.edit_right is None:
            return False
        if obj is None:
            return self.edit_right.value in rights_of_visitor(request)
        return allowed(request.user, self.edit_right, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.add_right is not None and self.add_right.value in rights_of_visitor(request)

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

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> list[dict[str, dict[str, list[str]]]]:
        """Nothing: the change record is the history."""
        return []

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
        """A refusal comes back in the form, beside everything that was typed; nothing is stored."""
        answer: HttpResponse
        try:
            with whole():
                answer = super().changeform_view(request, object_id, form_url, extra_context)
            return answer
        except DomainError as refusal:
            request.refusal = refusal  # type: ignore[attr-defined]  # get_form reads it
            answer = super().changeform_view(request, object_id, form_url, extra_context)
            answer.status_code = refusal.status
            return answer

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The form of `plain_form`, which is what a subclass overrides; after a refusal with the reasons in it."""
        form = self.plain_form(request, obj, change, **kwargs)
        refusal = getattr(request, "refusal", None)
        return type(form.__name__, (RefusedForm, form), {"refusal": refusal}) if refusal else form

    def plain_form(self, request: HttpRequest, obj: Any, change: bool, **kwargs: Any) -> Any:
        """The form class of the add page (`obj` None) or of a row."""
        return super().get_form(request, obj, change, **kwargs)

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
        held = rights_of_visitor(request)
        if self.export_columns and Right.EXPORT.value in held:
            actions["export_csv"] = (type(self).export_csv, "export_csv", "Export as CSV")
        for command in self.commands:
            if command.right.value in held:
                actions[command.name] = (command, command.name, command.label)
        return actions

    def export_csv(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """The file; nothing but a message where it would have too many rows."""
        most, name = base.CSV_ROWS, str(self.opts.verbose_name_plural)
        kept = visible(queryset, request.user, Right.EXPORT)[: most + 1]
        try:
            return export_csv(request, kept, self.export_columns, name, most=most)
        except Invalid as refusal:
            messages.error(request, refusal.message)
            return None
