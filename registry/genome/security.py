"""How callers sign in to an agent: the `security` of a genome, in the terms of A2A and OpenAPI. No member takes a secret.

`schemes` are the ways there are; `requirements` are alternatives, each of schemes that are used together.
"""

from collections.abc import Iterator, Mapping

from registry.genome.kinds import Json

Path = tuple[str | int, ...]

SCHEMES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "api_key": (("location", "parameter"), ()),
    "http": (("scheme",), ("bearer_format",)),
    "oauth2": (("flows",), ("metadata_url",)),
    "openid_connect": (("openid_connect_url",), ()),
    "mutual_tls": ((), ()),
}
"""Kind of a scheme → the members that it must have, and those that it may have beside name, kind and description."""
FLOWS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "authorization_code": (("authorization_url", "token_url"), ("refresh_url", "scopes", "pkce_required")),
    "client_credentials": (("token_url",), ("refresh_url", "scopes")),
    "device_code": (("device_authorization_url", "token_url"), ("refresh_url", "scopes")),
    "implicit": (("authorization_url",), ("refresh_url", "scopes")),
    "password": (("token_url",), ("refresh_url", "scopes")),
}
"""The same of the flows of OAuth 2."""
SCOPED = frozenset({"oauth2", "openid_connect"})
"""Kinds whose requirements name scopes; those of the others may name roles, which no reader acts on."""


def flaws(security: Json) -> Iterator[tuple[Path, str, str]]:
    """What the schema cannot say of a genome's `security`: (path, code, sentence) of each."""
    held = security if isinstance(security, dict) else {}
    named: set[str] = set()
    for index, scheme in _objects(held.get("schemes")):
        at: Path = ("security", "schemes", index)
        yield from _of_kind(scheme, SCHEMES, at, frozenset({"name", "kind", "description"}))
        if isinstance(name := scheme.get("name"), str):
            if name in named:
                yield (*at, "name"), "duplicate", "Another of these has the same name."
            named.add(name)
        flows: set[str] = set()
        for number, flow in _objects(scheme.get("flows")):
            where = (*at, "flows", number)
            yield from _of_kind(flow, FLOWS, where, frozenset({"kind"}))
            if isinstance(kind := flow.get("kind"), str):
                if kind in flows:
                    yield (*where, "kind"), "duplicate", "Another flow is of this kind."
                flows.add(kind)
            yield from _repeats(flow.get("scopes"), "name", (*where, "scopes"))
    for index, requirement in _objects(held.get("requirements")):
        at = ("security", "requirements", index, "all_of")
        yield from _repeats(requirement.get("all_of"), "scheme", at)
        for number, one in _objects(requirement.get("all_of")):
            if isinstance(name := one.get("scheme"), str) and name not in named:
                yield (*at, number, "scheme"), "unknown", "No scheme has this name."


def _of_kind(
    one: dict[str, Json],
    kinds: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]],
    at: Path,
    always: frozenset[str],
) -> Iterator[tuple[Path, str, str]]:
    kind = one.get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        return  # the schema has said so
    must, may = kinds[kind]
    spoken = kind.replace("_", " ")
    for name in must:
        if one.get(name) in (None, "", []):
            yield (*at, name), "required", f"“{name}” is required with {spoken}."
    known = {*always, *must, *may}
    for name, value in one.items():
        if name not in known and value not in (None, "", []):
            yield (*at, name), "unknown", f"No member of {spoken}."


def _repeats(items: Json, key: str, at: Path) -> Iterator[tuple[Path, str, str]]:
    seen: set[str] = set()
    for index, item in _objects(items):
        if isinstance(value := item.get(key), str):
            if value in seen:
                yield (*at, index, key), "duplicate", f"Another of these has the same {key}."
            seen.add(value)


def _objects(items: Json) -> list[tuple[int, dict[str, Json]]]:
    held = items if isinstance(items, list) else []
    return [(index, item) for index, item in enumerate(held) if isinstance(item, dict)]


# the same in the JSON of A2A 1.0

IN_CARDS: Mapping[str, str] = {
    "api_key": "apiKeySecurityScheme",
    "http": "httpAuthSecurityScheme",
    "oauth2": "oauth2SecurityScheme",
    "openid_connect": "openIdConnectSecurityScheme",
    "mutual_tls": "mtlsSecurityScheme",
}
MEMBERS_IN_CARDS: Mapping[str, str] = {
    "description": "description",
    "location": "location",
    "parameter": "name",
    "scheme": "scheme",
    "bearer_format": "bearerFormat",
    "metadata_url": "oauth2MetadataUrl",
    "openid_connect_url": "openIdConnectUrl",
}
FLOWS_IN_CARDS: Mapping[str, str] = {
    "authorization_code": "authorizationCode",
    "client_credentials": "clientCredentials",
    "device_code": "deviceCode",
    "implicit": "implicit",
    "password": "password",
}
ADDRESSES_IN_CARDS: Mapping[str, str] = {
    "authorization_url": "authorizationUrl",
    "device_authorization_url": "deviceAuthorizationUrl",
    "token_url": "tokenUrl",
    "refresh_url": "refreshUrl",
}
ANYBODY = "authenticated"
"""The role that a requirement without scopes names in a card: whoever is authenticated. An empty list of them would make
an empty object, which some readers drop before they hash what was signed and others keep. As in OpenAPI, roles of schemes
that have no scopes are words for people."""
