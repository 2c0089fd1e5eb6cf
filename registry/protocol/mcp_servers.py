"""What a genome knows of an MCP server, as the members of its `server.json`, and those members as a genome's. Pure."""

from arm.crypto import canonical, digest

from ..genome import Json, normalise
from ..genome.members import Members
from .common import Path

SPOKEN = ("streamable-http", "sse")
ASIDE = ("authenticated", "trust_boundary", "data", "supplier")
"""What MCP has no member for; it stands beside the tools."""
PACKAGE = {
    "registryType": "registry_type",
    "registryBaseUrl": "registry_base_url",
    "identifier": "identifier",
}
KEPT = frozenset({*PACKAGE, "version", "fileSha256", "transport"})


def members(known: dict[str, Json]) -> dict[str, Json]:
    """`version`, `packages` and `remotes`, as far as the genome says them."""
    found: dict[str, Json] = {"version": known["version"]} if "version" in known else {}
    if "packages" in known:
        found["packages"] = [_package(one) for one in known["packages"]]
    spoken = [{"type": one["type"], "url": one["url"]} for one in known.get("remotes", ()) if _is_mcp(one)]
    return found | ({"remotes": spoken} if spoken else {})


def _package(one: dict[str, Json]) -> dict[str, Json]:
    found = {theirs: one[ours] for theirs, ours in PACKAGE.items() if ours in one}
    if "version" in one:
        found["version"] = one["version"]
    if "digest" in one:
        found["fileSha256"] = one["digest"].removeprefix("sha256:")
    found["transport"] = {"type": one["transport"], **({"url": one["url"]} if "url" in one else {})}
    return found


def _is_mcp(remote: dict[str, Json]) -> bool:
    return remote.get("type") in SPOKEN


def aside(known: dict[str, Json]) -> dict[str, Json]:
    """What of the server `members` leaves out."""
    others = [one for one in known.get("remotes", ()) if not _is_mcp(one)]
    return {name: known[name] for name in ASIDE if name in known} | ({"others": others} if others else {})


def with_aside(known: dict[str, Json], beside: dict[str, Json]) -> dict[str, Json]:
    """The server whole again, of what stands in MCP's members and what `aside` had put beside the tools."""
    others = beside.get("others", [])
    remotes = [*known.get("remotes", ()), *(others if isinstance(others, list) else [])]
    more = {name: value for name, value in beside.items() if name != "others"}
    return {**known, **more, **({"remotes": remotes} if remotes else {})}


def digest_of(known: dict[str, Json]) -> str:
    """The digest of the server as a genome holds it."""
    return digest(canonical(normalise({"servers": [known]})["servers"][0]))


def read_members(file: Members, name: str, version: str) -> tuple[dict[str, Json], list[str]]:
    """The server as a genome holds it, and a note for whatever of it a genome has no member for."""
    left: list[str] = []
    found: dict[str, Json] = {"name": name, **({"version": version} if version else {})}
    packages = [_taken(file, one, at, left) for at, one in file.objects(file.document, "packages", most=64)]
    remotes = []
    for at, one in file.objects(file.document, "remotes", most=64):
        kind = file.text(one, "type", at, required=True, most=64)
        remotes.append({"url": file.text(one, "url", at, required=True, most=2048), "type": kind})
        left += [
            f"{member} of the remote {remotes[-1]['url'][:100]}"
            for member in sorted(one.keys() - {"type", "url"})
        ]
    found |= {"packages": packages} if packages else {}
    found |= {"remotes": remotes} if remotes else {}
    left += [member for member in ("icons", "repository", "title", "websiteUrl") if file.document.get(member)]
    return found, [f"Not taken over: {', '.join(left[:20])}; a genome has no member for it."] if left else []


def _taken(file: Members, one: dict[str, Json], at: Path, left: list[str]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for theirs, ours in PACKAGE.items():
        if text := file.text(one, theirs, at, required=theirs != "registryBaseUrl", most=2048):
            found[ours] = text
    if version := file.text(one, "version", at, most=255):
        found["version"] = version
    if sha := file.text(one, "fileSha256", at, most=64):
        found["digest"] = f"sha256:{sha}"
    spoken = file.mapping("transport", one, at)
    found["transport"] = file.text(spoken, "type", (*at, "transport"), required=True, most=64)
    if url := file.text(spoken, "url", (*at, "transport")):
        found["url"] = url
    more = [
        *sorted(one.keys() - KEPT),
        *sorted(f"transport.{name}" for name in spoken.keys() - {"type", "url"}),
    ]
    left += [f"{member} of the package {found.get('identifier', '')}" for member in more]
    return found
