"""The servers of a genome's tools as `services` of a BOM, and the packages they come in as components. Pure.

What a service has a member for stands there; how a package is spoken to, and the kind of a remote, stand in `arm:…`
properties, since CycloneDX says neither. So do addresses that are no IRIs, which its members must be.
"""

import re
from typing import Any

from ..genome import Json
from .common import Path, said
from .purl import purl

ADDRESS = re.compile(r"https?://[^\s]{1,2040}")
_UCS = "\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef"
_CHAR = rf"(?:[A-Za-z0-9._~!$&'()*+,;=:@{_UCS}-]|%[0-9A-Fa-f]{{2}})"
IRI = re.compile(
    rf"https?://[A-Za-z0-9._~{_UCS}-]+(?::[0-9]{{1,5}})?(?:/{_CHAR}*)*(?:\?(?:{_CHAR}|[/?])*)?(?:#(?:{_CHAR}|[/?])*)?"
)
"""Addresses that RFC 3987 takes and its readers agree on. Those with places to be filled in (`https://{tenant}.example.com`),
with an IPv6 address, a user, or characters beyond U+FFFF are not among them."""
FLOWS = ("inbound", "outbound", "bi-directional", "unknown")
CLASSES = ("public", "internal", "confidential", "restricted")


def packages(document: dict[str, Json]) -> list[dict[str, Any]]:
    """A component with a package URL for each package of each server."""
    return [
        _package(server["name"], f"package:{number}:{place}", package)
        for number, server in enumerate(document.get("servers", ()))
        for place, package in enumerate(server.get("packages", ()))
    ]


def _package(server: str, ref: str, package: dict[str, Json]) -> dict[str, Any]:
    held = dict(package)
    found: dict[str, Any] = {
        "type": "application",
        "bom-ref": ref,
        "name": held.pop("identifier"),
        "purl": purl(package),
    }
    if "version" in held:
        found["version"] = held.pop("version")
    if "digest" in held:
        found["hashes"] = hashes(held.pop("digest"))
    return found | {"properties": said({**held, "package_of": server}, "arm:")}


def hashes(digest: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": digest.removeprefix("sha256:")}]


def services(document: dict[str, Json]) -> list[dict[str, Any]]:
    """A service for each server that a tool names or that the genome knows more of, by name."""
    kinds = {tool["server"]: tool["kind"] for tool in document.get("tools", ()) if tool.get("server")}
    known = {server["name"]: server for server in document.get("servers", ())}
    return [_service(name, kinds.get(name), known.get(name)) for name in sorted({*kinds, *known})]


def _service(name: str, kind: str | None, known: dict[str, Json] | None) -> dict[str, Any]:
    found: dict[str, Any] = {"bom-ref": f"server:{name}", "name": name}
    more: dict[str, Json] = {"kind": kind} if kind else {}
    if known is not None:
        more["known"] = True
        more["remotes"] = [
            one.get("type") if IRI.fullmatch(one["url"]) else one for one in known.get("remotes", ())
        ]
        if "supplier" in known:
            supplier = known["supplier"]
            found["provider"] = {"name": supplier["name"]}
            if (url := supplier.get("url")) and IRI.fullmatch(url):
                found["provider"]["url"] = [url]
            elif url:
                more["supplier_url"] = url
        if "version" in known:
            found["version"] = known["version"]
        if endpoints := [one["url"] for one in known.get("remotes", ()) if IRI.fullmatch(one["url"])]:
            found["endpoints"] = endpoints
        for member, theirs in (("authenticated", "authenticated"), ("trust_boundary", "x-trust-boundary")):
            if member in known:
                found[theirs] = known[member]
        if "data" in known:
            found["data"] = [{"flow": one["flow"], "classification": one["class"]} for one in known["data"]]
    return found | {"properties": said(more, "arm:")}


def depends(document: dict[str, Json]) -> list[dict[str, Any]]:
    """Which packages each server comes in."""
    return [
        {
            "ref": f"server:{server['name']}",
            "dependsOn": [f"package:{number}:{place}" for place in range(len(server["packages"]))],
        }
        for number, server in enumerate(document.get("servers", ()))
        if server.get("packages")
    ]


# --- reading -------------------------------------------------------------------------------------------------


class Servers:
    """What a BOM says of servers. `file` is its reader, which collects what is wrong."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.found: dict[str, dict[str, Json]] = {}
        self.places: dict[str, Path] = {}
        self.packages: dict[str, list[Json]] = {}

    def take_services(self, document: dict[str, Json]) -> None:
        """The services of the file: of a foreign one all, of one of ours those that its genome said more of."""
        for at, one in self.file.objects(document, "services", most=512):
            name = self.file.text(one, "name", at, required=True, most=512)
            more = self.file.properties(one, at, "arm:")
            if self.file.ours and more.get("known") is not True:
                continue
            if name in self.found and not self.file.ours:
                self.file.left.append(f"Another service called {name}.")
                continue
            if name in self.found:
                self.file.wrong((*at, "name"), f"The service “{name}” comes twice.", "duplicate")
                continue
            self.found[name] = {"name": name, **self._members(one, at, more)}
            self.places[name] = at

    def _members(self, one: dict[str, Json], at: Path, more: dict[str, Json]) -> dict[str, Json]:
        found: dict[str, Json] = {}
        if version := self.file.text(one, "version", at, most=255):
            found["version"] = version
        provider = self.file.mapping("provider", one, at)
        if supplier := self.file.text(provider, "name", (*at, "provider"), most=256):
            urls = self._addresses(provider, "url", (*at, "provider"))
            if self.file.ours and "supplier_url" in more:
                urls.append(more["supplier_url"])
            found["supplier"] = {"name": supplier, **({"url": urls[0]} if urls else {})}
        if remotes := self._remotes(one, at, more):
            found["remotes"] = remotes
        for member, theirs in (("authenticated", "authenticated"), ("trust_boundary", "x-trust-boundary")):
            if isinstance(value := one.get(theirs), bool):
                found[member] = value
            elif value is not None:
                self.file.wrong((*at, theirs), "Must be true or false.")
        if data := self._data(one, at):
            found["data"] = data
        if one.get("services"):
            self.file.left.append(f"What is nested in the service {one.get('name')}.")
        return found

    def _remotes(self, one: dict[str, Json], at: Path, more: dict[str, Json]) -> list[Json]:
        urls = self._addresses(one, "endpoints", at)
        said = more.get("remotes")
        kinds: list[Json] = said if self.file.ours and isinstance(said, list) else [None] * len(urls)
        listed = sum(not isinstance(kind, dict) for kind in kinds)
        if listed != len(urls) or (self.file.ours and said is None):
            self.file.wrong(
                (*at, "endpoints"), "The endpoints were changed after the file was exported.", "tampered"
            )
            return []
        left = iter(urls)
        return [
            kind if isinstance(kind, dict) else {"url": next(left), **({"type": kind} if kind else {})}
            for kind in kinds
        ]

    def _addresses(self, within: dict[str, Json], name: str, at: Path) -> list[str]:
        found: list[str] = self.file.addresses(within, name, at)
        if self.file.ours:
            return found
        self.file.left += [
            f"The address {url[:200]}: not http." for url in found if not ADDRESS.fullmatch(url)
        ]
        return [url for url in found if ADDRESS.fullmatch(url)]

    def _data(self, one: dict[str, Json], at: Path) -> list[Json]:
        found = []
        for where, held in self.file.objects(one, "data", at):
            flow, named = held.get("flow"), held.get("classification")
            if flow in FLOWS and named in CLASSES:
                found.append({"flow": flow, "class": named})
            elif self.file.ours:
                self.file.wrong(where, "Must name a flow and one of our classes.", "enum")
            else:
                self.file.left.append(f"How the service {one.get('name')} classifies data (“{named}”).")
        return found

    def take_package(self, name: str, one: dict[str, Json], at: Path, more: dict[str, Json]) -> None:
        """A package of ours; its package URL must be the one that we write for it."""
        server = str(more.pop("package_of"))
        digest = self.file.sha256(one, at)
        version = self.file.text(one, "version", at, most=255)
        held: dict[str, Json] = {
            **more,
            "identifier": name,
            **({"version": version} if version else {}),
            **({"digest": digest} if digest else {}),
        }
        if one.get("purl") != (purl(held) if held.get("registry_type") else None):
            message = (
                "The package URL is not that of this package: the file was changed after it was exported."
            )
            self.file.wrong((*at, "purl"), message, "tampered")
        self.packages.setdefault(server, []).append(held)

    def servers(self) -> list[Json]:
        """The genome's member."""
        for server in sorted(self.packages.keys() - self.found.keys()):
            self.file.wrong(
                ("services",), f"There is no service “{server}” that a package could be of.", "unknown"
            )
        return [
            {**one, **({"packages": self.packages[name]} if name in self.packages else {})}
            for name, one in self.found.items()
        ]
