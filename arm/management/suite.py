"""Every check of the project, one line each with its seconds; what `./test` runs after the set-up.

`--fast` leaves out the tests that need a browser or real processes, and the coverage floor. Any other argument
goes to pytest, which then runs alone with just those.
"""

import fcntl
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from arm import pg

ROOT = Path(__file__).resolve().parents[2]
APPS = ["arm", "evidence", "registry", "policy", "telemetry", "evaluation", "costs", "federation"]
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "8GB"}
"""What a power cut takes from the tests' server is made again; waiting for the disk is most of a small commit."""
COVERAGE_FLOOR = 85  # per cent of lines and branches; raise it when the figure allows


def main(arguments: list[str]) -> int:
    """Run what was asked for; 0 when all of it passed, else 1."""
    fast = "--fast" in arguments
    chosen = [word for word in arguments if word != "--fast"]
    try:
        with database() as environment:
            asked = [] if chosen else list(checks())
            with ThreadPoolExecutor(max_workers=2) as cores:
                good = cores.map(lambda one: passes(one[0], one[1], {**environment, **one[2]}), asked)
                failed = [name for (name, *_), passed in zip(asked, good, strict=True) if not passed]
            if not passes("tests", tests(fast=fast, chosen=chosen), environment):
                failed.append("tests")
    except pg.PostgresUnavailable as problem:
        print(problem, file=sys.stderr)
        return 1
    print(f"failed: {', '.join(failed)}" if failed else "all checks passed")
    return 1 if failed else 0


def checks() -> Iterator[tuple[str, list[str], Mapping[str, str]]]:
    """Name, command and additional environment of each check. Two run at a time: the longest begins first."""
    manage = [sys.executable, "manage.py"]
    tool = str(Path(sys.executable).parent) + os.sep
    production = {
        "ARM_PRODUCTION": "1",
        "ARM_SECRET_KEY": secrets.token_urlsafe(48),
        "ARM_ALLOWED_HOSTS": "arm.example",
    }
    yield "types", [f"{tool}mypy", *APPS, "manage.py"], {}
    yield "format", [f"{tool}ruff", "format", "--check", "--quiet", "."], {}
    yield "lint", [f"{tool}ruff", "check", "--quiet", "."], {}
    yield "templates", [f"{tool}djhtml", "--check", "templates"], {}
    yield "imports", [f"{tool}lint-imports"], {}
    yield "migrations", [*manage, "makemigrations", "--check", "--dry-run"], {}
    yield "deploy", [*manage, "check", "--deploy", "--fail-level", "WARNING"], production


def tests(*, fast: bool, chosen: list[str]) -> list[str]:
    """pytest on both cores; a whole run also holds the coverage floor."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "2",
        "--dist",
        "loadfile",
        "--no-loadscope-reorder",
        "-p",
        "no:cacheprovider",
    ]
    if chosen:
        return [sys.executable, "-m", "pytest", *chosen]
    if fast:
        return [*command, "-m", "not browser and not processes"]
    return [*command, "--cov", "--cov-report=term:skip-covered", f"--cov-fail-under={COVERAGE_FLOOR}"]


def passes(name: str, command: list[str], environment: Mapping[str, str]) -> bool:
    """Run one check, quietly unless it fails (pytest speaks for itself). One that cannot start has failed."""
    began = time.monotonic()
    speaks = name == "tests"
    try:
        done = subprocess.run(  # noqa: S603 - our own tools, no shell
            command, cwd=ROOT, env=dict(environment), stdin=subprocess.DEVNULL, check=False, text=True,
            stdout=None if speaks else subprocess.PIPE, stderr=None if speaks else subprocess.STDOUT,
        )  # fmt: skip
        code, said = done.returncode, done.stdout or ""
    except OSError as problem:
        code, said = 1, f"{problem.filename}: {problem.strerror}"
    told = f"{'ok  ' if code == 0 else 'FAIL'} {name:<10} {time.monotonic() - began:6.1f} s"
    print(f"{said.rstrip()}\n{told}" if code else told, flush=True)
    return code == 0


@contextmanager
def database() -> Iterator[dict[str, str]]:
    """The environment with a PostgreSQL that is not the installation's: DATABASE_URL, or a server of the tests' own."""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "arm.settings"}
    environment.setdefault("ARM_PRODUCTION", "0")
    # Said here and not in conftest alone: pytest-django may read the settings before conftest is.
    environment.setdefault("ARM_ROLE_PREFIX", "armtest")
    environment.setdefault("ARM_LOG_LEVEL", "WARNING")
    if environment.get("DATABASE_URL"):
        yield environment
        return
    data = pg.default_data() / "test"
    with the_server_of_the_tests(data) as owner:
        yield {**environment, "ARM_DATA": str(data), "DATABASE_URL": owner}


@contextmanager
def the_server_of_the_tests(data: Path) -> Iterator[str]:
    """The owner's URL of a server that all runs in this checkout share: each holds a lock, the last one stops it.

    It stays from run to run for the sake of its migrated template, but not when it died: it does not write as a
    database must that is to survive that, so it begins anew.
    """
    pg.prepare(data)
    with data.with_suffix(".lock").open("a") as file:
        if alone(file) and (data / "postgres" / "postmaster.pid").exists() and not pg.is_running(data):
            shutil.rmtree(data)
        fcntl.flock(file, fcntl.LOCK_SH)
        try:
            yield pg.ensure(data, NOT_DURABLE).owner
        finally:
            if alone(file):
                pg.stop(data)


def alone(file: TextIO) -> bool:
    """Whether no other run is at it; then none begins until this one lets go."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
