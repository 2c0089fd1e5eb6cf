"""Second persons' decisions: ask, decide, cancel, expire, void, and use up exactly once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from arm import changes, clock, crypto, tasks
from arm.errors import Conflict, NotAllowed
from arm.models import User
from arm.permissions import require
from arm.queries import single_handed
from registry.models import AgentInstance, Ownership
from registry.services.asking import require_in_person, require_reason

from ..engine import Request, Verdict, redact
from ..lifecycle import OPEN, TIME_TO_LIVE, WAITING, ApprovalKind, ApprovalState, may_become
from ..models import ApprovalDecision, ApprovalRequest
from ..queries.deciding import right_to_decide, route_of, takes_part, wrong_roles


@dataclass(frozen=True, slots=True)
class Requested:
    """A pending request and whether this call made it."""

    request: ApprovalRequest
    created: bool


@transaction.atomic
def request_approval(
    *,
    tenant_id: UUID,
    kind: ApprovalKind,
    title: str,
    subject_kind: str,
    subject_id: UUID,
    action: Mapping[str, Any],
    requested_by: User | None,
    reason: str,
    quorum: int = 1,
    excluded: Iterable[UUID] = (),
    roles: Iterable[str] = (),
    instance: AgentInstance | None = None,
    ttl: timedelta | None = None,
) -> Requested:
    """Ask for exactly this action. An open request for the same action is returned, not doubled.

    It waits for `ttl`, or as long as its kind does.
    """
    return _request(
        ApprovalRequest(
            tenant_id=tenant_id,
            kind=kind,
            title=title[:250],
            subject_kind=subject_kind,
            subject_id=subject_id,
            instance=instance,
            action=redact(dict(action)),
            digest=crypto.digest(crypto.canonical(action)),
            requested_by=requested_by,
            excluded=sorted({str(person) for person in excluded}),
            roles=sorted(roles),
            quorum=quorum,
            created_at=clock.now(),
            expires_at=clock.now() + (ttl or TIME_TO_LIVE[kind]),
        ),
        requested_by,
        reason,
    )


@transaction.atomic
def request_tool_approval(
    *, instance: AgentInstance, asked: Request, verdict: Verdict, decision_id: UUID, on_behalf_of: User | None
) -> Requested:
    """Ask people about one action of an agent, on the terms of its policy.

    Builder, submitter and current owners of the agent do not count, nor does who asked on its behalf.
    """
    terms = verdict.terms
    if terms is None:
        raise ValueError("Only a verdict that asks for an approval has terms.")
    now = clock.now()
    escalates = timedelta(seconds=terms.escalate_after_s) if terms.escalate_after_s else None
    what = f"{asked.tool}" if asked.tool else asked.action.replace("_", " ")
    return _request(
        ApprovalRequest(
            tenant_id=instance.tenant_id,
            kind=ApprovalKind.TOOL_CALL,
            title=f"{instance}: {what}"[:250],
            subject_kind="registry.agentinstance",
            subject_id=instance.pk,
            instance=instance,
            action=_shown(asked),
            digest=verdict.action,
            risk=verdict.risk.word,
            reasons=[{"code": r.code, "sentence": r.sentence, "rule": r.rule} for r in verdict.reasons],
            policy_digest=verdict.policy,
            decision_id=decision_id,
            requested_by=on_behalf_of,
            excluded=sorted(str(person) for person in _parties(instance, on_behalf_of)),
            roles=sorted(terms.roles),
            quorum=terms.quorum,
            created_at=now,
            expires_at=now + timedelta(seconds=terms.ttl_s),
            escalates_at=now + escalates if escalates else None,
            escalates_to=terms.escalate_to,
        ),
        on_behalf_of,
        "The agent's policy asks for an approval.",
    )


@transaction.atomic
def decide_approval(
    *,
    request: ApprovalRequest,
    approve: bool,
    actor: User,
    reason: str,
    digest: str,
    opened_at: datetime | None = None,
) -> ApprovalRequest:
    """One person's yes or no to what they saw (`digest`). One no denies; the quorum of yes approves.

    NotAllowed for a token, whoever it acts as: the second person is a person.
    """
    require(actor, right_to_decide(request.kind), request)
    require_in_person("decide this", "on the request's page")
    require_reason(reason)
    request = _locked(request)
    if digest != request.digest:
        raise Conflict("This is not what you were shown; open the request again.", digest=request.digest)
    if not request.waiting:
        said = "expired" if request.state in WAITING else request.get_state_display().lower()
        raise Conflict(f"This request is {said}; there is nothing to decide.", state=said)
    noted = _refuse_parties(request, actor)
    if sentence := wrong_roles(request, actor):
        raise NotAllowed(sentence)
    if request.decisions.filter(person=actor).exists():
        raise Conflict("You have already decided; each person counts once.")
    now = clock.now()
    ApprovalDecision.objects.create(
        tenant_id=request.tenant_id,
        request=request,
        person=actor,
        approve=approve,
        reason=reason,
        digest=digest,
        opened_at=opened_at,
        at=now,
    )
    yes = request.decisions.filter(approve=True).count()
    after: dict[str, Any] = {"digest": digest, "approvals": yes, "quorum": request.quorum, **noted}
    if not approve:
        _move(request, ApprovalState.DENIED, actor, "policy.approval.denied", reason, after)
    elif yes >= request.quorum:
        _move(request, ApprovalState.APPROVED, actor, "policy.approval.approved", reason, after)
    else:
        changes.record(actor, "policy.approval.supported", request, after=after, reason=reason)
    return request


@transaction.atomic
def cancel_approval(*, request: ApprovalRequest, actor: User, reason: str) -> ApprovalRequest:
    """Take a request back: who asked for it, or who may decide it."""
    if request.requested_by_id != actor.pk:
        require(actor, right_to_decide(request.kind), request)
    require_reason(reason)
    request = _locked(request)
    if not may_become(request.state, ApprovalState.CANCELLED):
        raise Conflict(f"This request is {request.get_state_display().lower()} and cannot be cancelled.")
    _move(request, ApprovalState.CANCELLED, actor, "policy.approval.cancelled", reason, {})
    return request


@transaction.atomic
def consume_approval(*, request_id: UUID, digest: str, used_by: UUID) -> bool:
    """Use an approval up, for exactly this action. True once; False when it is used, void, expired or another's."""
    request = ApprovalRequest.objects.select_for_update(of=("self",)).filter(pk=request_id).first()
    if request is None or request.state != ApprovalState.APPROVED or request.digest != digest:
        return False
    if request.expires_at <= clock.now():
        return False
    request.consumed_by = used_by
    _move(
        request,
        ApprovalState.CONSUMED,
        None,
        "policy.approval.consumed",
        "The approved action was taken.",
        {},
    )
    return True


@transaction.atomic
def close_approval(*, request: ApprovalRequest, used_by: UUID) -> None:
    """What was asked for has been carried out: an approved request is used up, one that still waits is void."""
    request = _locked(request)
    if request.state == ApprovalState.APPROVED:
        request.consumed_by = used_by
        _move(request, ApprovalState.CONSUMED, None, "policy.approval.consumed", "It was carried out.", {})
    elif request.state in WAITING:
        _move(
            request,
            ApprovalState.VOIDED,
            None,
            "policy.approval.voided",
            "It was carried out without it.",
            {},
        )


@transaction.atomic
def void_approvals(*, instances: Iterable[UUID], actor: User | None, reason: str) -> int:
    """What agents were allowed or asked for counts no more: they were stopped. Returns how many requests."""
    open_requests = ApprovalRequest.objects.select_for_update(of=("self",)).filter(
        kind=ApprovalKind.TOOL_CALL,
        state__in=OPEN,
        expires_at__gt=clock.now(),
        instance_id__in=list(instances),
    )
    found = list(open_requests)
    for request in found:
        _move(request, ApprovalState.VOIDED, actor, "policy.approval.voided", reason, {})
    return len(found)


@transaction.atomic
def expire_approvals(*, tenant_id: UUID) -> tuple[int, int]:
    """Close what is past its time and escalate what waits too long. Returns (expired, escalated)."""
    now = clock.now()
    locked = ApprovalRequest.objects.select_for_update(of=("self",), skip_locked=True).filter(
        tenant_id=tenant_id
    )
    over = list(locked.filter(state__in=OPEN, expires_at__lte=now))
    for request in over:
        _move(request, ApprovalState.EXPIRED, None, "policy.approval.expired", "Nobody decided in time.", {})
    late = list(locked.filter(state=ApprovalState.PENDING, escalates_at__lte=now, expires_at__gt=now))
    for request in late:
        told = {"to": request.escalates_to}
        _move(
            request,
            ApprovalState.ESCALATED,
            None,
            "policy.approval.escalated",
            "It has waited too long.",
            told,
        )
    return len(over), len(late)


def _request(row: ApprovalRequest, actor: User | None, reason: str) -> Requested:
    """Insert unless an open one exists. Two askers at once: the index lets one in, the other finds its row.

    What is about an instance goes where approvals of its environment go (`ApprovalRoute`)."""
    if stale := _open(row).filter(expires_at__lte=clock.now()).first():
        _move(stale, ApprovalState.EXPIRED, None, "policy.approval.expired", "Nobody decided in time.", {})
    if found := _open(row).first():
        return Requested(found, False)
    if row.instance is not None and (route := route_of(row.instance.environment_id)):
        row.team, row.roles = route.team, sorted({*row.roles, route.role} - {""})
    ApprovalRequest.objects.bulk_create([row], ignore_conflicts=True)
    stored = _open(row).get()
    if stored.pk != row.pk:
        return Requested(stored, False)
    after = {"kind": row.kind, "digest": row.digest, "quorum": row.quorum, "expires_at": row.expires_at}
    record = changes.record(actor, "policy.approval.requested", stored, after=after, reason=reason)
    _tell(stored, record.pk)
    return Requested(stored, True)


def _open(row: ApprovalRequest) -> Any:
    return ApprovalRequest.objects.select_for_update(of=("self",)).filter(
        subject_id=row.subject_id, digest=row.digest, state__in=OPEN
    )


def _locked(request: ApprovalRequest) -> ApprovalRequest:
    return ApprovalRequest.objects.select_for_update(of=("self",)).get(pk=request.pk)


def _move(
    request: ApprovalRequest,
    to: ApprovalState,
    actor: User | None,
    verb: str,
    reason: str,
    after: Mapping[str, Any],
) -> None:
    if not may_become(request.state, to):
        raise Conflict(f"This request is {request.get_state_display().lower()} and cannot become {to.label}.")
    before, now = request.state, clock.now()
    request.state = to
    if to in (ApprovalState.APPROVED, ApprovalState.DENIED):
        request.decided_at = now
    if to not in OPEN:
        request.closed_at = now
    request.save(update_fields=["state", "decided_at", "closed_at", "consumed_by"])
    facts = {"state": to.value, "digest": request.digest, **after}
    record = changes.record(actor, verb, request, before={"state": before}, after=facts, reason=reason)
    _tell(request, record.pk)


def _tell(request: ApprovalRequest, change_id: UUID) -> None:
    tasks.announce(
        "policy.approval.moved",
        tenant_id=request.tenant_id,
        request_id=str(request.pk),
        change_id=str(change_id),
        state=request.state,
    )


def _shown(asked: Request) -> dict[str, Any]:
    shown: dict[str, Any] = {"action": asked.action.value, "args": redact(asked.args)}
    if asked.tool:
        shown["tool"] = asked.tool
    if asked.data:
        shown["data"] = [{"class": use.data_class, "access": use.access.value} for use in asked.data]
    if asked.spawn is not None:
        shown["spawn"] = {"depth": asked.spawn.depth, "role": asked.spawn.role, "ttl_s": asked.spawn.ttl_s}
    for name in ("job", "outcome", "run"):
        if value := getattr(asked, name):
            shown[name] = value
    return shown


def _parties(instance: AgentInstance, on_behalf_of: User | None) -> set[UUID]:
    owners = Ownership.objects.filter(template_id=instance.template_id, until=None)
    people: Sequence[UUID | None] = [
        instance.version.created_by_id,
        instance.version.submitted_by_id,
        on_behalf_of.pk if on_behalf_of else None,
        *owners.values_list("user_id", flat=True),
    ]
    return {person for person in people if person is not None}


def _refuse_parties(request: ApprovalRequest, actor: User) -> dict[str, str]:
    if not takes_part(request, actor):
        return {}
    if single_handed(request.tenant_id):
        return {"sod_mode": "reduced"}
    raise NotAllowed(
        "You asked for this, built it, own it or stopped it, so your decision does not count; ask another approver."
    )
