"""Pages of tables that somebody sends: the list, a new one, what it would do, its report, and the verbs."""

from itertools import islice
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse_lazy
from django.views.generic import DetailView

from arm import clock
from arm.models import User
from arm.panels import rights_of_visitor
from arm.rights import Right
from arm.views import FilteredList, Scoped, export_csv
from arm.views.renewing import RenewsItself
from registry import forms, queries, services
from registry.filters.exchange import TableImportFilter
from registry.forms.exchange import TableForm
from registry.models import TableImport
from registry.protocol import sheet
from registry.views.commands import Command, Create, actor_of, may_anywhere


class TableImportList(FilteredList):
    queryset = TableImport.objects.select_related("created_by").defer("content", "plan", "problems")
    view_right = Right.READ_DIRECTORY
    filterset_class = TableImportFilter
    template_name = "registry/import_list.html"
    columns = (
        ("id", "typeid"),
        ("kind", "kind"),
        ("file", "file_name"),
        ("digest", "digest"),
        ("state", "state"),
        ("rows", "total"),
        ("done", "done"),
        ("wrong", "bad"),
        ("sent by", "created_by.username"),
        ("sent", "created_at"),
    )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(may_import=may_anywhere(self.request, Right.CREATE_VERSION), **kwargs)


class SendTable(Create):
    form_class = TableForm
    act_right = Right.READ_DIRECTORY
    heading, submit = "Send a table", "Check it"
    template_name = "registry/import_new.html"
    cancel_url = reverse_lazy("registry:import_list")  # type: ignore[assignment]
    success_message = "The table is kept; nothing of it is stored in the directory before you apply it."

    def run(self, actor: User, cleaned: dict[str, Any]) -> TableImport:
        upload = cleaned["file"]
        return services.send_table(
            tenant=self.object,
            kind=cleaned["kind"],
            file_name=str(upload.name),
            data=upload.read(sheet.MAX_BYTES + 1),
            actor=actor,
        )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        columns = [
            (TableImport.Kind(kind).label, [(name, name in sheet.REQUIRED[kind]) for name in names])
            for kind, names in sheet.COLUMNS.items()
        ]
        return super().get_context_data(columns=columns, **kwargs)


class TableImportDetail(RenewsItself, Scoped, DetailView[TableImport]):
    """One table. While it is worked on its part renews itself; when that is over, the page is fetched once more."""

    queryset = TableImport.objects.select_related("created_by")
    view_right = Right.READ_DIRECTORY
    template_name = "registry/import_detail.html"
    part_name = "registry/_import.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        lines: list[queries.TableLine] = []
        if not self.object.live:
            found = queries.table_lines(self.object, wrong_only=bool(self.object.problems))
            lines = list(islice(found, queries.TABLE_LINES + 1))
        return super().get_context_data(
            lines=lines[: queries.TABLE_LINES],
            more=len(lines) > queries.TABLE_LINES,
            mine=self.object.created_by_id == actor_of(self.request).pk,
            may_report=Right.EXPORT.value in rights_of_visitor(self.request),
            at=clock.now(),
            **kwargs,
        )


class TableReport(Scoped, DetailView[TableImport]):
    """Every row of the table with what becomes of it, as CSV; with mistakes, those alone."""

    queryset = TableImport.objects.all()
    view_right = Right.READ_DIRECTORY

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        table = self.get_object()
        lines = queries.table_lines(table, wrong_only=bool(table.problems))
        columns = tuple((name, name) for name in ("line", "about", "outcome", "column", "message"))
        return export_csv(request, lines, columns, f"report-{table.typeid}")


class _OnTable(Command):
    queryset = TableImport.objects.select_related("created_by")
    form_class = forms.ReasonForm
    act_rights = frozenset({Right.READ_DIRECTORY})


class ApplyTable(_OnTable):
    heading, submit = "Apply the table", "Apply"
    success_message = "The table is applied, or on its way."

    def run(self, actor: User, cleaned: dict[str, Any]) -> TableImport:
        return services.apply_table(table=self.object, actor=actor, reason=cleaned["reason"])


class CancelTable(_OnTable):
    heading, submit, tone = "Cancel the table", "Cancel it", "danger"
    intro = "What was applied stays; the rest is not done."
    success_message = "The table is cancelled."

    def run(self, actor: User, cleaned: dict[str, Any]) -> TableImport:
        return services.cancel_table(table=self.object, actor=actor, reason=cleaned["reason"])
