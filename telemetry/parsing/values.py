"""One attribute at a time: from its decoded value to what a row may hold."""

import hashlib
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from arm import ids
from telemetry.parsing import kinds, vocabulary
from telemetry.parsing.errors import WrongValue

PICOS = 1_000_000_000_000
INT4_MAX, INT8_MAX = 2**31 - 1, 2**63 - 1
TEXT_MAX = 200
KEPT_TEXT_MAX = 4096
HANDLERS_MAX = 4096
UNKNOWN = b""
"""An identifier was given, but it is none of ours."""
DROPPED: tuple[str, Any] = ("", None)

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
_NUMBER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_TYPED = {
    "arm.event.type": kinds.TYPES,
    "gen_ai.operation.name": kinds.GEN_AI,
    "openinference.span.kind": kinds.OPEN_INFERENCE,
    "langfuse.observation.type": kinds.LANGFUSE,
    "mcp.method.name": kinds.MCP,
}
_STATUSES = {status.name.lower(): status.value for status in kinds.Status}


Handler = Callable[[str, Any], tuple[str, Any]]


def admit(key: str, value: Any) -> tuple[str, Any]:
    """The name and value under which a row keeps an attribute.

    What feeds a field comes back in the field's type, content as a SHA-256 digest, anything else that may be kept as a
    JSON member (`b'"key":value'`), the rest as DROPPED. A value of the wrong type is kept as `invalid:<key>`.
    """
    handler = _handlers.get(key)
    if handler is None:
        handler = _handler(key)
        if len(_handlers) >= HANDLERS_MAX:
            _handlers.clear()
        _handlers[key] = handler
    return handler(key, value)


_handlers: dict[str, Handler] = {}


def _handler(key: str) -> Handler:
    if key in vocabulary.SOURCES:
        return _admit_field
    if key in vocabulary.JSON_VALUED:
        return lambda key, value: (key, _expanded(key, value))
    if is_content(key):
        return lambda key, value: (key, content_digest(value))
    if key.startswith(vocabulary.KEPT_PREFIXES) or key in vocabulary.ALIASES:
        name = _encode(key) + b":"
        return lambda key, value: (key, name + _encode(_kept(value)))
    return lambda key, value: DROPPED


def _admit_field(key: str, value: Any) -> tuple[str, Any]:
    try:
        field = _field(key, value)
    except WrongValue:
        return invalid(key, value)
    return (key, field) if field is not None else DROPPED


def invalid(key: str, value: Any) -> tuple[str, bytes]:
    """A value of the wrong type, kept under a name that says so."""
    key = f"invalid:{key}"
    return key, member(key, str(value)[:TEXT_MAX])


def is_content(key: str) -> bool:
    """Whether the attribute carries what people or models said: it is dropped and leaves only a digest."""
    return (
        key.startswith("content:")
        or key in vocabulary.CONTENT
        or (key.startswith(vocabulary.CONTENT_PREFIXES) and key != "gen_ai.prompt.name")
    )


def content_digest(value: Any) -> bytes:
    """SHA-256 of a text's UTF-8, or of the JSON (sorted keys) of a structure."""
    data = value.encode() if isinstance(value, str) else msgspec.json.encode(value, order="sorted")
    return hashlib.sha256(data).digest()


def text(value: object, limit: int = TEXT_MAX) -> str:
    """A bounded string without NUL, which PostgreSQL cannot hold. A longer one ends in a digest, so that two stay two."""
    if isinstance(value, bool):
        value = "true" if value else "false"
    elif not isinstance(value, str):
        if not isinstance(value, int | float):
            raise WrongValue("not a text")
        value = str(value)
    value = value.replace("\x00", "\ufffd").strip()
    if len(value) > limit:
        value = f"{value[: limit - 17]}~{hashlib.sha256(value.encode()).hexdigest()[:16]}"
    return value


def count(value: Any, largest: int = INT4_MAX) -> int:
    """A whole number from 0 to `largest`, given as an integer, a whole float or digits. WrongValue otherwise."""
    if isinstance(value, bool):
        raise WrongValue("a boolean is no count")
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            raise WrongValue("not a whole number")
        value = int(value)
    if isinstance(value, float):
        if not value.is_integer():
            raise WrongValue("not a whole number")
        value = int(value)
    if not isinstance(value, int) or not 0 <= value <= largest:
        raise WrongValue("out of range")
    return value


def picos(value: Any) -> int:
    """An amount of money, given as number or decimal string, in 10^-12 of its currency (half-even). Or WrongValue."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise WrongValue("not an amount")
    try:
        amount = Decimal(str(value).strip())
    except InvalidOperation as error:
        raise WrongValue("not an amount") from error
    if not amount.is_finite() or amount.adjusted() > 18:  # before a huge exponent becomes a huge integer
        raise WrongValue("out of range")
    scaled = int((amount * PICOS).to_integral_value())
    if not -INT8_MAX <= scaled <= INT8_MAX:
        raise WrongValue("out of range")
    return scaled


def milliseconds(seconds: Any) -> int:
    """Seconds (number or text) as whole milliseconds. WrongValue when negative or too large."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float | str):
        raise WrongValue("not a duration")
    try:
        value = float(seconds) * 1000
    except (ValueError, OverflowError) as error:
        raise WrongValue("not a duration") from error
    if not 0 <= value <= INT4_MAX:
        raise WrongValue("out of range")
    return round(value)


def _field(key: str, value: Any) -> Any:
    if key in vocabulary.COUNTS:
        return count(value)
    if key in vocabulary.IDENTIFIERS:
        return identifier(vocabulary.IDENTIFIERS[key], value)
    if key in _TYPED:
        name = text(value)
        return _TYPED[key].get(name) or _TYPED[key].get(name.lower(), name)
    if key == "arm.status":
        if text(value).lower() not in _STATUSES:
            raise WrongValue("no status of ours")
        return _STATUSES[text(value).lower()]
    if key in vocabulary.SECONDS:
        return milliseconds(value)
    if key in vocabulary.MONEY:
        return picos(value)
    if key in vocabulary.LISTS and isinstance(value, list):
        return text(",".join(text(item) for item in value))
    return text(value) or None


def identifier(prefix: str, value: Any) -> bytes:
    """The 16 bytes behind a TypeID or a bare UUID; UNKNOWN for any other text."""
    try:
        return ids.decode(prefix, text(value)).bytes
    except ValueError:
        return UNKNOWN


def member(key: str, value: Any) -> bytes:
    """One member of a JSON object, `"key":value` in UTF-8, without NUL."""
    return _encode(key) + b":" + _encode(_kept(value))


def _kept(value: Any) -> Any:
    if type(value) is not str or (len(value) <= KEPT_TEXT_MAX and "\x00" not in value):
        return value
    return text(value, KEPT_TEXT_MAX)


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
            field = _field(name, item)
            if field is not None:
                found[name] = field
        except WrongValue:
            found.update([invalid(name, item)])
    if key == vocabulary.LANGFUSE_USAGE and "input" in value and "langfuse:input" in found:
        # Langfuse's own integrations count cached tokens apart from `input`; our input includes them.
        found["langfuse:input"] += found.get("langfuse:cache_read", 0) + found.get("langfuse:cache_write", 0)
    return found
