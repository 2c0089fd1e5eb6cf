"""The list pages of every app, found by the names of their addresses: what each can be asked, and its saved views.

A saved view is a question. What it may ask is what the list's own filter set and order know; the rest is refused by
name, when it is saved and again when it is opened: a filter that is gone must not show more rows than were meant.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

import django_filters
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils.datastructures import MultiValueDict

from arm import ids
from arm.errors import Problem
from arm.models import DefaultView, SavedView, Tenant, User
from arm.panels import Hit, rights_of_visitor
from arm.permissions import held_anywhere, visible
from arm.ports import implementations
from arm.rights import Right

POSITION = frozenset({"page", "cursor", "before", "format", "view"})
"""Parameters of a list's address that ask nothing of its rows."""
EVERYTHING = "all"
"""`?view=all`: the list as it is, whatever view it opens with."""


@dataclass
class Asker:
    """Who asks a filter set, where no request is at hand: it then offers what this person may see."""

    user: User
    tenant: Tenant
    scopes_of_visitor: dict[Right, Any] = field(default_factory=dict)
    """Kept by `arm.panels.seen_by_visitor`."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A list page that takes views."""

    name: str
    view: type[Any]

    @property
    def right(self) -> Right:
        """What opens the list."""
        right: Right = self.view.view_right
        return right

    @property
    def label(self) -> str:
        """As the navigation calls it; else as its address does."""
        labels = (
            e.label for port in implementations("NAVIGATION") for e in port.entries if e.url_name == self.name
        )
        return (
            next(labels, "")
            or self.name.rpartition(":")[2].replace("_list", "s").replace("_", " ").capitalize()
        )

    @property
    def url(self) -> str:
        return reverse(self.name)

    def unknown(self, query: str) -> list[Problem]:
        """The parameters of this question that the list has no filter for."""
        known = {*self.view.filterset_class.base_filters, *self.view.also_takes}
        return [
            Problem(pointer=f"/query/{name}", code="unknown", message=f"{self.label} has no filter “{name}”.")
            for name in sorted(_grouped(query).keys() - known)
        ]

    def problems(self, query: str, asker: Asker) -> list[Problem]:
        """Everything that the list would not understand of this question when this person asks it, by name."""
        return self._asked(query, self.view.queryset.none(), asker)[1]

    def asked(self, query: str, actor: User, tenant: Tenant) -> tuple[QuerySet[Any], list[Problem]]:
        """The rows that the list shows this person for the question; none where it has problems."""
        return self._asked(query, visible(self.view.queryset.all(), actor, self.right), Asker(actor, tenant))

    def _asked(self, query: str, rows: QuerySet[Any], asker: Asker) -> tuple[QuerySet[Any], list[Problem]]:
        kind: type[django_filters.FilterSet] = self.view.filterset_class
        found = self.unknown(query)
        filters = kind(MultiValueDict(_grouped(query)), queryset=rows, request=asker)
        if not filters.is_valid():
            for name, errors in filters.form.errors.get_json_data().items():
                found += [
                    Problem(
                        pointer=f"/query/{name}",
                        code=str(e["code"] or "invalid"),
                        message=f"{name}: {e['message']}",
                    )
                    for e in errors
                ]
        return (rows.none() if found else filters.qs), found

    def words(self, query: str) -> list[tuple[str, str]]:
        """The question as (label, values), for people."""
        labels = {
            name: str(f.label or name).capitalize()
            for name, f in self.view.filterset_class.base_filters.items()
        }
        labels["sort"] = "Order"
        return [(labels.get(name, name), ", ".join(values)) for name, values in _grouped(query).items()]


def _grouped(query: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(query):
        found.setdefault(name, []).append(value)
    return found


def canonical(query: str) -> str:
    """The question in one form: without its position and what is empty, names and values in order."""
    pairs = sorted({(name, value) for name, value in parse_qsl(query) if name not in POSITION})
    return urlencode(pairs)


@cache
def listings() -> dict[str, Listing]:
    """Every list page that takes views, by the name of its address."""
    return {name: Listing(name, view) for name, view in _lists(get_resolver().url_patterns)}


def _lists(patterns: Any, space: str = "") -> Iterator[tuple[str, type[Any]]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            if not pattern.pattern.converters:
                inner = f"{space}{pattern.namespace}:" if pattern.namespace else space
                yield from _lists(pattern.url_patterns, inner)
        elif isinstance(pattern, URLPattern) and pattern.name and not pattern.pattern.converters:
            view = getattr(pattern.callback, "view_class", None)
            if getattr(view, "saves_views", False) and getattr(view, "filterset_class", None) is not None:
                assert view is not None
                yield f"{space}{pattern.name}", view


def seen_views(actor: Any, held: frozenset[str] | None = None) -> QuerySet[SavedView]:
    """The actor's own views, and the shared ones of lists that the actor may open; by name.

    `held` is what `held_anywhere` has answered for this actor.
    """
    if not actor.is_active:
        return SavedView.objects.none()
    held = held_anywhere(actor) if held is None else held
    lists = [name for name, listing in listings().items() if listing.right.value in held]
    rows = SavedView.objects.filter(Q(owner=actor) | Q(shared=True, list_name__in=lists))
    mine = DefaultView.objects.filter(view=OuterRef("pk"), user=actor)
    return rows.select_related("owner").annotate(is_default=Exists(mine)).order_by("name", "pk")


def problems_of(view: SavedView) -> list[str]:
    """Why the view cannot be asked any more; nothing where it can."""
    listing = listings().get(view.list_name)
    if listing is None:
        return [f"There is no list “{view.list_name}” any more."]
    return [problem["message"] for problem in listing.unknown(view.query)]


@dataclass(frozen=True, slots=True)
class Menu:
    """The views of one list for one visitor, and which of them is on."""

    listing: Listing
    views: list[SavedView]
    user: Any
    current: SavedView | None
    query: str
    wanted: str
    bare: bool
    """Whether the address asks nothing itself, not even an empty filter."""
    nothing: bool
    """Whether the address is that of the list alone."""

    @property
    def own(self) -> list[SavedView]:
        return [view for view in self.views if view.owner_id == self.user.pk]

    @property
    def others(self) -> list[SavedView]:
        return [view for view in self.views if view.owner_id != self.user.pk]

    @property
    def default(self) -> SavedView | None:
        return next((view for view in self.views if view.is_default), None)  # type: ignore[attr-defined]

    @property
    def changed(self) -> bool:
        """Whether the filters are others than those of the view that is on."""
        return self.current is not None and self.query != self.current.query

    @property
    def lost(self) -> bool:
        """Whether the address names a view that is gone, or not this visitor's to see."""
        return self.current is None and self.wanted not in ("", EVERYTHING)

    @property
    def everything(self) -> str:
        """The list without a view."""
        return f"?view={EVERYTHING}" if self.default else "?"

    @property
    def save_url(self) -> str:
        return f"{reverse('view_save')}?{urlencode({'list': self.listing.name, 'query': self.query})}"

    @property
    def change_url(self) -> str:
        """Where the owner gives the view that is on the filters that are on."""
        assert self.current is not None
        return f"{reverse('view_change', args=[self.current.typeid])}?{urlencode({'query': self.query})}"

    def address(self, more: str = "") -> str:
        """Where to go for what the address leaves out: the question of the view that it names, or of the default.
        "" where the address says it all."""
        named = self.current if self.bare and self.current and self.current.query else None
        view = self.default if self.nothing else named
        if view is None:
            return ""
        return "?" + "&".join(part for part in (view.query, more, f"view={view.typeid}") if part)


def menu(request: HttpRequest, name: str) -> Menu | None:
    """The views of the list at this address; None where it takes none."""
    listing = listings().get(name)
    if listing is None or getattr(request, "tenant", None) is None:
        return None
    views = list(seen_views(request.user, rights_of_visitor(request)).filter(list_name=name)[:200])
    wanted = request.GET.get("view", "")
    try:
        pk = ids.decode(SavedView.prefix, wanted)
    except ValueError:
        pk = None
    current = next((view for view in views if view.pk == pk), None)
    asked = set(request.GET)
    query = canonical(request.GET.urlencode())
    return Menu(listing, views, request.user, current, query, wanted, asked <= POSITION, not asked)


def address_of(view: SavedView) -> str:
    """Where the view opens; "" where its list is no more."""
    return view.get_absolute_url() if view.list_name in listings() else ""


class SearchViews:
    """Saved views by name."""

    def find(self, request: HttpRequest, text: str) -> list[Hit]:
        rows = seen_views(request.user, rights_of_visitor(request)).filter(name__icontains=text)
        return [
            Hit(view.name, "View", address_of(view), listings()[view.list_name].label)
            for view in rows[:20]
            if view.list_name in listings()
        ]
