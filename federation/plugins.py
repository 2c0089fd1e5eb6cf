"""What the federation answers to the apps below it: who is told, how states are known, panels, navigation, search."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from arm import clock
from arm.ids import decode
from arm.models import TenantRow, User
from arm.panels import Entry, Hit, Panel
from arm.permissions import visible
from arm.rights import Right
from registry.models import AgentInstance, Provider

from . import services
from .models import Command, ProviderClient
from .queries import fleet, pages

FOUND = 20


class ProvidersTold:
    """registry's port: providers hear of every change of what is wanted, in the transaction that makes it."""

    def changed(self, *, instances: Sequence[UUID], actor: User | None, reason: str) -> None:
        services.decide(instances=instances, actor=actor, reason_code="wanted")


class Certainty:
    """registry's port: attested, or merely reported."""

    def of(self, instances: Sequence[AgentInstance]) -> Mapping[UUID, str]:
        return fleet.certainties(instances)


class InFlightAtProvider:
    """registry's port: what providers have said of the work that instances have begun and not ended."""

    def of(self, instances: Sequence[AgentInstance]) -> Mapping[UUID, Mapping[str, int]]:
        found = fleet.in_flight(instances)
        return {key: {"pieces of work at its provider": number} for key, number in found.items()}

    def noted(self, rows: QuerySet[AgentInstance]) -> QuerySet[AgentInstance]:
        return fleet.with_in_flight(rows)


class Navigation:
    """Who speaks for providers, and what they were told."""

    entries = (
        Entry("Federation", "Provider clients", "federation:client_list", Right.READ_DIRECTORY, "providers"),
        Entry("Federation", "Commands", "federation:command_list", Right.READ_DIRECTORY, "stop"),
    )


class InstanceAtProvider:
    """Instance: desired, reported, attested, each with its time, and how far the current command got."""

    def panel(self, request: HttpRequest, subject: AgentInstance) -> Panel | None:
        if subject.provider.kind != Provider.Kind.FEDERATED:
            return None
        context = {"page": pages.instance_page(subject), "instance": subject}
        return Panel("At its provider", "federation/_panel_instance.html", context, anchor="federation")


class ClientOfProvider:
    """Provider: who speaks for it, and whether it is heard."""

    def panel(self, request: HttpRequest, subject: Provider) -> Panel | None:
        if subject.kind != Provider.Kind.FEDERATED or not isinstance(request.user, User):
            return None
        page = pages.provider_page(subject, request.user)
        context = {"page": page, "provider": subject, "reach": pages.word(page.session, clock.now())}
        return Panel("Federation", "federation/_panel_provider.html", context, anchor="federation")


class Search:
    """Clients by name or thumbprint, commands by identifier."""

    def find(self, request: HttpRequest, text: str) -> list[Hit]:
        named = Q(name__icontains=text) | Q(auth_kid=text) | Q(attest_kid=text) | _by_id(ProviderClient, text)
        clients = visible(
            ProviderClient.objects.select_related("provider"), request.user, Right.READ_DIRECTORY
        )
        found = [
            Hit(str(row), "Provider client", row.get_absolute_url(), row.get_status_display())
            for row in clients.filter(named)[:FOUND]
        ]
        commands = visible(Command.objects.for_list(), request.user, Right.READ_DIRECTORY)
        return found + [
            Hit(str(row), "Command", row.get_absolute_url(), row.get_state_display())
            for row in commands.filter(_by_id(Command, text))
        ]


def _by_id(model: type[TenantRow], text: str) -> Q:
    try:
        return Q(pk=decode(model.prefix, text)) if text.startswith(f"{model.prefix}_") else Q(pk__in=[])
    except ValueError:
        return Q(pk__in=[])
