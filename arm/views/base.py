"""What every page shares: lists of what the visitor may see, their CSV, and commands that call one service."""

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Final

import django_filters
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.text import slugify
from django.views.generic import FormView, ListView
from django.views.generic.detail import SingleObjectMixin

from arm import clock, listing, services
from arm.conflicts import whole
from arm.errors import DomainError, Invalid, Problem
from arm.models import SecurityEvent, Tenant, User
from arm.paging import among, of_keys
from arm.panels import rights_of_visitor, seen_by_visitor
from arm.rights import Right

CSV_ROWS: Final = 100_000
"""Rows of one file, where a list does not say fewer. Of more there is none, rather than a part that looks whole."""
FORMULA: Final = re.compile(r"'*[=+\-@\t\r]")


class Scoped:
    """For list and detail views: the queryset holds only what the visitor may view; detail URLs take TypeIDs."""

    view_right: Right
    request: HttpRequest

    def get_queryset(self) -> QuerySet[Any]:
        return seen_by_visitor(super().get_queryset(), self.request, self.view_right)  # type: ignore[misc]


class DeepPaginator(Paginator[Any]):
    """Finds a far page, and one of rows with others joined to them, by its keys alone; and from the nearer end where
    the order is total: the last of 100,000 rows is then as near as the first. Same rows as Django's own."""

    near_pages = 10

    def page(self, number: int | str) -> Page[Any]:
        place = self.validate_number(number)
        rows: Any = self.object_list
        if place <= self.near_pages and not getattr(getattr(rows, "query", None), "select_related", False):
            return super().page(place)
        bottom = (place - 1) * self.per_page
        top = min(bottom + self.per_page, self.count)
        keys = rows.values("pk")
        total = rows.query.order_by[-1:] in {("pk",), ("-pk",)}
        if total and bottom > self.count // 2:
            keys = keys.reverse()[self.count - top : self.count - bottom]
        else:
            keys = keys[bottom:top]
        return Page(rows.filter(among(rows, keys)), place, self)


class OncePaginator(DeepPaginator):
    """For a question that is dear and mostly has few answers: it is asked once, for all keys. Beyond `known` it is asked as
    by others, for their number and for the page's."""

    known = 2000

    @cached_property
    def keys(self) -> list[Any] | None:
        """Of every row, in order; None where they are more than `known`."""
        rows: Any = self.object_list
        found = list(rows.values_list("pk", flat=True)[: self.known + 1])
        return found if len(found) <= self.known else None

    @cached_property
    def count(self) -> int:
        return len(self.keys) if self.keys is not None else super().count

    def page(self, number: int | str) -> Page[Any]:
        place = self.validate_number(number)
        if self.keys is None:
            return super().page(place)
        rows: Any = self.object_list
        shown = self.keys[(place - 1) * self.per_page : place * self.per_page]
        return Page(of_keys(rows, shown), place, self)


class FilteredList(Scoped, ListView[Any]):
    """A table: one FilterSet for page and CSV, 50 rows a page, `?format=csv` gives exactly what is shown
    to who may export it, or a refusal (422) where that is more than `csv_limit` rows.

    `columns` names the CSV's columns: (heading, attribute path or callable).
    """

    filterset_class: type[django_filters.FilterSet] | None = None
    paginate_by = 50
    paginator_class = DeepPaginator
    columns: ClassVar[Sequence[tuple[str, str | Callable[[Any], Any]]]] = ()
    csv_limit: ClassVar[int | None] = None
    """Fewer rows than CSV_ROWS, for a list whose rows are dear."""
    saves_views: ClassVar[bool] = True
    also_takes: ClassVar[Sequence[str]] = ()
    """Parameters beside the filter set's that ask something of the rows, such as an order."""
    saved: "listing.Menu | None" = None
    exports = False
    """Whether this answer is the file: it then holds, of what the visitor may see, what they may also take away."""

    def get_queryset(self) -> QuerySet[Any]:
        queryset = super().get_queryset()
        if self.exports:
            queryset = seen_by_visitor(queryset, self.request, Right.EXPORT)
        self.filterset = None
        if self.filterset_class is not None:
            return self.filtered(self.filterset_class, queryset)
        return queryset

    def filtered(self, kind: type[django_filters.FilterSet], rows: QuerySet[Any]) -> QuerySet[Any]:
        """The rows as the address narrows them by a filter set, which becomes the page's; none where it is not valid."""
        self.filterset = asked = kind(self.request.GET, queryset=rows, request=self.request)
        asked.form.filters = kind
        found: QuerySet[Any] = asked.qs if asked.is_valid() else rows.none()
        return found

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.saved = self._saved_views()
        if self.saved is not None:
            if problems := self._problems(self.saved):
                context = {"saved": self.saved, "problems": problems}
                return render(request, "arm/view_problem.html", context, status=409)
            csv_too = "format=csv" if request.GET.get("format") == "csv" else ""
            if address := self.saved.address(csv_too):
                return redirect(request.path + address)
        if request.GET.get("format") == "csv" and self.columns:
            self.exports = True
            return self._file(request)
        return super().get(request, *args, **kwargs)

    def _file(self, request: HttpRequest) -> HttpResponse:
        name, most = type(self).__name__.lower(), self.csv_limit or CSV_ROWS
        try:
            return export_csv(request, self.get_queryset()[: most + 1], self.columns, name, most=most)
        except Invalid as refusal:
            query = request.GET.copy()
            query.pop("format")
            context = {"refusal": refusal, "back": f"{request.path}?{query.urlencode()}"}
            return render(request, "arm/too_many_rows.html", context, status=refusal.status)

    def _saved_views(self) -> "listing.Menu | None":
        match = self.request.resolver_match
        return listing.menu(self.request, match.view_name) if match is not None else None

    def _problems(self, saved: "listing.Menu") -> list[str]:
        """Why the list is not shown: a filter that is gone would show more rows than the view was made for."""
        if saved.lost:
            return ["This view is no more, or is not shared with you."]
        if saved.current is None:
            return []
        found = [
            *listing.problems_of(saved.current),
            *(p["message"] for p in saved.listing.unknown(saved.query)),
        ]
        return list(dict.fromkeys(found))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        query = self.request.GET.copy()
        query.pop("page", None)
        query.pop("view", None)
        return super().get_context_data(
            filter=self.filterset,
            query=query.urlencode(),
            has_csv=bool(self.columns),
            saved=self.saved,
            clear_url=self.saved.everything if self.saved else "?",
            **kwargs,
        )


def export_csv(
    request: HttpRequest,
    rows: Iterable[Any],
    columns: Sequence[tuple[str, str | Callable[[Any], Any]]],
    name: str,
    *,
    most: int | None = None,
) -> HttpResponse:
    """Rows as CSV for who holds the right to export, with a line in the security log; 403 for everybody else, with
    a line as well. `rows` are what the visitor may take away: this asks only whether there is such a right at all.
    Invalid where there are more than `most`: the caller hands in one more than that, if there is one."""
    assert isinstance(request.user, User)
    tenant: Tenant | None = getattr(request, "tenant", None)
    asked = {"query": request.GET.urlencode()} if request.method == "GET" else {}
    if Right.EXPORT.value not in rights_of_visitor(request):
        services.note_security(
            SecurityEvent.Kind.REFUSED, f"export {name}", user=request.user, tenant=tenant, detail=asked
        )
        raise PermissionDenied
    if most is not None and len(rows := list(rows)) > most:
        message = f"Export as CSV: at most {most:,} rows at once. Narrow the filter."
        raise Invalid(message, [Problem(pointer="/rows", code="too_many", message=message)])
    answer, count = _written(rows, columns, name)
    services.note_security(
        SecurityEvent.Kind.EXPORTED, name, user=request.user, tenant=tenant, detail={"rows": count, **asked}
    )
    return answer


def _written(
    rows: Iterable[Any], columns: Sequence[tuple[str, str | Callable[[Any], Any]]], name: str
) -> tuple[HttpResponse, int]:
    """Rows as CSV, and how many; a cell that a spreadsheet would run as a formula gets a leading apostrophe. So does what
    looks as if it had got one: whoever takes one off has what was there."""
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{slugify(name)}-{clock.now():%Y%m%d-%H%M}.csv"'
    writer = csv.writer(response)
    writer.writerow([heading for heading, _ in columns])
    written = [writer.writerow([_cell(_value(row, source)) for _, source in columns]) for row in rows]
    return response, len(written)


def _value(row: Any, source: str | Callable[[Any], Any]) -> Any:
    if callable(source):
        return source(row)
    for part in source.split("."):
        row = getattr(row, part, None)
    return row() if callable(row) else row


def _cell(value: Any) -> str:
    text = "" if value is None else value.isoformat() if hasattr(value, "isoformat") else str(value)
    return "'" + text if FORMULA.match(text) else text


class CommandView(Scoped, SingleObjectMixin[Any], FormView[Form]):
    """One form, one service call. A refusal comes back as a form error; the object is loaded before the body."""

    success_message = "Saved."

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        if request.user.is_authenticated:
            self.object = self.get_object()

    def run(self, actor: User, cleaned: dict[str, Any]) -> Any:
        """The one service call; its return value is at hand in `get_success_url` as `self.result`."""
        raise NotImplementedError

    def get_success_url(self) -> str:
        url: str = self.object.get_absolute_url()
        return url

    def form_valid(self, form: Form) -> HttpResponse:
        if not isinstance(self.request.user, User):
            raise Http404
        try:
            with whole():
                self.result = self.run(self.request.user, form.cleaned_data)
        except DomainError as refusal:
            return self.refused(form, refusal)
        messages.success(self.request, self.success_message)
        return redirect(self.get_success_url())

    def form_invalid(self, form: Form) -> HttpResponse:
        """The form with what is wrong, as a refusal: 413 for what is too large to be looked at, else 422."""
        response = super().form_invalid(form)
        codes = {error["code"] for errors in form.errors.get_json_data().values() for error in errors}
        response.status_code = 413 if "too_large" in codes else 422
        return response

    def refused(self, form: Form, refusal: DomainError) -> HttpResponse:
        """The form with the refusal over it, and each problem by the field that its pointer names."""
        form.add_error(None, refusal.message)
        for problem in refusal.extra.get("errors", ()):  # type: ignore[attr-defined]
            pointer, message = problem["pointer"], problem["message"]
            first, _, inside = pointer.removeprefix("/").partition("/")
            if first in form.fields and not form.fields[first].widget.is_hidden:
                place = f"No. {int(inside) + 1}" if inside.isdigit() else inside  # people count from one
                form.add_error(first, f"{place}: {message}" if place else message)
            elif pointer or message != refusal.message:
                form.add_error(None, f"{pointer or '/'}: {message}")
        response = self.render_to_response(self.get_context_data(form=form, refusal=refusal))
        response.status_code = refusal.status
        return response


class ShownOnce(CommandView):
    """A command whose answer is the page with a secret: stored nowhere, and never shown again."""

    shown_template: ClassVar[str]
    back_name: ClassVar[str]

    def form_valid(self, form: Form) -> HttpResponse:
        if not isinstance(self.request.user, User):
            raise Http404
        try:
            with whole():
                issued = self.run(self.request.user, form.cleaned_data)
        except DomainError as refusal:
            return self.refused(form, refusal)
        self.template_name = self.shown_template
        context = self.get_context_data(form=form, issued=issued, back_url=reverse(self.back_name))
        return self.render_to_response(context)


class CreateView(CommandView):
    """A command on the tenant itself: what it makes has no object yet."""

    def get_object(self, queryset: QuerySet[Any] | None = None) -> Model:
        if self.request.tenant is None:  # type: ignore[attr-defined]
            raise Http404
        return self.request.tenant  # type: ignore[attr-defined,no-any-return]

    def get_success_url(self) -> str:
        url: str = self.result.get_absolute_url()
        return url


def current_tenant(request: HttpRequest) -> Tenant:
    """The tenant this page works in; 404 for somebody who is a member of none."""
    tenant: Tenant | None = getattr(request, "tenant", None)
    if tenant is None:
        raise Http404
    return tenant
