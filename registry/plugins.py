"""What the directory plugs into the ports of the core: the fleet's numbers, what a search finds, its navigation."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db.models import Case, Q, QuerySet, When
from django.http import HttpRequest
from django.urls import reverse
from django.utils.datastructures import MultiValueDict

from arm.crypto import canonical
from arm.ids import decode
from arm.models import Membership, Tenant, TenantRow, User
from arm.panels import Entry, Hit, Panel, rights_of_visitor, seen_by_visitor
from arm.permissions import held_on, visible
from arm.rights import Right, Risk
from evidence.lifecycle import ArtefactKind
from evidence.models import SigningKey
from evidence.sections import PackFile

from . import gates, queries, services
from .filters import TemplateFilter, having_words
from .gates.channels import why_not_proven
from .lifecycle import InstanceState
from .models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    DeploymentSlot,
    DirectoryRules,
    Environment,
    Heartbeat,
    Provider,
    ReleaseException,
    RoleDefinition,
    Rollback,
    Rollout,
    SlotBinding,
)
from .protocol.mcp import servers
from .queries.naming import called

FOUND = 20


class Navigation:
    """The directory's pages."""

    entries = (
        Entry("Directory", "Agents", "registry:template_list", Right.READ_DIRECTORY, "templates", "a"),
        Entry("Directory", "Versions", "registry:version_list", Right.READ_DIRECTORY, "versions", "v"),
        Entry("Directory", "Instances", "registry:instance_list", Right.READ_DIRECTORY, "instances", "i"),
        Entry("Directory", "Bulk actions", "registry:bulk_list", Right.READ_DIRECTORY, "directory", "b"),
        Entry("Directory", "Fleet at a time", "registry:fleet_at", Right.READ_DIRECTORY, "changes"),
        Entry("Directory", "Who uses what", "registry:uses_list", Right.READ_DIRECTORY, "search"),
        Entry("Directory", "Imports", "registry:import_list", Right.READ_DIRECTORY, "plus"),
        Entry("Releases", "Channels", "registry:channel_board", Right.READ_DIRECTORY, "versions"),
        Entry("Releases", "Rollouts", "registry:rollout_list", Right.READ_DIRECTORY, "changes"),
        Entry("Releases", "Slots", "registry:slot_list", Right.READ_DIRECTORY, "directory", "s"),
        Entry("Releases", "Roles and coverage", "registry:role_list", Right.READ_DIRECTORY, "people"),
        Entry(
            "Releases", "Environments", "registry:environment_list", Right.READ_DIRECTORY, "environments", "e"
        ),
        Entry("Releases", "Providers", "registry:provider_list", Right.READ_DIRECTORY, "providers", "o"),
        Entry("Governance", "Cards and packs", "registry:evidence_list", Right.READ_EVIDENCE, "versions"),
        Entry("Settings", "Signers of cards", "registry:card_key_list", Right.MANAGE_TENANT, "keys"),
        Entry("Governance", "Integrity", "registry:integrity", Right.READ_DIRECTORY, "versions"),
        Entry(
            "Settings", "Evidence before work", "registry:evidence_rule", Right.MANAGE_DIRECTORY, "versions"
        ),
        Entry(
            "Settings", "Forced deprecation", "registry:deprecation_rule", Right.MANAGE_DIRECTORY, "incidents"
        ),
        Entry("Settings", "Genome profiles", "registry:profiles", Right.MANAGE_DIRECTORY, "versions"),
    )


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


class OwnersSucceed:
    """`arm.ports.MemberEffect`: what somebody owned passes to the successor when they leave."""

    def ends(self, member: Membership) -> Iterable[str]:
        for template, heir, answered in queries.what_passes(member):
            if heir is not None:
                yield f"Owner of {template}: {heir} succeeds"
            else:
                yield f"Owner of {template}" + ("" if answered else ": nobody answers for it then")

    def left(self, *, member: Membership, actor: User, reason: str) -> None:
        services.pass_on(member=member, actor=actor, reason=reason)


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
                for kind, newest in queries.newest_of_each(subject).items()
            ],
            "all_url": f"{reverse('registry:evidence_list')}?version={subject.typeid}",
            "complete": complete,
        }
        return Panel("Evidence", "registry/_panel_evidence.html", context, anchor="evidence", flush=True)


class VersionExports:
    """On the page of a version: the files of other formats that it can leave as."""

    def panel(self, request: HttpRequest, subject: AgentVersion) -> Panel | None:
        document = queries.stored_document(subject)
        formats = {
            "genome": "Genome, JSON",
            "genome-yaml": "Genome, YAML",
            "cyclonedx-1.7": "CycloneDX 1.7",
            "cyclonedx-1.6": "CycloneDX 1.6",
            "oasf": "OASF record",
        }
        url = reverse("registry:version_export", args=[subject.typeid])
        files = [(label, f"{url}?{urlencode({'format': format})}") for format, label in formats.items()]
        files += [
            (f"MCP {name}", f"{url}?{urlencode({'format': 'mcp-server', 'server': name})}")
            for name in servers(document)[: self.shown]
        ]
        return Panel("Export", "registry/_panel_exports.html", {"files": files}, anchor="export")

    shown = 20


class VersionPack:
    """In an Audit Pack of a version: the exact bytes of its genome."""

    def files(self, subject: Any, reader: User | None) -> Iterable[PackFile]:
        if isinstance(subject, AgentVersion):
            yield PackFile("genome.json", bytes(subject.genome.content))

    def subjects(self, subject: Any, reader: User | None) -> Iterable[UUID]:
        return ()


class RollbackPack:
    """In an Audit Pack of a version: the dossier of every rollback that left it or returned to it and that `reader` sees."""

    def files(self, subject: Any, reader: User | None) -> Iterable[PackFile]:
        if isinstance(subject, AgentVersion):
            for row in self._about(subject, reader):
                yield PackFile(queries.dossier_path(row), canonical(row.dossier))

    def subjects(self, subject: Any, reader: User | None) -> Iterable[UUID]:
        if isinstance(subject, AgentVersion):
            about = self._about(subject, reader)
            yield from about.values_list("slot", flat=True).distinct().order_by()
            yield from about.values_list("pk", flat=True)  # with their signed dossiers

    def _about(self, version: AgentVersion, reader: User | None) -> QuerySet[Rollback]:
        rows = Rollback.objects.filter(Q(from_version=version) | Q(to_version=version)).order_by("pk")
        return visible(rows, reader or AnonymousUser(), Right.READ_EVIDENCE)


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


class ChannelOrder:
    """Before a binding: the version has been in the channel before this one, for the same role, has neither been taken
    back there nor bakes there still, and was not rolled back. Channels are the tenant's environments in the order of
    their positions."""

    name = gates.CHANNEL_ORDER

    def check(self, slot: DeploymentSlot, version: AgentVersion) -> gates.Verdict:
        if version.rolled_back:
            return gates.Verdict(self.name, False, f"{version} was rolled back.", version.get_absolute_url())
        earlier = Environment.objects.filter(tenant=slot.tenant_id, position__lt=slot.environment.position)
        before = earlier.order_by("-position").first()
        if before is None:
            return gates.Verdict(self.name, True, f"{slot.environment} is the first channel.", applies=False)
        if SlotBinding.objects.proven().filter(version=version, slot=slot).exists():
            return gates.Verdict(self.name, True, f"{version} was bound here before.")
        missing = why_not_proven(before, slot.role, version)
        if not missing:
            return gates.Verdict(self.name, True, f"{version} came through {before}.")
        rows = f"{reverse('registry:slot_list')}?environment={before.slug}"
        said = f"{missing}, the channel before {slot.environment}."
        return gates.Verdict(self.name, False, said, rows, Right.PROMOTE_RELEASE.value)


class EvidenceVerified:
    """Before a binding where approved versions only may run: an Agent Card of the version is signed, logged and
    verified. Nothing is asked of a tenant that signs nothing yet, since it has no key."""

    name = gates.EVIDENCE_VERIFIED

    def check(self, slot: DeploymentSlot, version: AgentVersion) -> gates.Verdict:
        if not gates.strict(version, slot.environment) and slot.role.risk not in (Risk.HIGH, Risk.CRITICAL):
            return gates.Verdict(self.name, True, f"{slot.environment} does not ask for it.", applies=False)
        keys = SigningKey.objects.filter(tenant=slot.tenant_id, purpose=SigningKey.Purpose.EVIDENCE)
        if not keys.exists() and not DirectoryRules.objects.asks_evidence(slot.tenant_id):
            return gates.Verdict(self.name, True, "This tenant has no signing key yet.", applies=False)
        if AgentVersion.objects.filter(pk=version.pk).with_card("verified").exists():
            return gates.Verdict(self.name, True, "Its Agent Card is verified.")
        page, right = reverse("registry:card_issue", args=[version.typeid]), Right.ISSUE_EVIDENCE.value
        return gates.Verdict(self.name, False, f"No Agent Card of {version} is verified.", page, right)


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
