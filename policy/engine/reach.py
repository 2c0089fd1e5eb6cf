"""Where an action reaches: hosts, paths and commands as structure, and the allow lists they are held against."""

import ipaddress
import posixpath
import re
import shlex
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from policy.engine.terms import Access

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21, "ssh": 22, "postgres": 5432}
WEB_PORTS = frozenset({80, 443})
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_COMPOSITE = re.compile(r"[;|&<>`$\n\r(){}\\]")
_SIMPLE_PATH = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*(?:/[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)*")
_DRIVE = re.compile(r"^[A-Za-z]:")
ANY = "**"


class Host(NamedTuple):
    """A place on a network. `literal`: an address or a single label, which no wildcard ever covers."""

    name: str
    port: int | None
    literal: bool

    def __str__(self) -> str:
        return self.name if self.port is None else f"{self.name}:{self.port}"


class Path(NamedTuple):
    """A normalised path: its parts, and whether it starts at the root or in the working directory."""

    absolute: bool
    parts: tuple[str, ...]

    def __str__(self) -> str:
        return ("/" if self.absolute else "") + "/".join(self.parts) or "."


def read_host(text: str) -> Host:
    """Return the host of a URL or of `name`, `name:port`, `[v6]:port`. ValueError where it cannot be certain."""
    if "\\" in text or any(ord(char) < 33 for char in text.strip()):
        raise ValueError("control characters or backslashes in an address")
    url = urlsplit(text.strip() if "://" in text else "//" + text.strip())
    name = (url.hostname or "").rstrip(".")
    port = url.port or DEFAULT_PORTS.get(url.scheme)
    try:
        return Host(ipaddress.ip_address(name).compressed, port, True)
    except ValueError:
        pass  # not an address: a name, checked below
    if not name.isascii():
        name = name.encode("idna").decode("ascii")
    labels = name.lower().split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"“{name[:60]}” is not a host name")
    # 0x7f.1 and 2130706433 are addresses to some resolvers: a last label with a digit first is never a domain.
    literal = len(labels) == 1 or labels[-1][0].isdigit()
    return Host(".".join(labels), port, literal)


def read_path(text: str) -> Path:
    """Return the normalised path. ValueError for what has no certain meaning (NUL, `~`, drives, above its root)."""
    if _SIMPLE_PATH.fullmatch(text):
        return Path(False, tuple(text.split("/")))
    path = text
    for _ in range(3):  # %252e%252e: an adapter behind us may decode more than once
        path, before = unquote(path), path
        if path == before:
            break
    else:
        raise ValueError("encoded more than twice")
    path = path.removeprefix("file://").replace("\\", "/")
    if "\x00" in path or path.startswith("~") or _DRIVE.match(path):
        raise ValueError("NUL, `~` or a drive letter")
    normal = posixpath.normpath(path or ".")
    parts = tuple(part for part in normal.split("/") if part and part != ".")
    if ".." in parts:
        raise ValueError("it leaves the directory it starts in")
    return Path(normal.startswith("/"), parts)


def read_command(command: str | list[str] | tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the argument vector, or None for a line that a shell would take apart (pipes, substitution, …)."""
    if not isinstance(command, str):
        return tuple(command)
    if _COMPOSITE.search(command):
        return None
    try:
        return tuple(shlex.split(command))
    except ValueError:
        return None


class HostRule(Struct, frozen=True):
    """`api.example.com`, `*.example.com` (below it only) or `*`; ports: 80 and 443 unless listed."""

    host: str
    ports: frozenset[int] = WEB_PORTS

    def covers(self, host: Host) -> bool:
        if host.port is not None and host.port not in self.ports:
            return False
        if self.host == "*":
            return not host.literal
        if self.host.startswith("*."):
            return not host.literal and host.name.endswith(self.host[1:])
        return host.name == self.host


class PathRule(Struct, frozen=True):
    """Everything at or below a directory, to read or to write (writing includes reading)."""

    path: Path
    access: Access

    def covers(self, path: Path, access: Access) -> bool:
        if access == Access.WRITE and self.access != Access.WRITE:
            return False
        mine = self.path
        return mine.absolute == path.absolute and path.parts[: len(mine.parts)] == mine.parts


class CommandRule(Struct, frozen=True):
    """Exact tokens; `*` stands for one token, a last `**` for any that follow."""

    argv: tuple[str, ...]

    @property
    def everything(self) -> bool:
        return self.argv == (ANY,)

    def covers(self, argv: tuple[str, ...] | None) -> bool:
        if self.everything:
            return True
        if argv is None:
            return False
        wanted, open_ended = (self.argv[:-1], True) if self.argv[-1] == ANY else (self.argv, False)
        if len(argv) < len(wanted) or (len(argv) > len(wanted) and not open_ended):
            return False
        return all(want in ("*", have) for want, have in zip(wanted, argv, strict=False))


def covers_unknown_host(rules: Iterable[HostRule]) -> bool:
    """Whether a call that names no host may pass: only where every public host may be reached."""
    return any(rule.host == "*" for rule in rules)
