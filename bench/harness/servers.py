"""Real server processes for a bench, on a free port, with the bench's database."""

import gc
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from arm import collector
from arm.management.local import ROOT
from arm.management.probe import refusal

START_SECONDS = 60


@contextmanager
def as_served() -> Iterator[None]:
    """What this process does itself, it does with the garbage collector of the web process; the next bench does not."""
    before = gc.get_threshold()
    collector.keep_loaded(every=collector.PAGES)
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


def free_port() -> int:
    """A port of this machine that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(application: str, *, workers: int = 2, threads: int = 4) -> Iterator[str]:
    """granian with `arm.wsgi:application` or `arm.wsgi_gateway:application`; yields its base URL when it answers."""
    port = free_port()
    command = [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port),
        "--workers", str(workers), "--blocking-threads", str(threads), "--no-ws", "--log-level", "error",
        "--workers-kill-timeout", "3", application,
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, cwd=ROOT, env=os.environ, start_new_session=True) as process:
        try:
            end = time.monotonic() + START_SECONDS
            while why := refusal(f"{url}/health/", allowed_hosts="", seconds=1):
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"{application} does not serve: {why}")
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()
