"""The MCP servers that a genome's tools name, each as a `server.json` (2025-12-11), and such a file as tools. Pure.

The format has no member for tools, so they stand in the part of `_meta` that is the publisher's own. Where the genome knows
the server itself, its version, packages and remotes stand where MCP has them; where it does not say which version, the one
written here names the pinned tools and nothing else. A digest over the whole file stands in our part, too.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from arm.crypto import canonical, digest
from arm.errors import Invalid, Problem

from ..genome import Json, read
from ..genome.members import Members
from ..genome.schema import MAX_TOOLS
from . import mcp_servers
from .common import Path, Subject, written

SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
PUBLISHER = "io.modelcontextprotocol.registry/publisher-provided"
OURS = "arm.example/genome"
NAME = re.compile(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+")
DIGESTS = ("schema_digest", "description_digest")
MEMBERS = (*DIGESTS, "risk", "side_effect", "scopes")
PIN = re.compile(r"0\.0\.0-pin-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Server:
    """What a file says of a server: its tools as far as said, without those members that it leaves out. `known` is what
    a genome holds of the server itself; empty where the file says nothing of it."""

    name: str
    version: str
    known: dict[str, Json]
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
    known = next((one for one in document.get("servers", ()) if one["name"] == name), None)
    meta = {
        "versionId": about.version_id,
        "genomeDigest": about.digest,
        "toolsDigest": pins,
        "tools": pinned,
        **(
            {"server": mcp_servers.aside(known), "serverDigest": mcp_servers.digest_of(known)}
            if known
            else {}
        ),
    }
    file = {
        "$schema": SCHEMA,
        "name": name,
        "description": _short(f"The tools that {about.name} {about.version} uses."),
        "version": _pin(pins),
        **(mcp_servers.members(known) if known else {}),
    }
    meta["fileDigest"] = _whole(file, meta)
    return written({**file, "_meta": {PUBLISHER: {OURS: meta}}})


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
    signed = own.get("serverDigest")
    if said is not None and not file.problems:
        _hold_to_pin(file, version, str(said), known=signed is not None)
    known, notes = mcp_servers.read_members(file, name, "" if PIN.fullmatch(version) else version)
    known = mcp_servers.with_aside(known, file.mapping("server", own, at)) if own else known
    if signed is not None and not file.problems and signed != mcp_servers.digest_of(known):
        message = "The server was changed after the file was exported: it does not yield this digest."
        file.wrong((*at, "serverDigest"), message, "tampered")
    whole = own.get("fileDigest")  # files of earlier releases have none
    if whole is not None and not file.problems and whole != _whole(file.document, own):
        message = (
            "The file was changed after it was exported: what it holds does not yield this digest. "
            "Take toolsDigest, serverDigest and fileDigest out to import it as something else."
        )
        file.wrong((*at, "fileDigest"), message, "tampered")
    return Server(
        name,
        version,
        known if known.keys() > {"name"} or signed is not None else {},
        tuple(tools),
        tuple(where for where, _ in listed),
        tuple(notes),
        tuple(file.problems),
    )


def _hold_to_pin(file: Members, version: str, pins: str, *, known: bool) -> None:
    """What holds for any file of ours, also one of an earlier release: a version that is a pin is that of its tools, and
    without a server that the genome knows (`known`) there is no other version, and neither packages nor remotes."""
    if version != _pin(pins) and (PIN.fullmatch(version) or not known):
        message = "The version was changed after the file was exported: it does not name these tools."
        file.wrong(("version",), message, "tampered")
    for name in ("packages", "remotes"):
        if file.document.get(name) and not known:
            message = "The file was changed after it was exported: its genome knows none of the server."
            file.wrong((name,), message, "tampered")


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
    changed = {**document, "tools": list(held.values())}
    if server.known:
        others = [one for one in document.get("servers", ()) if one["name"] != server.name]
        changed["servers"] = [*others, server.known]
    return changed, notes, places


def _tools(document: dict[str, Json]) -> list[dict[str, Json]]:
    return [tool for tool in document.get("tools", ()) if tool["kind"] == "mcp" and tool.get("server")]


def _pins(tools: Sequence[Json]) -> str:
    return digest(canonical(list(tools)))


def _pin(pins: str) -> str:
    return f"0.0.0-pin-{pins.removeprefix('sha256:')[:12]}"


def _whole(document: dict[str, Json], own: dict[str, Json]) -> str:
    """The digest of a file with our part; what others put into `_meta` on its way is theirs."""
    file = {name: value for name, value in document.items() if name != "_meta"}
    said = {name: value for name, value in own.items() if name != "fileDigest"}
    return digest(canonical({"file": file, "genome": said}))


def _short(text: str) -> str:
    return text if len(text) <= 100 else text[:99] + "…"
