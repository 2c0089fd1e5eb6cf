"""Decisions of the past: packed and kept as the lane does it, at moments of their own. For the demo only."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID

from django.conf import settings

from arm import clock, ids

from ..engine import Request, Verdict
from ..queries.standing import Agent
from .record import Recorder, pack

AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Past:
    """One decision that was not given by the lane. The id is a UUIDv7 of its moment; the record's time is read off it."""

    id: UUID
    agent: Agent
    key_id: UUID
    asked: Request
    verdict: Verdict
    age_ms: int
    approval_id: UUID | None = None

    @property
    def millisecond(self) -> int:
        return self.id.int >> 80


def keep(decisions: Iterable[Past]) -> int:
    """Record them, durably when it returns, and return how many. To be called outside a transaction that has read
    decisions: days that have no partition yet get one.

    RuntimeError where production checks are on, since nobody writes the past there; ValueError for the future.
    """
    if not settings.CLOCK_MAY_BE_SET:
        raise RuntimeError("Decisions of the past are written only by the demo and by tests (ARM_DEMO=1).")
    rows = sorted(decisions, key=lambda one: one.id)
    if rows and rows[-1].millisecond > clock.now().timestamp() * 1000:
        raise ValueError(f"{ids.encode('dec', rows[-1].id)} lies in the future.")
    recorder = Recorder()
    try:
        for _, day in groupby(rows, lambda one: one.millisecond // 86_400_000):
            left = list(day)
            while left:
                group, left = left[:AT_ONCE], left[AT_ONCE:]
                recorder.commit(group[0].id, b"".join(_row(one) for one in group))
    finally:
        recorder.stop()
    return len(rows)


def _row(one: Past) -> bytes:
    return pack(
        one.id,
        one.verdict,
        tenant_id=one.agent.tenant_id.bytes,
        instance_id=one.agent.id.bytes,
        version_id=one.agent.version_id.bytes,
        key_id=one.key_id.bytes,
        action=one.asked.action,
        tool=one.asked.tool,
        job=one.asked.job,
        outcome=one.asked.outcome,
        run=one.asked.run,
        age_ms=one.age_ms,
        digest=one.verdict.digest,
        approval_id=one.approval_id,
        request_id=ids.encode("req", one.id),
    )
