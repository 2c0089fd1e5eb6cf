"""Which attributes are let in, and as what. Worked out once for each name, then one call per value."""

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from telemetry.parsing import kinds, vocabulary
from telemetry.parsing.errors import WrongValue
from telemetry.parsing.values import (
    INT4_MAX,
    TEXT_MAX,
    content_digest,
    count,
    identifier,
    kept,
    member,
    milliseconds,
    picos,
    text,
)

Admitted = tuple[str, Any]
DROPPED: Final[Admitted] = ("", None)
REMEMBERED: Final = 4096

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:/-]{0,200}", re.ASCII).fullmatch
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_LANGFUSE_USAGE = {
    "input": "langfuse:input",
    "prompt_tokens": "langfuse:input",
    "input_tokens": "langfuse:input",
    "output": "langfuse:output",
    "completion_tokens": "langfuse:output",
    "output_tokens": "langfuse:output",
    "input_cached_tokens": "langfuse:cache_read",
    "cache_read_input_tokens": "langfuse:cache_read",
    "input_cache_read": "langfuse:cache_read",
    "cache_creation_input_tokens": "langfuse:cache_write",
    "input_cache_creation": "langfuse:cache_write",
    "output_reasoning_tokens": "langfuse:reasoning",
    "output_reasoning": "langfuse:reasoning",
}
_METADATA = {name.partition(":")[2]: name for name in vocabulary.SOURCES if name.startswith("metadata:")}
_TYPED = {
    "arm.event.type": kinds.TYPES,
    "gen_ai.operation.name": kinds.GEN_AI,
    "openinference.span.kind": kinds.OPEN_INFERENCE,
    "langfuse.observation.type": kinds.LANGFUSE,
    "mcp.method.name": kinds.MCP,
}
_STATUSES = {status.name.lower(): status.value for status in kinds.Status}


class Admission(NamedTuple):
    """What is done with an attribute of one name."""

    admit: Callable[[Any], Admitted]
    """The name and value under which a row keeps the attribute: what feeds a field in the field's type, content as a
    SHA-256 digest, anything else that may be kept as a JSON member (`b'"key":value'`), the rest as DROPPED."""
    repeats: bool
    """Whether the same value comes again often enough to remember what it meant."""


_admissions: dict[str, Admission] = {}


def admission(key: str) -> Admission:
    """What is done with attributes of this name."""
    found = _admissions.get(key)
    if found is None:
        if len(_admissions) >= REMEMBERED:
            _admissions.clear()
        found = _admissions[key] = Admission(_way_in(key), key not in vocabulary.UNIQUE)
    return found


def admit(key: str, value: Any) -> Admitted:
    """One attribute, admitted. A value of the wrong type is kept as `invalid:<key>`."""
    return admission(key).admit(value)


def is_content(key: str) -> bool:
    """Whether the attribute carries what people or models said: it is dropped and leaves only a digest."""
    return (
        key.startswith("content:")
        or key in vocabulary.CONTENT
        or (key.startswith(vocabulary.CONTENT_PREFIXES) and key != "gen_ai.prompt.name")
    )


def invalid(key: str, value: Any) -> tuple[str, bytes]:
    """A value of the wrong type, kept under a name that says so."""
    key = f"invalid:{key}"
    return key, member(key, str(value)[:TEXT_MAX])


def _way_in(key: str) -> Callable[[Any], Admitted]:
    if key in vocabulary.SOURCES:
        return _for_field(key, _conversion(key))
    if key in vocabulary.JSON_VALUED:
        return lambda value: (key, _expanded(key, value))
    if is_content(key):
        return lambda value: (key, content_digest(value))
    if key.startswith(vocabulary.KEPT_PREFIXES) or key in vocabulary.ALIASES:
        name = _encode(key) + b":"
        return lambda value: (key, name + _json(value))
    return lambda value: DROPPED


def _json(value: Any) -> bytes:
    if type(value) is str and _PLAIN(value):  # most identifiers: nothing to escape, nothing to bound
        return b'"%b"' % value.encode()
    return _encode(kept(value))


def _for_field(key: str, convert: Callable[[Any], Any]) -> Callable[[Any], Admitted]:
    def admit(value: Any) -> Admitted:
        if type(value) is int and convert is count and 0 <= value <= INT4_MAX:
            return key, value
        try:
            field = convert(value)
        except WrongValue:
            return invalid(key, value)
        return (key, field) if field is not None else DROPPED

    return admit


def _conversion(key: str) -> Callable[[Any], Any]:
    """How a value of this name becomes the value of its field. Raises WrongValue when it cannot."""
    if key in vocabulary.COUNTS:
        return count
    if key in vocabulary.IDENTIFIERS:
        prefix = vocabulary.IDENTIFIERS[key]
        return lambda value: identifier(prefix, value)
    if key in _TYPED:
        known = _TYPED[key]
        return lambda value: _named(known, text(value))
    if key == "arm.status":
        return _status
    if key in vocabulary.SECONDS:
        return milliseconds
    if key in vocabulary.MONEY:
        return picos
    if key in vocabulary.LISTS:
        return _list
    return lambda value: text(value) or None


def _named(known: dict[str, int], name: str) -> int | str:
    """The type that an operation's name stands for; an unknown name as it is."""
    return known.get(name) or known.get(name.lower()) or name


def _status(value: Any) -> int:
    name = text(value).lower()
    if name not in _STATUSES:
        raise WrongValue("no status of ours")
    return _STATUSES[name]


def _list(value: Any) -> str | None:
    return text(",".join(text(item) for item in value) if isinstance(value, list) else value) or None


def _expanded(key: str, value: Any) -> dict[str, Any]:
    """The mapper's own names out of an attribute whose text is a JSON object; no names when it is not one."""
    if isinstance(value, str):
        try:
            value = _decode(value)
        except msgspec.MsgspecError:
            return {}
    if not isinstance(value, dict):
        return {}
    if key == vocabulary.LANGFUSE_COST:
        pairs = [("langfuse:cost", value["total"])] if "total" in value else []
    else:
        names = _LANGFUSE_USAGE if key == vocabulary.LANGFUSE_USAGE else _METADATA
        pairs = [(names[name], item) for name, item in value.items() if name in names]
    found: dict[str, Any] = {}
    for name, item in pairs:
        try:
            field = _conversion(name)(item)
            if field is not None:
                found[name] = field
        except WrongValue:
            found.update([invalid(name, item)])
    if key == vocabulary.LANGFUSE_USAGE and "input" in value and "langfuse:input" in found:
        # Langfuse's own integrations count cached tokens apart from `input`; our input includes them.
        found["langfuse:input"] += found.get("langfuse:cache_read", 0) + found.get("langfuse:cache_write", 0)
    return found
