"""Values from the environment, typed; a wrong or missing one stops the start with the fix."""

import os
import re

from django.core.exceptions import ImproperlyConfigured


def env(name: str, default: str | None = None) -> str:
    """The variable, or the default; with neither, ImproperlyConfigured naming it."""
    value = os.environ.get(name, default)
    if value is None:
        raise ImproperlyConfigured(f"Set {name} in the environment.")
    return value


def env_bool(name: str, default: bool) -> bool:
    value = os.environ.get(name, "1" if default else "0").lower()
    if value not in {"0", "1", "true", "false", "yes", "no", "on", "off"}:
        raise ImproperlyConfigured(f"{name} is “{value}”; write 1 or 0.")
    return value in {"1", "true", "yes", "on"}


def env_int(name: str, default: int) -> int:
    value = os.environ.get(name, str(default))
    if not value.isascii() or not value.lstrip("-").isdigit():
        raise ImproperlyConfigured(f"{name} is “{value}”; write a whole number.")
    return int(value)


def env_list(name: str, default: str) -> list[str]:
    return [item.strip() for item in os.environ.get(name, default).split(",") if item.strip()]


def env_map(name: str, *, keys: str, values: str) -> dict[str, str]:
    """`key=value,key=value`; both are held against their patterns, and no key comes twice."""
    found: dict[str, str] = {}
    for item in env_list(name, ""):
        key, _, value = (part.strip() for part in item.partition("="))
        if not re.fullmatch(keys, key) or not re.fullmatch(values, value) or key in found:
            raise ImproperlyConfigured(f"{name} holds “{item}”; write each name once, as name=value.")
        found[key] = value
    return found
