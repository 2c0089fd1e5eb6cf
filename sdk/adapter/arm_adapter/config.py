"""The configuration file, TOML or JSON; what is missing or wrong is said in one sentence."""

import importlib
import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .runtime import Runtime


class BadConfig(ValueError):
    """What to mend in the file."""


@dataclass(frozen=True, slots=True)
class Config:
    """`url`: where ARM's gateway (or web) answers. `state`: a directory of the adapter's own, for keys and its store.
    `runtime`: `module:Class`, made with `options`, of which `file` is found from where the configuration lies. Seconds: how often it polls and beats; ARM says the most."""

    url: str
    state: Path
    runtime: str
    options: dict[str, Any] = field(default_factory=dict)
    client_name: str = "Reference adapter"
    contacts: tuple[str, ...] = ("nobody@example.com",)
    poll_s: float = 10
    heartbeat_s: float = 20

    def make_runtime(self) -> Runtime:
        module, _, name = self.runtime.partition(":")
        try:
            made: Runtime = getattr(importlib.import_module(module), name)(**self.options)
        except (ImportError, AttributeError, TypeError, ValueError) as problem:
            raise BadConfig(f"runtime: {self.runtime} cannot be made: {problem}") from problem
        return made


def read(file: Path) -> Config:
    """BadConfig, OSError."""
    try:
        said = json.loads(file.read_text()) if file.suffix == ".json" else tomllib.loads(file.read_text())
    except ValueError as problem:
        raise BadConfig(f"{file}: {problem}") from problem
    known = set(Config.__dataclass_fields__)
    if unknown := sorted(set(said) - known):
        raise BadConfig(f"{file}: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}.")
    for name in ("url", "state", "runtime"):
        if not isinstance(said.get(name), str):
            raise BadConfig(f"{file}: {name} is missing.")
    for name in ("poll_s", "heartbeat_s"):
        if not isinstance(said.get(name, 1), int | float) or said.get(name, 1) <= 0:
            raise BadConfig(f"{file}: {name} is a number of seconds above zero.")
    if not isinstance(said.get("options", {}), dict):
        raise BadConfig(f"{file}: options are a table.")
    if not said["url"].startswith(("https://", "http://")):
        raise BadConfig(f"{file}: url begins with https:// (or http://, for trying out).")
    state = file.parent / said["state"]
    options = dict(said.get("options", {}))
    if isinstance(options.get("file"), str):
        options["file"] = str(file.parent / options["file"])
    contacts = tuple(said.get("contacts", Config.__dataclass_fields__["contacts"].default))
    return Config(
        **said | {"url": said["url"].rstrip("/"), "state": state, "contacts": contacts, "options": options}
    )
