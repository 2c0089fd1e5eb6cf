"""What the directory plugs into the ports of the core: the fleet's numbers, what a search finds, its navigation."""

from collections.abc import Collection, Iterable, Mapping
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse

from arm.models import Tenant
from arm.panels import Panel, rights_of_visitor, seen_by_visitor
from arm.permissions import held_on
from arm.rights import Right
from evidence.lifecycle import ArtefactKind

from .. import gates, queries
from ..gates.careful import asks_card_all
from ..gates.channels import why_not_proven_all
from ..gates.many import OneOfMany, Pairs
from ..models import (
    AgentTemplate,
    AgentVersion,
    DeploymentSlot,
    Environment,
    Heartbeat,
    ReleaseException,
    RoleDefinition,
    Rollback,
    Rollout,
    SlotBinding,
)
from ..protocol.carried import FILES
from ..protocol.mcp import servers
from .approving import VersionApprovals as VersionApprovals
from .approving import VersionsToApprove as VersionsToApprove
from .draining import StillDraining as StillDraining
from .leaving import ExceptionsEnd as ExceptionsEnd
from .leaving import OwnersSucceed as OwnersSucceed
from .navigation import Navigation as Navigation
from .search import SearchAgents as SearchAgents
from .search import SearchInstances as SearchInstances
from .search import SearchPlaces as SearchPlaces
from .search import SearchVersions as SearchVersions


class FleetPanel:
    """On the fleet page: how many instances there are, in which state, where, and how many of them are silent."""

    def panel(self, request: HttpRequest, subject: Tenant) -> Panel | None:
        if Right.READ_DIRECTORY.value not in rights_of_visitor(request):
            return None
        context = {
            "fleet": queries.fleet(request.user),  # type: ignore[arg-type]
            "url": reverse("registry:instance_list"),
            "heartbeats": Heartbeat,
            "states": [(state.value, state.label) for state in queries.COLUMNS],
            "may_provision": Right.PROVISION_INSTANCE.value in rights_of_visitor(request),
        }
        return Panel("Instances", "registry/_fleet_panel.html", context, anchor="instances", wide=True)


class Staffing:
    """On the fleet page: agents that nobody answers for, and roles that lack somebody. Nothing, where nothing is."""

    def panel(self, request: HttpRequest, subject: Tenant) -> Panel | None:
        if Right.READ_DIRECTORY.value not in rights_of_visitor(request):
            return None
        seen = seen_by_visitor(AgentTemplate.objects.all(), request, Right.READ_DIRECTORY)
        ownerless = queries.ownerless(seen).count()
        roles = seen_by_visitor(RoleDefinition.objects.all(), request, Right.READ_DIRECTORY)
        gaps = len(queries.with_gaps(roles, request.user))  # type: ignore[arg-type]
        if not ownerless and not gaps:
            return None
        context = {
            "ownerless": ownerless,
            "ownerless_url": f"{reverse('registry:template_list')}?ownerless=true",
            "gaps": gaps,
            "gaps_url": f"{reverse('registry:role_list')}?gaps=true",
        }
        return Panel("Staffing", "registry/_home_staffing.html", context, anchor="staffing")


class HeldBack:
    """On the fleet page: the latest instances that something keeps from work, with what is reported of them."""

    shown = 8

    def panel(self, request: HttpRequest, subject: Tenant) -> Panel | None:
        if Right.READ_DIRECTORY.value not in rights_of_visitor(request):
            return None
        rows = queries.held_back(request.user, self.shown)  # type: ignore[arg-type]
        if not rows:
            return None
        context = {"rows": rows}
        return Panel("Held back lately", "registry/_home_held_back.html", context, flush=True, wide=True)


class EvidenceCoverage:
    """On the fleet page: how much of what runs in production is proven by a card, and what is not."""

    shown = 5

    def panel(self, request: HttpRequest, subject: Tenant) -> Panel | None:
        if Right.READ_EVIDENCE.value not in rights_of_visitor(request):
            return None
        found = queries.coverage(request.user, self.shown)  # type: ignore[arg-type]
        if not found.running:
            return None
        url = f"{reverse('registry:version_list')}?production=true"
        lacking = found.running - found.covered
        context = {
            "coverage": found,
            "url": url,
            "lacking": lacking,
            "lacking_url": f"{url}&card=missing",
            "tone": "warn" if lacking else "ok",
        }
        return Panel("Evidence", "registry/_home_evidence.html", context, anchor="evidence")


class VersionEvidenceList:
    """On the page of a version: which documents about it are signed, how far each has come, and what can be made."""

    def panel(self, request: HttpRequest, subject: AgentVersion) -> Panel | None:
        held = held_on(request.user, subject)
        if Right.READ_EVIDENCE not in held:
            return None
        complete = not subject.genome.missing
        issue = Right.ISSUE_EVIDENCE in held and complete
        pages = {
            ArtefactKind.AGENT_CARD: ("card_issue", "Issue a card", issue),
            ArtefactKind.AUDIT_PACK: ("pack_export", "Export a pack", Right.EXPORT_AUDIT_PACK in held),
            ArtefactKind.A2A_CARD: ("a2a_publish", "Publish an A2A card", issue),
            ArtefactKind.BOM: ("bom_sign", "Sign a BOM", issue),
            **dict.fromkeys(queries.SHEETS, ("documents_issue", "Make what is missing", issue)),
        }
        context = {
            "rows": [
                {
                    "kind": kind.label,
                    "held": newest,
                    "url": reverse(f"registry:{pages[kind][0]}", args=[subject.typeid])
                    if pages[kind][2]
                    else "",
                    "verb": pages[kind][1],
                }
                for kind, newest in queries.newest_of_each(subject, request.user).items()
            ],
            "all_url": f"{reverse('registry:evidence_list')}?version={subject.typeid}",
            "complete": complete,
        }
        return Panel("Evidence", "registry/_panel_evidence.html", context, anchor="evidence", flush=True)


class VersionExports:
    """On the page of a version: the files of other formats that it can leave as."""

    def panel(self, request: HttpRequest, subject: AgentVersion) -> Panel | None:
        document = queries.stored_document(subject)
        url = reverse("registry:version_export", args=[subject.typeid])
        files = [(label, f"{url}?{urlencode({'format': format})}") for format, label in FILES.items()]
        files += [
            (f"MCP {name}", f"{url}?{urlencode({'format': 'mcp-server', 'server': name})}")
            for name in servers(document)[: self.shown]
        ]
        return Panel("Export", "registry/_panel_exports.html", {"files": files}, anchor="export")

    shown = 20


class VersionReleases:
    """On the page of a version: its rollouts, its rollbacks, and the exceptions that were granted to it."""

    shown = 10

    def panel(self, request: HttpRequest, subject: AgentVersion) -> Panel | None:
        rollouts = Rollout.objects.for_list().filter(version=subject)
        left = Rollback.objects.filter(from_version=subject)
        rows = left.select_related("slot__role", "slot__environment", "to_version__template")
        granted = ReleaseException.objects.filter(version=subject)
        exceptions = granted.select_related("slot__role", "slot__environment", "granted_by")
        context = {
            name: list(seen_by_visitor(found, request, Right.READ_DIRECTORY).order_by("-pk")[: self.shown])
            for name, found in (("rollouts", rollouts), ("rollbacks", rows), ("exceptions", exceptions))
        }
        if not any(context.values()):
            return None
        return Panel("Releases", "registry/_panel_releases.html", context, anchor="releases", flush=True)


class ChannelOrder(OneOfMany):
    """Before a binding: the version has been in the channel before this one, for the same role, has neither been taken
    back there nor bakes there still, and was not rolled back. Channels are the tenant's environments in the order of
    their positions."""

    name = gates.CHANNEL_ORDER

    def check_all(self, pairs: Pairs) -> list[gates.Verdict]:
        asked = [(slot, version) for slot, version in pairs if not version.rolled_back]
        before = _channels_before({slot.environment.pk: slot.environment for slot, _ in asked}.values())
        here, came = _proven(asked, before.values())
        missing: dict[UUID, dict[tuple[UUID, UUID], str]] = {}
        for place, channel in before.items():
            wanted = [
                (slot.role, version)
                for slot, version in asked
                if slot.environment.pk == place
                and (slot.pk, version.pk) not in here
                and (channel.pk, slot.role_id, version.pk) not in came
            ]
            missing[place] = why_not_proven_all(channel, wanted)
        return [self._verdict(slot, version, before, here, missing) for slot, version in pairs]

    def _verdict(
        self,
        slot: DeploymentSlot,
        version: AgentVersion,
        before: Mapping[UUID, Environment],
        here: Collection[tuple[UUID, UUID]],
        missing: Mapping[UUID, Mapping[tuple[UUID, UUID], str]],
    ) -> gates.Verdict:
        if version.rolled_back:
            return gates.Verdict(self.name, False, f"{version} was rolled back.", version.get_absolute_url())
        channel = before.get(slot.environment.pk)
        if channel is None:
            return gates.Verdict(self.name, True, f"{slot.environment} is the first channel.", applies=False)
        if (slot.pk, version.pk) in here:
            return gates.Verdict(self.name, True, f"{version} was bound here before.")
        said = missing[slot.environment.pk].get((slot.role_id, version.pk), "")
        if not said:
            return gates.Verdict(self.name, True, f"{version} came through {channel}.")
        rows = f"{reverse('registry:slot_list')}?environment={channel.slug}"
        said = f"{said}, the channel before {slot.environment}."
        return gates.Verdict(self.name, False, said, rows, Right.PROMOTE_RELEASE.value)


def _channels_before(places: Iterable[Environment]) -> dict[UUID, Environment]:
    """The channel before each of these environments, by its key; the first channel has none. By the position that these
    say of themselves, which may be one that is not saved."""
    named = list(places)
    rows = Environment.objects.filter(tenant__in={place.tenant_id for place in named}) if named else ()
    others = sorted(rows, key=lambda one: one.position)
    found = {}
    for place in named:
        earlier = [
            one for one in others if one.tenant_id == place.tenant_id and one.position < place.position
        ]
        if earlier:
            found[place.pk] = earlier[-1]
    return found


def _proven(
    pairs: Pairs, channels: Iterable[Environment]
) -> tuple[set[tuple[UUID, UUID]], set[tuple[UUID, UUID, UUID]]]:
    """Where a binding proves that a version was let stay: in that very slot (slot and version), and in one of these
    channels (with role and version)."""
    if not pairs:
        return set(), set()
    where = Q(slot__in={slot.pk for slot, _ in pairs}) | Q(slot__environment__in=list(channels))
    rows = SlotBinding.objects.proven().filter(where, version__in={version.pk for _, version in pairs})
    found = set(rows.order_by().values_list("slot", "slot__environment", "slot__role", "version"))
    return {(slot, version) for slot, *_, version in found}, {
        (place, role, version) for _, place, role, version in found
    }


class EvidenceVerified(OneOfMany):
    """Before a binding where approved versions only may run: an Agent Card of the version is signed, logged and
    verified. Nothing is asked of a tenant that signs nothing yet, since it has no key."""

    name = gates.EVIDENCE_VERIFIED

    def check_all(self, pairs: Pairs) -> list[gates.Verdict]:
        why = asks_card_all([(slot.role, slot.environment, version) for slot, version in pairs])
        asked = {version.pk for (_, version), one in zip(pairs, why, strict=True) if one}
        verified = AgentVersion.objects.filter(pk__in=asked).with_card("verified") if asked else None
        carded = set(verified.values_list("pk", flat=True)) if verified is not None else set()
        return [
            self._verdict(slot, version, one, version.pk in carded)
            for (slot, version), one in zip(pairs, why, strict=True)
        ]

    def _verdict(self, slot: DeploymentSlot, version: AgentVersion, why: str, carded: bool) -> gates.Verdict:
        if not why:
            said = f"{slot.environment} does not ask for it, or this tenant has no signing key yet."
            return gates.Verdict(self.name, True, said, applies=False)
        if carded:
            return gates.Verdict(self.name, True, "Its Agent Card is verified.")
        page, right = reverse("registry:card_issue", args=[version.typeid]), Right.ISSUE_EVIDENCE.value
        return gates.Verdict(self.name, False, f"No Agent Card of {version} is verified.", page, right)
