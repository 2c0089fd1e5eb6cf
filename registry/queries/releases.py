"""Releases as their pages show them: what drifts, channels, who gets which version."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from arm import clock, ids
from arm.models import ChangeRecord, User
from arm.permissions import held_on
from arm.rights import Right

from ..engine import RolloutState, StepState, Terms, chosen
from ..gates import EXCEPTED, Verdict
from ..gates.compatibility import drift_of, drift_verdict
from ..gates.many import for_bindings
from ..models import (
    AgentInstance,
    AgentVersion,
    DeploymentSlot,
    Environment,
    ReleaseException,
    RoleDefinition,
    Rollout,
    RolloutSlot,
    RolloutStep,
)
from .climbing import climbing, with_climbs
from .related import changes_of
from .uses import See


def with_counts(rollouts: QuerySet[Rollout]) -> QuerySet[Rollout]:
    """Each with `step`, the number of the step that began last (None before the first), `step_count`, `slot_count`."""
    steps = RolloutStep.objects.filter(rollout=OuterRef("pk")).order_by()
    slots = RolloutSlot.objects.filter(rollout=OuterRef("pk")).order_by()
    begun = steps.filter(started_at__isnull=False).order_by("-number")
    return rollouts.annotate(
        step=Subquery(begun.values("number")[:1]), step_count=_count(steps), slot_count=_count(slots)
    )


def _count(rows: QuerySet[Any]) -> Coalesce:
    return Coalesce(Subquery(rows.values("rollout").annotate(n=Count("pk")).values("n")), 0)


def running_rollout(slot: DeploymentSlot) -> RolloutSlot | None:
    """The rollout that holds the slot now."""
    rows = RolloutSlot.objects.select_related(
        "rollout__version__template", "rollout__environment", "rollout__role"
    )
    return rows.filter(slot=slot, held=True).first()


def instances_of(slot: DeploymentSlot, version: AgentVersion) -> dict[str, int]:
    """How many instances of the version the slot has, by state; those that are retired do not count."""
    rows = AgentInstance.objects.live().filter(slot=slot, version=version).order_by()
    return dict(rows.values_list("state").annotate(n=Count("pk")))


def instances_there(slots: Sequence[DeploymentSlot]) -> int:
    """How many instances these slots have, together, of what each is bound to; those that are retired do not count."""
    rows = AgentInstance.objects.live().filter(slot__in=slots, version=F("slot__current_version"))
    return rows.count()


CACHED = timedelta(seconds=15)
"""How long an answer of `assignment` may be kept: no rollback is felt later than that."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Which version a key gets in a slot, and until when the answer holds. No version: the slot is empty."""

    slot: DeploymentSlot
    key: str
    version: AgentVersion | None
    canary: bool
    rollout: RolloutSlot | None
    step: int | None
    share: int
    until: datetime

    @property
    def etag(self) -> str:
        """The same as long as the answer is, but for its time."""
        told = (
            f"{self.slot.pk}|{self.slot.generation}|{self.slot.canary_version_id}|{self.share}|{self.step}"
            f"|{self.version and self.version.pk}|{self.key}|{self.rollout and self.rollout.rollout_id}"
        )
        return hashlib.sha256(told.encode()).hexdigest()[:32]


def assignment(slot_id: UUID, key: str) -> Assignment | None:
    """The version for a key: three queries, and one more for an instance of the slot, however many it has.

    While a canary runs, an instance that works on either version there is given its own: instances never change it.
    """
    rows = DeploymentSlot.objects.select_related(
        "environment", "role", "provider", "current_version__genome", "canary_version__genome"
    ).defer("current_version__genome__content", "canary_version__genome__content")
    slot = rows.filter(pk=slot_id).first()
    if slot is None:
        return None
    held = RolloutSlot.objects.filter(slot=slot, held=True).select_related("rollout").first()
    step = None
    if held is not None:
        baking = RolloutStep.objects.filter(rollout=held.rollout_id, state=StepState.BAKING)
        step = baking.values_list("number", flat=True).first()
    canary = False
    if held is not None and slot.canary_version_id is not None:
        own = _runs(slot, key)
        if own in (slot.current_version_id, slot.canary_version_id):
            canary = own == slot.canary_version_id
        else:
            canary = chosen(slot.pk, held.rollout_id, key, slot.canary_share)
    return Assignment(
        slot=slot,
        key=key,
        version=slot.canary_version if canary else slot.current_version,
        canary=canary,
        rollout=held,
        step=step,
        share=slot.canary_share,
        until=clock.now() + CACHED,
    )


def _runs(slot: DeploymentSlot, key: str) -> UUID | None:
    """The version that a key was provisioned with which is the identifier of an instance of the slot."""
    if not key.startswith(f"{AgentInstance.prefix}_"):
        return None
    try:
        pk = ids.decode(AgentInstance.prefix, key)
    except ValueError:
        return None
    return AgentInstance.objects.filter(pk=pk, slot=slot).values_list("version_id", flat=True).first()


Cells = tuple[tuple[Environment, tuple[DeploymentSlot, ...]], ...]
"""The slots of one role in each channel."""


def roles_in_channels(see: See) -> QuerySet[RoleDefinition]:
    """The roles that have a slot which `see` leaves."""
    slots = see(DeploymentSlot.objects.order_by())
    return RoleDefinition.objects.filter(pk__in=slots.values("role")).order_by("name", "pk")


def channel_board(
    roles: Sequence[RoleDefinition], see: See, promotes: See | None = None
) -> tuple[tuple[Environment, ...], tuple[tuple[RoleDefinition, Cells], ...]]:
    """Every channel in order, and for each of these roles its slots in each channel; with `promotes`, what the visitor
    may release into, each slot with where its version may climb to."""
    rows = DeploymentSlot.objects.filter(role__in=roles).select_related(
        "environment", "provider", "current_version__template", "canary_version__template"
    )
    found: dict[tuple[UUID, UUID], list[DeploymentSlot]] = {}
    places = {place.pk: place for place in see(Environment.objects.all())}
    seen = see(rows).order_by("ordinal", "pk")
    slots = list(climbing(seen, promotes) if promotes else seen)
    if promotes:
        with_climbs(slots)
    for slot in slots:
        places.setdefault(slot.environment_id, slot.environment)
        found.setdefault((slot.role_id, slot.environment_id), []).append(slot)
    channels = tuple(sorted(places.values(), key=lambda place: place.position))
    return channels, tuple(
        (role, tuple((place, tuple(found.get((role.pk, place.pk), ()))) for place in channels))
        for role in roles
    )


@dataclass(frozen=True, slots=True)
class RolloutPage:
    """A rollout with its steps, its slots, what differs, and, before it starts, what is in its way."""

    rollout: Rollout
    steps: tuple[RolloutStep, ...]
    slots: tuple[RolloutSlot, ...]
    drift: tuple[dict[str, Any], ...]
    verdicts: tuple[tuple[DeploymentSlot | None, Verdict], ...]
    changes: tuple[ChangeRecord, ...]
    rights: frozenset[Right]
    usual_bake: int | None
    """Seconds that a step bakes of which the plan said nothing else; None where its record does not tell."""

    @property
    def missing(self) -> tuple[tuple[DeploymentSlot | None, Verdict], ...]:
        return tuple((slot, verdict) for slot, verdict in self.verdicts if not verdict.passed)

    @property
    def own(self) -> tuple[int, ...]:
        """The steps that wait for something else than the rollout's usual step, by number."""
        gates, limits = tuple(self.rollout.gates), self.rollout.limits
        return tuple(
            step.number
            for step in self.steps
            if step.terms
            != Terms(step.bake_seconds if self.usual_bake is None else self.usual_bake, gates, limits)
        )

    @property
    def current(self) -> RolloutStep | None:
        return next((step for step in self.steps if step.state == StepState.BAKING), None)


def waiting_step(rollout: Rollout) -> RolloutStep | None:
    """The step that bakes, or has baked and waits for a person's yes; None before the first and after the last."""
    return rollout.steps.filter(state=StepState.BAKING).first()


def rollout_page(rollout: Rollout, actor: User) -> RolloutPage:
    """Everything about a rollout that `actor`, who may see it, may see."""
    rights = held_on(actor, rollout)
    slots = rollout.slots.select_related(
        "slot__environment", "slot__role", "slot__provider", "slot__current_version__template"
    ).select_related("slot__canary_version", "from_version__template")
    rows = tuple(slots.order_by("batch", "slot"))
    found = tuple(rollout.drift)
    verdicts: list[tuple[DeploymentSlot | None, Verdict]] = []
    if rollout.state == RolloutState.PLANNED:
        differs = drift_of([row.slot for row in rows], rollout.version)
        found = tuple(asdict(one) for one in differs)
        verdicts.append((None, drift_verdict(differs, rollout.acknowledged)))
        verdicts += _asked([row.slot for row in rows], rollout.version)
    return RolloutPage(
        rollout=rollout,
        steps=tuple(rollout.steps.order_by("number")),
        slots=rows,
        drift=found,
        verdicts=tuple(verdicts),
        changes=changes_of(rollout, rights),
        rights=rights,
        usual_bake=_usual_bake(rollout),
    )


def _asked(
    slots: Sequence[DeploymentSlot], version: AgentVersion
) -> Iterator[tuple[DeploymentSlot, Verdict]]:
    """What the gates say of the version in each of these slots, with what an exception covers: asked of all at once."""
    found = for_bindings([(slot, version) for slot in slots])
    unused = ReleaseException.objects.unused().filter(slot__in=slots, version=version)
    lacking = any(not one.passed and one.gate in EXCEPTED for verdicts in found for one in verdicts)
    excepted = set(unused.values_list("slot", "gate") if lacking else ())
    for slot, verdicts in zip(slots, found, strict=True):
        for verdict in verdicts:
            if not verdict.passed and (slot.pk, verdict.gate) in excepted:
                verdict = replace(verdict, passed=True, reason=f"{verdict.reason} An exception covers it.")
            yield slot, verdict


def _usual_bake(rollout: Rollout) -> int | None:
    """The rollout's own row keeps its gates and limits; how long its steps bake by rule is in the record of its plan."""
    planned = ChangeRecord.objects.about(rollout).filter(verb="registry.rollout.planned")
    found: int | None = planned.values_list("after__bake_seconds", flat=True).first()
    return found
