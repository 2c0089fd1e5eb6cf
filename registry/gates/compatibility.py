"""Drift of tools' schemas and of the API contract: what callers and tools would notice, and who has accepted it."""

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from arm.rights import Right

from ..engine import Drift, drift
from ..lifecycle import VersionState
from ..models import AgentVersion, DeploymentSlot, VersionParent
from . import Verdict

COMPATIBILITY = "compatibility"


def drift_of(slots: Iterable[DeploymentSlot], version: AgentVersion) -> tuple[Drift, ...]:
    """What differs between each version that is bound now and this one; the same difference is told once."""
    bound = {slot.current_version_id for slot in slots if slot.current_version_id is not None}
    return _drift(bound, version)


def standard_of(version: AgentVersion) -> list[AgentVersion]:
    """What a candidate is held against: the newest other approved version of its agent, or its parents where there is
    none. Nothing, for the first of its kind."""
    rows = AgentVersion.objects.select_related("template", "genome")
    approved = rows.filter(template=version.template_id, state=VersionState.APPROVED).exclude(pk=version.pk)
    if (newest := approved.order_by("-number").first()) is not None:
        return [newest]
    parents = VersionParent.objects.filter(version=version).values("parent")
    return list(rows.filter(pk__in=parents).order_by("pk"))


def drift_from(standard: Iterable[AgentVersion], version: AgentVersion) -> tuple[Drift, ...]:
    return _drift({one.pk for one in standard}, version)


def _drift(lefts: Collection[UUID], version: AgentVersion) -> tuple[Drift, ...]:
    after = version.genome.document()
    found: dict[tuple[str, str, str], Drift] = {}
    rows = AgentVersion.objects.select_related("genome").filter(pk__in=lefts).exclude(pk=version.pk)
    for left in rows.order_by("pk"):
        for one in drift(left.genome.document(), after):
            found.setdefault((one.kind, one.name, one.sentence), one)
    return tuple(sorted(found.values(), key=lambda one: (not one.breaking, one.kind, one.name)))


def breaking(found: Iterable[Drift]) -> list[str]:
    """The breaking differences, a sentence each."""
    return [one.sentence for one in found if one.breaking]


def drift_verdict(found: Sequence[Drift], acknowledged: str) -> Verdict:
    """Breaking differences stand in the way until somebody has said why they are accepted."""
    broken = breaking(found)
    if not broken:
        return Verdict(COMPATIBILITY, True, "Nothing that callers or tools rely on differs.")
    if acknowledged.strip():
        return Verdict(COMPATIBILITY, True, f"Accepted: {acknowledged.strip()}")
    said = f"{' '.join(broken)} Say why this is accepted, or choose another version."
    return Verdict(COMPATIBILITY, False, said, right=Right.PROMOTE_RELEASE.value)


class CompatibleWithBefore:
    """Testing → Candidate: nothing that callers or tools rely on breaks against the approved version of the agent (or
    its parents, where none is approved), or somebody has said why it may."""

    name = COMPATIBILITY

    def check(self, version: AgentVersion, to: VersionState) -> Verdict:
        if to is not VersionState.CANDIDATE or version.state == VersionState.CANDIDATE:
            said = "Asked on the way from Testing to Candidate only."
            return Verdict(self.name, True, said, applies=False)
        standard = standard_of(version)
        if not standard:
            return Verdict(
                self.name, True, "There is no version before it to be compatible with.", applies=False
            )
        accepted = set(version.accepted.get("differences", ()))
        broken = breaking(drift_from(standard, version))
        names = ", ".join(str(one) for one in standard)
        if not broken:
            return Verdict(self.name, True, f"Nothing that callers or tools of {names} rely on breaks.")
        if missing := [said for said in broken if said not in accepted]:
            said = f"Against {names}: {' '.join(missing)} Say why this is accepted."
            return Verdict(
                self.name,
                False,
                said,
                f"{version.get_absolute_url()}move/?to={to}",
                Right.SUBMIT_VERSION.value,
            )
        return Verdict(self.name, True, f"What breaks against {names} is accepted: {version.accepted['why']}")
