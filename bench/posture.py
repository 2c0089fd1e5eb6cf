"""From the commit of a stop to the moment when the last of two decide processes denies; and with their listeners lost."""

import json
import socket
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

from django.db import connections

from arm import db
from arm.models import User
from policy import services
from policy.engine import Mode
from policy.models import Posture
from registry.models import AgentInstance

from .harness import Figure, percentile, serving
from .harness.agents import agents, request


class Asker:
    """One keep-alive connection to one process."""

    def __init__(self, url: str, message: bytes) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.message = message

    def decision(self) -> str:
        self.socket.sendall(self.message)
        got = b""
        while True:
            got += self.socket.recv(65536)
            head = got.find(b"\r\n\r\n")
            if head < 0:
                continue
            length = int(got[got.lower().index(b"content-length:") + 15 :].split(b"\r\n")[0])
            if len(got) >= head + 4 + length:
                return str(json.loads(got[head + 4 :]).get("decision", got[9:12].decode()))


def run(quick: bool) -> list[Figure]:
    """Each time: every process allows, the stop commits, both are asked until both deny."""
    _, root, fleet = agents(1)
    instance, token = fleet[0]
    message = request(token, "web_search", {"q": "quarterly report"})
    with ExitStack() as stack:
        urls = [
            stack.enter_context(serving("arm.wsgi_gateway:application", workers=1, threads=8))
            for _ in range(2)
        ]
        askers = [Asker(url, message) for url in urls]
        heard = [_stop_and_wait(instance, root, askers) for _ in range(10 if quick else 200)]
        lost = []
        for _ in range(3 if quick else 20):
            _allow(askers)
            _end_listeners()
            lost.append(_stop_and_wait(instance, root, askers, allowed=True))
    return [
        Figure("posture_p50", percentile(heard, 0.5) * 1000, "ms"),
        Figure("posture_p99", percentile(heard, 0.99) * 1000, "ms", 1000),
        Figure("posture_listener_lost_max", max(lost) * 1000, "ms", 2000),
    ]


def _stop_and_wait(
    instance: AgentInstance, root: User, askers: list[Asker], *, allowed: bool = False
) -> float:
    if not allowed:
        _allow(askers)
    with db.tenants([instance.tenant_id]):
        posture = services.set_posture(scope=instance, mode=Mode.PAUSED, actor=root, reason="bench")
    committed = time.perf_counter()
    waiting = list(askers)
    while waiting:
        waiting = [asker for asker in waiting if asker.decision() != "deny"]
        if time.perf_counter() - committed > 10:
            raise RuntimeError("a process still allows 10 s after the stop")
    taken = time.perf_counter() - committed
    with db.tenants([instance.tenant_id]):
        services.lift_posture(posture=Posture.objects.get(pk=posture.pk), actor=root, reason="bench")
    return taken


def _allow(askers: list[Asker]) -> None:
    end = time.monotonic() + 10
    while not all(asker.decision() == "allow" for asker in askers):
        if time.monotonic() > end:
            raise RuntimeError("a process does not allow again after the lift")


def _end_listeners() -> None:
    """A role may end its own sessions: these are the watchers', whose last statement was the look at the touches."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE %s"
            " AND pid <> pg_backend_pid() AND usename = current_user AND datname = current_database()",
            ["%policy_touch touch%"],
        )
        if cursor.fetchone()[0] < 2:
            raise RuntimeError("there were not two listeners to end")
