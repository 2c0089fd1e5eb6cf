"""A load generator in a process of its own: keep-alive connections, one request under way on each.

`python -m bench.harness.load` reads a job as JSON from standard input and writes what it measured to standard output.
"""

import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from arm.management.local import ROOT


@dataclass(frozen=True)
class Load:
    """Answers counted by status, seconds the measuring took, and each answer's latency in seconds."""

    statuses: dict[str, int]
    seconds: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds


def ask(
    url: str, requests: Sequence[bytes], *, connections: int, seconds: float, rate: float | None = None
) -> Load:
    """Send these requests in turn. With `rate` (a second) they are due at fixed times, and latency counts from when
    a request was due, so that a server that stalls is not spared."""
    parts = urlsplit(url)
    job = {
        "host": parts.hostname,
        "port": parts.port,
        "requests": [request.decode("latin-1") for request in requests],
        "connections": connections,
        "seconds": seconds,
        "rate": rate,
    }
    done = subprocess.run(
        [sys.executable, "-m", "bench.harness.load"],
        check=False, input=json.dumps(job), capture_output=True, text=True, cwd=ROOT, env=os.environ, timeout=seconds + 60,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"the load generator failed: {done.stderr[-2000:]}")
    return Load(**json.loads(done.stdout))


class Connection:
    """One socket with at most one request under way."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.began = 0.0
        self.got = b""
        self.busy = False

    def send(self, request: bytes, began: float) -> None:
        self.began, self.got, self.busy = began, b"", True
        if self.socket.send(request) != len(request):
            raise RuntimeError("a request did not fit into the socket's buffer")

    def receive(self) -> str | None:
        """The status once the answer is whole."""
        data = self.socket.recv(65536)
        if not data:
            raise RuntimeError("the server closed a connection")
        self.got = got = self.got + data
        head = got.find(b"\r\n\r\n")
        if head < 0:
            return None
        at = got.lower().find(b"content-length:", 0, head)
        length = int(got[at + 15 : got.find(b"\r\n", at)])
        if len(got) < head + 4 + length:
            return None
        self.busy = False
        return got[9:12].decode()


def run(job: dict[str, object]) -> Load:
    requests = [str(text).encode("latin-1") for text in job["requests"]]  # type: ignore[attr-defined]
    pool = [Connection(str(job["host"]), int(job["port"])) for _ in range(int(job["connections"]))]  # type: ignore[call-overload]
    selector = selectors.DefaultSelector()
    for connection in pool:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    latencies: list[float] = []
    statuses: dict[str, int] = {}
    turn, pace = 0, 1 / float(job["rate"]) if job["rate"] else None  # type: ignore[arg-type]
    start = time.perf_counter()
    end = start + float(job["seconds"])  # type: ignore[arg-type]
    idle: list[Connection] = []
    due = start
    if pace is None:
        for connection in pool:
            connection.send(requests[turn % len(requests)], time.perf_counter())
            turn += 1
    else:
        idle = list(pool)
    while (now := time.perf_counter()) < end:
        while pace is not None and idle and due <= now:
            idle.pop().send(requests[turn % len(requests)], due)
            turn += 1
            due += pace
        wait = max(0.0, due - now) if pace is not None and idle else 0.05
        for key, _ in selector.select(wait):
            connection = key.data
            status = connection.receive()
            if status is None:
                continue
            now = time.perf_counter()
            latencies.append(now - connection.began)
            statuses[status] = statuses.get(status, 0) + 1
            if pace is None:
                connection.send(requests[turn % len(requests)], now)
                turn += 1
            else:
                idle.append(connection)
    return Load(statuses, time.perf_counter() - start, latencies)


if __name__ == "__main__":
    measured = run(json.load(sys.stdin))
    json.dump(measured.__dict__, sys.stdout)
