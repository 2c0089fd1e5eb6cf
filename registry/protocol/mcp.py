"""The MCP servers that a genome's tools name, each as a `server.json` (2025-12-11), and such a file as tools. Pure.

The format has no member for tools, so they stand in the part of `_meta` that is the publisher's own. It has one for the
server's version, which a genome does not know: the version written here names the pinned tools and nothing else.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from arm.crypto import canonical, digest
from arm.errors import Invalid, Problem

from ..genome import Json, read
from ..genome.members import Members
from ..genome.schema import MAX_TOOLS
from .common import Path, Subject, written

SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
PUBLISHER = "io.modelcontextprotocol.registry/publisher-provided"
OURS = "arm.example/genome"
NAME = re.compile(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+")
DIGESTS = ("schema_digest", "description_digest")
MEMBERS = (*DIGESTS, "risk", "side_effect", "scopes")


@dataclass(frozen=True, slots=True)
class Server:
    """What a file says of a server: its tools as far as said, without those members that it leaves out."""

    name: str
    version: str
    tools: tuple[dict[str, Json], ...]
    places: tuple[Path, ...]
    notes: tuple[str, ...]
    problems: tuple[Problem, ...]


def servers(document: dict[str, Json]) -> list[str]:
    """The MCP servers that the genome's tools name."""
    return sorted({tool["server"] for tool in _tools(document)})


def server_json(about: Subject, document: dict[str, Json], name: str) -> bytes:
    """The reference to one of `servers`. Invalid with a pointer to each tool where MCP would not take the name."""
    tools = [tool for tool in _tools(document) if tool["server"] == name]
    if not NAME.fullmatch(name) or len(name) > 200:
        message = f"MCP names a server like com.example/docs; “{name}” is not such a name."
        places = [n for n, tool in enumerate(document.get("tools", ())) if tool in tools]
        raise Invalid(
            message, [Problem(pointer=f"/tools/{n}/server", code="pattern", message=message) for n in places]
        )
    pinned = [{"name": tool["name"], **{m: tool[m] for m in MEMBERS if m in tool}} for tool in tools]
    pins = _pins(pinned)
    meta = {
        "versionId": about.version_id,
        "genomeDigest": about.digest,
        "toolsDigest": pins,
        "tools": pinned,
    }
    return written(
        {
            "$schema": SCHEMA,
            "name": name,
            "description": _short(f"The tools that {about.name} {about.version} uses."),
            "version": f"0.0.0-pin-{pins.removeprefix('sha256:')[:12]}",
            "_meta": {PUBLISHER: {OURS: meta}},
        }
    )


def read_server(data: bytes) -> Server:
    """Read a server.json. Its tools are those in our part of `_meta`, or in `tools` beside it with their texts in the
    shape of MCP's `tools/list`, which are then pinned by their digests.

    Invalid or TooLarge where the bytes are no I-JSON object; else every wrong member is in `problems`.
    """
    file = Members(read(data, media_type="application/json").document)
    name = file.text(file.document, "name", required=True, most=200)
    if name and not NAME.fullmatch(name):
        file.wrong(("name",), "Must be a name like com.example/docs.", "pattern")
    version = file.text(file.document, "version", required=True, most=255)
    file.text(file.document, "description", required=True, most=100)
    meta = file.mapping("_meta")
    published = file.mapping(PUBLISHER, meta, ("_meta",))
    own = file.mapping(OURS, published, ("_meta", PUBLISHER))
    within, at = (own, ("_meta", PUBLISHER, OURS)) if own else (published, ("_meta", PUBLISHER))
    listed = file.objects(within, "tools", at, most=MAX_TOOLS)
    if not listed and not file.problems:
        message = (
            "The file names no tools: the format has no member for them. ARM reads them from "
            f"_meta › {PUBLISHER} › tools, as MCP lists them."
        )
        file.wrong((*at, "tools"), message, "required")
    tools = [_tool(file, one, where) for where, one in listed]
    said = own.get("toolsDigest")
    if said is not None and not file.problems and said != _pins([dict(one) for _, one in listed]):
        message = "The tools were changed after the file was exported: they do not yield this digest."
        file.wrong((*at, "toolsDigest"), message, "tampered")
    notes = [
        f"Not taken over: {word}; a genome pins tools, not where their server runs."
        for word, member in (("packages", "packages"), ("remote addresses", "remotes"))
        if file.document.get(member)
    ]
    return Server(
        name, version, tuple(tools), tuple(where for where, _ in listed), tuple(notes), tuple(file.problems)
    )


def _tool(file: Members, one: dict[str, Json], at: Path) -> dict[str, Json]:
    found: dict[str, Json] = {"name": file.text(one, "name", at, required=True, most=200)}
    found |= {member: one[member] for member in MEMBERS if member in one}
    if "schema_digest" not in found and isinstance(one.get("inputSchema"), dict):
        found["schema_digest"] = digest(canonical(one["inputSchema"]))
    if "description_digest" not in found and isinstance(one.get("description"), str):
        found["description_digest"] = digest(one["description"].encode())
    if "side_effect" not in found:
        hints = file.mapping("annotations", one, at)
        if isinstance(hints.get("readOnlyHint"), bool):
            found["side_effect"] = not hints["readOnlyHint"]
    return found


def with_tools(
    document: dict[str, Json], server: Server
) -> tuple[dict[str, Json], list[str], dict[str, Path]]:
    """The genome with the server's tools in place of those of the same name, or beside them; notes; and where in the
    file each new tool stands. What the file leaves open of a tool stays as the genome has it."""
    held = {tool["name"]: tool for tool in document.get("tools", ())}
    notes, places = list(server.notes), {}
    for tool, at in zip(server.tools, server.places, strict=True):
        before = held.get(tool["name"], {})
        if before.get("server") not in (None, server.name):
            notes.append(f"The tool {tool['name']} moves from {before['server']} to {server.name}.")
        held[tool["name"]] = {**before, **tool, "kind": "mcp", "server": server.name}
        places[tool["name"]] = at
    kept = [name for name, tool in held.items() if tool.get("server") == server.name and name not in places]
    if kept:
        notes.append(f"Still there, though the file does not name them: {', '.join(sorted(kept)[:20])}.")
    return {**document, "tools": list(held.values())}, notes, places


def _tools(document: dict[str, Json]) -> list[dict[str, Json]]:
    return [tool for tool in document.get("tools", ()) if tool["kind"] == "mcp" and tool.get("server")]


def _pins(tools: Sequence[Json]) -> str:
    return digest(canonical(list(tools)))


def _short(text: str) -> str:
    return text if len(text) <= 100 else text[:99] + "…"
