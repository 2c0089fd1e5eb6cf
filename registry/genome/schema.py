"""The JSON Schema of a genome, `arm.genome/v1`, as data. Everything else in this package follows it.

Five annotations beyond JSON Schema 2020-12 carry the hashing rule, so that a third party needs this one document:

- `x-arm-set`: the array is a set; it is sorted by these members (an empty list: by the items themselves).
- `x-arm-name`: the string is a name; it is brought to Unicode NFC.
- `x-arm-free`: content is the author's own; it is never changed, sorted or pruned.
- `x-arm-unhashed`: the member is no part of the digest.
- `x-arm-keep-empty`: an empty value says something other than an absent one.
"""

from . import kinds
from .kinds import Json

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


_CLASS = {"enum": ["public", "internal", "confidential", "restricted"]}
_DIGEST = kinds.matching("^sha256:[0-9a-f]{64}$", "“sha256:” and 64 lowercase hexadecimal digits")
_SLUG = kinds.matching("^[a-z][a-z0-9._-]{0,63}$", "a lower-case word: letters, digits, “.”, “_” and “-”")
_ROLE = kinds.matching("^[-A-Za-z0-9_]{1,80}$", "the short name of a role")
_TEMPLATE = kinds.matching("^tpl_[0-7][0-9a-hjkmnp-tv-z]{25}$", "the id of a template, “tpl_…”")
_INSTANT = kinds.matching(
    r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})$",
    "a moment with a time zone, like 2026-01-31T09:30:00Z",
    **{"x-arm-unhashed": True},
)
_DESCRIPTOR: dict[str, Json] = {
    "media_type": kinds.matching(r"^[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+$", "a media type, like text/plain"),
    "digest": _DIGEST,
    "size": kinds.whole(0, 2**53 - 1),
    "name": kinds.name(),
    "urls": {"type": "array", "items": kinds.text(2048), "maxItems": 16},
    "annotations": kinds.free("Notes of the author, as a map."),
}
_DESCRIBED = ("media_type", "digest", "size")

_MODEL = kinds.members(
    ("role", "provider", "name", "revision"),
    {
        "role": {"enum": ["primary", "fallback", "router", "judge", "embedding"]},
        "order": {**kinds.whole(1, 64), "description": "Which of several with this role is asked first."},
        "provider": kinds.name(80),
        "name": kinds.name(160),
        "revision": kinds.text(128, description="A dated snapshot, or “floating”."),
        "parameters": kinds.free("Sampling and other parameters, as sent to the provider."),
        "endpoint_class": _SLUG,
        "digest": _DIGEST,
        "conditions": kinds.set_of(
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
_TOOL = kinds.members(
    ("name", "kind", "schema_digest", "description_digest", "risk"),
    {
        "name": kinds.name(200),
        "kind": {"enum": ["function", "mcp", "http", "a2a", "builtin"]},
        "schema_digest": _DIGEST,
        "description_digest": _DIGEST,
        "risk": {"enum": ["GREEN", "YELLOW", "RED"]},
        "side_effect": {
            "type": "boolean",
            "description": "Whether a call changes anything outside the agent.",
        },
        "scopes": kinds.set_of(kinds.name()),
        "server": kinds.name(512),
    },
)
_PROVENANCE = kinds.members(
    ("source_repo", "commit", "builder"),
    {
        "source_repo": kinds.text(2048),
        "commit": kinds.matching("^[0-9a-f]{7,64}$", "a commit id: 7 to 64 lowercase hexadecimal digits"),
        "builder": kinds.text(256),
        "built_at": _INSTANT,
        "build_id": kinds.text(256, **{"x-arm-unhashed": True}),
        "materials": kinds.set_of(
            kinds.members(("digest",), {"digest": _DIGEST, "uri": kinds.text(2048), "name": kinds.name()}),
            ("digest",),
        ),
    },
)
_SKILL = kinds.members(
    ("id", "name", "description"),
    {
        "id": kinds.name(),
        "name": kinds.name(),
        "description": kinds.text(8192),
        "tags": kinds.set_of(kinds.name()),
        "input_modes": kinds.set_of(kinds.text(128)),
        "output_modes": kinds.set_of(kinds.text(128)),
        "oasf": kinds.members(
            ("name",),
            {
                "name": kinds.matching(
                    "^[a-z0-9_]{1,64}(/[a-z0-9_]{1,64}){0,4}$", "a class of skills, like “category/skill”"
                ),
                "id": kinds.whole(1, 2**31 - 1),
            },
            description="Which class of the Open Agentic Schema Framework it is.",
        ),
    },
)
_SECRET = kinds.members(
    ("name", "ref"),
    {
        "name": kinds.name(),
        "ref": kinds.matching(
            rf"^(env:[A-Za-z_][A-Za-z0-9_]{{0,255}}|({'|'.join(STORES)}):[^\s]{{1,1024}})$",
            f"a reference, never the secret itself: env:NAME, or a place in a store ({', '.join(STORES)}), like vault://path",
        ),
    },
)
_BUDGET = kinds.members(
    ("amount", "currency", "per"),
    {
        "amount": kinds.matching(
            r"^(0|[1-9]\d{0,14})(\.\d{1,9})?$", "a decimal number in a string, like “12.50”"
        ),
        "currency": kinds.matching("^[A-Z]{3}$", "an ISO 4217 code, like EUR"),
        "per": {"enum": ["run", "day", "month"]},
    },
)

_ADDRESS = kinds.matching(r"^https?://[^\s]{1,2040}$", "an absolute http(s) address")
_SCHEME_NAME = kinds.matching("^[A-Za-z0-9._-]{1,64}$", "a name of letters, digits, “.”, “_” and “-”")
_FLOW = kinds.members(
    ("kind",),
    {
        "kind": {"enum": ["authorization_code", "client_credentials", "device_code", "implicit", "password"]},
        "authorization_url": _ADDRESS,
        "device_authorization_url": _ADDRESS,
        "token_url": _ADDRESS,
        "refresh_url": _ADDRESS,
        "scopes": kinds.set_of(
            kinds.members(("name",), {"name": kinds.text(128), "description": kinds.text(2048)}), ("name",)
        ),
        "pkce_required": {"type": "boolean"},
    },
)
_SECURITY = kinds.members(
    (),
    {
        "schemes": kinds.set_of(
            kinds.members(
                ("name", "kind"),
                {
                    "name": _SCHEME_NAME,
                    "kind": {"enum": ["api_key", "http", "oauth2", "openid_connect", "mutual_tls"]},
                    "description": kinds.text(2048),
                    "location": {"enum": ["header", "query", "cookie"]},
                    "parameter": kinds.text(
                        256, description="The header, query parameter or cookie of the key."
                    ),
                    "scheme": kinds.text(64, description="An HTTP authentication scheme, like Bearer."),
                    "bearer_format": kinds.text(128),
                    "flows": kinds.set_of(_FLOW, ("kind",), 8),
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
            "items": kinds.members(
                ("all_of",),
                {
                    "all_of": kinds.set_of(
                        kinds.members(
                            ("scheme",), {"scheme": _SCHEME_NAME, "scopes": kinds.set_of(kinds.text(128))}
                        ),
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
_PACKAGE = kinds.members(
    ("registry_type", "identifier", "transport"),
    {
        "registry_type": kinds.matching(
            "^[a-z][a-z0-9._-]{0,63}$", "a kind of registry, like npm, pypi or oci"
        ),
        "registry_base_url": _ADDRESS,
        "identifier": kinds.text(512),
        "version": kinds.text(255, description="One version, never a range or “latest”."),
        "digest": _DIGEST,
        "transport": {"enum": ["stdio", "streamable-http", "sse"]},
        "url": {
            **_ADDRESS,
            "description": "an absolute http(s) address; of a package that is spoken to by http",
        },
    },
)
_SERVER = kinds.members(
    ("name",),
    {
        "name": {**kinds.name(512), "description": "As tools name it."},
        "version": kinds.text(255),
        "supplier": kinds.members(("name",), {"name": kinds.name(), "url": _ADDRESS}),
        "packages": kinds.set_of(_PACKAGE, ("registry_type", "identifier", "version", "digest", "url"), 64),
        "remotes": kinds.set_of(
            kinds.members(
                ("url",), {"url": _ADDRESS, "type": {"enum": ["streamable-http", "sse", "http", "grpc"]}}
            ),
            ("url", "type"),
            64,
        ),
        "authenticated": {"type": "boolean", "description": "Whether it asks who calls."},
        "trust_boundary": {"type": "boolean", "description": "Whether a call leaves our trust zone."},
        "data": kinds.set_of(
            kinds.members(
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
    **kinds.members(
        REQUIRED,
        {
            "schema": {"const": NAME},
            "template": _TEMPLATE,
            "models": kinds.set_of(_MODEL, ("role", "order"), 64, minItems=1),
            "prompts": kinds.set_of(
                kinds.members(("role", *_DESCRIBED), {"role": _SLUG, **_DESCRIPTOR}), ("role",), minItems=1
            ),
            "tools": kinds.set_of(_TOOL, ("name",), MAX_TOOLS, **{"x-arm-keep-empty": True}),
            "provenance": _PROVENANCE,
            "runtime": kinds.members(
                (),
                {
                    "image": kinds.matching(
                        r"^([^\s@]+@)?sha256:[0-9a-f]{64}$",
                        "an image digest, optionally after its name and “@”",
                    ),
                    "framework": kinds.name(),
                    "framework_version": kinds.text(128),
                    "entrypoint": kinds.text(1024),
                },
            ),
            "memory": kinds.members(
                ("kind",),
                {
                    "kind": {"enum": ["none", "session", "file", "vector", "graph", "mixed"]},
                    "store_ref": kinds.text(1024),
                    "scope": {"enum": ["run", "session", "user", "agent", "tenant"]},
                    "retention_s": kinds.whole(0, 2**53 - 1),
                    "pii": {"enum": ["none", "redacted", "stored"]},
                    "redacts": {
                        **kinds.set_of(kinds.name(128)),
                        "description": "What is taken out of a memory before it is kept, like email or card_number.",
                    },
                    "sensitivity": {**_CLASS, "description": "The most sensitive that it may keep."},
                },
            ),
            "data_sources": kinds.set_of(
                kinds.members(
                    ("id", "class", "access"),
                    {
                        "id": kinds.name(200),
                        "class": _CLASS,
                        "access": {"enum": ["read", "write", "read_write"]},
                    },
                ),
                ("id",),
            ),
            "behavior": kinds.members(
                (),
                {
                    "autonomy_tier_max": kinds.whole(0, 5),
                    "refusal_profile": kinds.text(256),
                    "escalation_profile": kinds.text(256),
                    "risk_tolerance": {
                        "enum": ["low", "medium", "high"],
                        "description": "How much may be at stake in what it does without asking anybody.",
                    },
                    "guardrails": kinds.set_of(kinds.name()),
                },
            ),
            "identity": kinds.members(
                ("persona",),
                {
                    "persona": kinds.text(1024),
                    "languages": kinds.set_of(
                        kinds.matching(
                            "^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", "a language tag, like en or pt-BR"
                        )
                    ),
                    "disclosure": {"enum": ["always", "on_request", "never"]},
                },
                description="How the agent presents itself to people, and whether it says that it is one.",
            ),
            "spawn": kinds.members(
                ("allowed",),
                {
                    "allowed": {"type": "boolean"},
                    "max_depth": kinds.whole(0, 32),
                    "max_children": kinds.whole(0, 1_000_000),
                    "max_per_hour": kinds.whole(0, 1_000_000),
                    "child_templates": kinds.set_of(_TEMPLATE),
                    "child_roles": {
                        **kinds.set_of(_ROLE),
                        "x-arm-keep-empty": True,
                        "description": "The only roles that a child may have: empty, none; absent, any. One without a role always may be.",
                    },
                },
            ),
            "limits": kinds.members(
                (),
                {
                    "max_turns": kinds.whole(1, 2**53 - 1),
                    "max_tokens_per_run": kinds.whole(1, 2**53 - 1),
                    "timeout_s": kinds.whole(1, 2**53 - 1),
                    "budget": _BUDGET,
                },
            ),
            "skills": kinds.set_of(_SKILL, ("id",)),
            "evaluations": kinds.set_of(kinds.members(_DESCRIBED, _DESCRIPTOR), ("digest",)),
            "secrets": kinds.set_of(_SECRET, ("name",)),
            "security": _SECURITY,
            "servers": {
                **kinds.set_of(_SERVER, ("name",)),
                "description": "What is known of the servers that tools name: where they come from and where they answer.",
            },
        },
        patternProperties={EXTENSION: kinds.extension()},
    ),
}
