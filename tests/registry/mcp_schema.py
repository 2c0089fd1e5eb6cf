"""The rules of MCP's server.json (2025-12-11), restated: the published file is not fetched where the tests run.

Compared with the published one as docs/registry/exchange.md says. What it calls a format (`uri`) is a note there, which
validators do not hold anybody to.
"""

from typing import Any

Rule = dict[str, Any]
TEXT: Rule = {"type": "string"}
FLAG: Rule = {"type": "boolean"}
ADDRESS: Rule = TEXT | {"pattern": r"^https?://[^\s]+$"}


def _object(*required: str, **properties: Rule) -> Rule:
    return {"type": "object", "required": list(required), "properties": properties}


def _listed(items: Rule) -> Rule:
    return {"type": "array", "items": items}


def _named(rule: Rule) -> Rule:
    return {"type": "object", "additionalProperties": rule}


def _one_of(*words: str) -> Rule:
    return TEXT | {"enum": list(words)}


def _within(most: int, least: int = 0) -> Rule:
    return TEXT | {"minLength": least, "maxLength": most}


_ASKED: dict[str, Rule] = {
    **dict.fromkeys(("default", "description", "placeholder", "value"), TEXT),
    **dict.fromkeys(("isRequired", "isSecret"), FLAG),
    "choices": _listed(TEXT),
    "format": _one_of("string", "number", "boolean", "filepath"),
}
_FILLED: dict[str, Rule] = _ASKED | {"variables": _named(_object(**_ASKED))}
_PAIR = _object("name", **_FILLED, name=TEXT)
_FLAGGED = _object("type", "name", **_FILLED, type=_one_of("named"), name=TEXT, isRepeated=FLAG)
_PLACED = _object("type", **_FILLED, type=_one_of("positional"), valueHint=TEXT, isRepeated=FLAG)
_ARGUMENT: Rule = {
    "anyOf": [_FLAGGED, _PLACED | {"anyOf": [{"required": [said]} for said in ("valueHint", "value")]}]
}
_HEARD = [
    _object("type", "url", type=_one_of(kind), url=ADDRESS, headers=_listed(_PAIR))
    for kind in ("streamable-http", "sse")
]
_PACKAGE = _object(
    "registryType",
    "identifier",
    "transport",
    **dict.fromkeys(("registryType", "registryBaseUrl", "identifier", "runtimeHint"), TEXT),
    **dict.fromkeys(("runtimeArguments", "packageArguments"), _listed(_ARGUMENT)),
    version=TEXT | {"minLength": 1, "not": {"const": "latest"}},
    fileSha256=TEXT | {"pattern": "^[a-f0-9]{64}$"},
    environmentVariables=_listed(_PAIR),
    transport={"anyOf": [_object("type", type=_one_of("stdio")), *_HEARD]},
)
_ICON = _object(
    "src",
    src=_within(255),
    mimeType=_one_of(*(f"image/{kind}" for kind in ("png", "jpeg", "jpg", "svg+xml", "webp"))),
    sizes=_listed(TEXT | {"pattern": r"^(\d+x\d+|any)$"}),
    theme=_one_of("light", "dark"),
)
SERVER_SCHEMA: Rule = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    **_object(
        "name",
        "description",
        "version",
        **{
            "$schema": TEXT,
            "_meta": _object(**{"io.modelcontextprotocol.registry/publisher-provided": {"type": "object"}}),
        },
        name=_within(200, 3) | {"pattern": "^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$"},
        title=_within(100, 1),
        description=_within(100, 1),
        version=_within(255),
        websiteUrl=TEXT,
        icons=_listed(_ICON),
        repository=_object("url", "source", **dict.fromkeys(("url", "source", "id", "subfolder"), TEXT)),
        packages=_listed(_PACKAGE),
        remotes=_listed(
            {
                "anyOf": [
                    one | {"properties": one["properties"] | {"variables": _named(_object(**_ASKED))}}
                    for one in _HEARD
                ]
            }
        ),
    ),
}
