"""What the demo's agents are made of: prompts that are kept, tools, memory, data, skills, limits, and references to secrets."""

import hashlib
from dataclasses import dataclass
from typing import Any

from arm.demo import Demo
from arm.rights import Risk
from registry import services
from registry.demo.roles import ROLES
from registry.models import AgentTemplate

MODELS = (
    ("openai", "gpt-4o", "2024-08-06"),
    ("openai", "gpt-4o-mini", "2024-07-18"),
    ("anthropic", "claude-sonnet-4-5", "20250929"),
    ("google", "gemini-2.5-flash", "floating"),
)
TOOLS = (
    ("search", "GREEN", False),
    ("read_file", "GREEN", False),
    ("query_db", "GREEN", False),
    ("create_doc", "GREEN", True),
    ("http_request", "YELLOW", True),
    ("write_file", "YELLOW", True),
    ("send_email", "RED", True),
    ("payment", "RED", True),
    ("deploy_prod", "RED", True),
)
SERVED = {"kind": "mcp", "server": "com.example/warehouse"}
SERVER = {
    "name": "com.example/warehouse",
    "version": "2.3.0",
    "supplier": {"name": "Example", "url": "https://example.com"},
    "packages": [
        {
            "registry_type": "npm",
            "identifier": "@example/warehouse",
            "version": "2.3.0",
            "digest": "sha256:" + hashlib.sha256(b"warehouse-2.3.0.tgz").hexdigest(),
            "transport": "stdio",
        }
    ],
    "remotes": [{"url": "https://warehouse.example.com/mcp", "type": "streamable-http"}],
    "authenticated": True,
    "trust_boundary": False,
    "data": [{"flow": "inbound", "class": "confidential"}],
}
TEXT = "text/plain"
HOUSE_STYLE = """Write short sentences. Say what you do not know. Never promise anything for the company.
Answer in the language in which you were asked.
"""
INSTRUCTIONS = """You are {name}. {purpose}
Work for the {team} team only, and leave alone what others own.
{refined}Ask a person before anything that binds the company.
"""
REFINED = (
    "",
    "Look at the newest document first, and name it in your answer.\n",
    "Use no more than {turns} steps; then hand over what you have.\n",
)
ELSEWHERE = "engineering"
"""The team that keeps its prompts in its own repository: ARM knows their digests only."""


@dataclass(frozen=True, slots=True)
class Team:
    """What agents of a team work with: (data, class, access), how they remember, a skill, and the secrets they refer to."""

    data: tuple[tuple[str, str, str], ...]
    memory: dict[str, Any]
    skill: tuple[str, str]
    secrets: tuple[tuple[str, str], ...]


_SESSION = {
    "kind": "session", "scope": "session", "retention_s": 86_400, "pii": "redacted", "redacts": ["email", "phone"],
    "sensitivity": "internal",
}  # fmt: skip
_NONE = {"kind": "none"}
TEAMS = {
    "finance": Team(
        (("erp.invoices", "confidential", "read"), ("erp.postings", "confidential", "read_write")),
        {"kind": "file", "scope": "agent", "retention_s": 2_592_000, "pii": "none", "store_ref": "s3://agents/finance",
         "sensitivity": "confidential"},
        ("bookkeeping", "Reads documents and proposes postings"),
        (("erp", "vault://finance/erp/token"),),
    ),
    "support": Team(
        (("crm.tickets", "internal", "read_write"), ("help.articles", "public", "read")),
        {"kind": "vector", "scope": "user", "retention_s": 604_800, "pii": "redacted", "store_ref": "pgvector://support",
         "redacts": ["card_number", "email", "phone"], "sensitivity": "internal"},
        ("first-answer", "Sorts a question and drafts the first answer"),
        (("crm", "vault://support/crm/key"), ("mail", "env:MAIL_TOKEN")),
    ),
    "legal": Team(
        (("contracts.archive", "restricted", "read"),), _NONE,
        ("clause-review", "Marks clauses that differ from the standard"), (("archive", "vault://legal/archive/token"),),
    ),
    "engineering": Team(
        (("git.main", "internal", "read"),), _NONE, ("writing", "Writes down what happened"), (("git", "env:GIT_TOKEN"),)
    ),
    "sales": Team(
        (("web.public", "public", "read"), ("crm.accounts", "internal", "read")), _SESSION,
        ("research", "Collects public facts about a company"), (("crm", "vault://sales/crm/key"),),
    ),
    "data": Team(
        (("warehouse.schema", "internal", "read"),), {"kind": "graph", "scope": "tenant", "pii": "none"},
        ("stewardship", "Finds columns without owners"), (("warehouse", "vault://data/warehouse/reader"),),
    ),
    "people": Team(
        (("handbook", "internal", "read"),), _SESSION, ("guidance", "Answers questions of new colleagues"), ()
    ),
}  # fmt: skip


def genome(demo: Demo, template: AgentTemplate, step: int, branch: str = "") -> dict[str, Any]:
    """The document of the agent's build number `step`, from 0; `branch` tells two of the same number apart. Its prompts are
    stored as they come, but those of the one team that keeps them elsewhere. Later builds say more of themselves."""
    vendor, model, revision = MODELS[(step + len(template.slug)) % len(MODELS)]
    spare = MODELS[(step + len(template.slug) + 1) % len(MODELS)]
    risky = template.risk in (Risk.HIGH, Risk.CRITICAL)
    team = TEAMS[template.cost_center]
    chosen = [
        tool for n, tool in enumerate(TOOLS) if n < 4 or ((n + step) % 2 == 0 and (tool[1] != "RED" or risky))
    ]
    seed = f"{template.slug}/{step}{branch}"
    turns = 20 - 2 * step
    refined = "".join(REFINED[: step + 1]).format(turns=turns)
    told = INSTRUCTIONS.format(
        name=template.name, purpose=template.description, team=template.cost_center, refined=refined
    )
    document = {
        "schema": "arm.genome/v1",
        "template": template.typeid,
        "models": [
            {"role": "primary", "provider": vendor, "name": model, "revision": revision, "parameters": {"temperature": 0.2}},
            {"role": "fallback", "order": 1, "provider": spare[0], "name": spare[1], "revision": spare[2],
             "conditions": ["error", "timeout", "rate_limit"]},
        ],
        "prompts": [_prompt(demo, template, "system", f"{told}{branch}"), _prompt(demo, template, "style", HOUSE_STYLE)],
        "tools": [
            {
                "name": name, **(SERVED if name == "query_db" else {"kind": "function"}), "schema_digest": _sha(f"{name}/schema/{step // 2}"),
                "description_digest": _sha(f"{name}/text"), "risk": risk, "side_effect": acts, "scopes": [],
            }
            for name, risk, acts in chosen
        ],
        "provenance": {
            "source_repo": f"https://git.example.com/agents/{template.slug}",
            "commit": hashlib.sha1(seed.encode(), usedforsecurity=False).hexdigest(),
            "builder": "https://ci.example.com/pipelines/agents",
        },
        "runtime": {"framework": "langgraph", "framework_version": f"0.{4 + step}.2", "image": _sha(f"{seed}/image")},
        "limits": {
            "max_turns": turns, "max_tokens_per_run": 60_000, "timeout_s": 600,
            "budget": {"amount": "1.50", "currency": "USD", "per": "run"},
        },
        "behavior": {
            "autonomy_tier_max": 2 if risky else 3, "refusal_profile": "house", "escalation_profile": "to the owner",
            "risk_tolerance": "low" if risky else "medium",
            "guardrails": ["no-legal-advice", "no-promises", *(["four-eyes"] if risky else [])],
        },
        "spawn": {"allowed": not risky} | ({} if risky else {
            "max_depth": 2, "max_children": 4, "max_per_hour": 12, "child_roles": [slug for slug, _, _, _, of, *_ in ROLES if of == template.cost_center],
        }),
        "servers": [SERVER],
        "data_sources": [{"id": name, "class": of, "access": access} for name, of, access in team.data],
        "secrets": [{"name": name, "ref": ref} for name, ref in team.secrets],
    }  # fmt: skip
    if step:  # what the first builds did not say yet
        skill, does = team.skill
        document |= {
            "memory": team.memory,
            "skills": [{"id": skill, "name": skill.capitalize().replace("-", " "), "description": does, "tags": [template.cost_center],
                        "oasf": {"name": "natural_language_processing/natural_language_generation/text_completion", "id": 10201}}],
            "identity": {"persona": template.name, "languages": ["en", "de"], "disclosure": "always"},
        }  # fmt: skip
    return document


def _prompt(demo: Demo, template: AgentTemplate, role: str, text: str) -> dict[str, Any]:
    """The prompt by its digest; its text is kept where the team lets it be."""
    content = text.encode()
    named = {"role": role, "media_type": TEXT, "digest": _sha(text), "size": len(content)}
    if template.cost_center != ELSEWHERE:
        try:
            services.store_prompt(
                tenant=demo.tenant, content=content, media_type=TEXT, actor=demo.people["alice"], reason="Kept with the build"
            )  # fmt: skip
        except services.Duplicate:  # as of the house's style, which all of them have
            pass
    return named


def _sha(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
