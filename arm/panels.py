"""Port types for pages: panels that other apps put on a page, and the navigation they add."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from django.conf import settings
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from arm import logs
from arm.addresses import page
from arm.grants import Scopes
from arm.models import Tenant
from arm.permissions import held_anywhere, scopes, visible
from arm.ports import implementations
from arm.rights import Right

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class Panel:
    """A titled part of a page: its template gets `context` as `panel`.

    `flush` drops the padding, for tables; `wide` takes the whole width where panels stand side by side.
    """

    title: str
    template: str
    context: Mapping[str, Any]
    anchor: str = ""
    flush: bool = False
    wide: bool = False


class PanelPort(Protocol):
    def panel(self, request: HttpRequest, subject: Any) -> Panel | None:
        """The panel about `subject`, or None where it has nothing to say to this visitor."""
        ...


def panels(setting: str, request: HttpRequest, subject: Any) -> list[Panel]:
    """What each implementation named by the setting shows about the subject, in order."""
    found = (port.panel(request, subject) for port in implementations(setting))
    return [panel for panel in found if panel is not None]


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that a search has found."""

    label: str
    kind: str
    url: str
    detail: str = ""


def search(request: HttpRequest, text: str) -> list[Hit]:
    """What every app (settings.SEARCH) finds for the text among what the visitor may see; at most 20 of each."""
    return [hit for port in implementations("SEARCH") for hit in port.find(request, text)[:20]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the navigation: shown to those who hold `right` anywhere in the tenant."""

    section: str
    label: str
    url_name: str
    right: Right
    icon: str = ""
    key: str = ""
    """The letter that goes there after g."""


@dataclass(slots=True)
class Link:
    label: str
    url: str
    icon: str
    active: bool
    badge: str = ""
    key: str = ""


@dataclass(slots=True)
class Section:
    """A heading of the navigation with its entries."""

    label: str
    children: list[Link] = field(default_factory=list)


SECTIONS = (
    "Fleet", "Directory", "Releases", "Federation", "Evaluations", "Policy", "Approvals", "Stop", "Incidents",
    "Telemetry", "Costs", "Governance", "Settings",
)  # fmt: skip
"""The order of the navigation: who is on call comes first."""


class Navigation:
    """The core's own entries."""

    entries = (
        Entry("Fleet", "Fleet", "home", Right.READ_DIRECTORY, "fleet", "f"),
        Entry("Governance", "Changes", "change_list", Right.READ_AUDIT, "changes", "c"),
        Entry("Settings", "Admin", "admin:index", Right.READ_DIRECTORY, "settings"),
        Entry("Settings", "People and roles", "member_list", Right.MANAGE_TENANT, "people"),
    )


class SearchPages:
    """Pages of the navigation that the visitor may open, by what they are called."""

    def find(self, request: HttpRequest, text: str) -> list[Hit]:
        words = text.lower().split()
        return [
            Hit(link.label, "Page", link.url, section.label)
            for section in navigation(request)
            for link in section.children
            if all(word in f"{section.label} {link.label}".lower() for word in words)
        ]


def rights_of_visitor(request: HttpRequest) -> frozenset[str]:
    """The rights that the visitor holds anywhere, asked once a request: every entry and button wants to know."""
    known: frozenset[str] | None = getattr(request, "rights_held_anywhere", None)
    if known is None:
        known = held_anywhere(request.user)
        request.rights_held_anywhere = known  # type: ignore[attr-defined]
    return known


def seen_by_visitor(queryset: QuerySet[M], request: HttpRequest, right: Right) -> QuerySet[M]:
    """`visible` for one page: where the visitor holds the right is asked once a request, however many lists it shows."""
    return visible(queryset, request.user, right, scopes_of_visitor(request, right))


def scopes_of_visitor(request: HttpRequest, right: Right) -> Scopes | None:
    """Where the visitor holds the right, asked once a request; None for who is asked nothing, or is nobody."""
    if not request.user.is_active or request.user.is_superuser:
        return None
    known: dict[Right, Scopes] = getattr(request, "scopes_of_visitor", {})
    if right not in known:
        known[right] = scopes(request.user, right)
        request.scopes_of_visitor = known  # type: ignore[attr-defined]
    return known[right]


def navigation(request: HttpRequest) -> list[Section]:
    """Every app's entries (settings.NAVIGATION), grouped by section, as far as the visitor's rights reach."""
    sections: dict[str, Section] = {}
    held = rights_of_visitor(request)
    for provider in implementations("NAVIGATION"):
        for entry in provider.entries:
            if entry.right.value in held:
                url = page(entry.url_name)
                active = request.path == url or (url != "/" and request.path.startswith(url))
                section = sections.setdefault(entry.section, Section(entry.section))
                section.children.append(Link(entry.label, url, entry.icon, active, key=entry.key))
    # Of two entries that the address begins with (/costs/ and /costs/caps/) only the nearer one is this page's.
    active_links = [link for section in sections.values() for link in section.children if link.active]
    nearest = max((len(link.url) for link in active_links), default=0)
    for link in active_links:
        link.active = len(link.url) == nearest
    rank = {label: number for number, label in enumerate(SECTIONS)}
    return sorted(sections.values(), key=lambda section: rank.get(section.label, len(rank)))


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context processor: what base.html needs on every page."""
    tenant: Tenant | None = getattr(request, "tenant", None)
    signed_in = getattr(request, "user", None) is not None and request.user.is_authenticated
    return {
        "nav": navigation(request) if signed_in and tenant else [],
        "tenant": tenant,
        "request_id": getattr(request, "request_id", "") or logs.request_id.get(),
        "arm_version": settings.VERSION,
        "gateway_url": settings.GATEWAY_URL,
    }
