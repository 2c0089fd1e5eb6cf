"""Kill switches: one person stops at once; who may lift what depends on the mode."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from arm import changes, clock, crypto, tasks
from arm import services as core
from arm.errors import Conflict, Invalid, NotAllowed, Problem
from arm.models import Tenant, TenantRow, User
from arm.permissions import allowed, require
from arm.queries import single_handed
from arm.rights import Right
from registry import services as registry
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, KeyScope
from registry.services.asking import Duplicate, require_reason

from ..engine import Column, Exit, Mode
from ..engine.posture import APPROVERS, EXITS, MATRIX
from ..lifecycle import OPEN, ApprovalKind
from ..models import ApprovalRequest, Posture
from ..queries import reach
from .approvals import close_approval, request_approval, void_approvals

BY_TIME = (Exit.OPERATOR,)
"""Only what one operator could lift may lift itself: an end that nobody reviews."""


class ApprovalNeeded(Conflict):
    """`needs` approvers who took no part must agree; `have` of them did. `request_lift` asks them."""

    code = "approval_needed"


@transaction.atomic
def set_posture(
    *,
    scope: Tenant | TenantRow,
    mode: Mode,
    actor: User | None,
    reason: str,
    until: datetime | None = None,
    tool: str = "",
    tool_class: str = "",
    links: Sequence[str] = (),
) -> Posture:
    """Stop a scope at once, by one person with the right or by a rule of ARM (`actor` None).

    Deciders deny from the commit on. Requests of the agents it reaches are voided; `killed` also revokes the
    agent's tokens and quarantines it. Duplicate where exactly this already stands.
    """
    if actor is not None:
        require(
            actor,
            Right.RESTRICT_INSTANCE if isinstance(scope, AgentInstance) else Right.RESTRICT_WIDELY,
            scope,
        )
    require_reason(reason)
    members = _members(scope, mode, until, tool, tool_class)
    same = Posture.objects.in_force().filter(mode=mode, tool=tool, tool_class=tool_class, **members)
    if taken := same.first():
        raise Duplicate(f"{scope} is already {mode.replace('_', ' ')}.", taken)
    reached = reach.instances_below(scope)
    numbers = reach.numbers(reached)
    posture = Posture.objects.create(
        tenant_id=scope.pk if isinstance(scope, Tenant) else scope.tenant_id,
        mode=mode,
        reason=reason,
        set_by=actor,
        set_at=clock.now(),
        until=until,
        tool=tool,
        tool_class=tool_class,
        reach=numbers,
        **members,
    )
    voided = 0
    if not MATRIX[mode] & Column.RED and not tool and not tool_class:
        why = f"{scope} is {mode.replace('_', ' ')}: {reason}"
        voided = void_approvals(instances=reached.values_list("pk", flat=True), actor=actor, reason=why)
    if mode == Mode.KILLED and isinstance(scope, AgentInstance):
        _kill(scope, actor, reason)
    after = {"mode": mode.value, "until": until, "tool": tool or tool_class, **numbers, "voided": voided}
    record = changes.record(actor, "policy.posture.set", posture, after=after, reason=reason, links=links)
    _tell(posture, "policy.posture.set", record.pk)
    return posture


@transaction.atomic
def lift_posture(*, posture: Posture, actor: User, reason: str) -> Posture:
    """End a stop. Draining and paused: one operator. Read-only: an approver who neither set it nor asked to lift it.
    Quarantined: two such. Killed: nobody. ApprovalNeeded says how many are missing.
    """
    if not allowed(actor, Right.APPROVE_RELEASE, posture):
        require(actor, Right.RELEASE_INSTANCE, posture)
    require_reason(reason)
    posture = Posture.objects.select_for_update(of=("self",)).get(pk=posture.pk)
    way_out = _way_out(posture)
    after: dict[str, Any] = {}
    if way_out == Exit.OPERATOR:
        require(actor, Right.RELEASE_INSTANCE, posture)
    else:
        after = _second_persons(posture, actor, APPROVERS[way_out])
    posture.lifted_at, posture.lifted_by, posture.lift_reason = clock.now(), actor, reason
    posture.save(update_fields=["lifted_at", "lifted_by", "lift_reason"])
    before = {"mode": posture.mode, "set_at": posture.set_at}
    record = changes.record(
        actor, "policy.posture.lifted", posture, before=before, after=after, reason=reason
    )
    _tell(posture, "policy.posture.lifted", record.pk)
    return posture


@transaction.atomic
def request_lift(*, posture: Posture, actor: User, reason: str) -> ApprovalRequest:
    """Ask approvers to agree to the end of a stop that one person may not lift."""
    if not allowed(actor, Right.APPROVE_RELEASE, posture):
        require(actor, Right.RELEASE_INSTANCE, posture)
    require_reason(reason)
    posture = Posture.objects.select_for_update(of=("self",)).get(pk=posture.pk)
    needs = APPROVERS[_way_out(posture)]
    if not needs:
        raise Conflict(f"{posture}: one operator may lift it, no request is needed.")
    return request_approval(
        tenant_id=posture.tenant_id,
        kind=ApprovalKind.REACTIVATION,
        title=f"Lift {posture}",
        subject_kind="policy.posture",
        subject_id=posture.pk,
        action=_lift_action(posture),
        requested_by=actor,
        reason=reason,
        quorum=needs,
        excluded=[person for person in (posture.set_by_id, actor.pk) if person],
        instance=posture.instance,
    ).request


def _members(
    scope: Tenant | TenantRow, mode: Mode, until: datetime | None, tool: str, tool_class: str
) -> dict[str, Any]:
    if mode == Mode.NORMAL:
        _refuse("/mode", "Normal is the absence of a stop: lift the postures that stand.")
    if mode == Mode.KILLED and not isinstance(scope, AgentInstance):
        _refuse("/mode", "Only a single agent can be killed; quarantine the rest.")
    if mode == Mode.KILLED and (tool or tool_class):
        _refuse("/tool", "An agent is killed whole, not one of its tools.")
    if tool and tool_class:
        _refuse("/tool_class", "Name a tool or a class of tools, not both.")
    if until is not None and until <= clock.now():
        _refuse("/until", "This time has passed.")
    if until is not None and EXITS[mode] not in BY_TIME:
        _refuse("/until", f"{mode.label} ends by people's decision, not by time.")
    try:
        return Posture.members_for(scope)
    except LookupError as problem:
        _refuse("/scope", f"This cannot be stopped: {problem}.")
        raise


def _kill(instance: AgentInstance, actor: User | None, reason: str) -> None:
    """Quarantine at once and take its credentials; that it retires, another person confirms."""
    if instance.state != InstanceState.QUARANTINED:
        registry.restrict_instance(
            instance=instance, to=InstanceState.QUARANTINED, actor=actor, reason=reason
        )
    for scope in KeyScope.objects.filter(instance=instance).select_related("key"):
        core.revoke_key(key=scope.key, actor=None, reason=f"{instance} was killed.")


def _way_out(posture: Posture) -> Exit:
    if not posture.in_force:
        raise Conflict(f"{posture} has already ended.")
    way_out = EXITS[Mode(posture.mode)]
    if way_out == Exit.NEVER:
        raise NotAllowed("A killed agent never returns; provision another.")
    return way_out


def _second_persons(posture: Posture, actor: User, needs: int) -> dict[str, Any]:
    digest = crypto.digest(crypto.canonical(_lift_action(posture)))
    asked = ApprovalRequest.objects.filter(subject_id=posture.pk, digest=digest)
    current = asked.select_for_update(of=("self",)).filter(state__in=OPEN, expires_at__gt=clock.now()).first()
    approvers: set[UUID] = set()
    if current is not None:
        approvers = set(current.decisions.filter(approve=True).values_list("person_id", flat=True))
    if allowed(actor, Right.APPROVE_RELEASE, posture):
        approvers.add(actor.pk)
    requesters = set(asked.values_list("requested_by_id", flat=True))
    counted = approvers - requesters - {posture.set_by_id}
    if len(counted) < needs:
        if not single_handed(posture.tenant_id):
            people = "approver" if needs == 1 else "approvers"
            raise ApprovalNeeded(
                f"{posture}: {needs} {people} who neither set it nor asked must agree; {len(counted)} did.",
                needs=needs,
                have=len(counted),
            )
        return {"sod_mode": "reduced"}
    if current is not None:
        close_approval(request=current, used_by=posture.pk)
    return {"approved_by": sorted(str(person) for person in counted)}


def _lift_action(posture: Posture) -> dict[str, str]:
    return {"verb": "policy.posture.lift", "posture": posture.typeid}


def _tell(posture: Posture, event: str, change_id: UUID) -> None:
    tasks.announce(
        event,
        tenant_id=posture.tenant_id,
        posture_id=str(posture.pk),
        change_id=str(change_id),
        mode=posture.mode,
    )


def _refuse(pointer: str, sentence: str) -> None:
    raise Invalid(sentence, [Problem(pointer=pointer, code="invalid", message=sentence)])
