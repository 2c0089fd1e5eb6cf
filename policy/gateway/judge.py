"""From a typed request to a verdict and its packed record: facts are gathered, the engine judges, effects follow."""

import logging
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

from django.conf import settings
from msgspec import Struct

from arm import clock, db, ids, ports
from arm.errors import Conflict, DomainError, NotFound, Unavailable
from registry.models import AgentInstance

from .. import services
from ..engine import (
    Action,
    Approval,
    Breach,
    Count,
    Effect,
    Facts,
    Loop,
    Mode,
    Request,
    Verdict,
    action_digest,
    evaluate,
)
from ..lifecycle import ApprovalState
from ..models import ApprovalRequest
from . import wire
from .counters import Calls, Leases, Streaks, Taken, told
from .fleet import NO_AGENT, Credential, Fleet, View
from .record import pack

log = logging.getLogger("arm.policy")
T = TypeVar("T")
STALE: Final = frozenset({"facts_stale"})
MODES: Final = {
    Breach.READ_ONLY: Mode.READ_ONLY,
    Breach.PAUSE: Mode.PAUSED,
    Breach.QUARANTINE: Mode.QUARANTINED,
}


class InDatabase(Protocol):
    def __call__(self, work: Callable[[], T]) -> T: ...


class Ruled(Struct):
    """A decision, ready to be recorded and answered. `approval_id` was used up for it, or was asked for by it."""

    id: UUID
    row: bytes
    body: dict[str, Any]
    told: tuple[str, ...]
    view: View
    verdict: Verdict


class Judge:
    """Stateless but for what the process holds; one call per request, from any thread."""

    def __init__(
        self, fleet: Fleet, leases: Leases, calls: Calls, streaks: Streaks, in_database: InDatabase
    ) -> None:
        self.fleet = fleet
        self.leases = leases
        self.calls = calls
        self.streaks = streaks
        self.in_database = in_database

    def rule(self, credential: Credential, instance_id: UUID, request: Request, request_id: str) -> Ruled:
        """Judge one request. NotFound for an agent that is not the token's, Invalid where a job or outcome is
        missing, Unavailable where what is known is too old."""
        view = self._view(credential, instance_id)
        try:
            name = action_digest(view.standing.instance, request)
        except ValueError as problem:
            raise wire.refused(
                "/args", "number", f"The arguments have no exact form: {problem}."
            ) from problem
        now, as_of = time.time(), self.fleet.as_of(view)
        decision_id = ids.uuid7()
        verdict, approval_id, approval = self._judge(credential, view, request, name, decision_id, now, as_of)
        code = verdict.reasons[0].code if verdict.reasons else ""
        if code in STALE:
            raise Unavailable("What is known about this agent is too old to decide. Ask again.")
        if code == "outcome_required":
            refusal = wire.refused("/job", code, verdict.reasons[0].sentence)
            refusal.code = code
            raise refusal
        digest = verdict.digest
        age_ms = max(0, int((now - as_of) * 1000))
        row = pack(
            decision_id,
            verdict,
            tenant_id=view.tenant,
            instance_id=view.instance,
            version_id=view.build,
            key_id=credential.key_id.bytes,
            action=request.action,
            tool=request.tool,
            job=request.job,
            outcome=request.outcome,
            run=request.run,
            age_ms=age_ms,
            digest=digest,
            approval_id=approval_id,
            request_id=request_id,
        )
        body = wire.answer(
            decision_id,
            verdict,
            instance=view.standing.instance,
            age_ms=age_ms,
            digest=digest,
            approval=approval,
        )
        heard = (told(instance_id, name, now),) if view.envelope.loops else ()
        return Ruled(decision_id, row, body, heard, view, verdict)

    def _view(self, credential: Credential, instance_id: UUID) -> View:
        if not self.fleet.may_ask(credential, instance_id):
            if credential.instance_id is not None:
                raise NotFound(NO_AGENT)
            self.in_database(lambda: self.fleet.require_may_ask(credential, instance_id))
        found = self.fleet.view(credential.tenant_id, instance_id)
        return found or self.in_database(lambda: self.fleet.load(credential.tenant_id, instance_id))

    def _judge(
        self,
        credential: Credential,
        view: View,
        request: Request,
        name: str,
        decision_id: UUID,
        now: float,
        as_of: float,
    ) -> tuple[Verdict, UUID | None, dict[str, Any] | None]:
        envelope = view.envelope
        taken = Taken({}, [])
        known = Facts(now=now, as_of=as_of, standing=view.standing)
        if envelope.limits or envelope.loops or request.spawn is not None:
            if envelope.limits and view.standing.columns:
                taken = self._take(view, request, now)
            counts = self._loops(view, request, name, now)
            spawn = view.rules.spawned(view.agent, as_of)
            known = Facts(
                now=now, as_of=as_of, standing=view.standing, limits=taken.counts, loops=counts, spawn=spawn
            )
        verdict = evaluate(envelope, request, known, name=name)
        approval_id, approval = None, None
        try:
            if verdict.decision == Effect.APPROVE:
                verdict, approval_id, approval = self.in_database(
                    lambda: self._ask_people(credential, view, request, known, verdict, decision_id)
                )
        finally:
            if verdict.decision != Effect.ALLOW:
                self.leases.give_back(taken)
        return verdict, approval_id, approval

    def _take(self, view: View, request: Request, now: float) -> Taken:
        agent = view.agent
        if not any(key.per != "call" for key in view.envelope.limits):
            return Taken({}, [])
        taken = self.leases.try_take(agent.id, view.envelope, request, now)
        if taken is None:
            taken = self.in_database(
                lambda: self.leases.take(agent.tenant_id, agent.id, view.envelope, request, now)
            )
        return taken

    def _loops(self, view: View, request: Request, name: str, now: float) -> dict[Any, Any]:
        if not view.envelope.loops or request.action not in (Action.TOOL_CALL, Action.MODEL_CALL):
            return {key: Count(0, now) for key in view.envelope.loops}
        counts = self.calls.count(view.agent.id, view.envelope, name, now)
        for key in view.envelope.loops:
            if key.rule == Loop.ERROR_STREAK and (seen := self.streaks.count(view.agent.id, key)) is not None:
                counts[key] = seen
        return counts

    def _ask_people(
        self,
        credential: Credential,
        view: View,
        request: Request,
        known: Facts,
        verdict: Verdict,
        decision_id: UUID,
    ) -> tuple[Verdict, UUID | None, dict[str, Any] | None]:
        """Use up an approval of exactly this action, or ask for one. Committed before the answer."""
        with db.tenants([view.agent.tenant_id]):
            given = ApprovalRequest.objects.filter(
                subject_id=view.agent.id,
                digest=verdict.action,
                state=ApprovalState.APPROVED,
                expires_at__gt=clock.now(),
            ).first()
            if given is not None:
                approval = Approval(given.typeid, given.digest, given.expires_at.timestamp())
                facts = Facts(
                    now=known.now,
                    as_of=known.as_of,
                    standing=known.standing,
                    limits=known.limits,
                    loops=known.loops,
                    spawn=known.spawn,
                    approval=approval,
                )
                allowed = evaluate(view.envelope, request, facts, name=verdict.action)
                if allowed.decision == Effect.ALLOW and services.consume_approval(
                    request_id=given.pk, digest=verdict.action, used_by=decision_id
                ):
                    return allowed, given.pk, {"id": given.typeid, "state": "consumed"}
            instance = AgentInstance.objects.select_related("version", "template").get(pk=view.agent.id)
            asked = services.request_tool_approval(
                instance=instance,
                asked=request,
                verdict=verdict,
                decision_id=decision_id,
                on_behalf_of=credential.user,
            ).request
        return verdict, asked.pk, approval_body(asked)

    def approval(self, credential: Credential, wanted: UUID) -> dict[str, Any]:
        """Where an approval stands. NotFound for one about another's agent."""
        with db.tenants([credential.tenant_id]):
            found = ApprovalRequest.objects.filter(pk=wanted, instance__isnull=False).first()
            if found is None or found.instance_id is None:
                raise NotFound("There is no such approval for this token.")
            self.fleet.require_may_ask(credential, found.instance_id)
            return approval_body(found)

    def follow_up(self, ruled: Ruled) -> None:
        """A breach that restricts: the posture is set by ARM itself, once, and an incident opens."""
        breach = ruled.verdict.restrict
        if breach is None:
            return
        try:
            self.in_database(lambda: self._restrict(ruled, MODES[breach]))
        except DomainError as refusal:  # nothing the caller did: not theirs to read as a refusal
            raise RuntimeError(f"the breach of {ruled.view.standing.instance} was not acted on") from refusal

    def _restrict(self, ruled: Ruled, mode: Mode) -> None:
        why = ruled.verdict.reasons[0]
        with db.tenants([ruled.view.agent.tenant_id]):
            instance = AgentInstance.objects.get(pk=ruled.view.agent.id)
            try:
                posture = services.set_posture(
                    scope=instance, mode=mode, actor=None, reason=why.sentence, links=[ruled.body["id"]]
                )
            except Conflict:
                return  # it stands already: another call of the same loop was first
            if settings.INCIDENTS:
                ports.incidents().open(
                    tenant_id=instance.tenant_id,
                    kind="policy_violation",
                    severity="s2",
                    title=f"{instance}: {why.sentence}"[:200],
                    subject_kind="registry.agentinstance",
                    subject_id=instance.pk,
                    facts={"rule": why.rule, "decision": ruled.body["id"], "posture": posture.typeid},
                )


def approval_body(request: ApprovalRequest) -> dict[str, Any]:
    """An approval as its asker sees it."""
    expired = request.state in ("pending", "escalated") and request.expires_at <= clock.now()
    return {
        "id": request.typeid,
        "state": "expired" if expired else request.state,
        "poll": f"/api/v1/policy/decide/approval?id={request.typeid}",
        "expires_at": request.expires_at.isoformat(),
        "needs": request.quorum,
        "digest": request.digest,
    }
