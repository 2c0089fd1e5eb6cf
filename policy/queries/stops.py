"""Stops as people see them: what a stop would reach, what holds for one agent and why, and who may end it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from arm.models import ChangeRecord, Tenant, TenantRow, User
from arm.permissions import allowed
from arm.rights import Right
from registry.lifecycle import InstanceState
from registry.models import AgentInstance

from ..engine import Column, Exit, Mode
from ..engine.posture import EVERYTHING, EXITS, MATRIX, STATES
from ..models import ApprovalRequest, Posture
from ..models.targets import Stop
from . import lifting, restricting
from .people import SHOWN as NAMES
from .people import holders
from .reach import instances_below, numbers, what_stands_above
from .restricting import Way

S = TypeVar("S", bound=Stop)
SHOWN = 10
ABOVE = (
    *("tenant", "environment", "role", "template", "version__template", "slot__role", "slot__environment"),
    *("instance", "provider"),
)
COLUMNS = (
    (Column.START_RUN, "Start a run"),
    (Column.CONTINUE_RUN, "Continue a run"),
    (Column.GREEN, "Green tools"),
    (Column.YELLOW, "Yellow tools"),
    (Column.RED, "Red tools"),
)
ENDS = {
    Exit.OPERATOR: "One operator may lift it.",
    Exit.APPROVER: "An approver who neither set it nor asked for its end must lift it.",
    Exit.TWO_APPROVERS: "Two approvers who neither set it nor asked for its end must agree to lift it.",
    Exit.NEVER: "Nobody can lift it.",
}
BY_TWO = {
    Exit.OPERATOR: "It takes two to stop this, so two must end it: an operator, and another who may release.",
    Exit.APPROVER: "It takes two to stop this, so two approvers who neither set it nor asked must agree to lift it.",
}
IRREVERSIBLE = {
    Mode.DRAINING: "",
    Mode.PAUSED: "A step that was asked for and denied is not asked again by ARM; the agent must ask again.",
    Mode.READ_ONLY: "",
    Mode.QUARANTINED: "Requests that wait for an approval are voided, and work in flight is denied its next step.",
    Mode.KILLED: "A killed agent never works again: its tokens are revoked now, and retiring it is all that is left.",
}


@dataclass(frozen=True, slots=True)
class Allowance:
    """One column: whether it is still left to the policy, and what denies it."""

    label: str
    allowed: bool
    because: tuple[Posture, ...] = ()
    state: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """How many agents at one provider in one environment, and how many of them are at work."""

    environment: str
    production: bool
    provider: str
    agents: int
    active: int


@dataclass(frozen=True, slots=True)
class Preview:
    scope: Tenant | TenantRow
    kind: str
    mode: Mode
    only: str
    numbers: dict[str, Any]
    places: tuple[Place, ...]
    columns: tuple[Allowance, ...]
    ends: str
    irreversible: str
    phrase: str
    already: Posture | None
    way: Way
    who_may: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InstanceStop:
    """The meet of an agent's own state and every posture that reaches it, column by column."""

    mode: str
    free: bool
    columns: tuple[Allowance, ...]
    postures: tuple[Posture, ...]
    scope_stops: int


@dataclass(frozen=True, slots=True)
class LiftPage:
    """What it takes to end a stop, what is there already, and what this person can do about it."""

    ends: str
    needs: int
    have: int
    request: ApprovalRequest | None
    may_lift: bool
    may_ask: bool
    why_not: str
    who_may: tuple[str, ...]
    changes: tuple[ChangeRecord, ...]


def mode_of(state: str) -> Mode:
    """The mode that an instance's own state amounts to, for its label."""
    return {
        InstanceState.ACTIVE: Mode.NORMAL,
        InstanceState.RETIRED: Mode.KILLED,
        InstanceState.PROVISIONING: Mode.PAUSED,
    }.get(InstanceState(state)) or Mode(state)


def preview(
    scope: Tenant | TenantRow, mode: Mode, actor: User, *, tool: str = "", tool_class: str = ""
) -> Preview:
    """What a stop would reach and deny, before anybody confirms it, and what this person can do about it.

    `who_may` names others with the right, where this person alone is not enough.
    """
    reached = instances_below(scope)
    members = Posture.members_for(scope)
    same = Posture.objects.in_force().filter(mode=mode, tool=tool, tool_class=tool_class, **members)
    only = f"the tool {tool}" if tool else f"tools of class {tool_class}" if tool_class else ""
    two = restricting.takes_two(scope)
    way = restricting.way_to_stop(scope, actor)
    by_two = two and way != Way.AT_ONCE
    ends = BY_TWO.get(EXITS[mode], ENDS[EXITS[mode]]) if by_two else ENDS[EXITS[mode]]
    return Preview(
        scope=scope,
        kind="tenant" if isinstance(scope, Tenant) else str(scope._meta.verbose_name),
        mode=mode,
        only=only,
        numbers=numbers(reached),
        places=_places(reached),
        columns=tuple(
            Allowance(label, bool(MATRIX[mode] & column))
            for column, label in COLUMNS
            if not only or column in (Column.GREEN, Column.YELLOW, Column.RED)
        ),
        ends=ends,
        irreversible=IRREVERSIBLE[mode],
        phrase=str(scope) if two else "",
        already=same.first(),
        way=way,
        who_may=() if way == Way.AT_ONCE else restricting.who_may_stop(scope, without=[actor.pk]),
    )


def reaching(instance: AgentInstance) -> QuerySet[Posture]:
    """The postures in force on this agent or anything above it, widest first as they were set."""
    return with_scope(Posture.objects.in_force().filter(_reach(instance))).order_by("set_at")


def stops_at(instance: AgentInstance, version_id: UUID, then: datetime) -> QuerySet[Posture]:
    """The postures that stood on the agent at a moment that has passed, with the version that it ran."""
    stood = (
        Q(set_at__lte=then)
        & (Q(lifted_at=None) | Q(lifted_at__gt=then))
        & (Q(until=None) | Q(until__gt=then))
    )
    return with_scope(Posture.objects.filter(stood, _reach(instance, version_id))).order_by("set_at")


def silenced(instances: Sequence[AgentInstance], since: datetime) -> dict[UUID, Posture]:
    """A posture for each agent that stands below one, or has stood `since` then, but below those that let it finish. One
    that is in force comes first."""
    lately = (Q(lifted_at=None) | Q(lifted_at__gt=since)) & (Q(until=None) | Q(until__gt=since))
    rows = Posture.objects.filter(lately, tenant__in={one.tenant_id for one in instances})
    held = sorted(
        with_scope(rows.exclude(mode=Mode.DRAINING)), key=lambda row: (not row.in_force, row.set_at)
    )
    found = {one.pk: next((row for row in held if _above(row, one)), None) for one in instances}
    return {key: row for key, row in found.items() if row is not None}


def _above(posture: Posture, instance: AgentInstance) -> bool:
    """What `_reach` asks the database, of rows that are at hand."""
    if posture.tenant_id != instance.tenant_id:
        return False
    if posture.whole_tenant:
        return True
    kind = posture.target_kind
    about = instance.pk if kind == "instance" else getattr(instance, f"{kind}_id")
    return bool(about == getattr(posture, f"{kind}_id"))


def _reach(instance: AgentInstance, version_id: UUID | None = None) -> Q:
    at_provider = Q(provider=instance.provider_id, tenant=instance.tenant_id)
    return what_stands_above(instance, version_id) | at_provider


def with_scope(rows: QuerySet[S]) -> QuerySet[S]:
    """With everything that a stop's (or its request's) page or row names."""
    people = (
        ("set_by", "lifted_by", "request__asked_by") if rows.model is Posture else ("asked_by", "closed_by")
    )
    return rows.select_related(*ABOVE, *people)


def instance_stop(instance: AgentInstance) -> InstanceStop:
    """What this agent may do as far as stops go, and which scope takes away what."""
    postures = tuple(reaching(instance))
    whole = [each for each in postures if not (each.tool or each.tool_class)]
    own = STATES.get(instance.state, 0)
    modes = [mode_of(instance.state), *(Mode(each.mode) for each in whole)]
    columns = tuple(
        Allowance(
            label,
            bool(own & column) and all(MATRIX[Mode(each.mode)] & column for each in whole),
            tuple(each for each in whole if not MATRIX[Mode(each.mode)] & column),
            "" if own & column else instance.get_state_display(),
        )
        for column, label in COLUMNS
    )
    strictest = max(modes, key=lambda mode: mode.rank)
    unready = instance.state == InstanceState.PROVISIONING and strictest == Mode.PAUSED
    return InstanceStop(
        mode=InstanceState.PROVISIONING.value if unready else strictest.value,
        free=own == EVERYTHING and not postures,
        columns=columns,
        postures=postures,
        scope_stops=sum(each.instance_id is None for each in postures),
    )


def lift_page(posture: Posture, actor: User) -> LiftPage:
    """The same rules as the service's, said beforehand; the service decides."""
    way_out = EXITS[Mode(posture.mode)]
    changes = tuple(ChangeRecord.objects.about(posture)[:SHOWN])
    if not posture.in_force or way_out == Exit.NEVER:
        ends = ENDS[way_out] if posture.in_force else "It has ended."
        return LiftPage(ends, 0, 0, None, False, False, ends, (), changes)
    agreed = lifting.agreement(posture, actor)
    releases = allowed(actor, Right.RELEASE_INSTANCE, posture)
    approves = allowed(actor, Right.APPROVE_RELEASE, posture)
    operator = way_out == Exit.OPERATOR
    may_lift = (releases if operator else (releases or approves)) and agreed.enough
    may_ask = bool(
        agreed.needs
        and (releases or approves)
        and agreed.request is None
        and not agreed.alone
        and not may_lift
    )
    return LiftPage(
        ends=BY_TWO.get(way_out, ENDS[way_out]) if agreed.by_two else ENDS[way_out],
        needs=agreed.needs,
        have=min(len(agreed.people), agreed.needs),
        request=agreed.request,
        may_lift=may_lift,
        may_ask=may_ask,
        why_not="" if may_lift else _why_not(agreed, releases or approves),
        who_may=() if may_lift else _who_may_agree(posture, agreed),
        changes=changes,
    )


def _who_may_agree(posture: Posture, agreed: lifting.Agreement) -> tuple[str, ...]:
    rights = []
    if agreed.way_out == Exit.OPERATOR:
        rights.append(Right.RELEASE_INSTANCE)
    if agreed.needs:
        rights.append(Right.APPROVE_RELEASE)
    without = agreed.barred
    if agreed.way_out == Exit.OPERATOR and agreed.request is not None and agreed.request.requested_by_id:
        without |= {agreed.request.requested_by_id}
    names = [name for right in rights for name in holders(right, posture, posture.tenant_id, without=without)]
    return tuple(dict.fromkeys(names))[:NAMES]


def _why_not(agreed: lifting.Agreement, concerned: bool) -> str:
    if not concerned:
        return "Your roles do not let you lift it."
    if agreed.needs == 0:
        return "Lifting it takes an operator's right to release."
    if agreed.way_out == Exit.OPERATOR:
        return "You alone are not enough: ask for its end, and another person who may release agrees or lifts it."
    return f"{agreed.needs} {'approver' if agreed.needs == 1 else 'approvers'} must agree; {len(agreed.people)} did."


def _places(reached: QuerySet[AgentInstance]) -> tuple[Place, ...]:
    counted = (
        reached.order_by()
        .values("environment__name", "environment__production", "environment__position", "provider__name")
        .annotate(agents=Count("pk"), active=Count("pk", filter=Q(state=InstanceState.ACTIVE)))
        .order_by("-environment__position", "provider__name")
    )
    return tuple(
        Place(
            row["environment__name"],
            row["environment__production"],
            row["provider__name"],
            row["agents"],
            row["active"],
        )
        for row in counted
    )


def stops_by_kind(postures: Iterable[Posture]) -> dict[str, int]:
    """How many stand on which kind of scope."""
    found: dict[str, int] = {}
    for posture in postures:
        found[posture.target_kind] = found.get(posture.target_kind, 0) + 1
    return found
