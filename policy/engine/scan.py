"""One walk over parsed arguments: where they reach, and what raises the risk. Never looks at serialised text."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct

from policy.engine import reach
from policy.engine.reach import Host, Path
from policy.engine.risk import ToolClass

DEPTH = 32
SHORTEST_SECRET = 12
SECRET, TARGET, HOST, PATH, COMMAND, SQL, QUERY, FORCE, MOVE, GLOB = (1 << n for n in range(10))

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SECRET_WORDS = frozenset(
    {
        ("password",), ("passwd",), ("passphrase",), ("secret",), ("token",), ("credential",), ("credentials",),
        ("authorization",), ("apikey",), ("api", "key"), ("access", "key"), ("secret", "key"), ("private", "key"),
        ("signing", "key"), ("auth", "token"), ("access", "token"), ("refresh", "token"), ("bearer", "token"),
        ("api", "token"), ("id", "token"), ("session", "token"), ("client", "secret"),
    }
)  # fmt: skip
_TARGET_WORDS = frozenset(
    {"env", "environment", "stage", "target", "namespace", "cluster", "context", "database"}
)
_HOST_WORDS = frozenset({"url", "uri", "host", "hostname", "endpoint", "domain", "webhook"})
_PATH_WORDS = frozenset({"path", "paths", "file", "files", "filename", "dir", "directory", "folder", "cwd"})
_MOVE_WORDS = frozenset({"source", "destination", "src", "dst", "from", "to"})
_COMMAND_WORDS = frozenset({"command", "commands", "cmd", "argv", "script"})
_QUERY_WORDS = frozenset({"query", "statement", "statements"})
_FORCE_WORDS = frozenset({"force", "purge", "destroy", "wipe"})
_PRODUCTION = frozenset({"prod", "production", "prd", "live"})

_FETCHING = frozenset({ToolClass.NETWORK, ToolClass.UNKNOWN})
_QUERYING = frozenset({ToolClass.DATABASE, ToolClass.UNKNOWN})
_INERT = frozenset({ToolClass.ANALYSIS, ToolClass.DOCUMENT, ToolClass.SEARCH})
_PROSE = _INERT | {ToolClass.MESSAGING}
_URL = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*://\S+\s*")

# Shapes of keys that providers issue: a fixed prefix and a length that text does not have by accident.
_ISSUED = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:AKIA|ASIA)[0-9A-Z]{16}"
    r"|gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60}|glpat-[\w-]{20}"
    r"|sk-(?:ant-|proj-|svcacct-)?[A-Za-z0-9_-]{20}|xox[abprs]-[A-Za-z0-9-]{10}|AIza[\w-]{35}"
    r"|[rs]k_(?:live|test)_[0-9A-Za-z]{16}|hf_[A-Za-z]{30}|npm_[A-Za-z0-9]{36}|pypi-[\w-]{50}"
    r"|SG\.[\w-]{16,}\.[\w-]{16}|arm[iarpsw]_[0-9A-Za-z]{42}"
    r"|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10})"
    r"|-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----|[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s:@]{3,}@"
)
_ISSUED_WHOLE = re.compile(
    rf"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----.*?(?:-----END (?:[A-Z]+ )*PRIVATE KEY-----|\Z)"
    rf"|(?:{_ISSUED.pattern})[\w.=+/@:-]*",
    re.DOTALL,
)
_PLACEHOLDER = re.compile(
    r"\s*(\$\{?\w+\}?|\{\{.*\}\}|<[^>]*>|%\w+%|\*+|x+|redacted|none|null|true|false)\s*", re.IGNORECASE
)
_SQL_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_SQL_TEXT = re.compile(r"'(?:[^']|'')*'")
_SQL_THING = (
    "table|database|schema|index|view|role|user|function|type|sequence|column|extension|policy|trigger"
)
_SQL_RUIN = re.compile(
    rf"\s*(?:(?:drop|alter)\s+(?:materialized\s+)?(?:{_SQL_THING}|system)\b|truncate\s+\w|(?:grant|revoke)\s.*\s(?:to|from)\s"
    r"|update\s+(?!.*\bwhere\b)\S+.*\bset\b|delete\s+from\b(?!.*\bwhere\b))",
    re.IGNORECASE | re.DOTALL,
)
_SQL_WRITE = re.compile(
    r"\s*(?:insert\s+into|update\s+\S+.*\bset|delete\s+from|merge\s+into|create\s+\w+|copy\s|call\s"
    r"|do\s|with\b.*\b(?:insert|update|delete))\b",
    re.IGNORECASE | re.DOTALL,
)
_RUIN_PROGRAMS = frozenset(
    {"mkfs", "shred", "wipefs", "fdisk", "shutdown", "reboot", "halt", "poweroff", "dropdb"}
)
_RUIN_VERBS = {
    "kubectl": {"delete", "drain"},
    "terraform": {"destroy"},
    "helm": {"uninstall", "delete"},
    "docker": {"rm", "rmi", "prune"},
    "aws": {"terminate-instances", "delete-bucket", "rb"},
    "git": {"clean", "filter-branch"},
}


class Scan(Struct):
    """What the arguments say. `unreadable`: places that could not be understood with certainty."""

    secret: bool = False
    production: bool = False
    destructive: bool = False
    writes: bool = False
    forced: bool = False
    too_deep: bool = False
    hosts: tuple[Host, ...] = ()
    paths: tuple[Path, ...] = ()
    commands: tuple[tuple[str, ...] | None, ...] = ()
    unreadable: tuple[str, ...] = ()

    @property
    def raises(self) -> bool:
        return self.secret or self.production or self.destructive or self.writes or self.forced


def scan(args: dict[str, object], tool_class: ToolClass) -> Scan:
    """Return what one call's arguments reach and whether they make the call more dangerous than its tool."""
    found = Scan()
    stack: list[tuple[int, Any, int]] = []
    _members(args, 1, tool_class, found, stack)
    while stack:
        flags, value, depth = stack.pop()
        if depth > DEPTH:
            found.too_deep = True
        elif type(value) is dict:
            _members(value, depth + 1, tool_class, found, stack)
        else:
            if flags & COMMAND and value and all(type(item) is str for item in value):
                _command(tuple(value), found)
                flags &= ~COMMAND
            for item in value:
                _value(flags, item, depth + 1, tool_class, found, stack)
    if tool_class == ToolClass.COMMAND and not found.commands:
        for text in args.values():  # a shell's only argument, whatever its name, is its command
            if type(text) is str:
                _command(text, found)
    return found


def _members(
    members: dict[str, Any], depth: int, tool_class: ToolClass, found: Scan, stack: list[tuple[int, Any, int]]
) -> None:
    for key, value in members.items():
        flags = _key(key)
        if flags & HOST and type(value) is str and "://" not in value:
            value = _with_port(value, members)
        _value(flags, value, depth, tool_class, found, stack)


def _value(
    flags: int, value: Any, depth: int, tool_class: ToolClass, found: Scan, stack: list[tuple[int, Any, int]]
) -> None:
    kind = type(value)
    if kind is str:
        if flags or len(value) >= SHORTEST_SECRET or tool_class in _FETCHING:
            _text(value, flags, tool_class, found)
    elif kind is dict or kind is list:
        stack.append((flags, value, depth))
    elif value is True and flags & FORCE:
        found.forced = True


@lru_cache(maxsize=4096)
def _key(key: str) -> int:
    """Return what a key's words announce. `maxTokens` is (max, tokens) and announces nothing."""
    words = tuple(word.lower() for word in _WORD.findall(key))
    if not words:
        return 0
    last, flags = words[-1], 0
    if words in _SECRET_WORDS or words[-2:] in _SECRET_WORDS or (last in {"password", "secret"}):
        flags |= SECRET
    if not _TARGET_WORDS.isdisjoint(words):
        flags |= TARGET
    if last in _HOST_WORDS:
        flags |= HOST
    if last in _PATH_WORDS:
        flags |= PATH
    if last in _COMMAND_WORDS:
        flags |= COMMAND
    if last == "sql":
        flags |= SQL
    if last in _QUERY_WORDS:
        flags |= QUERY
    if last in _MOVE_WORDS:
        flags |= MOVE
    if last == "pattern":
        flags |= GLOB
    if not _FORCE_WORDS.isdisjoint(words) or words in {
        ("hard", "delete"),
        ("delete", "all"),
        ("no", "confirm"),
    }:
        flags |= FORCE
    return flags


def _text(value: str, flags: int, tool_class: ToolClass, found: Scan) -> None:
    if len(value) >= SHORTEST_SECRET and _ISSUED.search(value):
        found.secret = True
    if (flags & HOST and tool_class not in _INERT) or (tool_class in _FETCHING and _URL.fullmatch(value)):
        _host(value, found)
    if not flags:
        return
    if flags & SECRET and len(value) >= 6 and not _PLACEHOLDER.fullmatch(value):
        found.secret = True
    if flags & TARGET and len(value) <= 64 and " " not in value and not _PRODUCTION.isdisjoint(_words(value)):
        found.production = True
    if (flags & PATH and tool_class not in _INERT) or (flags & MOVE and tool_class == ToolClass.FILE):
        _path(value, found)
    if flags & GLOB and tool_class == ToolClass.FILE and (value[:1] in "/~" or ".." in value):
        _path(value, found)
    if flags & COMMAND and tool_class not in _PROSE:
        _command(value, found)
    if flags & SQL or (flags & QUERY and tool_class in _QUERYING):
        _sql(value, found)


def _words(value: str) -> Iterator[str]:
    return (word.lower() for word in _WORD.findall(value))


def _with_port(host: str, siblings: dict[str, object]) -> str:
    port = siblings.get("port")
    return f"{host}:{port}" if type(port) is int and ":" not in host else host


def _host(value: str, found: Scan) -> None:
    try:
        host = reach.read_host(value)
    except ValueError as problem:
        found.unreadable += (f"address {problem}",)
        return
    found.hosts += (host,)
    if not _PRODUCTION.isdisjoint(re.split(r"[.\-_]", host.name)):
        found.production = True


def _path(value: str, found: Scan) -> None:
    try:
        found.paths += (reach.read_path(value),)
    except ValueError as problem:
        found.unreadable += (f"path “{value[:60]}”: {problem}",)


def _command(value: str | tuple[str, ...], found: Scan) -> None:
    found.commands += (reach.read_command(value),)
    # A composite line is taken apart at its operators, roughly: only to find danger, never to allow.
    lines = re.split(r"[;|&\n()`]+|\$\(", value) if isinstance(value, str) else [value]
    for line in lines:
        argv = tuple(line.split()) if isinstance(line, str) else line
        if _ruins(argv):
            found.destructive = True
        for token in argv:
            if token in _PRODUCTION:
                found.production = True


def _ruins(argv: tuple[str, ...]) -> bool:
    words = [word for word in argv if word not in ("sudo", "env", "nohup", "time", "exec")]
    if not words:
        return False
    program, rest = words[0].rpartition("/")[2], words[1:]
    short = "".join(word[1:] for word in rest if word.startswith("-") and not word.startswith("--"))
    if program == "rm":
        return "r" in short or "R" in short or "f" in short or "--recursive" in rest or "--force" in rest
    if program == "git" and "push" in rest:
        return "f" in short or any(word.startswith(("--force", "--mirror", "--delete", "+")) for word in rest)
    if program == "git" and "reset" in rest:
        return "--hard" in rest
    if program == "find":
        return "-delete" in rest
    if program == "dd":
        return any(word.startswith("of=") for word in rest)
    if program in ("sh", "bash", "zsh") and "-c" in rest:
        return any(_ruins(tuple(word.split())) for word in rest)
    return program in _RUIN_PROGRAMS or not _RUIN_VERBS.get(program, set()).isdisjoint(rest)


def _sql(value: str, found: Scan) -> None:
    text = _SQL_TEXT.sub("''", _SQL_COMMENT.sub(" ", value))
    for statement in text.split(";"):
        if _SQL_RUIN.match(statement):
            found.destructive = True
        elif _SQL_WRITE.match(statement):
            found.writes = True


MASK = "‹redacted›"


def redact(value: Any, key: str = "") -> Any:
    """Return a JSON value with every secret in it masked: what people are shown and what may be stored."""
    if isinstance(value, dict):
        return {name: redact(item, str(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [redact(item, key) for item in value]
    if isinstance(value, str):
        if _key(key) & SECRET and len(value) >= 6 and not _PLACEHOLDER.fullmatch(value):
            return MASK
        return _ISSUED_WHOLE.sub(MASK, value)
    return value
