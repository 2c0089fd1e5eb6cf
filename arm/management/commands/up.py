"""`manage.py up`: the whole product in the foreground, from an empty directory to `ready`; Ctrl-C stops all of it."""

import fcntl
import hashlib
import json
import os
import signal
import socket
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import NoReturn, TextIO

from django.core.management.base import BaseCommand, CommandError

from arm import pg
from arm.management import local
from arm.management.probe import refusal
from arm.management.supervisor import STOP_SIGNALS, StepFailed, Stopped, Supervisor

READY_SECONDS = 120
PROBE_SECONDS = 0.5
DATABASE_CHECK_SECONDS = 1.0
STARTED = "postgres\n"


class Command(BaseCommand):
    help = "Run ARM: database, web server, gateway, worker, signer and scheduler, until Ctrl-C or SIGTERM."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--demo", action="store_true", help="fill an empty installation with a believable fleet"
        )
        parser.add_argument(
            "--port", type=int, default=local.PORT, help="web port; the gateway takes the next one"
        )
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
        parser.add_argument("--data", type=Path, default=None, help="where the database and the secrets live")

    def handle(self, *, demo: bool, port: int, host: str, data: Path | None, **_: object) -> None:
        if not 1 <= port <= 65534:
            raise CommandError(f"--port {port}: name a port from 1 to 65534; the gateway takes the next one.")
        place = (data or pg.default_data()).absolute()
        for sign in STOP_SIGNALS:
            signal.signal(sign, stop)
        try:
            pg.prepare(place)
            with only_one(place) as note:
                for number in (port, port + 1):
                    require_free(host, number)
                local.remember(place, host=host, port=port)
                environment = local.environment(os.environ, data=place)
                with (
                    database(place, environment, note) as watch,
                    Supervisor(environment=environment, directory=local.ROOT, watch=watch) as supervisor,
                ):
                    run(supervisor, host=host, port=port, demo=demo)
        except Stopped:
            self.stdout.write("stopped")
        except (pg.PostgresUnavailable, StepFailed) as problem:
            raise CommandError(str(problem)) from problem


def run(supervisor: Supervisor, *, host: str, port: int, demo: bool) -> None:
    """Prepare, start everything, say ready, and supervise until someone stops it (Stopped)."""
    manage = [sys.executable, "manage.py"]
    place = supervisor.environment["ARM_DATA"]
    supervisor.say(f"web {local.address(host, port)}, gateway {local.address(host, port + 1)}, data {place}")
    welcome = supervisor.step("prepare", [sys.executable, "-m", "arm.management.first_steps"])
    collect_static(supervisor)
    supervisor.start("web", granian("arm.wsgi:application", host, port, workers=1))
    supervisor.start(
        "gateway", granian("arm.wsgi_gateway:application", host, port + 1, workers=2, threads=32)
    )
    supervisor.start("worker", [*manage, "qcluster", "--name", "arm"])
    key = supervisor.environment.get("ARM_KEY_ENCRYPTION_KEY") or pg.secret(Path(place), "key_encryption_key")
    signer = {"Q_CLUSTER_NAME": "signer", "ARM_KEY_ENCRYPTION_KEY": key}
    supervisor.start("signer", [*manage, "qcluster", "--name", "signer"], **signer)
    supervisor.start("scheduler", [*manage, "scheduler"])
    names = supervisor.environment["ARM_ALLOWED_HOSTS"]
    probes = [local.address(host, number) + "/ready/" for number in (port, port + 1)]
    answered: dict[str, str] = {}
    next_probe = 0.0

    def probe() -> None:
        nonlocal next_probe
        if monotonic() < next_probe:
            return
        next_probe = monotonic() + PROBE_SECONDS
        for url in probes:
            if answered.get(url) != "":
                answered[url] = refusal(url, allowed_hosts=names, seconds=1)

    serving = supervisor.until(
        lambda: len(answered) == len(probes) and not any(answered.values()), each=probe, seconds=READY_SECONDS
    )
    if not serving:
        raise StepFailed("; ".join(f"{url} does not answer: {why}" for url, why in answered.items() if why))
    if demo:
        welcome += supervisor.step("demo", [*manage, "demo"])
        addresses = ["--web", local.address(host, port), "--gateway", local.address(host, port + 1)]
        supervisor.start("demo", [*manage, "demo_pulse", *addresses])
        if (configuration := demo_adapter(Path(place), local.address(host, port + 1))) is not None:
            command = [sys.executable, "-m", "arm_adapter", "run", "--config", str(configuration)]
            supervisor.start("adapter", command, PYTHONPATH=str(local.ROOT / "sdk" / "adapter"))
    for line in welcome:  # once more, where it is not buried under the logs
        if "sign in" in line:
            supervisor.say(line)
    supervisor.write(f"ready {local.address(host, port)}")
    supervisor.until(lambda: False, each=lambda: None, seconds=float("inf"))


def demo_adapter(place: Path, gateway: str) -> Path | None:
    """The configuration of the demo's federated provider, told where the gateway is now; None where there is none."""
    file = place / "demo-adapter" / "adapter.json"
    if not file.exists():
        return None
    file.write_text(json.dumps(json.loads(file.read_text()) | {"url": gateway}, indent=1))
    return file


def collect_static(supervisor: Supervisor) -> None:
    """Collect the static files, which takes seconds, only when one of them changed since the last time."""
    target = Path(supervisor.environment["ARM_STATIC_ROOT"])
    seen = hashlib.sha256((local.ROOT / "requirements.txt").read_bytes())  # what packages bring along
    for place in sorted([local.ROOT / "static", *local.ROOT.glob("*/static")]):
        for path in sorted(place.rglob("*")):
            facts = path.stat()
            seen.update(f"{path.relative_to(local.ROOT)} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    mark = target.parent / "static.collected"
    if mark.exists() and mark.read_text() == seen.hexdigest() and target.is_dir():
        return
    supervisor.step("static", [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"])
    mark.write_text(seen.hexdigest())


def granian(application: str, host: str, port: int, *, workers: int, threads: int = 4) -> list[str]:
    """Four blocking threads were the fastest for pages; decisions sleep until their group is committed, so there are
    more of them (granian would warn of that at each start; a dead worker is an error). Such a one is replaced at once."""
    return [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--host", host, "--port", str(port),
        "--workers", str(workers), "--blocking-threads", str(threads), "--no-ws", "--log-level", "error",
        "--respawn-failed-workers", "--respawn-interval", "0.5", "--workers-kill-timeout", "3", application,
    ]  # fmt: skip


@contextmanager
def only_one(data: Path) -> Iterator[TextIO]:
    """Hold this data directory for one `up`; yields the note in which it leaves what it must clean up later."""
    with (data / "up.lock").open("a+") as note:
        try:
            fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(
                f"ARM already runs on {data}; stop it or name another directory with --data"
            ) from None
        yield note


@contextmanager
def database(data: Path, environment: dict[str, str], note: TextIO) -> Iterator[Callable[[], None]]:
    """Put DATABASE_URL into the environment; yields what keeps the embedded server alive. At the end the server
    stops if `up` started it: this one, or one that was killed before it could (its note tells)."""
    if environment.get("DATABASE_URL"):
        yield lambda: None
        return
    note.seek(0)
    ours = note.read() == STARTED or not pg.is_running(data)
    if ours:
        write_note(note, STARTED)
    try:
        environment["DATABASE_URL"] = pg.ensure(data).owner
        yield DatabaseWatch(data)
    finally:
        if ours:
            for sign in STOP_SIGNALS:  # an impatient second Ctrl-C does not leave the server behind
                signal.signal(sign, signal.SIG_IGN)
            pg.stop(data)
            write_note(note, "")


def stop(number: int, _: object) -> NoReturn:
    """The handler until the supervisor takes over."""
    raise Stopped


def write_note(note: TextIO, text: str) -> None:
    note.seek(0)
    note.truncate()
    note.write(text)
    note.flush()


class DatabaseWatch:
    """Called often: starts the embedded server again when it died."""

    def __init__(self, data: Path) -> None:
        self.data, self.next = data, 0.0

    def __call__(self) -> None:
        if monotonic() < self.next:
            return
        self.next = monotonic() + DATABASE_CHECK_SECONDS
        if pg.is_running(self.data):
            return
        print(f"database  | ended; starting it again, see {self.data}/postgres.log", flush=True)
        try:
            pg.ensure(self.data)
        except pg.PostgresUnavailable as problem:
            print(f"database  | {problem}", flush=True)
            self.next = monotonic() + 10 * DATABASE_CHECK_SECONDS


def require_free(host: str, port: int) -> None:
    """Refuse a port that is taken before anything is started."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a closing connection does not count
        try:
            probe.bind((host, port))
        except OSError as problem:
            raise CommandError(
                f"cannot listen on {host} port {port} ({problem.strerror}); name another with --port N, "
                "which takes N and N+1"
            ) from None
