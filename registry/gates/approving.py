"""How many people must approve a version, who has, and the gate that asks for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db.models import Q
from django.urls import reverse

from arm.models import ChangeRecord
from arm.permissions import visible
from arm.queries import single_handed
from arm.rights import Right

from ..lifecycle import VersionState
from ..models import (
    AgentInstance,
    AgentVersion,
    DeploymentSlot,
    DirectoryRules,
    Environment,
    RoleAssignment,
    RoleDefinition,
    VersionApproval,
)
from . import Verdict
from .careful import careful

QUORUM: Final = "approval quorum"
REACHED: Final = (VersionState.APPROVED, VersionState.DEPRECATED, VersionState.RETIRED)
"""What was Approved, or may have been."""


@dataclass(frozen=True, slots=True)
class Quorum:
    """`needs` people, because of `why`; `given` are the approvals that count, `lapsed` those of people who may not
    approve it any more, `voided` how many of earlier rounds count no more."""

    needs: int
    why: str
    given: tuple[VersionApproval, ...]
    lapsed: tuple[VersionApproval, ...] = ()
    voided: int = 0

    @property
    def left(self) -> int:
        return max(0, self.needs - len(self.given))

    @property
    def reached(self) -> bool:
        return self.left == 0

    @property
    def sentence(self) -> str:
        """“1 of 2 approved: Erin.”"""
        names = ", ".join(str(one.person) for one in self.given) or "nobody yet"
        if len(self.given) > self.needs:
            return f"{len(self.given)} approved, {self.needs} had to: {names}."
        return f"{len(self.given)} of {self.needs} approved: {names}."


def approvals_needed(version: AgentVersion) -> tuple[int, str]:
    """How many people must approve it, and why so many: the highest of what the tenant's rule asks for the risk class of
    the agent and of the roles that it does or did, and of what these roles ask themselves. One, where one person works."""
    rule = DirectoryRules.objects.approvals_of(version.tenant_id)
    template = version.template
    most, why = rule.get(template.risk, 1), f"{template} is of {template.get_risk_display().lower()} risk"
    for role in _roles_of(version):
        asked, said = _asked_by(role, rule)
        if asked > most:
            most, why = asked, said
    if most > 1 and single_handed(version.tenant_id):
        return 1, "one person works here alone"
    return most, why


def most_asked(tenant_id: UUID) -> int:
    """The most people that a role of the tenant asks for, itself or by its risk class."""
    if single_handed(tenant_id):
        return 1
    rule = DirectoryRules.objects.approvals_of(tenant_id)
    roles = RoleDefinition.objects.filter(tenant=tenant_id)
    return max((_asked_by(role, rule)[0] for role in roles), default=1)


def quorum(version: AgentVersion) -> Quorum:
    """How far the approvals of a candidate have come: who has lost the right since does not count. What was Approved is
    not counted anew: it stands as on the record of the move, with what was given after it."""
    found = list(VersionApproval.objects.for_list().filter(version=version))
    standing = set(VersionApproval.objects.standing(version).values_list("pk", flat=True))
    rows = [row for row in found if row.pk in standing]
    voided = sum(row.pk not in standing and not row.withdrawn for row in found)
    if version.state in REACHED:
        return _as_moved(version, rows, voided)
    given = tuple(row for row in rows if _still_may(row))
    lapsed = tuple(row for row in rows if row not in given)
    return Quorum(*approvals_needed(version), given, lapsed, voided)


def _as_moved(version: AgentVersion, rows: list[VersionApproval], voided: int) -> Quorum:
    moves = ChangeRecord.objects.about(version).filter(verb="registry.version.moved")
    move = moves.filter(after__state=VersionState.APPROVED).first()
    told = move.after if move is not None else {}
    given = tuple(rows)
    if move is not None and "approvals" in told:
        counted = {one["approval"] for one in told["approvals"]}
        given = tuple(row for row in rows if row.typeid in counted or row.at > move.at)
    lapsed = tuple(row for row in rows if row not in given)
    if "quorum" in told:
        return Quorum(told["quorum"]["needs"], told["quorum"]["why"], given, lapsed, voided)
    needs, why = approvals_needed(version)  # of before moves said it: no more than there were
    return Quorum(min(needs, max(1, len(given))), why, given, lapsed, voided)


def as_counted(version: AgentVersion) -> dict[str, Any]:
    """For the record of the move to Approved: whose approvals count, how many are needed and why."""
    found = quorum(version)
    return {
        "approvals": [{"approval": row.typeid, "by": str(row.person)} for row in found.given],
        "quorum": {"needs": found.needs, "why": found.why},
    }


class QuorumReached:
    """Candidate → Approved: as many people as the tenant or a role asks have approved this genome in this round."""

    name = QUORUM

    def check(self, version: AgentVersion, to: VersionState) -> Verdict:
        if to is not VersionState.APPROVED or version.state != VersionState.CANDIDATE:
            return Verdict(self.name, True, "Asked of candidates before Approved only.", applies=False)
        if approvals_needed(version)[0] == 1:  # who moves it is the one
            return Verdict(self.name, True, "One approval is enough: whoever moves it.", applies=False)
        found = quorum(version)
        if found.reached:
            return Verdict(self.name, True, found.sentence)
        said = f"{found.sentence} {_people(found.left)} must approve it, because {found.why}."
        mend = reverse("registry:version_approve", args=[version.typeid])
        return Verdict(self.name, False, said, mend, Right.APPROVE_VERSION.value)


class ApprovedByEnough:
    """For a role (settings.ROLE_GATES), where it takes only what is approved, and for roles of high or critical risk: as
    many people have approved the version as the role asks, itself or by its risk class. Who approved it before it had to
    do with the role counts, and so does who approves it since."""

    def check(
        self, role: RoleDefinition, environment: Environment, version: AgentVersion
    ) -> Sequence[Verdict]:
        (found,) = self.check_all([(role, environment, version)])
        return found

    def check_all(
        self, asked: Sequence[tuple[RoleDefinition, Environment, AgentVersion]]
    ) -> list[list[Verdict]]:
        """Of many: the rule is read once, and of each version who has approved it, where a role asks for more than one."""
        tenants = {version.tenant_id for _, _, version in asked}
        rules = {tenant: DirectoryRules.objects.approvals_of(tenant) for tenant in tenants}
        alone: dict[UUID, bool] = {}
        quorums: dict[UUID, Quorum] = {}
        found: list[list[Verdict]] = []
        for role, environment, version in asked:
            needs, why = _asked_by(role, rules[version.tenant_id])
            if needs == 1 or not careful(role, environment, version):
                found.append([])
                continue
            if version.tenant_id not in alone:
                alone[version.tenant_id] = single_handed(version.tenant_id)
            if alone[version.tenant_id]:
                found.append([])
                continue
            if version.pk not in quorums:
                quorums[version.pk] = quorum(version)
            found.append([self._verdict(version, quorums[version.pk].given, needs, why)])
        return found

    def _verdict(
        self, version: AgentVersion, given: Sequence[VersionApproval], needs: int, why: str
    ) -> Verdict:
        names = ", ".join(str(one.person) for one in given) or "nobody yet"
        said = f"{len(given)} of {needs} approved it for the role: {names}."
        if len(given) >= needs:
            return Verdict(QUORUM, True, said)
        said = f"{said} {_people(needs - len(given))} must approve it, because {why}."
        mend = reverse("registry:version_approve", args=[version.typeid])
        return Verdict(QUORUM, False, said, mend, Right.APPROVE_VERSION.value)


def _asked_by(role: RoleDefinition, rule: Mapping[str, int]) -> tuple[int, str]:
    by_risk = rule.get(role.risk, 1)
    if role.approvals > by_risk:
        return role.approvals, f"the role {role} asks for it"
    return by_risk, f"the role {role} is of {role.get_risk_display().lower()} risk"


def _people(left: int) -> str:
    return "One more person" if left == 1 else f"{left} more people"


def _still_may(row: VersionApproval) -> bool:
    rows = AgentVersion.objects.filter(pk=row.version_id)
    return visible(rows, row.person, Right.APPROVE_VERSION).exists()


def _roles_of(version: AgentVersion) -> list[RoleDefinition]:
    """The roles that versions of this agent are assigned to, hold a slot of, or do as instances beside the slots."""
    agent = version.template_id
    assigned = RoleAssignment.objects.open().filter(version__template=agent).values("role")
    slots = DeploymentSlot.objects.filter(
        Q(current_version__template=agent) | Q(canary_version__template=agent)
    )
    given = AgentInstance.objects.live().filter(template=agent).exclude(role=None).values("role")
    wanted = RoleDefinition.objects.filter(
        Q(pk__in=assigned) | Q(pk__in=slots.values("role")) | Q(pk__in=given)
    )
    return list(wanted.order_by("slug"))
