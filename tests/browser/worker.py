"""The real worker, beside the pages of a test: a process of its own on the test's database."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from django.db import connections

ROOT = Path(__file__).parents[2]


def _url() -> str:
    """Where the test's database is, as the owner's URL: the worker's own logins follow from it."""
    held = connections["owner"].get_connection_params()
    who = f"{quote(str(held['user']))}:{quote(str(held.get('password') or ''))}"
    place = "&".join(
        f"{name}={quote(str(held[name]), safe='')}" for name in ("host", "port") if held.get(name)
    )
    return f"postgresql://{who}@/{held['dbname']}?{place}"


@contextmanager
def worker(log: Path) -> Iterator[None]:
    """It takes what the pages have queued until the block ends; what it says is in the log."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("ARM_APP_DATABASE_URL", "ARM_INGEST_DATABASE_URL")
    } | {"DATABASE_URL": _url(), "ARM_WORKERS": "1"}
    command = [sys.executable, "manage.py", "qcluster", "--name", "arm"]
    with (
        log.open("wb") as out,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield
        finally:
            try:
                process.terminate()
                process.wait(15)
            except subprocess.TimeoutExpired:
                pass
            finally:
                try:
                    os.killpg(process.pid, signal.SIGKILL)  # whatever it has left behind
                except ProcessLookupError:
                    pass
