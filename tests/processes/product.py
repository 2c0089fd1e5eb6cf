"""The product as a user runs it: `manage.py up` in a directory of its own, with its processes in reach."""

import hashlib
import hmac
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener

import psycopg

from arm import pg
from arm.management.local import ROOT
from arm.pg.place import locked
from tests.conftest import TEMPLATE

ADMIN_PASSWORD = "a password for the process tests"
READY_SECONDS = 400


class Product:
    """One running `up`; `log` grows with what it prints."""

    def __init__(self, data: Path, port: int, environment: dict[str, str]) -> None:
        self.data, self.port, self.environment = data, port, environment
        self.url, self.gateway = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}"
        self.log_file = data.parent / "up.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def start(self, *arguments: str) -> None:
        """Start and wait for `ready`; what it said is in the failure."""
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                self.command(*arguments), cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        wait_for(
            lambda: f"\nready {self.url}\n" in self.log or self.process.poll() is not None,  # type: ignore[union-attr]
            READY_SECONDS,
        )
        assert self.process.poll() is None, self.log
        assert f"\nready {self.url}\n" in self.log, self.log

    def command(self, *arguments: str) -> list[str]:
        return [
            sys.executable,
            "manage.py",
            "up",
            "--port",
            str(self.port),
            "--data",
            str(self.data),
            *arguments,
        ]

    def manage(self, *arguments: str) -> str:
        """Run a Django command on this installation, beside its processes."""
        done = subprocess.run(
            [sys.executable, "-m", "arm.management.local", "--data", str(self.data), *arguments],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def pid(self, words: str) -> int:
        """The master process whose command line has these words; one that has died is waited for until it is back."""
        wait_for(lambda: len(self._masters(words)) == 1, 60)
        return self._masters(words)[0]

    def _masters(self, words: str) -> list[int]:
        assert self.process is not None
        return [
            pid
            for pid, parent in parents().items()
            if parent == self.process.pid and words in command_of(pid)
        ]

    @property
    def superuser_url(self) -> str:
        """The database as the owner of the machine may see it: past every wall."""
        return self._login("postgres", pg.secret(self.data, "postgres"))

    @property
    def application_url(self) -> str:
        """The database as web, gateway and worker log in to it."""
        key = pg.secret(self.data, "secret_key").encode()
        return self._login("arm_app", hmac.new(key, b"database role app", hashlib.sha256).hexdigest())

    def _login(self, user: str, password: str) -> str:
        owner = urlsplit(pg.ensure(self.data).owner)
        return f"postgresql://{user}:{quote(password, safe='')}@{owner.path}?{owner.query}"

    def tenants(self) -> str:
        """Every tenant, as the setting of the wall takes them."""
        with psycopg.connect(self.superuser_url) as connection:
            rows = connection.execute("SELECT id FROM arm_tenant").fetchall()
        return "{" + ",".join(str(row[0]) for row in rows) + "}"

    def database_pid(self) -> int:
        return int((self.data / "postgres" / "postmaster.pid").read_text().split()[0])

    def every_pid(self) -> set[int]:
        """`up`, the database and all that descends from them."""
        assert self.process is not None
        whole, known = {self.process.pid, self.database_pid()}, parents()
        while more := {pid for pid, parent in known.items() if parent in whole} - whole:
            whole |= more
        return whole

    def kill(self, words: str) -> int:
        """kill -9 of one master, waited for until it is gone; its process number. `postgres` is the database."""
        pid = self.database_pid() if words == "postgres" else self.pid(words)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: pid not in parents())
        return pid

    def runs(self, words: str) -> bool:
        """Whether a master with these words lives: false between its death and its successor."""
        return bool(self._masters(words))

    def stop(self) -> tuple[int, float]:
        """SIGTERM; the exit code and the seconds it took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.terminate()
        return self.process.wait(30), time.monotonic() - began


@contextmanager
def product(*, first_start: bool = False) -> Iterator[Product]:
    """An installation in a new directory that the database's account may pass; gone afterwards.

    Its database is migrated already, unless the `first_start` itself is what is looked at.
    """
    parent = Path(tempfile.mkdtemp(prefix="arm-up-"))
    parent.chmod(0o711)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ARM_", "DATABASE_", "COV_"))
    }
    environment = kept | {"ARM_PRODUCTION": "0", "ARM_ADMIN_PASSWORD": ADMIN_PASSWORD}
    running = Product(parent / "data", free_port_pair(), environment)
    if not first_start:
        _lay_out(running)
    try:
        yield running
    finally:
        if running.process is not None and running.process.poll() is None:
            running.stop()
        pg.stop(running.data)
        shutil.rmtree(parent)


def _lay_out(running: Product) -> None:
    """A copy of what `prepare` makes of nothing: made once for these migrations, and kept for the runs to come."""
    home = pg.default_data() / "installations"
    kept = home / TEMPLATE
    with locked(home):
        if not kept.exists():
            for stale in home.glob("*/"):
                pg.stop(stale / "data")
                shutil.rmtree(stale)
            making = home / "making" / "data"
            done = subprocess.run(
                [sys.executable, "manage.py", "prepare"],
                cwd=ROOT, env=running.environment | {"ARM_DATA": str(making)}, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
            pg.stop(making)
            making.parent.rename(kept)
        subprocess.run(["cp", "-a", str(kept / "data"), str(running.data)], check=True)


def sign_in(url: str, name: str = "admin", password: str = ADMIN_PASSWORD) -> OpenerDirector:
    """A browser's cookies after the sign-in form was sent."""
    browser = build_opener(HTTPCookieProcessor(CookieJar()))
    page = browser.open(f"{url}/sign-in/", timeout=10).read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token, page
    form = {"username": name, "password": password, "csrfmiddlewaretoken": token[1]}
    request = Request(f"{url}/sign-in/", urlencode(form).encode(), {"Referer": f"{url}/sign-in/"})
    answer = browser.open(request, timeout=10)
    assert answer.status == 200 and "/sign-in/" not in answer.url, answer.url
    return browser


def free_port_pair() -> int:
    """The first of two neighbouring ports that nobody listens on right now."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            try:
                two.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


def wait_for(reached: Callable[[], bool], seconds: float = 30) -> None:
    """Look ten times a second; AssertionError when the time is over."""
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, f"not reached in {seconds} s"
        time.sleep(0.1)


def parents() -> dict[int, int]:
    """Every live process and its parent."""
    found = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = place.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            found[int(place.parent.name)] = int(parent)
    return found


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
