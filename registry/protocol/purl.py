"""Package URLs (purl-spec) of the packages that MCP servers come in. Pure."""

import re
from urllib.parse import quote

from ..genome import Json

KINDS = ("npm", "pypi", "oci", "nuget")
SHA = re.compile(r"sha256:[0-9a-f]{64}")


def purl(package: dict[str, Json]) -> str:
    """The package URL of a genome's package; `pkg:generic/…` for registries that purl has no type for."""
    kind, name = str(package["registry_type"]), str(package["identifier"])
    version, digest = str(package.get("version", "")), str(package.get("digest", ""))
    if kind == "oci":
        return _image(name, version, digest)
    if kind == "npm":
        path = "/".join(_part(part) for part in name.lower().split("/") if part)
    elif kind == "pypi":
        path = _part(name.lower().replace("_", "-"))
    elif kind == "nuget":
        path = _part(name)
    else:
        said = {"download_url": name if "://" in name else "", "checksum": digest}
        last = name.rstrip("/").rpartition("/")[2] or name
        return _written("generic", _part(last), version, said)
    return _written(kind, path, version, {"repository_url": str(package.get("registry_base_url", ""))})


def _image(identifier: str, version: str, digest: str) -> str:
    """`ghcr.io/acme/docs:1.2@sha256:…`: the name is its last part, where it lies a qualifier, the version a digest."""
    where, _, pinned = identifier.partition("@")
    head, _, last = where.rpartition("/")
    last, _, tag = last.partition(":")
    where = f"{head}/{last}" if head else last
    if SHA.fullmatch(version):
        pinned, version = pinned or version, ""
    said = {"repository_url": where.lower() if head else "", "tag": tag or version}
    return _written("oci", _part(last.lower()), pinned or digest, said)


def _written(kind: str, path: str, version: str, qualifiers: dict[str, str]) -> str:
    text = f"pkg:{kind}/{path}" + (f"@{_part(version)}" if version else "")
    said = "&".join(
        f"{name}={quote(value, safe='/:.-_~')}" for name, value in sorted(qualifiers.items()) if value
    )
    return f"{text}?{said}" if said else text


def _part(text: str) -> str:
    return quote(text, safe=".-_~:")
