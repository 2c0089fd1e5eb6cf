"""Start, find and stop the embedded server. Unix socket and password only; no TCP, no trust, no superuser for ARM."""

import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe
from urllib.parse import quote

from .place import (
    SOCKET_NAME,
    Account,
    PostgresUnavailable,
    account_for,
    binaries,
    locked,
    own_directory,
    own_file,
    prepare,
    read_secrets,
    require_passage,
    secret,
    short_hash,
    socket_directory,
    write_secrets,
)

OWNER = "arm_owner"
DATABASE = "arm"
SUPERUSER = "postgres"
# For two cores and a shared machine: small enough to sit beside other work, large enough for bulk loads.
# Durability is not traded: synchronous_commit, fsync and full_page_writes stay on.
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "effective_cache_size": "2GB",
    "maintenance_work_mem": "128MB",
    "work_mem": "8MB",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_duration_statement": "1s",
    "log_parameter_max_length": "0",
    "log_line_prefix": "%m [%p] %u@%d ",
}
START_SECONDS = 60
LOG_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Urls:
    """How to reach the server: `owner` is the URL for migrations; `started` tells whether this call started it."""

    owner: str
    started: bool


def ensure(data: Path, settings: Mapping[str, str] | None = None) -> Urls:
    """Make the server of this data directory serve: create, recover, start or just find it.

    `settings` go over SETTINGS where this call starts it: for servers whose data nobody would miss.
    Safe to call from several processes at once. Raises PostgresUnavailable with one line that names the fix.
    """
    data = data.absolute()
    prepare(data)
    running, known = _postmaster(data), read_secrets(data)
    if running and running.ready and OWNER in known:
        return Urls(_url(known[OWNER], running.sockets), started=False)
    superuser = secret(data, SUPERUSER)
    with locked(data):
        account = account_for(data)
        require_passage(account, data)
        tools = binaries(account)
        if not (data / "postgres" / "PG_VERSION").exists():
            _forget_owner(data)
        _initialise(data, account, tools, superuser)
        running = _postmaster(data)
        started = running is None or not running.ready
        if running is None or not running.ready:
            running = _start(data, account, tools, settings or {})
        known = read_secrets(data)
        if OWNER not in known:  # kept only once the role exists, so that its presence means "ready for use"
            known[OWNER] = token_urlsafe(32)
            _create_owner(account, tools, running.sockets, superuser, known[OWNER])
            write_secrets(data, known)
    return Urls(_url(known[OWNER], running.sockets), started)


def _forget_owner(data: Path) -> None:
    """The password of a cluster that is gone: written away before there is another, which a kill would leave without."""
    known = read_secrets(data)
    if known.pop(OWNER, None) is not None:
        write_secrets(data, known)


def stop(data: Path) -> bool:
    """Stop the server cleanly and wait for it; False when none was running. Open connections are closed."""
    data = data.absolute()
    if not data.exists():
        return False
    with locked(data):
        if _postmaster(data) is None:
            return False
        account = account_for(data)
        done = _pg_ctl(data, account, binaries(account), "stop", "-m", "fast", "-t", "30")
        if done.returncode:
            raise PostgresUnavailable(
                f"PostgreSQL does not stop: {_one_line(done.stderr)}; see {data}/postgres.log"
            )
    return True


def is_running(data: Path) -> bool:
    """Whether the server of this data directory accepts connections."""
    running = _postmaster(data.absolute())
    return running is not None and running.ready


@dataclass(frozen=True)
class _Postmaster:
    pid: int
    sockets: Path
    ready: bool


def _postmaster(data: Path) -> _Postmaster | None:
    """The living server process that the pid file names; None for a file left by a killed one.

    A number alone proves nothing: it may be a zombie's or, after a reboot, another program's.
    """
    try:
        lines = (data / "postgres" / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    except PermissionError:
        raise PostgresUnavailable(f"{data} serves another user; name another directory with --data") from None
    if not lines or _mark(data) not in _command_line(int(lines[0])):
        return None
    written = len(lines) >= 8  # the server appends the status last
    return _Postmaster(
        int(lines[0]), Path(lines[4]) if written else data, written and lines[7].strip() == "ready"
    )


def _command_line(pid: int) -> str:
    """The arguments of a live process; empty for a zombie or for none."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    listing = subprocess.run(  # noqa: S603 - macOS has no /proc
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listing.stdout


def _mark(data: Path) -> str:
    """A word on the server's command line by which it is known among others."""
    return f"cluster_name=arm-{short_hash(data.resolve())}"


def _initialise(data: Path, account: Account, tools: Path, superuser: str) -> None:
    """Make the cluster on first use; it appears under its name only when it is whole."""
    if (data / "postgres" / "PG_VERSION").exists():
        return
    fresh = data / "postgres.new"
    if fresh.exists():  # left by a first start that was killed
        shutil.rmtree(fresh)
    own_directory(fresh, account)
    password = fresh.parent / "run.password"
    own_file(password, account, superuser)
    done = account.run(
        tools / "initdb", "-D", "postgres.new", "--username", SUPERUSER, "--auth", "scram-sha-256",
        "--pwfile", password.name, "--encoding", "UTF8", "--no-locale", "--locale-provider", "builtin",
        "--builtin-locale", "C.UTF-8", "--no-instructions", cwd=data,
    )  # fmt: skip
    password.unlink()
    if done.returncode:
        raise PostgresUnavailable(f"initdb failed in {data}: {_one_line(done.stderr)}")
    fresh.rename(data / "postgres")


def _start(data: Path, account: Account, tools: Path, more: Mapping[str, str]) -> _Postmaster:
    """Start and wait until it serves. After kill -9 its children may hold the shared memory for a moment."""
    log = data / "postgres.log"
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(data / "postgres.log.1")
    if not log.exists():
        own_file(log, account)
    sockets = socket_directory(data, account)
    # A list of names to the server: quoted, since a comma or a space would split it.
    directory = '"' + str(sockets).replace('"', '""') + '"'
    settings = {**SETTINGS, **more, "unix_socket_directories": directory}
    options = [_mark(data), *(f"{name}={value}" for name, value in settings.items())]
    until = time.monotonic() + START_SECONDS
    while True:
        began = log.stat().st_size
        if _postmaster(data) is None:
            # The server would believe the number in these files, were it a zombie's or another program's. It
            # still refuses while a child of the old one holds the cluster's shared memory.
            for left in (data / "postgres" / "postmaster.pid", sockets / f"{SOCKET_NAME}.lock"):
                left.unlink(missing_ok=True)
        done = _pg_ctl(
            data, account, tools, "start", "-t", str(START_SECONDS), "-l", log.name,
            "-o", " ".join(f"-c {shlex.quote(option)}" for option in options),
        )  # fmt: skip
        running = _postmaster(data)
        if done.returncode == 0 and running and running.ready:
            return running
        with log.open(errors="replace") as file:
            file.seek(began)
            said = file.read()
        if "still in use" not in said or time.monotonic() > until:
            fatal = [line for line in said.splitlines() if "FATAL" in line] or [done.stderr, done.stdout]
            raise PostgresUnavailable(f"PostgreSQL does not start: {_one_line(fatal[0])}; see {log}")
        time.sleep(0.2)


def _pg_ctl(
    data: Path, account: Account, tools: Path, verb: str, *options: str
) -> subprocess.CompletedProcess[str]:
    # Relative paths below the working directory: pg_ctl puts them into a shell line without quoting them.
    return account.run(tools / "pg_ctl", verb, "-D", "postgres", "-w", *options, cwd=data)


def _create_owner(account: Account, tools: Path, sockets: Path, superuser: str, password: str) -> None:
    """The login role and the database of ARM: it may make roles and databases, and passes no row security."""
    rights = "LOGIN NOSUPERUSER NOBYPASSRLS CREATEDB CREATEROLE"
    script = rf"""
        SET log_min_error_statement = panic;
        SET log_min_duration_statement = -1;
        SELECT 'CREATE ROLE {OWNER}' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{OWNER}') \gexec
        ALTER ROLE {OWNER} {rights} PASSWORD '{password}';
        SELECT 'CREATE DATABASE {DATABASE} OWNER {OWNER}'
            WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{DATABASE}') \gexec
    """  # noqa: S608 - names are constants, the password is URL-safe
    done = account.run(
        tools / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", sockets, "-U", SUPERUSER, "-d", "postgres",
        env={"PGPASSWORD": superuser}, text=script,
    )  # fmt: skip
    if done.returncode:
        raise PostgresUnavailable(f"cannot create the role {OWNER}: {_one_line(done.stderr)}")


def _url(password: str, sockets: Path) -> str:
    return f"postgresql://{OWNER}:{password}@/{DATABASE}?host={quote(str(sockets), safe='')}"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
