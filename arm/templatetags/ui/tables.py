"""Tables: the scrolling frame, sortable headers, filters, and pages by number or by cursor."""

from typing import Any

from django.core.paginator import Page
from django.forms import BaseForm
from django.http import QueryDict
from django.template import Context
from django.utils.html import format_html
from django.utils.safestring import SafeString

from arm.panels import rights_of_visitor
from arm.rights import Right
from arm.templatetags.ui.library import register
from arm.templatetags.ui.values import compact

_POSITION = ("page", "cursor")


def _query(context: Context) -> QueryDict:
    return context["request"].GET.copy()  # type: ignore[no-any-return]


def _address(query: QueryDict) -> str:
    return f"?{query.urlencode()}" if query else "?"


@register.simple_block_tag
def table(
    content: SafeString, caption: str, *, show_caption: bool = False, stacked: bool = False
) -> SafeString:
    """`{% table "Versions" %}<thead>…</thead><tbody>…</tbody>{% endtable %}`: captioned, scrolls by keyboard.

    `stacked` turns each row into a block on a narrow screen; give every `<td>` a `data-label` then.
    """
    return format_html(
        '<div class="table-scroll" tabindex="0" role="region" aria-label="{0}"><table class="table{1}">'
        "<caption{2}>{0}</caption>{3}</table></div>",
        caption,
        " table-stacked" if stacked else "",
        "" if show_caption else format_html(' class="{}"', "visually-hidden"),
        content,
    )


@register.simple_tag(takes_context=True)
def sort_header(
    context: Context, key: str, label: str, *, numeric: bool = False, default: str = "", param: str = "sort"
) -> SafeString:
    """A `<th>` whose link sorts by `key`, and the other way on the second click. Filters stay, the page does not.

    `default` is the order in force without the parameter, such as `-created_at`. Needs `request` in the context.
    """
    query = _query(context)
    current = query.get(param) or default
    ascending, descending = current == key, current == f"-{key}"
    query[param] = f"-{key}" if ascending else key
    for name in _POSITION:
        query.pop(name, None)
    order = "ascending" if ascending else "descending" if descending else ""
    return format_html(
        '<th scope="col"{}{}><a class="sort" href="{}">{}<span class="sort-mark" aria-hidden="true">{}</span></a></th>',
        format_html(' class="{}"', "num") if numeric else "",
        format_html(' aria-sort="{}"', order) if order else "",
        _address(query),
        label,
        {"ascending": "↑", "descending": "↓"}.get(order, ""),
    )


def one_of(noun: str) -> str:
    """What a single row is called: `versions on this page` → `version on this page`, `entries` → `entry`."""
    first, space, rest = noun.partition(" ")
    odd = {"people": "person", "leaves": "leaf"}
    single = odd.get(first) or (f"{first[:-3]}y" if first.endswith("ies") else first.removesuffix("s"))
    return f"{single}{space}{rest}"


@register.inclusion_tag("_components/pager.html", takes_context=True)
def pager(context: Context, page: "Page[Any]", noun: str = "rows", param: str = "page") -> dict[str, Any]:
    """`{% pager page_obj "versions" %}` under a table: which rows these are, and links to the next and previous."""
    query = _query(context)

    def link(number: int) -> str:
        query[param] = str(number)
        return _address(query)

    return {
        "first": page.start_index(),
        "last": page.end_index(),
        "total": page.paginator.count,
        "noun": one_of(noun) if page.paginator.count == 1 else noun,
        "previous": link(page.previous_page_number()) if page.has_previous() else "",
        "next": link(page.next_page_number()) if page.has_next() else "",
    }


@register.inclusion_tag("_components/pager.html")
def cursor_pager(
    shown: int,
    noun: str = "rows",
    *,
    next: str | None = "",
    previous: str | None = "",
    total: int | None = None,
) -> dict[str, Any]:
    """Pages by cursor: full addresses of the neighbours, how many rows are shown, and of how many if known."""
    one = shown == 1 and total in (None, 1)
    noun = one_of(noun) if one else noun
    return {"shown": shown, "total": total, "noun": noun, "previous": previous or "", "next": next or ""}


def _csv(query: QueryDict) -> str:
    """The same query, answered as a file (`arm.views.FilteredList`)."""
    query["format"] = "csv"
    return _address(query)


def _may_export(context: Context) -> bool:
    """Only pages of signed-in people come from a request with a user."""
    request = context["request"]
    return hasattr(request, "user") and Right.EXPORT.value in rights_of_visitor(request)


@register.inclusion_tag("_components/filter_bar.html", takes_context=True)
def filter_bar(context: Context, form: BaseForm, csv_url: str = "", param: str = "sort") -> dict[str, Any]:
    """`{% filter_bar filter.form csv_url=… %}`: a GET form; says how many filters are on and offers to clear them.

    Above it stand the saved views of the list (`arm.listing`), where it has any.
    The order of the rows survives a filter, the page does not. `csv_url` gets the same query: what is shown;
    the button is there for who may export.
    """
    query = _query(context)
    for name in _POSITION:
        query.pop(name, None)
    named = {form.add_prefix(name) for name in form.fields}
    active = [name for name in named if any(query.getlist(name))]
    visible = list(form.visible_fields())
    saved = context.get("saved")
    kept = [(param, query[param])] if query.get(param) and param not in named else []
    if saved is not None and saved.wanted:
        kept.append(("view", saved.wanted))
    return {
        "saved": saved,
        "clear": saved.everything if saved is not None else "?",
        "form": form,
        "lead": visible[:1],
        "more": visible[1:],
        "active": len(active),
        "active_more": sum(bound.html_name in active for bound in visible[1:]),
        "folded": len(visible) > 4 or any(bound.use_fieldset for bound in visible[1:]),
        "kept": kept,
        "csv": f"{csv_url}{_csv(query)}" if csv_url and _may_export(context) else "",
    }


@register.simple_tag
def count(value: int | None) -> SafeString:
    """A small count beside a label, such as the number of open approvals in the navigation."""
    shown = "" if value is None else format_html('<span class="count">{}</span>', compact(value))
    return SafeString(shown)


@register.simple_tag(takes_context=True)
def query_with(context: Context, **changes: str | int | None) -> str:
    """The current query with some parameters changed, None to drop one: `href="{% query_with state='open' %}"`."""
    query = _query(context)
    for name in _POSITION:
        query.pop(name, None)
    for name, value in changes.items():
        if value is None:
            query.pop(name, None)
        else:
            query[name] = str(value)
    return _address(query)
