"""A complete genome to start from, and random ones for property tests."""

import copy
from typing import Any

from hypothesis import strategies as st

from arm.crypto import digest
from registry.genome import NAME

TEMPLATE = "tpl_01k9m2x4v8e0wbt5c7qf3hn6rd"


def sha(text: str) -> str:
    return digest(text.encode())


def tool(name: str = "search", **changes: Any) -> dict[str, Any]:
    held = {
        "name": name,
        "kind": "mcp",
        "schema_digest": sha(f"{name} schema"),
        "description_digest": sha(f"{name} description"),
        "risk": "GREEN",
        "side_effect": False,
        "scopes": ["docs:read"],
        "server": "com.example/docs",
    }
    return held | changes


def model(role: str = "primary", **changes: Any) -> dict[str, Any]:
    held = {
        "role": role,
        "provider": "openai",
        "name": "gpt-4.1",
        "revision": "2025-04-14",
        "parameters": {"temperature": 0.2},
    }
    return held | changes


def prompt(role: str = "system", text: str = "You answer invoices.", **changes: Any) -> dict[str, Any]:
    return {
        "role": role,
        "media_type": "text/plain",
        "digest": sha(text),
        "size": len(text.encode()),
    } | changes


def example(**changes: Any) -> dict[str, Any]:
    """Complete: nothing wrong, nothing missing. A change to None takes the member out."""
    held: dict[str, Any] = {
        "schema": NAME,
        "template": TEMPLATE,
        "models": [model(), model("fallback", name="gpt-4.1-mini", order=1, conditions=["timeout", "error"])],
        "prompts": [prompt()],
        "tools": [tool("search"), tool("pay_invoice", risk="RED", side_effect=True)],
        "provenance": {
            "source_repo": "https://git.example.com/agents/invoices",
            "commit": "4be1f9c2d3",
            "builder": "ci.example.com",
            "built_at": "2026-01-31T09:30:00Z",
            "build_id": "8812",
            "materials": [{"digest": sha("wheel"), "uri": "pkg:pypi/invoices@1.2.0"}],
        },
        "behavior": {"autonomy_tier_max": 2, "guardrails": ["no-legal-advice"]},
        "limits": {"max_turns": 20, "budget": {"amount": "2.50", "currency": "EUR", "per": "run"}},
    }
    return copy.deepcopy({name: value for name, value in (held | changes).items() if value is not None})


SAFE = 2**53 - 1
words = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-SAFE, SAFE)
    | st.floats(-SAFE, SAFE, allow_nan=False)
    | words
    | st.just("")
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)
digests = words.map(sha)
slugs = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
descriptors = {"media_type": st.just("text/plain"), "digest": digests, "size": st.integers(0, SAFE)}
tools = st.fixed_dictionaries(
    {
        "name": words,
        "kind": st.sampled_from(["function", "mcp", "http", "a2a", "builtin"]),
        "schema_digest": digests,
        "description_digest": digests,
        "risk": st.sampled_from(["GREEN", "YELLOW", "RED"]),
    },
    optional={"scopes": st.lists(words, max_size=4, unique=True), "server": words},
)
models = st.fixed_dictionaries(
    {"provider": words, "name": words, "revision": slugs},
    optional={"parameters": st.dictionaries(words, json_values, max_size=3), "endpoint_class": slugs},
)


@st.composite
def genomes(draw: st.DrawFn) -> dict[str, Any]:
    """Random genomes without anything wrong in them, so far as the schema goes."""
    fallbacks = draw(st.lists(models, max_size=3))
    ordered = [held | {"role": "fallback", "order": n} for n, held in enumerate(fallbacks, 1)]
    held = example(
        models=[draw(models) | {"role": "primary"}, *ordered],
        tools=draw(st.lists(tools, max_size=5, unique_by=lambda t: t["name"])),
    )
    for name, values in {
        "x_": st.dictionaries(words, json_values, max_size=3),
        "x_team.notes": json_values,
        "memory": st.fixed_dictionaries(
            {"kind": st.just("vector")},
            optional={
                "retention_s": st.integers(0, SAFE),
                "store_ref": words,
                "redacts": st.lists(words, max_size=3, unique=True),
                "sensitivity": st.sampled_from(["public", "restricted"]),
            },
        ),
        "evaluations": st.lists(
            st.fixed_dictionaries(descriptors), max_size=3, unique_by=lambda e: e["digest"]
        ),
        "spawn": st.fixed_dictionaries({"allowed": st.booleans()}),
    }.items():
        if draw(st.booleans()):
            held[name] = draw(values)
    return held
