"""What this process counts in memory: slices of limits it may spend, and the calls that make a loop."""

import secrets
import threading
import time
from bisect import bisect_left, insort
from collections import deque
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final
from uuid import UUID

from msgspec import Struct

from arm import db

from .. import facts
from ..engine import Count, Envelope, LimitKey, Loop, LoopKey, Per, Request
from ..engine.counters import need

ZERO: Final = Decimal(0)
CALLS_KEPT: Final = 10_000
LONGEST_WINDOW: Final = 3600
HOLDER: Final = secrets.token_hex(6)
"""This process, in leases and in what it tells the others."""


class _Held(Struct):
    lease_id: UUID
    tenant_id: UUID
    left: Decimal
    until: float


class Taken(Struct):
    """What one request took from the leases, to be given back if it is not allowed."""

    counts: dict[LimitKey, Count]
    parts: list[tuple[tuple[UUID, LimitKey, str], UUID, Decimal]]


class Leases:
    """Spends limits in memory. Taking comes before judging, so two requests cannot both spend the last unit."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held: dict[tuple[UUID, LimitKey, str], _Held] = {}
        self._renewing: dict[tuple[UUID, LimitKey, str], threading.Lock] = {}

    def take(
        self, tenant_id: UUID, instance_id: UUID, envelope: Envelope, request: Request, now: float
    ) -> Taken:
        """Take what the request needs of each limit; where that is not to be had, the count says what is left."""
        taken = Taken({}, [])
        for key, limit in envelope.limits.items():
            window = _window(key, request, now)
            if key.per == Per.CALL or not window:
                continue
            wanted = need(key, request) or ZERO
            name = (instance_id, key, window)
            left = self._spend(name, wanted, now, taken)
            if left is None:
                self._renew(name, tenant_id, limit.most, wanted)
                left = self._spend(name, wanted, now, taken)
            taken.counts[key] = Count(left if left is not None else ZERO, now)
        return taken

    def try_take(self, instance_id: UUID, envelope: Envelope, request: Request, now: float) -> Taken | None:
        """Like `take`, but None where a lease would have to be renewed."""
        taken = Taken({}, [])
        for key in envelope.limits:
            window = _window(key, request, now)
            if key.per == Per.CALL or not window:
                continue
            left = self._spend((instance_id, key, window), need(key, request) or ZERO, now, taken)
            if left is None:
                self.give_back(taken)
                return None
            taken.counts[key] = Count(left, now)
        return taken

    def give_back(self, taken: Taken) -> None:
        with self._guard:
            for name, lease_id, amount in taken.parts:
                held = self._held.get(name)
                if held is not None and held.lease_id == lease_id:
                    held.left += amount

    def settle_idle(self, now: float | None = None) -> None:
        """Return what is left of leases that have ended (all of them when `now` is None: the process ends)."""
        with self._guard:
            over = [(name, held) for name, held in self._held.items() if now is None or held.until <= now]
            for name, _ in over:
                del self._held[name]
                self._renewing.pop(name, None)
        for _, held in over:
            facts.limits().settle(tenant_id=held.tenant_id, lease_id=held.lease_id, left=held.left)

    def _spend(
        self, name: tuple[UUID, LimitKey, str], wanted: Decimal, now: float, taken: Taken
    ) -> Decimal | None:
        with self._guard:
            held = self._held.get(name)
            if held is None or held.until <= now or held.left < wanted or held.left <= 0:
                return None
            left = held.left
            held.left -= wanted
            taken.parts.append((name, held.lease_id, wanted))
            return left

    def _renew(
        self, name: tuple[UUID, LimitKey, str], tenant_id: UUID, most: Decimal, wanted: Decimal
    ) -> None:
        """Swap the lease for one that covers what is wanted; one thread at a time per counter."""
        instance_id, key, window = name
        with self._guard:
            renewing = self._renewing.setdefault(name, threading.Lock())
        with renewing:
            with self._guard:
                held = self._held.get(name)
                if held is not None and held.until > time.time() and held.left >= wanted and held.left > 0:
                    return  # another thread has just renewed it
                self._held.pop(name, None)
            port = facts.limits()
            if held is not None:
                port.settle(tenant_id=held.tenant_id, lease_id=held.lease_id, left=held.left)
            lease = port.reserve(
                tenant_id=tenant_id, instance_id=instance_id, key=key, most=most, wanted=wanted,
                window=window, holder=HOLDER,
            )  # fmt: skip
            if lease.id is not None:
                with self._guard:
                    self._held[name] = _Held(lease.id, tenant_id, lease.amount, lease.expires_at.timestamp())


def _window(key: LimitKey, request: Request, now: float) -> str:
    if key.per == Per.RUN:
        return request.run[:160]
    day = _day(int(now // 86_400))
    return day if key.per == Per.DAY else day[:7]


@lru_cache(maxsize=4)
def _day(number: int) -> str:
    return datetime.fromtimestamp(number * 86_400, UTC).strftime("%Y-%m-%d")


class _History:
    """One agent's latest calls: when, and which action."""

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.times: deque[tuple[float, str]] = deque(maxlen=CALLS_KEPT)
        self.by_action: dict[str, list[float]] = {}

    def add(self, at: float, action: str) -> None:
        while self.times and self.times[0][0] < at - LONGEST_WINDOW:
            self._drop(*self.times.popleft())
        if len(self.times) == CALLS_KEPT:
            self._drop(*self.times.popleft())
        self.times.append((at, action))
        insort(self.by_action.setdefault(action, []), at)  # others' calls come a moment late

    def _drop(self, at: float, action: str) -> None:
        kept = self.by_action[action]
        kept.pop(0)
        if not kept:
            del self.by_action[action]

    def repeats(self, action: str, since: float) -> int:
        times = self.by_action.get(action, [])
        return len(times) - bisect_left(times, since)

    def calls(self, since: float) -> int:
        count = 0
        for at, _ in reversed(self.times):
            if at < since:
                break
            count += 1
        return count

    def back_and_forth(self, since: float) -> int:
        """How often the latest two actions have alternated: A B A B is 2."""
        latest: list[str] = []
        swings = 0
        for at, action in reversed(self.times):
            if at < since or (len(latest) == 2 and action != latest[-2]) or (latest and action == latest[-1]):
                break
            latest.append(action)
            latest = latest[-2:]
            swings += 1
        return swings // 2 if swings >= 2 else 0


class Calls:
    """Counts repeated, thrashing and alternating calls of agents with loop rules, and shares them between processes."""

    def __init__(self) -> None:
        self._agents: dict[UUID, _History] = {}

    def count(self, instance_id: UUID, envelope: Envelope, action: str, now: float) -> dict[LoopKey, Count]:
        """Note this call and say how often each rule has seen its pattern, this call included."""
        action = short(action)
        history = self._agents.setdefault(instance_id, _History())
        found: dict[LoopKey, Count] = {}
        with history.guard:
            history.add(now, action)
            for key in envelope.loops:
                since = now - key.window_s
                if key.rule == Loop.REPEAT:
                    found[key] = Count(history.repeats(action, since), now)
                elif key.rule == Loop.THRASH:
                    found[key] = Count(history.calls(since), now)
                elif key.rule == Loop.PING_PONG:
                    found[key] = Count(history.back_and_forth(since), now)
        return found

    def tidy(self, now: float) -> None:
        """Forget agents that have not called within the longest window."""
        for instance_id, history in list(self._agents.items()):
            with history.guard:
                idle = not history.times or history.times[-1][0] < now - LONGEST_WINDOW
            if idle:
                self._agents.pop(instance_id, None)

    def hear(self, payload: str) -> None:
        """Another process's calls: `holder instance:action:milliseconds …`."""
        holder, *calls = payload.split(" ")
        if holder == HOLDER:
            return
        for call in calls:
            instance, action, at = call.split(":")
            history = self._agents.setdefault(UUID(instance), _History())
            with history.guard:
                history.add(int(at) / 1000, action)


def told(instance_id: UUID, action: str, now: float) -> str:
    """One call, as the other processes hear of it."""
    return f"{instance_id.hex}:{short(action)}:{int(now * 1000)}"


def short(action: str) -> str:
    """64 bits of the action's digest: enough to tell an agent's calls apart."""
    return action[7:23]


class Streaks:
    """Calls that failed one after the other, asked of who knows (settings.POLICY_FACTS) twice a second."""

    def __init__(self) -> None:
        self._counts: dict[tuple[UUID, int], Count] = {}

    def count(self, instance_id: UUID, key: LoopKey) -> Count | None:
        return self._counts.get((instance_id, key.window_s))

    def refresh(self, wanted: dict[tuple[UUID, int], set[UUID]]) -> None:
        """`wanted`: (tenant, window) to the agents with such a rule. What is not wanted any more is forgotten."""
        fresh: dict[tuple[UUID, int], Count] = {}
        for (tenant_id, window_s), instance_ids in wanted.items():
            at = time.time()
            with db.tenants([tenant_id]):
                found = facts.error_streaks().counts(
                    tenant_id=tenant_id, instance_ids=instance_ids, window_s=window_s
                )
            for instance_id in instance_ids:
                fresh[instance_id, window_s] = Count(found.get(instance_id, 0), at)
        self._counts = fresh
