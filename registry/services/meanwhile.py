"""Nobody writes over what they have not seen: an editor says what they saw, and is told what is another by now."""

from collections.abc import Mapping
from typing import Any

from arm.errors import Conflict


class ChangedMeanwhile(Conflict):
    """What is there is not what the editor opened. `changed` in the answer names the members."""

    code = "edited_meanwhile"


def refuse_changed(opened: Mapping[str, Any] | None, now: Mapping[str, Any]) -> None:
    """ChangedMeanwhile for what is another `now` than the editor saw; what they do not say, or None, is not compared."""
    told = opened or {}
    tell_changed({name: value for name, value in now.items() if name in told and told[name] != value})


def tell_changed(now: Mapping[str, Any]) -> None:
    """ChangedMeanwhile with these members and what they are by now; nothing where there are none."""
    if now:
        said = "; ".join(f"{name.replace('_', ' ')} is {_word(value)} by now" for name, value in now.items())
        raise ChangedMeanwhile(f"Somebody else has changed it meanwhile: {said}.", changed=list(now))


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={text}" for name, text in value.items()) or "empty"
    if isinstance(value, list):
        parts = (" ".join(map(str, one.values())) if isinstance(one, Mapping) else str(one) for one in value)
        return f"“{', '.join(parts)}”" if value else "empty"
    return "empty" if value is None or value == "" else f"“{value}”"
