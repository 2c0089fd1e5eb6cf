"""What stands in an environment that its rules would not let in now, and what other rules would make of what stands.

Nothing is stopped by this: whoever answers for the place sees what to mend.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Q

from arm.models import User
from arm.permissions import scopes, visible
from arm.rights import Right

from .. import gates
from ..gates.many import for_bindings
from ..gates.placed import why_not_around_all
from ..lifecycle import InstanceState, VersionState
from ..models import AgentInstance, AgentVersion, DeploymentSlot, Environment, Rollout
from .channels import seen_rollouts
from .uses import See

MOST = 25
"""Slots, and versions beside them, that one look asks about."""


@dataclass(frozen=True, slots=True)
class SlotLack:
    """A slot whose version would not be bound here now, and why."""

    slot: DeploymentSlot
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BesideLack:
    """A version whose instances outside slots would not be activated here now: how many of them the reader sees."""

    version: AgentVersion
    instances: int
    adopted: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lacks:
    """What stands against the rules, as far as the reader sees it; `hidden…` count the rest, `unasked` what was too much
    to ask about."""

    environment: Environment
    slots: tuple[SlotLack, ...]
    hidden_slots: int
    beside: tuple[BesideLack, ...]
    hidden_instances: int
    unasked: int
    rollouts: tuple[Rollout, ...] = ()
    hidden_rollouts: int = 0
    next_start: int = 0
    """Where the next look begins; 0 where nothing is left to ask about."""

    @property
    def none(self) -> bool:
        return not (self.slots or self.beside or self.hidden_slots or self.hidden_instances)


def lacks_of(environment: Environment, actor: User, start: int = 0) -> Lacks:
    """What stands here that would be refused now; of more than MOST, those from number `start` on."""
    return _lacks(environment, None, actor, start)


def change_preview(
    environment: Environment,
    actor: User,
    *,
    production: bool | None = None,
    risk_default: str | None = None,
    start: int = 0,
) -> Lacks:
    """Whom other rules of the environment would refuse who are let in today, and the rollouts that stand in the way."""
    then = copy(environment)
    if production is not None:
        then.production = production
    if risk_default is not None:
        then.risk_default = risk_default
    found = _lacks(then, environment, actor, start)
    rollouts, hidden = seen_rollouts([environment], actor)
    return Lacks(
        environment,
        found.slots,
        found.hidden_slots,
        found.beside,
        found.hidden_instances,
        found.unasked,
        rollouts,
        hidden,
        found.next_start,
    )


def _lacks(environment: Environment, was: Environment | None, actor: User, start: int = 0) -> Lacks:
    held = scopes(actor, Right.READ_DIRECTORY) if not actor.is_superuser else None
    see = partial(visible, actor=actor, right=Right.READ_DIRECTORY, held=held)
    slots, hidden_slots, more = _slots(environment, was, see, start)
    beside, hidden_instances, others = _beside(environment, was, see, start)
    unasked = more + others
    then = start + MOST if unasked else 0
    return Lacks(environment, slots, hidden_slots, beside, hidden_instances, unasked, next_start=then)


def _slots(
    environment: Environment, was: Environment | None, see: See, start: int
) -> tuple[tuple[SlotLack, ...], int, int]:
    bound = DeploymentSlot.objects.filter(environment=environment).exclude(current_version=None)
    rows = bound.select_related("role", "provider", "current_version__template", "current_version__genome")
    asked = list(rows.order_by("role__slug", "ordinal", "pk")[start : start + MOST + 1])
    more = bound.count() - start - MOST if len(asked) > MOST else 0
    then = _refused(asked[:MOST], environment)
    if was is not None:
        held = _refused([slot for slot in asked[:MOST] if then[slot.pk]], was)
        for key, reasons in held.items():
            then[key] = tuple(reason for reason in then[key] if reason not in reasons)
    for slot in asked:
        slot.environment = environment
    found = [SlotLack(slot, then[slot.pk]) for slot in asked[:MOST] if then[slot.pk]]
    keys = [lack.slot.pk for lack in found]
    seen = set(see(bound.filter(pk__in=keys)).values_list("pk", flat=True))
    shown = tuple(lack for lack in found if lack.slot.pk in seen)
    return shown, len(found) - len(shown), more


def _refused(slots: Sequence[DeploymentSlot], environment: Environment) -> dict[UUID, tuple[str, ...]]:
    """What each of these slots would be refused its version for, if the environment were this one: every gate is asked
    once about all of them."""
    pairs = []
    for slot in slots:
        slot.environment = environment
        assert slot.current_version is not None
        pairs.append((slot, slot.current_version))
    return {
        slot.pk: tuple(verdict.reason for verdict in verdicts if not verdict.passed)
        for slot, verdicts in zip(slots, for_bindings(pairs), strict=True)
    }


def _beside(
    environment: Environment, was: Environment | None, see: See, start: int
) -> tuple[tuple[BesideLack, ...], int, int]:
    copies = Q(
        parent__version=F("version"), parent__environment=F("environment")
    )  # they stand by their parents
    at_work = AgentInstance.objects.live().filter(environment=environment, slot=None).exclude(copies)
    at_work = at_work.exclude(state=InstanceState.PROVISIONING).order_by()
    keys = list(
        at_work.values_list("version", flat=True).distinct().order_by("version")[start : start + MOST + 1]
    )
    more = at_work.values("version").distinct().count() - start - MOST if len(keys) > MOST else 0
    why: dict[Any, tuple[str, ...]] = {}
    asked = list(AgentVersion.objects.select_related("template").filter(pk__in=keys[:MOST]))
    then = _why_not_beside(asked, environment)
    held = _why_not_beside([version for version in asked if then[version.pk]], was) if was is not None else {}
    for key, reasons in then.items():
        if reasons := tuple(reason for reason in reasons if reason not in held.get(key, ())):
            why[key] = reasons
    lacking = at_work.filter(version__in=why)
    seen = see(lacking)
    counts = dict(seen.values_list("version").annotate(n=Count("pk")))
    adopted = dict(seen.filter(adopted=True).values_list("version").annotate(n=Count("pk")))
    versions = AgentVersion.objects.select_related("template").in_bulk(list(counts))
    shown = tuple(
        BesideLack(versions[key], counts[key], adopted.get(key, 0), why[key]) for key in sorted(counts)
    )
    return shown, (lacking.count() if why else 0) - sum(counts.values()), more


def _why_not_beside(
    versions: Sequence[AgentVersion], environment: Environment
) -> dict[UUID, tuple[str, ...]]:
    """Why an instance of each version would not be activated outside the slots of the environment."""
    around = why_not_around_all(versions, environment) if environment.production and versions else {}
    found = {}
    for version in versions:
        fits, said = gates.version_fits(version, environment)
        if version.state == VersionState.DEPRECATED and not version.rolled_back:
            fits = True  # what is there of it may work until it is replaced
        reasons = ("" if fits else said, around.get(version.pk, ""))
        found[version.pk] = tuple(reason for reason in reasons if reason)
    return found
