"""What a search finds in the directory."""

from typing import Any

from django.db.models import Case, Q, QuerySet, When
from django.http import HttpRequest
from django.utils.datastructures import MultiValueDict

from arm.ids import decode
from arm.models import TenantRow
from arm.panels import Hit, seen_by_visitor
from arm.rights import Right

from ..filters import TemplateFilter, having_words
from ..lifecycle import InstanceState
from ..models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    DeploymentSlot,
    Environment,
    Provider,
)
from ..queries.naming import called

FOUND = 20


class SearchAgents:
    """Agents by what the list of agents searches, those whose name begins so first."""

    def find(self, request: HttpRequest, text: str) -> list[Hit]:
        rows = seen_by_visitor(AgentTemplate.objects.all(), request, Right.READ_DIRECTORY)
        found = TemplateFilter(MultiValueDict({"q": [text]}), queryset=rows, request=request).qs
        begins = Case(When(Q(name__istartswith=text) | Q(slug__istartswith=text), then=0), default=1)
        return [
            Hit(row.name, "Agent", row.get_absolute_url(), f"{row.get_risk_display()} risk")
            for row in found.order_by(begins, "name", "pk")[:FOUND]
        ]


class SearchVersions:
    """Versions by identifier, by what they are called, or by the first figures of their genome's digest."""

    def find(self, request: HttpRequest, text: str) -> list[Hit]:
        rows = seen_by_visitor(AgentVersion.objects.for_list(), request, Right.READ_DIRECTORY)
        wanted = _named(AgentVersion, text) or _digest(text) or called(text)
        return [
            Hit(
                str(row),
                "Version",
                row.get_absolute_url(),
                f"{row.get_state_display()}, {row.genome.digest[:19]}",
            )
            for row in rows.filter(wanted)[:FOUND]
        ]


class SearchInstances:
    """Instances by name or identifier."""

    def find(self, request: HttpRequest, text: str) -> list[Hit]:
        rows = seen_by_visitor(AgentInstance.objects.for_list(), request, Right.READ_DIRECTORY)
        named = _named(AgentInstance, text)
        rows = rows.filter(named) if named is not None else having_words(rows, text)
        return [
            Hit(
                row.name,
                "Instance",
                row.get_absolute_url(),
                f"wanted {InstanceState(row.state).label}, {row.environment}",
            )
            for row in rows[:FOUND]
        ]


class SearchPlaces:
    """Environments, providers and slots by name or identifier."""

    def find(self, request: HttpRequest, text: str) -> list[Hit]:
        named = Q(name__icontains=text) | Q(slug__icontains=text)
        slots = DeploymentSlot.objects.select_related("environment", "role")
        found: list[Hit] = []
        nouns: tuple[tuple[type[TenantRow], str, QuerySet[Any], Q], ...] = (
            (Environment, "Environment", Environment.objects.all(), named),
            (Provider, "Provider", Provider.objects.all(), named),
            (DeploymentSlot, "Slot", slots, Q(role__name__icontains=text) | Q(role__slug__icontains=text)),
        )
        for model, kind, rows, wanted in nouns:
            seen = seen_by_visitor(rows, request, Right.READ_DIRECTORY)
            found += [
                Hit(str(row), kind, row.get_absolute_url())
                for row in seen.filter(_named(model, text) or wanted)[:FOUND]
            ]
        return found


def _named(model: type[TenantRow], text: str) -> Q | None:
    """The row with this shown identifier, where the text is one of this noun."""
    if not text.startswith(f"{model.prefix}_"):
        return None
    try:
        return Q(pk=decode(model.prefix, text))
    except ValueError:
        return Q(pk__in=[])


def _digest(text: str) -> Q | None:
    figures = text.lower().removeprefix("sha256:")
    if len(figures) < 8 or set(figures) - set("0123456789abcdef"):
        return None
    return Q(genome__digest__startswith=f"sha256:{figures}")
