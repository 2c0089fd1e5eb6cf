"""Kill switches: one person stops at once, two stop production or a whole tenant; who may lift what depends on
the mode, and on whether it took two to set it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from arm import changes, clock, tasks
from arm import services as core
from arm.errors import Conflict, Invalid, NotAllowed, Problem
from arm.models import Tenant, TenantRow, User
from arm.permissions import allowed, require
from arm.queries import single_handed
from arm.rights import Right
from registry import services as registry
from registry.gates import tell_changed
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, KeyScope
from registry.services.asking import Duplicate, require_in_person, require_reason
from registry.services.locking import locked

from ..engine import Column, Exit, Mode
from ..engine.posture import EXITS, MATRIX
from ..lifecycle import OPEN, SECOND_WITHIN, ApprovalKind
from ..models import ApprovalRequest, Posture, RestrictionRequest
from ..queries import lifting, reach, restricting
from .approvals import close_approval, request_approval, void_approvals

BY_TIME = (Exit.OPERATOR,)
"""Only what one operator could lift may lift itself: an end that nobody reviews."""


class ApprovalNeeded(Conflict):
    """`needs` people must agree; `have` of them did. `request_lift` asks them."""

    code = "approval_needed"


class SecondPersonNeeded(Conflict):
    """One person alone does not stop this; `who_may` be the second. `request_restriction` asks them."""

    code = "second_person_needed"


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
    request: RestrictionRequest | None = None,
) -> Posture:
    """Stop a scope at once, by one person with the right or by a rule of ARM (`actor` None).

    Production and a whole tenant take two people: those who want this `request` and may. SecondPersonNeeded says who
    else may. Deciders deny from the commit on. Requests of the agents it reaches are voided; `killed` also revokes
    the agent's tokens and quarantines it. Duplicate where exactly this already stands.
    """
    if actor is not None:
        require(actor, restricting.right_to_stop(scope), scope)
    require_reason(reason)
    members = members_of_stop(scope, mode, until, tool, tool_class)
    people = _people_enough(scope, actor, request)
    one_stop_at_a_time(scope)
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
        request=request,
        **members,
    )
    voided = 0
    if not MATRIX[mode] & Column.RED and not tool and not tool_class:
        why = f"{scope} is {mode.replace('_', ' ')}: {reason}"
        voided = void_approvals(instances=reached.values_list("pk", flat=True), actor=actor, reason=why)
    if mode == Mode.KILLED and isinstance(scope, AgentInstance):
        _kill(scope, actor, reason)
    after = {
        "mode": mode.value,
        "scope": scope.slug if isinstance(scope, Tenant) else scope.typeid,
        "until": until,
        "tool": tool or tool_class,
        **numbers,
        "voided": voided,
        **people,
    }
    record = changes.record(actor, "policy.posture.set", posture, after=after, reason=reason, links=links)
    tell_changed(list(reached.values_list("pk", flat=True)), actor, reason)
    _tell(posture, "policy.posture.set", record.pk)
    return posture


@transaction.atomic
def lift_posture(*, posture: Posture, actor: User, reason: str) -> Posture:
    """End a stop. Draining and paused: one operator. Read-only: an approver who neither set it nor asked to lift it.
    Quarantined: two such. Killed: nobody. What took two people to set takes two. ApprovalNeeded says how many are
    missing. A token ends only what one operator may end alone.
    """
    if not allowed(actor, Right.APPROVE_RELEASE, posture):
        require(actor, Right.RELEASE_INSTANCE, posture)
    require_reason(reason)
    posture = locked(Posture.objects.select_related("request"), posture.pk)
    if _way_out(posture) == Exit.OPERATOR:
        require(actor, Right.RELEASE_INSTANCE, posture)
    after = _agreed(posture, actor)
    posture.lifted_at, posture.lifted_by, posture.lift_reason = clock.now(), actor, reason
    posture.save(update_fields=["lifted_at", "lifted_by", "lift_reason"])
    before = {"mode": posture.mode, "set_at": posture.set_at}
    record = changes.record(
        actor, "policy.posture.lifted", posture, before=before, after=after, reason=reason
    )
    below = reach.instances_below(restricting.scope_of(posture))
    tell_changed(list(below.values_list("pk", flat=True)), actor, reason)
    _tell(posture, "policy.posture.lifted", record.pk)
    return posture


@transaction.atomic
def request_lift(*, posture: Posture, actor: User, reason: str) -> ApprovalRequest:
    """Ask others to agree to the end of a stop that one person may not lift."""
    if not allowed(actor, Right.APPROVE_RELEASE, posture):
        require(actor, Right.RELEASE_INSTANCE, posture)
    require_reason(reason)
    posture = locked(Posture.objects.select_related("request"), posture.pk)
    way_out = _way_out(posture)
    agreed = lifting.agreement(posture, actor)
    if not agreed.needs:
        raise Conflict(f"{posture}: one operator may lift it, no request is needed.")
    # An operator who asks is one of the two; approvers who asked or took part never count.
    others = way_out == Exit.OPERATOR
    if others:
        require_in_person("be one of the two who end this", "on the stop's page")
    parties = {actor.pk} if others else {actor.pk, *agreed.barred}
    return request_approval(
        tenant_id=posture.tenant_id,
        kind=ApprovalKind.REACTIVATION,
        title=f"Lift {posture}",
        subject_kind="policy.posture",
        subject_id=posture.pk,
        action=lifting.lift_action(posture),
        requested_by=actor,
        reason=reason,
        quorum=1 if others else agreed.needs,
        excluded=parties,
        instance=posture.instance,
        ttl=SECOND_WITHIN if agreed.by_two else None,
    ).request


def members_of_stop(
    scope: Tenant | TenantRow, mode: Mode, until: datetime | None, tool: str, tool_class: str
) -> dict[str, Any]:
    """The fields that point at the scope. Invalid names what makes no sense as a stop."""
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


def one_stop_at_a_time(scope: Tenant | TenantRow) -> None:
    """Until this transaction ends, nobody else sets or asks for a stop of this very scope. Its row stays free."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"stop {scope.pk}"])


def _people_enough(
    scope: Tenant | TenantRow, actor: User | None, request: RestrictionRequest | None
) -> dict[str, Any]:
    """What the record says about who set it. SecondPersonNeeded where one does not suffice."""
    if not restricting.takes_two(scope):
        return {}
    if actor is None:
        raise NotAllowed("People stop production and whole tenants; a rule stops agents.")
    people = restricting.triggers(request) if request is not None else frozenset({actor.pk})
    if len(people) >= restricting.PEOPLE:
        return {"set_by": sorted(str(person) for person in people)}
    if single_handed(restricting.tenant_of(scope)):
        return {"sod_mode": "reduced"}
    raise SecondPersonNeeded(
        f"Two people stop {scope}: ask for it, and somebody else who may stop it confirms.",
        needs=restricting.PEOPLE,
        have=len(people),
        who_may=restricting.who_may_stop(scope, without=people | {actor.pk}),
    )


def _agreed(posture: Posture, actor: User) -> dict[str, Any]:
    """What the record says about who agreed to the end. ApprovalNeeded where somebody is missing."""
    ApprovalRequest.objects.select_for_update(of=("self",)).filter(
        subject_id=posture.pk, state__in=OPEN
    ).first()  # the yes that is being given now is waited for
    agreed = lifting.agreement(posture, actor)
    if not agreed.needs:
        return {}
    enough = len(agreed.people) >= agreed.needs
    if not enough and not agreed.alone:
        raise ApprovalNeeded(_missing(posture, agreed), needs=agreed.needs, have=len(agreed.people))
    require_in_person("lift this", "on the stop's page")
    if not enough:
        return {"sod_mode": "reduced"}
    if agreed.request is not None:
        close_approval(request=agreed.request, used_by=posture.pk)
    return {"approved_by": sorted(str(person) for person in agreed.people)}


def _missing(posture: Posture, agreed: lifting.Agreement) -> str:
    if agreed.way_out == Exit.OPERATOR:
        return f"{posture}: two people set it, so two must end it; {len(agreed.people)} of them wants to."
    people = "approver" if agreed.needs == 1 else "approvers"
    return f"{posture}: {agreed.needs} {people} who neither set it nor asked must agree; {len(agreed.people)} did."


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
