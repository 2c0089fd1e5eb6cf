"""Whether a version is fit for a role: what the role asks, and who knows what a version can do. Gates:
settings.ROLE_GATES.

Where capabilities and certifications come from is a question to the apps above (settings.CAPABILITIES and
settings.CERTIFICATIONS); where nobody answers, nothing is held, and what a role asks for is missing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from django.conf import settings

from arm.errors import Invalid
from arm.ports import implementation, implementations
from arm.rights import Right, Risk
from evidence.lifecycle import ArtefactKind, ArtefactState

from . import genome
from .gates import Verdict, many, version_fits
from .gates.careful import asks_card
from .lifecycle import VersionState
from .models import (
    AgentInstance,
    AgentVersion,
    DeploymentSlot,
    DirectoryRules,
    Environment,
    RoleDefinition,
    VersionEvidence,
)
from .staffing import HIGHEST_TIER, Certified, shown


@dataclass(frozen=True, slots=True)
class Score:
    """What was measured of a capability on exactly this genome: `percent` with one place, by what, when."""

    percent: Decimal
    measured_by: str
    at: datetime
    url: str = ""
    between: tuple[Decimal, Decimal] | None = None
    """The ends of the 95 % confidence interval, in percent; None where nobody says."""


@dataclass(frozen=True, slots=True)
class Held:
    """The newest certification of a type on exactly this genome."""

    standing: Certified
    valid_until: datetime
    url: str = ""


class Capabilities(Protocol):
    """Port (settings.CAPABILITIES): what a version has been measured to be capable of."""

    def of(self, version: AgentVersion) -> Mapping[str, Score]:
        """By the capability's name; what was never measured on this genome is absent."""
        ...

    # Optional: def of_all(self, versions) -> the same by each version's key, with one question about all of them.

    def mend(self, version: AgentVersion, capability: str) -> str:
        """The page where the capability can be measured."""
        ...


class Certifications(Protocol):
    """Port (settings.CERTIFICATIONS): which certifications a version holds or held."""

    def of(self, version: AgentVersion) -> Mapping[str, Held]:
        """By the slug of its type; a valid one before one that no longer counts."""
        ...

    # Optional: def of_all(self, versions) -> the same by each version's key, with one question about all of them.

    def mend(self, version: AgentVersion, certification: str) -> str:
        """The page where it can be issued."""
        ...


class RoleGate(Protocol):
    """One question about a version for a role in an environment (settings.ROLE_GATES)."""

    def check(
        self, role: RoleDefinition, environment: Environment, version: AgentVersion
    ) -> Sequence[Verdict]:
        """A verdict for each thing that the role asks, so that a refusal names every missing one."""
        ...


Asked = tuple[RoleDefinition, Environment, AgentVersion]


class RolesGate(RoleGate, Protocol):
    """One that asks the database once about many; `check` is the same of one."""

    def check_all(self, asked: Sequence[Asked]) -> Sequence[Sequence[Verdict]]:
        """The verdicts about each, in order."""
        ...


class OneOfMany:
    """`check` of a gate that answers for many at once."""

    def check(
        self: RolesGate, role: RoleDefinition, environment: Environment, version: AgentVersion
    ) -> Sequence[Verdict]:
        (found,) = self.check_all([(role, environment, version)])
        return found


class _Unknown:
    """Where no app answers."""

    def of(self, version: AgentVersion) -> Mapping[str, Any]:
        return {}

    def mend(self, version: AgentVersion, name: str) -> str:
        return ""


def capabilities() -> Capabilities:
    port: Capabilities = implementation("CAPABILITIES") if settings.CAPABILITIES else _Unknown()
    return port


def certifications() -> Certifications:
    port: Certifications = implementation("CERTIFICATIONS") if settings.CERTIFICATIONS else _Unknown()
    return port


def for_role(role: RoleDefinition, environment: Environment, version: AgentVersion) -> list[Verdict]:
    """Every gate's every answer; all of them are asked."""
    gates: Sequence[RoleGate] = implementations("ROLE_GATES")
    return [verdict for gate in gates for verdict in gate.check(role, environment, version)]


def for_roles(asked: Sequence[Asked], *, without: Collection[str] = ()) -> list[list[Verdict]]:
    """`for_role` of many: each gate is asked once about all of them, where it can be. `without`: gates that are left out, by
    the `name` of their class."""
    found: list[list[Verdict]] = [[] for _ in asked]
    for gate in implementations("ROLE_GATES"):
        if getattr(gate, "name", "") in without:
            continue
        at_once = hasattr(gate, "check_all")
        answers = gate.check_all(asked) if at_once else [gate.check(*one) for one in asked]
        for verdicts, answer in zip(found, answers, strict=True):
            verdicts.extend(answer)
    return found


def _known(port: Any, versions: Iterable[AgentVersion]) -> Mapping[UUID, Mapping[str, Any]]:
    """What the port knows of each of these versions, by key."""
    named = {version.pk: version for version in versions}
    if not named:
        return {}
    if hasattr(port, "of_all"):
        found: Mapping[UUID, Mapping[str, Any]] = port.of_all(list(named.values()))
        return found
    return {key: port.of(version) for key, version in named.items()}


def for_assignment(role: RoleDefinition, environment: Environment, version: AgentVersion) -> list[Verdict]:
    """`for_role`, and before it whether a version in this state may run there at all: what an assignment asks, and what is
    shown of one that was made. What is retired does no job, whatever else it has."""
    fits, said = version_fits(version, environment)
    may = Verdict("version may run", fits, said, "" if fits else version.get_absolute_url())
    return [may, *for_role(role, environment, version)]


def lacking(verdicts: Iterable[Verdict]) -> list[Verdict]:
    return [verdict for verdict in verdicts if not verdict.passed]


class CapabilitiesReached(OneOfMany):
    """Every capability that the role requires was measured on this genome, at its threshold or above."""

    def check_all(self, asked: Sequence[Asked]) -> list[list[Verdict]]:
        port = capabilities()
        scores = _known(port, (version for role, _, version in asked if role.capabilities))
        return [
            [
                self._verdict(name, least, scores.get(version.pk, {}).get(name), port.mend(version, name))
                for name, least in sorted(role.needs.items())
            ]
            for role, _, version in asked
        ]

    def _verdict(self, name: str, least: int, score: Score | None, mend: str) -> Verdict:
        gate, right = f"capability {name}", Right.RUN_EVALUATION.value
        if score is None:
            said = f"Capability {name}: never measured on this genome, {least} % needed."
            return Verdict(gate, False, said, mend, right)
        said = f"Capability {name}: {shown(score.percent)} % by {score.measured_by}, {least} % needed."
        passed = score.percent >= least
        return Verdict(gate, passed, said, "" if passed else mend, "" if passed else right)


class CertificationsValid(OneOfMany):
    """Every certification that the role requires is held by this genome, and neither expired nor revoked."""

    said = {
        Certified.PLANNED: "not valid yet",
        Certified.EXPIRED: "expired",
        Certified.REVOKED: "revoked",
    }

    def check_all(self, asked: Sequence[Asked]) -> list[list[Verdict]]:
        port = certifications()
        held = _known(port, (version for role, _, version in asked if role.certifications))
        return [
            [
                self._verdict(slug, held.get(version.pk, {}).get(slug), port.mend(version, slug))
                for slug in sorted(role.certifications)
            ]
            for role, _, version in asked
        ]

    def _verdict(self, slug: str, held: Held | None, mend: str) -> Verdict:
        gate, right = f"certification {slug}", Right.APPROVE_VERSION.value
        if held is None:
            return Verdict(gate, False, f"Certification {slug} is missing on this genome.", mend, right)
        if held.standing is not Certified.VALID:
            when = f" on {held.valid_until:%Y-%m-%d}" if held.standing is Certified.EXPIRED else ""
            return Verdict(
                gate, False, f"Certification {slug} is {self.said[held.standing]}{when}.", mend, right
            )
        return Verdict(gate, True, f"Certification {slug} is valid until {held.valid_until:%Y-%m-%d}.")


class WithinRole:
    """The agent's risk class and the autonomy that its genome allows are not above the role's. A genome that says nothing of
    its autonomy is not known to stay below any tier: it is fit only where the role takes all."""

    def check(
        self, role: RoleDefinition, environment: Environment, version: AgentVersion
    ) -> Sequence[Verdict]:
        order = list(Risk)
        risk, limit = Risk(version.template.risk), Risk(role.risk)
        within = order.index(risk) <= order.index(limit)
        found = [
            Verdict(
                "risk class",
                within,
                f"{version.template} is of {risk.label.lower()} risk; the role takes {limit.label.lower()} at most.",
                "" if within else version.template.get_absolute_url(),
            )
        ]
        tier = _tier(version)
        if tier is not None:
            fits = tier <= role.tier
            said = f"The genome allows autonomy tier {tier}; the role's is {role.tier}."
        else:
            fits = role.tier >= HIGHEST_TIER
            takes = "takes any" if fits else f"takes {role.tier} at most"
            said = f"The genome does not say which autonomy tier it allows at most; the role {takes}."
        found.append(
            Verdict("autonomy tier", fits, said, "" if fits else version.get_absolute_url() + "#genome")
        )
        return found


def _tier(version: AgentVersion) -> int | None:
    """The highest tier that the genome allows itself; None where it says nothing or cannot be read."""
    try:
        document = genome.read(bytes(version.genome.content), media_type="application/json").document
    except Invalid:
        return None
    held = document.get("behavior")
    tier = held.get("autonomy_tier_max") if isinstance(held, dict) else None
    return tier if isinstance(tier, int) else None


class EvidenceVerified:
    """Where the slots of the role there ask for it (registry.gates.careful): the version's Agent Card is signed and has
    been verified."""

    name = "evidence"

    def check(
        self, role: RoleDefinition, environment: Environment, version: AgentVersion
    ) -> Sequence[Verdict]:
        why = asks_card(role, environment, version)
        if not why:
            return []
        verified = VersionEvidence.objects.filter(
            version=version, kind=ArtefactKind.AGENT_CARD, artefact__state=ArtefactState.VERIFIED
        ).exists()
        if verified:
            return [Verdict("evidence", True, "Its Agent Card is verified.")]
        said = f"It has no verified Agent Card, which it takes because {environment} {why}."
        mend = f"{version.get_absolute_url()}#evidence"
        return [Verdict("evidence", False, said, mend, Right.ISSUE_EVIDENCE.value)]


class CardBegun:
    """Candidate → Approved (settings.PROMOTION_GATES), where the tenant asks for evidence: an Agent Card of the version is
    made, and its signing has at least begun."""

    name = "agent card begun"

    def check(self, version: AgentVersion, to: VersionState) -> Verdict:
        asked = to is VersionState.APPROVED and DirectoryRules.objects.asks_evidence(version.tenant_id)
        if not asked:
            return Verdict(
                self.name, True, "Asked before Approved where evidence is required.", applies=False
            )
        cards = VersionEvidence.objects.filter(version=version, kind=ArtefactKind.AGENT_CARD)
        if cards.filter(artefact__problem="", artefact__abandoned_at=None).exists():
            return Verdict(self.name, True, "Its Agent Card is made, and its signing has begun.")
        said = "Making its Agent Card has failed." if cards.exists() else "No Agent Card of it was issued."
        mend = f"{version.get_absolute_url()}#evidence"
        return Verdict(self.name, False, said, mend, Right.ISSUE_EVIDENCE.value)


class FitsItsRole(many.OneOfMany):
    """Before a binding (settings.BINDING_GATES): the version is fit for the slot's role. Its evidence has a gate of its
    own."""

    name = "fit for the role"

    def check_all(self, pairs: many.Pairs) -> list[Verdict]:
        keys = [(slot.role_id, slot.environment.pk, version.pk) for slot, version in pairs]
        asked = {
            key: (slot.role, slot.environment, version)
            for key, (slot, version) in zip(keys, pairs, strict=True)
        }
        answers = for_roles(list(asked.values()), without={EvidenceVerified.name})
        missing = dict(zip(asked, map(lacking, answers), strict=True))
        return [
            self._verdict(slot, version, missing[key])
            for key, (slot, version) in zip(keys, pairs, strict=True)
        ]

    def _verdict(self, slot: DeploymentSlot, version: AgentVersion, missing: Sequence[Verdict]) -> Verdict:
        if not missing:
            return Verdict(self.name, True, f"{version} has what the role {slot.role} asks.")
        said = " ".join(verdict.reason for verdict in missing)
        first = next((verdict for verdict in missing if verdict.mend), missing[0])
        return Verdict(self.name, False, said, first.mend, first.right)


class InstanceFitsItsRole:
    """Before Active (settings.ACTIVATION_GATES): the instance's version is fit for the role of its slot, and for the one
    that it was given. In a slot that came back to the version it warns, as the rollback itself did: what is gone back to is
    asked for nothing anew."""

    name = "fit for the role"

    def check(self, instance: AgentInstance) -> Verdict:
        said = [instance.slot.role if instance.slot else None, instance.role]
        roles = {role.pk: role for role in said if role is not None}
        if not roles:
            return Verdict(self.name, True, "It was given no role.", applies=False)
        asked = [(role, instance.environment, instance.version) for role in roles.values()]
        missing = {
            role.pk: lacking(found) for (role, _, _), found in zip(asked, for_roles(asked), strict=True)
        }
        lacks = [role for role in roles.values() if missing[role.pk]]
        if not lacks:
            names = " and ".join(str(role) for role in roles.values())
            return Verdict(self.name, True, f"It has what the role {names} asks.")
        reasons = " ".join(verdict.reason for role in lacks for verdict in missing[role.pk])
        page = lacks[0].get_absolute_url()
        if instance.slot is not None and instance.slot.came_back_to(instance.version_id):
            back = "Its slot came back to this version, which none of this holds up."
            return Verdict(self.name, True, f"{reasons} {back}", page, warning=True)
        return Verdict(self.name, False, reasons, page)
