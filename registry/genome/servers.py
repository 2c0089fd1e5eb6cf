"""What a schema cannot say of the servers that a genome's tools name. Pure."""

from collections.abc import Iterator
from typing import Any

from registry.genome.kinds import Json

Path = tuple[str | int, ...]
FLOATING = frozenset({"latest", "*", "x"})
RANGE = ("^", "~", ">", "<", "=")


def flaws(servers: Json) -> Iterator[tuple[Path, str, str]]:
    """Packages that float, and addresses where there can be none or must be one: path, code, message."""
    for at, package in _packages(servers):
        version = package.get("version")
        if isinstance(version, str) and (version.lower() in FLOATING or version.startswith(RANGE)):
            yield (*at, "version"), "floating", "Must be one version: a range or “latest” pins nothing."
        spoken = package.get("transport")
        if spoken == "stdio" and package.get("url"):
            yield (*at, "url"), "contradiction", "A package that is spoken to by stdio has no address."
        if spoken in ("streamable-http", "sse") and not package.get("url"):
            yield (*at, "url"), "required", f"A package that is spoken to by {spoken} says at which address."


def without_tools(genome: dict[str, Json]) -> Iterator[tuple[int, str]]:
    """Index and name of each server of a right genome that none of its tools names."""
    named = {tool.get("server") for tool in genome.get("tools", ())}
    for index, server in enumerate(genome.get("servers", ())):
        if server["name"] not in named:
            yield index, server["name"]


def _packages(servers: Json) -> Iterator[tuple[Path, dict[str, Any]]]:
    for number, server in enumerate(servers if isinstance(servers, list) else ()):
        held = server.get("packages") if isinstance(server, dict) else None
        for place, package in enumerate(held if isinstance(held, list) else ()):
            if isinstance(package, dict):
                yield ("servers", number, "packages", place), package
