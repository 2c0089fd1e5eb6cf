"""Requests for a stop: ask, confirm, decline, take back, and let nobody's silence go unnoticed."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from arm import changes, clock, ids, ports, tasks
from arm.errors import Conflict, Invalid, NotAllowed, Problem
from arm.models import Tenant, TenantRow, User
from arm.permissions import allowed, require
from registry.services.asking import Duplicate, require_reason
from registry.services.locking import locked

from ..engine import Mode
from ..lifecycle import ANSWERED_WITHIN, RESTRICTION_MOVES, SECOND_WITHIN, ReasonCode, RestrictionState
from ..models import Posture, RestrictionDecision, RestrictionRequest
from ..queries import restricting
from ..queries.restricting import INCIDENT, Way, right_to_stop, scope_of
from ..queries.stops import with_scope
from .postures import members_of_stop, one_stop_at_a_time, set_posture


@transaction.atomic
def request_restriction(
    *,
    scope: Tenant | TenantRow,
    mode: Mode,
    actor: User,
    reason_code: str,
    reason: str,
    until: datetime | None = None,
    tool: str = "",
    tool_class: str = "",
) -> RestrictionRequest:
    """Ask for a stop that one may not set alone. Who may set it counts as the first of two, others as none.

    Conflict for somebody who may stop it at once; Duplicate where it stands, or where somebody has asked already.
    """
    _require_person(actor)
    way = restricting.way_to_stop(scope, actor)
    if way == Way.AT_ONCE:
        raise Conflict(f"You may stop {scope} at once; nobody else is needed.")
    if way == Way.NONE:
        require(actor, restricting.right_to_ask(scope), scope)
    require_reason(reason)
    if reason_code not in ReasonCode.values:
        sentence = f"Say what kind of reason it is: {', '.join(ReasonCode.values)}."
        raise Invalid(sentence, [Problem(pointer="/reason_code", code="choice", message=sentence)])
    members = members_of_stop(scope, mode, until, tool, tool_class)
    same = {"mode": mode, "tool": tool, "tool_class": tool_class, **members}
    one_stop_at_a_time(scope)
    if standing := Posture.objects.in_force().filter(**same).first():
        raise Duplicate(f"{scope} is already {mode.replace('_', ' ')}.", standing)
    for open_request in RestrictionRequest.objects.filter(state=RestrictionState.REQUESTED, **same):
        if open_request.true_state == RestrictionState.REQUESTED:
            raise Duplicate(f"{open_request.asked_by} has asked for this already.", open_request)
        _expire(locked(_rows(), open_request.pk))
    now = clock.now()
    first = way == Way.FIRST_OF_TWO and changes.in_person()
    request = RestrictionRequest.objects.create(
        tenant_id=restricting.tenant_of(scope),
        until=until,
        reason_code=reason_code,
        reason=reason,
        digest=restricting.asked_digest(
            scope=scope,
            mode=mode,
            tool=tool,
            tool_class=tool_class,
            until=until,
            reason_code=reason_code,
            reason=reason,
        ),
        asked_by=actor,
        asked_at=now,
        in_person=changes.in_person(),
        expires_at=now + (SECOND_WITHIN if first else ANSWERED_WITHIN),
        **same,
    )
    after = {
        "mode": mode.value,
        "digest": request.digest,
        "reason_code": reason_code,
        "expires_at": request.expires_at,
        "counts": int(first),
        "needs": restricting.needed(scope),
    }
    _note(request, "requested", actor, reason, after)
    return request


@transaction.atomic
def confirm_restriction(
    *, request: RestrictionRequest, actor: User, digest: str, reason: str = ""
) -> RestrictionRequest:
    """Another person's yes to what they saw (`digest`). The last one that was needed sets the stop, in here.

    A first yes to what takes two starts the hour of the second.
    """
    request = _judged(request, actor, "confirm")
    if digest != request.digest or restricting.digest_now(request) != request.digest:
        raise Conflict(
            "This is not what was asked for any more; open the request again.", digest=request.digest
        )
    _answer(request, actor, True, reason)
    people = restricting.triggers(request)
    scope = scope_of(request)
    after: dict[str, Any] = {"digest": digest, "people": sorted(str(person) for person in people)}
    if len(people) < restricting.needed(scope):
        request.expires_at = clock.now() + SECOND_WITHIN
        request.save(update_fields=["expires_at"])
        _note(request, "supported", actor, reason, after | {"needs": restricting.needed(scope)})
        return request
    posture = set_posture(
        scope=scope,
        mode=Mode(request.mode),
        actor=actor,
        reason=request.reason,
        until=request.until,
        tool=request.tool,
        tool_class=request.tool_class,
        links=[request.typeid],
        request=request,
    )
    _close(request, RestrictionState.CONFIRMED, actor, reason, after, [posture.typeid])
    return request


@transaction.atomic
def decline_restriction(*, request: RestrictionRequest, actor: User, reason: str) -> RestrictionRequest:
    """One no, by somebody who may stop the scope and did not ask, is enough."""
    require_reason(reason)
    request = _judged(request, actor, "decline")
    _answer(request, actor, False, reason)
    _close(request, RestrictionState.DECLINED, actor, reason, {"digest": request.digest})
    return request


@transaction.atomic
def withdraw_restriction(*, request: RestrictionRequest, actor: User, reason: str) -> RestrictionRequest:
    """Who asked takes it back."""
    if request.asked_by_id != actor.pk:
        raise NotAllowed(f"{request.asked_by} asked for this; others may decline it.")
    require_reason(reason)
    request = locked(_rows(), request.pk)
    _require_open(request)
    _close(request, RestrictionState.WITHDRAWN, actor, reason, {})
    return request


@transaction.atomic
def expire_restrictions(*, tenant_id: UUID) -> int:
    """Close what nobody answered in time and open an incident for each, so that on call sees it. Returns how many."""
    over = RestrictionRequest.objects.select_for_update(of=("self",), skip_locked=True).filter(
        tenant_id=tenant_id, state=RestrictionState.REQUESTED, expires_at__lte=clock.now()
    )
    late = list(with_scope(over))
    for request in late:
        _expire(request)
    return len(late)


def _rows() -> Any:
    return with_scope(RestrictionRequest.objects.all())


def _require_person(actor: User) -> None:
    if actor.kind != User.Kind.PERSON:
        raise NotAllowed("People ask for a stop and confirm one; a service account does neither.")


def _judged(request: RestrictionRequest, actor: User, verb: str) -> RestrictionRequest:
    """The request, locked, if this person may answer it. NotAllowed says who may."""
    scope = scope_of(request)
    who_may = restricting.who_may_stop(scope, without=[request.asked_by_id, actor.pk])
    if not allowed(actor, right_to_stop(scope), scope):
        raise NotAllowed(f"Who may stop {scope} may {verb} this; you may not.", who_may=who_may)
    _require_person(actor)
    if not changes.in_person():
        raise NotAllowed(
            f"A token cannot {verb} this: do it signed in, on the request's page.",
            who_may=restricting.who_may_stop(scope, without=[request.asked_by_id]),
        )
    if request.asked_by_id == actor.pk:
        raise NotAllowed(f"Who asked for a stop does not {verb} it; ask another person.", who_may=who_may)
    request = locked(_rows(), request.pk)
    _require_open(request)
    if request.decisions.filter(person=actor).exists():
        raise Conflict("You have already answered; each person counts once.", who_may=who_may)
    return request


def _require_open(request: RestrictionRequest) -> None:
    state = request.true_state
    if state != RestrictionState.REQUESTED:
        raise Conflict(f"This request is {state}; ask anew if it is still needed.", state=state)


def _answer(request: RestrictionRequest, actor: User, confirm: bool, reason: str) -> None:
    RestrictionDecision.objects.create(
        tenant_id=request.tenant_id,
        request=request,
        person=actor,
        confirm=confirm,
        reason=reason,
        digest=request.digest,
        at=clock.now(),
    )


def _expire(request: RestrictionRequest) -> None:
    """Nobody answered. Where the stop does not stand by now, somebody on call must hear of it."""
    scope = scope_of(request)
    why = (
        "Nobody answered in time."
        if not request.decisions.exists()
        else "No second person confirmed in time."
    )
    same = {name: getattr(request, name) for name in ("mode", "tool", "tool_class")}
    links = []
    if not Posture.objects.in_force().filter(**same, **Posture.members_for(scope)).exists():
        incident = ports.incidents().open(
            tenant_id=request.tenant_id,
            kind="enforcement_failure",
            severity="s1" if restricting.takes_two(scope) else "s2",
            title=f"A stop was asked for and nobody answered: {request}"[:250],
            subject_kind=scope._meta.label_lower,
            subject_id=scope.pk,
            facts={
                "request": request.typeid,
                "asked_by": str(request.asked_by),
                "asked_at": request.asked_at.isoformat(),
                "reason": request.reason,
            },
        )
        links.append(ids.encode(INCIDENT, incident))
    _close(request, RestrictionState.EXPIRED, None, why, {"expires_at": request.expires_at}, links)


def _close(
    request: RestrictionRequest,
    to: RestrictionState,
    actor: User | None,
    reason: str,
    after: dict[str, Any],
    links: list[str] | None = None,
) -> None:
    if to not in RESTRICTION_MOVES[RestrictionState(request.state)]:
        raise Conflict(f"This request is {request.state} and cannot become {to.value}.")
    request.state, request.closed_at, request.closed_by = to, clock.now(), actor
    request.save(update_fields=["state", "closed_at", "closed_by"])
    _note(request, to.value, actor, reason, after, links or [])


def _note(
    request: RestrictionRequest,
    done: str,
    actor: User | None,
    reason: str,
    after: dict[str, Any],
    links: list[str] | None = None,
) -> None:
    verb = f"policy.restriction.{done}"
    record = changes.record(actor, verb, request, after=after, reason=reason, links=links or [])
    tasks.announce(
        verb,
        tenant_id=request.tenant_id,
        request_id=str(request.pk),
        change_id=str(record.pk),
        mode=request.mode,
    )
