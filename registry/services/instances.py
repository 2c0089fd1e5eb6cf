"""Instances: provision, move, restrict, release, retire, and take their heartbeats."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Greatest

from arm import changes, clock
from arm import services as core
from arm.errors import Conflict, NotAllowed
from arm.models import ChangeRecord, User
from arm.permissions import allowed, require
from arm.queries import single_handed
from arm.rights import Right

from .. import gates
from ..lifecycle import ALLOWS, InstanceState, Move, Release, instance_move, release_needs
from ..models import (
    AgentInstance,
    AgentVersion,
    DeploymentSlot,
    Environment,
    InstanceInterval,
    InstanceStatus,
    KeyScope,
    Provider,
    RoleDefinition,
)
from .asking import (
    refuse,
    refuse_all,
    require_in_person,
    require_on_any,
    require_reason,
    strangers,
    without_reason,
)
from .exceptions import others_word
from .history import note_late
from .locking import locked
from .placing import open_interval, place_instance, provisioning_problems, tell_of, tell_placed, wrong_labels

QUARANTINE_BEFORE_RETIREMENT = timedelta(hours=24)
MAY_BE_AHEAD = timedelta(seconds=60)
RESTRICTED = "registry.instance.restricted"


class ApprovalNeeded(Conflict):
    """`needs` second persons must approve; `have` of them did. `request_instance_release` asks them."""

    code = "approval_needed"


@transaction.atomic
def provision_instance(
    *,
    version: AgentVersion,
    environment: Environment,
    provider: Provider,
    name: str,
    actor: User,
    reason: str,
    slot: DeploymentSlot | None = None,
    role: RoleDefinition | None = None,
    cost_center: str = "",
    labels: Mapping[str, str] | None = None,
) -> AgentInstance:
    """A new instance in Provisioning: it may do nothing until `move_instance` finds nothing missing. In a slot it does the
    slot's role. An empty slot may be filled before it is bound.

    All that is wrong is named at once, by its member: Conflict where its version ends, unless the slot still binds it, and
    where the slot or its provider is closed; Invalid where anything else is wrong: the slot has another version, place or
    role.
    """
    require_on_any(actor, Right.PROVISION_INSTANCE, version.template, environment, provider)
    foreign = strangers(version=version, environment=environment, provider=provider, slot=slot, role=role)
    problems = foreign or provisioning_problems(
        version=version, environment=environment, provider=provider, slot=slot, role=role
    )
    refuse_all([*without_reason(reason), *problems, *wrong_labels(labels)])
    role = role or (slot.role if slot else None)
    instance = place_instance(
        version=version,
        environment=environment,
        provider=provider,
        name=name,
        slot=slot,
        role=role,
        cost_center=cost_center or (role.cost_center if role else "") or version.template.cost_center,
        labels=labels,
    )
    after = {
        "version": version.typeid,
        "environment": environment.slug,
        "provider": provider.slug,
        "slot": slot.typeid if slot else "",
        "role": role.slug if role else "",
        "state": instance.state,
    }
    record = changes.record(actor, "registry.instance.provisioned", instance, after=after, reason=reason)
    tell_placed(record, instance, actor, reason)
    return instance


@transaction.atomic
def move_instance(*, instance: AgentInstance, to: InstanceState, actor: User, reason: str) -> AgentInstance:
    """Carry out any move of an instance. GateRefused, ApprovalNeeded or Conflict name all that stands in the way."""
    instance = _locked(instance)
    kind = instance_move(instance.state, to)
    if kind is Move.ACTIVATION:
        return _activate(instance, actor, reason)
    if kind is Move.RELEASE:
        return _release(instance, to, actor, reason)
    if kind is Move.RETIREMENT:
        return _retire(instance, actor, reason)
    return restrict_instance(instance=instance, to=to, actor=actor, reason=reason)


@transaction.atomic
def restrict_instance(
    *,
    instance: AgentInstance,
    to: InstanceState,
    actor: User | None,
    reason: str,
    links: Sequence[str] = (),
    leaving: bool = False,
) -> AgentInstance:
    """Restrict at once, by one person with the right, or by a rule of ARM (`actor` None). `leaving`: it drains since its
    slot has left its version, and ARM may retire it by itself then; what anybody drains for another reason stays.

    Approvals of its calls end with it (settings.RESTRICTION_EFFECTS). An instance that is already in `to` stays as it
    is and nothing is recorded; Conflict where the move would let it do more, or does not exist.
    """
    if actor is not None:
        require(actor, Right.RESTRICT_INSTANCE, instance)
    require_reason(reason)
    instance = _locked(instance)
    if instance.state == to:
        return instance
    kind = instance_move(instance.state, to)
    if kind is None:
        raise Conflict(f"{instance} is {instance.get_state_display()} and cannot become {to.label}.")
    if kind is not Move.RESTRICTION:
        raise Conflict(f"{instance} is {instance.get_state_display()}; {to.label} would not restrict it.")
    instance.restricted_by_id = actor.pk if actor else None
    set_state(instance, to, actor, RESTRICTED, reason, links=links, leaving=leaving)
    return instance


@transaction.atomic
def request_instance_release(*, instance: AgentInstance, to: InstanceState, actor: User, reason: str) -> UUID:
    """Ask second persons for a release that one may not make alone. Returns the id of the approval request."""
    if not allowed(actor, Right.APPROVE_RELEASE, instance):
        require(actor, Right.RELEASE_INSTANCE, instance)
    require_reason(reason)
    instance = _locked(instance)
    needs, restrictors = _release_rule(instance, to)
    if needs is Release.OPERATOR:
        raise Conflict(
            f"{instance} is {instance.get_state_display()}; one operator may release it, no request is needed."
        )
    action = _release_action(instance, to)
    request_id = gates.approvals().request(
        tenant_id=instance.tenant_id,
        kind="reactivation",
        title=f"Release {instance} to {to.label}",
        action=action,
        requested_by=actor.pk,
        needs=needs.value - 1,
        excluded=restrictors | {actor.pk},
        **_subject(instance),
    )
    after = {"to": to, "request": str(request_id), "needs": needs.value - 1}
    changes.record(actor, "registry.instance.release_requested", instance, after=after, reason=reason)
    return request_id


@transaction.atomic
def heartbeat(
    *,
    instance: AgentInstance,
    state: str = "",
    generation: int | None = None,
    observed_at: datetime | None = None,
) -> AgentInstance:
    """The instance says that it lives, which state it is in (since `observed_at`, if it says so) and which generation of
    its orders it follows. A report of what was before the last moment that is confirmed already counts in its history only,
    also where both come at once.

    Telemetry, not governance: no change record, and what ARM wants of the instance is untouched. Conflict where a
    provider speaks for it: a state there counts when its adapter has proven it, not when the instance says so.
    """
    if state and instance.provider.kind == Provider.Kind.FEDERATED:
        raise Conflict(
            f"The adapter of {instance.provider} says in which state {instance} is; leave the state out."
        )
    if state and state not in InstanceState.values:
        refuse("/state", "enum", f"Must be one of {', '.join(InstanceState.values)}.")
    now = clock.now()  # when it came, before it waits for another report: who says no moment counts from here
    if observed_at is not None and observed_at > now + MAY_BE_AHEAD:
        refuse("/observed_at", "future", "That moment has not come yet; set the clock right.")
    rows = InstanceStatus.objects.filter(instance=instance)
    told: dict[str, Any] = {"heartbeat_at": Greatest("heartbeat_at", Value(now))}
    if state:
        status = rows.select_for_update().get()
        at = min(observed_at or now, now)
        if not note_late(status, state, generation, at):
            heard = max(now, status.reported_at or now)
            told |= {"state": state, "generation": generation, "reported_at": heard, "observed_at": at}
    rows.update(**told)
    return AgentInstance.objects.select_related("status").get(pk=instance.pk)


# how it is done


def _activate(instance: AgentInstance, actor: User, reason: str) -> AgentInstance:
    require(actor, Right.PROVISION_INSTANCE, instance)
    require_reason(reason)
    instance = _locked(instance)
    gates.refuse_unless_passed(gates.for_activation(instance), f"{instance} stays in Provisioning")
    links = others_word(instance, actor)
    set_state(instance, InstanceState.ACTIVE, actor, "registry.instance.activated", reason, links=links)
    return instance


def _release(instance: AgentInstance, to: InstanceState, actor: User, reason: str) -> AgentInstance:
    if not allowed(actor, Right.APPROVE_RELEASE, instance):
        require(actor, Right.RELEASE_INSTANCE, instance)
    require_reason(reason)
    instance = _locked(instance)
    needs, restrictors = _release_rule(instance, to)
    after: dict[str, Any] = {}
    if needs is Release.OPERATOR:
        require(actor, Right.RELEASE_INSTANCE, instance)
    else:
        after = _second_persons(instance, to, actor, needs, restrictors)
    stays = f"{instance} stays {instance.get_state_display()}"
    gates.refuse_unless_passed(gates.for_release(instance, to), stays)
    links = others_word(instance, actor) if ALLOWS[to].new_work else []
    instance.restricted_by_id = None
    set_state(instance, to, actor, "registry.instance.released", reason, links=links, **after)
    return instance


def _release_rule(instance: AgentInstance, to: InstanceState) -> tuple[Release, frozenset[UUID]]:
    """How many must agree, and who took part in stopping it: from the intervals since it was last let go."""
    if instance_move(instance.state, to) is not Move.RELEASE:
        raise Conflict(f"{instance} is {instance.get_state_display()}; it cannot be released to {to.label}.")
    states: list[str] = []
    since = instance.state_since
    timely = InstanceInterval.objects.filter(
        instance=instance, known_from=F("since")
    )  # no late word loosens it
    for interval in timely.order_by("-since", "-pk"):
        if states and instance_move(interval.state, states[-1]) is not Move.RESTRICTION:
            break
        if interval.state != InstanceState.ACTIVE:
            since = interval.since
        states.append(interval.state)
    about = ChangeRecord.objects.about(instance).filter(verb=RESTRICTED, at__gte=since)
    people = {record.actor_id for record in about}
    return release_needs(states), frozenset(person for person in people if person is not None)


def _second_persons(
    instance: AgentInstance, to: InstanceState, actor: User, needs: Release, restrictors: frozenset[UUID]
) -> dict[str, Any]:
    action, subject = _release_action(instance, to), _subject(instance)
    port = gates.approvals()
    approvers = port.granted(**subject, action=action)
    if allowed(actor, Right.APPROVE_RELEASE, instance):
        approvers |= {actor.pk}
    counted = approvers - restrictors - port.requested(**subject, action=action)
    wanted = needs.value - 1
    enough = len(counted) >= wanted
    if not enough and not single_handed(instance.tenant_id):
        raise ApprovalNeeded(
            f"{instance} is {instance.get_state_display()}: {wanted} "
            f"{'approver' if wanted == 1 else 'approvers'} who neither stopped it nor asked must agree, "
            f"{len(counted)} did.",
            needs=wanted,
            have=len(counted),
        )
    require_in_person("release this", "on the instance's page")
    if not enough:
        return {"sod_mode": "reduced"}
    port.consume(**subject, action=action)
    return {"approved_by": sorted(str(person) for person in counted)}


def _release_action(instance: AgentInstance, to: InstanceState) -> dict[str, Any]:
    """What an approval is bound to: any other move in between makes it another action."""
    return {
        "verb": "registry.instance.release",
        "instance": instance.typeid,
        "to": to.value,
        "generation": instance.generation,
    }


def _subject(instance: AgentInstance) -> dict[str, Any]:
    return {"subject_kind": instance._meta.label_lower, "subject_id": instance.pk}


def _retire(instance: AgentInstance, actor: User, reason: str) -> AgentInstance:
    """Irreversible. After a quarantine a second person confirms it, or a day has passed; its keys end with it."""
    right = Right.TERMINATE_INSTANCE
    if instance.state in (InstanceState.PROVISIONING, InstanceState.DRAINING):
        right = Right.PROVISION_INSTANCE  # it has done nothing, or has been let finish
    require(actor, right, instance)
    require_reason(reason)
    instance = _locked(instance)
    after: dict[str, Any] = {}
    quarantined = instance.state == InstanceState.QUARANTINED
    fresh = clock.now() - instance.state_since < QUARANTINE_BEFORE_RETIREMENT
    if quarantined and fresh:
        require_in_person("confirm this", "on the instance's page, or after 24 hours of quarantine")
    if quarantined and fresh and instance.restricted_by_id == actor.pk:
        if not single_handed(instance.tenant_id):
            raise NotAllowed(
                f"You quarantined {instance}; another person retires it, or you after 24 hours of quarantine."
            )
        after = {"sod_mode": "reduced"}
    gates.refuse_unless_passed(gates.for_retirement(instance), f"{instance} is not retired")
    end_instance(instance, actor, reason, **after)
    return instance


def end_instance(instance: AgentInstance, actor: User | None, reason: str, **after: Any) -> None:
    """Write that the locked instance is retired, when everything has been asked: its keys end with it."""
    for scope in KeyScope.objects.filter(instance=instance).select_related("key"):
        core.revoke_key(key=scope.key, actor=None, reason=f"{instance} was retired.")
    set_state(instance, InstanceState.RETIRED, actor, "registry.instance.retired", reason, **after)


def _locked(instance: AgentInstance) -> AgentInstance:
    return whole_locked(instance.pk)


def whole_locked(instance_id: UUID) -> AgentInstance:
    """The row as it is now, for this transaction alone."""
    rows = AgentInstance.objects.select_related(
        "version__template", "environment", "provider", "template", "status"
    )
    return locked(rows, instance_id)


def set_state(
    instance: AgentInstance,
    to: InstanceState,
    actor: User | None,
    verb: str,
    reason: str,
    *,
    links: Sequence[str] = (),
    leaving: bool = False,
    **facts: Any,
) -> None:
    """The locked instance in another state, with its interval, its record and the news. Callers have asked."""
    before = {"state": instance.state, "generation": instance.generation}
    now = clock.now()
    instance.state, instance.state_since = to, now
    instance.generation += 1
    instance.leaving = leaving
    instance.save(update_fields=["state", "state_since", "generation", "restricted_by_id", "leaving"])
    InstanceInterval.objects.filter(instance=instance, until=None).update(until=now)
    open_interval(instance, now)
    after = {"state": to, "generation": instance.generation, **facts}
    record = changes.record(actor, verb, instance, before=before, after=after, reason=reason, links=links)
    if not ALLOWS[to].red:
        gates.tell_stopped(instance, actor, f"{instance} is {to.label.lower()}: {reason}")
    gates.tell_changed([instance.pk], actor, reason)
    tell_of(record, instance)
