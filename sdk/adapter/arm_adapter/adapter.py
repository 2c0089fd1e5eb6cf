"""The duties, in order: verify, keep, acknowledge, apply if it is not older than what was applied, prove. For ever."""

import hashlib
import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any

from . import connection, crypto
from .connection import Connection
from .http import Refused, Unreachable
from .runtime import CannotApply, Instance, Runtime
from .store import Order, Store
from .trust import NotTrusted

CHANGED = "https://arm.example/secevent/event-type/desired-state-changed"
MOST_CHANGED = 200
LONGEST_WAIT = 30.0
FULL_EVERY = 86_400.0
MOST_JUMP = 1_000_000
log = logging.getLogger("arm_adapter")


class Adapter:
    """One process, one thread, one session. `stop` ends it after what it is doing."""

    def __init__(
        self, link: Connection, store: Store, runtime: Runtime, *, poll_s: float, heartbeat_s: float
    ) -> None:
        self.link, self.store, self.runtime = link, store, runtime
        self.poll_s, self.heartbeat_s = poll_s, heartbeat_s
        self.stop = threading.Event()
        self.told: dict[str, tuple[str, str, int]] = {}
        self.retries: dict[str, tuple[float, int]] = {}
        self.next_poll = self.next_beat = self.next_full = 0.0

    def run(self) -> None:
        """Until it is stopped; whatever goes wrong is waited out, longer each time, and begun anew with a handshake."""
        failures = 0
        while not self.stop.is_set():
            failures = 0 if self.step() else failures + 1
            self.stop.wait(self._wait(failures))
        self._leave()

    def step(self) -> bool:
        """What is due now; False where it must be waited longer. Nothing that was stored is lost by it."""
        try:
            if not self.link.session:
                self._connect()
            self._turn()
        except Unreachable as problem:
            log.warning("ARM cannot be reached: %s", problem)
            return False
        except Refused as refusal:
            log.warning("ARM refuses: %s", refusal)
            if refusal.status in (401, 403, 404, 409):
                self.link.session = ""  # another handshake; until then nothing is written
            return False
        except NotTrusted as problem:
            log.error("arm_not_trusted: %s", problem)
            self.link.session = ""
            return False
        except sqlite3.Error as problem:
            log.error("the store cannot be used: %s", problem)
            return False
        except Exception:
            # A runtime or an answer that is not as it should be: the next turn may find it mended.
            log.exception("this turn failed; another follows")
            return False
        return True

    def _connect(self) -> None:
        self.link.meet()
        said = self.link.handshake()
        self.poll_s = min(self.poll_s, said["poll"]["max_interval_s"])
        self.heartbeat_s = min(self.heartbeat_s, said["heartbeat"]["interval_s"])
        self.told.clear()
        self.next_poll = self.next_beat = self.next_full = 0.0
        log.info("connected: session %s, epoch %s", self.link.session, self.link.epoch)

    def _turn(self) -> None:
        now = time.monotonic()
        if now >= self.next_full:
            self._report_all()
            self.next_full = now + FULL_EVERY
        if now >= self.next_poll:
            while self._poll():
                pass
            self.next_poll = time.monotonic() + self.poll_s
        if now >= self.next_beat:
            self._beat()
            self.next_beat = now + self.heartbeat_s
        self._work()

    def _wait(self, failures: int) -> float:
        if failures:
            return min(LONGEST_WAIT, 0.5 * 2.0 ** min(failures, 8)) * random.uniform(0.5, 1)  # noqa: S311 - spreads load
        dues = [self.next_poll, self.next_beat, *(due for due, _ in self.retries.values())]
        return max(0.02, min(dues) - time.monotonic())

    def _leave(self) -> None:
        try:
            self.link.goodbye()
            log.info("said goodbye")
        except Exception as problem:  # noqa: BLE001 - it ends either way
            log.warning("no goodbye: %s", problem)

    # --- what it says

    def _fleet(self) -> list[tuple[Instance, int]]:
        """Every instance as it is now, with the generation that was applied to it."""
        orders = self.store.orders()
        return [(one, _applied(orders.get(one.id))) for one in self.runtime.instances()]

    def _report_all(self) -> None:
        fleet = self._fleet()
        said = self.link.inventory(fleet)
        self._remember(fleet)
        log.info("inventory: %s", said)

    def _beat(self) -> None:
        fleet = self._fleet()
        changed = [(one, n) for one, n in fleet if one.id and self.told.get(one.external_id) != _word(one, n)]
        said = self.link.heartbeat(fleet, changed[:MOST_CHANGED], self.runtime.health())
        for one, n in changed[:MOST_CHANGED]:
            self.told[one.external_id] = _word(one, n)
        if "report_full_inventory" in said["flags"]:
            self._report_all()

    def _remember(self, fleet: list[tuple[Instance, int]]) -> None:
        self.told = {one.external_id: _word(one, n) for one, n in fleet}

    # --- what it is told

    def _poll(self) -> bool:
        """One round; True while there is more to fetch or to acknowledge."""
        acks, errors = self.store.answers()
        said = self.link.poll(acks, errors)
        self.store.answered([*acks, *errors])
        for jti, token in said["sets"].items():
            self._take(jti, token)
        return bool(said["sets"] or said["moreAvailable"])

    def _take(self, jti: str, token: str) -> None:
        try:
            order = self._verified(jti, token)
        except crypto.NotGenuine as problem:
            log.error("command_forged: %s: %s", jti, problem)
            self.store.refuse(jti, problem.err, str(problem))
            return
        if self.store.take(jti, order):
            log.info(
                "order: %s %s (generation %s)", order.instance, order.desired["run_state"], order.generation
            )

    def _verified(self, jti: str, token: str) -> Order:
        key = self.link.key(crypto.kid_of(token))
        if key is None:
            raise crypto.NotGenuine("invalid_key", "ARM does not list the key that signed it.")
        claims = crypto.verified(token, key, issuer=self.link.places["issuer"], audience=self.link.client_id)
        event = claims.get("events", {}).get(CHANGED)
        if (
            claims.get("jti") != jti
            or not isinstance(event, dict)
            or not isinstance(event.get("desired"), dict)
        ):
            raise crypto.NotGenuine("invalid_request", "It tells of no change of what is wanted.")
        desired = event["desired"]
        sha256 = hashlib.sha256(crypto.canonical(desired)).hexdigest()
        if sha256 != event.get("desired_sha256") or desired.get("generation") != event.get("generation"):
            raise crypto.NotGenuine("invalid_request", "The document is not the one that it names.")
        self._plausible(desired)
        return Order(
            desired["instance_id"],
            desired["generation"],
            sha256,
            event["command_id"],
            desired,
            "",
            False,
            False,
        )

    def _plausible(self, desired: dict[str, Any]) -> None:
        """A generation far beyond all others would make the adapter deaf to every true order that follows."""
        name, generation = desired.get("instance_id"), desired.get("generation")
        if not isinstance(name, str) or not isinstance(generation, int) or isinstance(generation, bool):
            raise crypto.NotGenuine("invalid_request", "The document names no instance or no generation.")
        stands = self.store.generation(name)
        if generation > stands + MOST_JUMP:
            raise crypto.NotGenuine(
                "invalid_request", f"Generation {generation} is too far beyond {stands}, which stands."
            )

    # --- what it does

    def _work(self) -> None:
        """Bring every instance to what is wanted of it and prove it. What fell back is brought there again, after the
        heartbeat has told of it."""
        here = {one.id: one for one in self.runtime.instances() if one.id}
        for order in self.store.orders().values():
            due, tries = self.retries.get(order.instance, (0.0, 0))
            instance = here.get(order.instance)
            if instance is None or order.failed or time.monotonic() < due:
                continue
            done = bool(order.applied_at) and instance.state == order.desired["run_state"]
            if done and order.attested:
                self.retries.pop(order.instance, None)
                continue
            fell_back = bool(order.applied_at) and not done
            if fell_back and self.told.get(instance.external_id) != _word(instance, order.generation):
                self.next_beat = 0.0
                continue
            self._attempt(order, instance, tries)

    def _attempt(self, order: Order, instance: Instance, tries: int) -> None:
        try:
            self.runtime.apply(instance, order.desired)
            self._prove(order)
            self.retries.pop(order.instance, None)
        except CannotApply as problem:
            log.error("cannot apply: %s: %s", order.instance, problem.message)
            self.store.mark(order, failed=1)
            self.link.status(order.command, "failed", problem.code, problem.message)
        except (Refused, Unreachable):
            raise
        except Exception as problem:  # noqa: BLE001 - whatever a runtime raises is tried again
            log.warning("not applied yet: %s: %s", order.instance, problem)
            self.retries[order.instance] = (time.monotonic() + min(LONGEST_WAIT, 0.5 * 2**tries), tries + 1)

    def _prove(self, order: Order) -> None:
        """What the runtime shows after it was told, not what it was told."""
        seen = next((one for one in self.runtime.instances() if one.id == order.instance), None)
        if seen is None or seen.state != order.desired["run_state"]:
            raise RuntimeError(f"it is {seen.state if seen else 'gone'} after it was applied")
        self.store.mark(order, applied_at=order.applied_at or connection.now())
        order = self.store.orders()[order.instance]
        said = self.link.attest(seen, order)
        if said["ok"] or said["code"] == "stale-generation":  # a newer order is on its way
            self.store.mark(order, attested=1)
            log.info("proven: %s %s (generation %s)", order.instance, seen.state, order.generation)
        elif said["code"] == "stale-session":
            raise Refused(409, "stale-session", "another handshake was made")
        else:
            raise RuntimeError(f"ARM does not accept the proof: {said['code']}")
        self.next_beat = min(self.next_beat, time.monotonic() + 1)


def _applied(order: Order | None) -> int:
    return order.generation if order is not None and order.applied_at else 0


def _word(instance: Instance, generation: int) -> tuple[str, str, int]:
    return instance.version_id, instance.state, generation


def stopper(adapter: Adapter) -> Callable[..., None]:
    """For signals: end after what is being done."""

    def stop(*_: object) -> None:
        adapter.stop.set()

    return stop
