"""Partitioned streams in the admin: always within a time, newest first, paged by key, never counted."""

from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import PAGE_VAR
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.views import ChangeList

from arm import clock, ids
from arm.admin import ScopedAdmin
from arm.permissions import visible
from arm.rights import Right
from registry.filters import TypeIDFilter
from registry.models import AgentInstance

from ..filters import AHEAD, ByInstances
from ..queries import told_by

NAMED_AT_ONCE = 200
MILLISECOND = timedelta(milliseconds=1)


class Period(admin.SimpleListFilter):
    """The time that is looked at: without a choice the last day."""

    title = "time"
    parameter_name = "period"
    spans: ClassVar = {
        "hour": ("Last hour", timedelta(hours=1)),
        "": ("Last day", timedelta(days=1)),
        "week": ("Last 7 days", timedelta(days=7)),
        "month": ("Last 30 days", timedelta(days=30)),
        "all": ("Last 90 days", timedelta(days=90)),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(key, label) for key, (label, _) in self.spans.items() if key]

    def choices(self, changelist: Any) -> Any:
        chosen = self.value() or ""
        for key, (label, _) in self.spans.items():
            query = changelist.get_query_string(
                {self.parameter_name: key} if key else {}, [] if key else [self.parameter_name]
            )
            yield {"selected": chosen == key, "query_string": query, "display": label}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if (self.value() or "") not in self.spans:
            raise IncorrectLookupParameters(f"There is no time “{self.value()}”.")
        now = clock.now()
        since = now - self.spans[self.value() or ""][1]
        return queryset.filter(occurred_at__gte=since, occurred_at__lt=now + AHEAD)


class Pages(Paginator[Any]):
    """What the page links are drawn from: this page, and where the older rows begin."""

    template_name = "admin/stream_pages.html"


class StreamChangeList(ChangeList):  # type: ignore[misc]
    """`?p=` is the identifier of the last row that was shown; what follows is older."""

    def get_results(self, request: HttpRequest) -> None:
        rows: QuerySet[Any] = self.queryset
        cursor = request.GET.get(PAGE_VAR, "")
        if cursor:
            try:
                key = ids.decode(self.model.prefix, cursor)
            except ValueError:
                raise IncorrectLookupParameters(f"“{cursor}” is no row of this list.") from None
            # The key says when: partitions that are newer are not looked at.
            rows = rows.filter(pk__lt=key, occurred_at__lt=told_by(key) + MILLISECOND)
        found = list(rows[: self.list_per_page + 1])
        self.result_list = found[: self.list_per_page]
        self.result_count = self.full_result_count = len(self.result_list)  # equal: the head claims no total
        self.show_full_result_count = self.can_show_all = self.multi_page = False
        self.show_admin_actions = True
        self.paginator = Pages(self.result_list, self.list_per_page)
        more = len(found) > self.list_per_page
        self.older_url = self.get_query_string({PAGE_VAR: self.result_list[-1].typeid}) if more else ""
        self.newest_url = self.get_query_string() if cursor else ""


class StreamAdmin(ScopedAdmin):
    """Rows that arrive by the thousand a second and never change: to read, filter and export; nobody writes here."""

    show_facets = admin.ShowFacets.NEVER  # facets count
    sortable_by: ClassVar = ()
    list_display_links: ClassVar = ("typeid_",)
    export_limit = 10_000
    search_fields = ("instance__name",)
    search_help_text = (
        "Identifier (evt_, ins_, ver_, tpl_), trace id, name of an instance, or a job as it is written"
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return StreamChangeList

    def get_ordering(self, request: HttpRequest) -> tuple[str]:
        return (f"-{self.opts.pk.name}",)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The row; its time is in its key, so that one partition is read."""
        try:
            key = UUID(object_id)
        except ValueError:
            return None
        rows: Any = self.get_queryset(request)
        try:
            return rows.by_id(key).first()
        except (OverflowError, ValidationError):
            return None  # a key whose time is none

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if obj is None:
            return super().has_view_permission(request)
        rows: Any = self.model._default_manager
        return visible(rows.by_id(obj.pk), request.user, self.view_right).exists()

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By identifier, by trace (within an hour: traces have no index), by names of instances, else by job."""
        text = search_term.strip()
        if not text:
            return queryset, False
        prefix, mark, _ = text.partition("_")
        if mark and prefix in self.named_by:
            return self.named_by[prefix].filter(queryset, text), False
        if mark and prefix == self.model.prefix:
            try:
                return queryset.by_id(ids.decode(prefix, text)), False
            except ValueError:
                return queryset.none(), False
        if len(text) == 32 and self.traced:
            return self._of_trace(request, queryset, text), False
        named = visible(
            AgentInstance.objects.filter(name__icontains=text), request.user, Right.READ_DIRECTORY
        )
        instances = list(named.order_by().values_list("pk", flat=True)[:NAMED_AT_ONCE])
        return queryset.filter(**({"instance__in": instances} if instances else {"job": text})), False

    named_by: ClassVar = {
        "ins": TypeIDFilter("ins", field_name="instance"),
        "ver": ByInstances("ver", field_name="version"),
        "tpl": ByInstances("tpl", field_name="template"),
    }
    traced = False

    def _of_trace(self, request: HttpRequest, queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
        try:
            trace = UUID(hex=text)
        except ValueError:
            return queryset.none()
        if request.GET.get("period") != "hour":
            messages.warning(request, "A trace is looked for within the last hour: traces have no index.")
        return queryset.filter(trace_id=trace, occurred_at__gte=clock.now() - timedelta(hours=1))

    @admin.display(description="Identifier")
    def typeid_(self, row: Any) -> SafeString | str:
        shown: str = row.typeid
        return shown
