"""The JSON Schema of a genome, `arm.genome/v1`, as data. Everything else in this package follows it.

Five annotations beyond JSON Schema 2020-12 carry the hashing rule, so that a third party needs this one document:

- `x-arm-set`: the array is a set; it is sorted by these members (an empty list: by the items themselves).
- `x-arm-name`: the string is a name; it is brought to Unicode NFC.
- `x-arm-free`: content is the author's own; it is never changed, sorted or pruned.
- `x-arm-unhashed`: the member is no part of the digest.
- `x-arm-keep-empty`: an empty value says something other than an absent one.
"""

from typing import Any

Json = Any
"""A JSON value: str, int, float, bool, None, or a list or str-keyed dict of them."""

NAME = "arm.genome/v1"
PROFILES = (
    "runtime",
    "memory",
    "data_sources",
    "behavior",
    "identity",
    "spawn",
    "limits",
    "skills",
    "evaluations",
    "secrets",
)
"""The recommended members. A tenant may require any of them."""
REQUIRED = ("schema", "template", "models", "prompts", "tools", "provenance")
OPTIONAL = ("security", "servers")
"""Neither required nor counted: an agent that nobody calls has no security, one without servers names none."""

EXTENSION = "^x_[A-Za-z0-9_.-]{0,64}$"
MAX_TOOLS = 1000
STORES = ("vault", "file", "k8s", "aws-sm", "aws-ssm", "arn", "gcp-sm", "azure-kv", "op")
"""Where a secret may lie, beside the environment (`env`): the schemes that references to it begin with."""


def _text(longest: int, **more: Json) -> dict[str, Json]:
    return {"type": "string", "minLength": 1, "maxLength": longest, **more}


def _name(longest: int = 256) -> dict[str, Json]:
    return _text(longest, **{"x-arm-name": True})


def _whole(least: int, most: int) -> dict[str, Json]:
    return {"type": "integer", "minimum": least, "maximum": most}


def _matching(pattern: str, description: str, **more: Json) -> dict[str, Json]:
    return {"type": "string", "pattern": pattern, "description": description, **more}


def _object(required: tuple[str, ...], properties: dict[str, Json], **more: Json) -> dict[str, Json]:
    rule = {"type": "object", "additionalProperties": False, "properties": properties, **more}
    return {**rule, "required": list(required)} if required else rule


def _set(items: dict[str, Json], by: tuple[str, ...] = (), most: int = 256, **more: Json) -> dict[str, Json]:
    return {"type": "array", "items": items, "maxItems": most, "x-arm-set": list(by), **more}


def _free(description: str) -> dict[str, Json]:
    return {"type": "object", "x-arm-free": True, "description": description}


def _extension() -> dict[str, Json]:
    return {"x-arm-free": True, "description": "An extension: hashed, and otherwise left alone."}


_CLASS = {"enum": ["public", "internal", "confidential", "restricted"]}
_DIGEST = _matching("^sha256:[0-9a-f]{64}$", "“sha256:” and 64 lowercase hexadecimal digits")
_SLUG = _matching("^[a-z][a-z0-9._-]{0,63}$", "a lower-case word: letters, digits, “.”, “_” and “-”")
_ROLE = _matching("^[-A-Za-z0-9_]{1,80}$", "the short name of a role")
_TEMPLATE = _matching("^tpl_[0-7][0-9a-hjkmnp-tv-z]{25}$", "the id of a template, “tpl_…”")
_INSTANT = _matching(
    r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})$",
    "a moment with a time zone, like 2026-01-31T09:30:00Z",
    **{"x-arm-unhashed": True},
)
_DESCRIPTOR: dict[str, Json] = {
    "media_type": _matching(r"^[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+$", "a media type, like text/plain"),
    "digest": _DIGEST,
    "size": _whole(0, 2**53 - 1),
    "name": _name(),
    "urls": {"type": "array", "items": _text(2048), "maxItems": 16},
    "annotations": _free("Notes of the author, as a map."),
}
_DESCRIBED = ("media_type", "digest", "size")

_MODEL = _object(
    ("role", "provider", "name", "revision"),
    {
        "role": {"enum": ["primary", "fallback", "router", "judge", "embedding"]},
        "order": {**_whole(1, 64), "description": "Which of several with this role is asked first."},
        "provider": _name(80),
        "name": _name(160),
        "revision": _text(128, description="A dated snapshot, or “floating”."),
        "parameters": _free("Sampling and other parameters, as sent to the provider."),
        "endpoint_class": _SLUG,
        "digest": _DIGEST,
        "conditions": _set(
            {
                "enum": [
                    "error",
                    "timeout",
                    "rate_limit",
                    "refusal",
                    "context_length",
                    "cost_cap",
                    "unavailable",
                ]
            },
            description="When a fallback takes over; absent means on any failure.",
        ),
    },
)
_TOOL = _object(
    ("name", "kind", "schema_digest", "description_digest", "risk"),
    {
        "name": _name(200),
        "kind": {"enum": ["function", "mcp", "http", "a2a", "builtin"]},
        "schema_digest": _DIGEST,
        "description_digest": _DIGEST,
        "risk": {"enum": ["GREEN", "YELLOW", "RED"]},
        "side_effect": {
            "type": "boolean",
            "description": "Whether a call changes anything outside the agent.",
        },
        "scopes": _set(_name()),
        "server": _name(512),
    },
)
_PROVENANCE = _object(
    ("source_repo", "commit", "builder"),
    {
        "source_repo": _text(2048),
        "commit": _matching("^[0-9a-f]{7,64}$", "a commit id: 7 to 64 lowercase hexadecimal digits"),
        "builder": _text(256),
        "built_at": _INSTANT,
        "build_id": _text(256, **{"x-arm-unhashed": True}),
        "materials": _set(
            _object(("digest",), {"digest": _DIGEST, "uri": _text(2048), "name": _name()}), ("digest",)
        ),
    },
)
_SKILL = _object(
    ("id", "name", "description"),
    {
        "id": _name(),
        "name": _name(),
        "description": _text(8192),
        "tags": _set(_name()),
        "input_modes": _set(_text(128)),
        "output_modes": _set(_text(128)),
        "oasf": _object(
            ("name",),
            {
                "name": _matching(
                    "^[a-z0-9_]{1,64}(/[a-z0-9_]{1,64}){0,4}$", "a class of skills, like “category/skill”"
                ),
                "id": _whole(1, 2**31 - 1),
            },
            description="Which class of the Open Agentic Schema Framework it is.",
        ),
    },
)
_SECRET = _object(
    ("name", "ref"),
    {
        "name": _name(),
        "ref": _matching(
            rf"^(env:[A-Za-z_][A-Za-z0-9_]{{0,255}}|({'|'.join(STORES)}):[^\s]{{1,1024}})$",
            f"a reference, never the secret itself: env:NAME, or a place in a store ({', '.join(STORES)}), like vault://path",
        ),
    },
)
_BUDGET = _object(
    ("amount", "currency", "per"),
    {
        "amount": _matching(r"^(0|[1-9]\d{0,14})(\.\d{1,9})?$", "a decimal number in a string, like “12.50”"),
        "currency": _matching("^[A-Z]{3}$", "an ISO 4217 code, like EUR"),
        "per": {"enum": ["run", "day", "month"]},
    },
)

_ADDRESS = _matching(r"^https?://[^\s]{1,2040}$", "an absolute http(s) address")
_SCHEME_NAME = _matching("^[A-Za-z0-9._-]{1,64}$", "a name of letters, digits, “.”, “_” and “-”")
_FLOW = _object(
    ("kind",),
    {
        "kind": {"enum": ["authorization_code", "client_credentials", "device_code", "implicit", "password"]},
        "authorization_url": _ADDRESS,
        "device_authorization_url": _ADDRESS,
        "token_url": _ADDRESS,
        "refresh_url": _ADDRESS,
        "scopes": _set(_object(("name",), {"name": _text(128), "description": _text(2048)}), ("name",)),
        "pkce_required": {"type": "boolean"},
    },
)
_SECURITY = _object(
    (),
    {
        "schemes": _set(
            _object(
                ("name", "kind"),
                {
                    "name": _SCHEME_NAME,
                    "kind": {"enum": ["api_key", "http", "oauth2", "openid_connect", "mutual_tls"]},
                    "description": _text(2048),
                    "location": {"enum": ["header", "query", "cookie"]},
                    "parameter": _text(256, description="The header, query parameter or cookie of the key."),
                    "scheme": _text(64, description="An HTTP authentication scheme, like Bearer."),
                    "bearer_format": _text(128),
                    "flows": _set(_FLOW, ("kind",), 8),
                    "metadata_url": _ADDRESS,
                    "openid_connect_url": _ADDRESS,
                },
            ),
            ("name",),
            64,
        ),
        "requirements": {
            "type": "array",
            "maxItems": 64,
            "items": _object(
                ("all_of",),
                {
                    "all_of": _set(
                        _object(("scheme",), {"scheme": _SCHEME_NAME, "scopes": _set(_text(128))}),
                        ("scheme",),
                        16,
                        minItems=1,
                    )
                },
            ),
            "description": "Alternatives, each of schemes that are used together; absent where nobody said.",
        },
    },
    description="How callers sign in to the agent. No member takes a secret.",
)
_PACKAGE = _object(
    ("registry_type", "identifier", "transport"),
    {
        "registry_type": _matching("^[a-z][a-z0-9._-]{0,63}$", "a kind of registry, like npm, pypi or oci"),
        "registry_base_url": _ADDRESS,
        "identifier": _text(512),
        "version": _text(255, description="One version, never a range or “latest”."),
        "digest": _DIGEST,
        "transport": {"enum": ["stdio", "streamable-http", "sse"]},
        "url": {
            **_ADDRESS,
            "description": "an absolute http(s) address; of a package that is spoken to by http",
        },
    },
)
_SERVER = _object(
    ("name",),
    {
        "name": {**_name(512), "description": "As tools name it."},
        "version": _text(255),
        "supplier": _object(("name",), {"name": _name(), "url": _ADDRESS}),
        "packages": _set(_PACKAGE, ("registry_type", "identifier", "version", "digest", "url"), 64),
        "remotes": _set(
            _object(
                ("url",), {"url": _ADDRESS, "type": {"enum": ["streamable-http", "sse", "http", "grpc"]}}
            ),
            ("url", "type"),
            64,
        ),
        "authenticated": {"type": "boolean", "description": "Whether it asks who calls."},
        "trust_boundary": {"type": "boolean", "description": "Whether a call leaves our trust zone."},
        "data": _set(
            _object(
                ("flow", "class"),
                {
                    "flow": {"enum": ["inbound", "outbound", "bi-directional", "unknown"]},
                    "class": _CLASS,
                },
            ),
            ("class", "flow"),
            64,
        ),
    },
)

SCHEMA: dict[str, Json] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "urn:arm:schema:genome:v1",
    "title": "Genome of an agent version",
    **_object(
        REQUIRED,
        {
            "schema": {"const": NAME},
            "template": _TEMPLATE,
            "models": _set(_MODEL, ("role", "order"), 64, minItems=1),
            "prompts": _set(
                _object(("role", *_DESCRIBED), {"role": _SLUG, **_DESCRIPTOR}), ("role",), minItems=1
            ),
            "tools": _set(_TOOL, ("name",), MAX_TOOLS, **{"x-arm-keep-empty": True}),
            "provenance": _PROVENANCE,
            "runtime": _object(
                (),
                {
                    "image": _matching(
                        r"^([^\s@]+@)?sha256:[0-9a-f]{64}$",
                        "an image digest, optionally after its name and “@”",
                    ),
                    "framework": _name(),
                    "framework_version": _text(128),
                    "entrypoint": _text(1024),
                },
            ),
            "memory": _object(
                ("kind",),
                {
                    "kind": {"enum": ["none", "session", "file", "vector", "graph", "mixed"]},
                    "store_ref": _text(1024),
                    "scope": {"enum": ["run", "session", "user", "agent", "tenant"]},
                    "retention_s": _whole(0, 2**53 - 1),
                    "pii": {"enum": ["none", "redacted", "stored"]},
                    "redacts": {
                        **_set(_name(128)),
                        "description": "What is taken out of a memory before it is kept, like email or card_number.",
                    },
                    "sensitivity": {**_CLASS, "description": "The most sensitive that it may keep."},
                },
            ),
            "data_sources": _set(
                _object(
                    ("id", "class", "access"),
                    {
                        "id": _name(200),
                        "class": _CLASS,
                        "access": {"enum": ["read", "write", "read_write"]},
                    },
                ),
                ("id",),
            ),
            "behavior": _object(
                (),
                {
                    "autonomy_tier_max": _whole(0, 5),
                    "refusal_profile": _text(256),
                    "escalation_profile": _text(256),
                    "risk_tolerance": {
                        "enum": ["low", "medium", "high"],
                        "description": "How much may be at stake in what it does without asking anybody.",
                    },
                    "guardrails": _set(_name()),
                },
            ),
            "identity": _object(
                ("persona",),
                {
                    "persona": _text(1024),
                    "languages": _set(
                        _matching("^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", "a language tag, like en or pt-BR")
                    ),
                    "disclosure": {"enum": ["always", "on_request", "never"]},
                },
                description="How the agent presents itself to people, and whether it says that it is one.",
            ),
            "spawn": _object(
                ("allowed",),
                {
                    "allowed": {"type": "boolean"},
                    "max_depth": _whole(0, 32),
                    "max_children": _whole(0, 1_000_000),
                    "max_per_hour": _whole(0, 1_000_000),
                    "child_templates": _set(_TEMPLATE),
                    "child_roles": {
                        **_set(_ROLE),
                        "x-arm-keep-empty": True,
                        "description": "The only roles that a child may have: empty, none; absent, any. One without a role always may be.",
                    },
                },
            ),
            "limits": _object(
                (),
                {
                    "max_turns": _whole(1, 2**53 - 1),
                    "max_tokens_per_run": _whole(1, 2**53 - 1),
                    "timeout_s": _whole(1, 2**53 - 1),
                    "budget": _BUDGET,
                },
            ),
            "skills": _set(_SKILL, ("id",)),
            "evaluations": _set(_object(_DESCRIBED, _DESCRIPTOR), ("digest",)),
            "secrets": _set(_SECRET, ("name",)),
            "security": _SECURITY,
            "servers": {
                **_set(_SERVER, ("name",)),
                "description": "What is known of the servers that tools name: where they come from and where they answer.",
            },
        },
        patternProperties={EXTENSION: _extension()},
    ),
}
