"""An A2A AgentCard 1.0 out of a version. Pure.

What is signed is the card's RFC 8785 form, and readers differ about empty members: one drops them all before hashing, the
specification keeps required ones. So nothing empty is written, and a card that would need it is refused with every
pointer. Numbers in `params` come back as doubles: digests, amounts and counts are strings.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from arm.errors import Problem

from ..genome import Json
from .a2a_security import security, security_problems

GOVERNANCE = "https://arm.example/a2a/governance/v1"
BINDINGS = ("JSONRPC", "GRPC", "HTTP+JSON")
DEFAULT_MODES = ["text/plain"]


@dataclass(frozen=True, slots=True)
class Interface:
    """Where the agent answers: an address, and by which binding of the protocol."""

    url: str
    binding: str = "JSONRPC"
    protocol_version: str = "1.0"


@dataclass(frozen=True, slots=True)
class About:
    """What a card says beside the genome."""

    name: str
    description: str
    version: str
    organisation: str
    organisation_url: str
    interfaces: Sequence[Interface]
    governance: dict[str, str]


def agent_card(about: About, document: dict[str, Json]) -> tuple[dict[str, Any], list[Problem]]:
    """The unsigned card, and everything that keeps it from being one."""
    skills = [_skill(skill) for skill in document.get("skills", ())]
    card: dict[str, Any] = without_empty(
        {
            "name": about.name,
            "description": about.description,
            "version": about.version,
            "provider": {"organization": about.organisation, "url": about.organisation_url},
            "supportedInterfaces": [
                {"url": one.url, "protocolBinding": one.binding, "protocolVersion": one.protocol_version}
                for one in about.interfaces
            ],
            "capabilities": {"extensions": [_governance(about, document)]},
            **security(document),
            "defaultInputModes": _modes(document, "input_modes"),
            "defaultOutputModes": _modes(document, "output_modes"),
            "skills": skills,
        }
    )
    held = [without_empty(skill) for skill in skills]
    return card, [*_problems(card, about, held), *security_problems(document)]


def _skill(skill: dict[str, Json]) -> dict[str, Any]:
    return {
        "id": skill.get("id", ""),
        "name": skill.get("name", ""),
        "description": skill.get("description", ""),
        "tags": list(skill.get("tags", ())),
        "inputModes": list(skill.get("input_modes", ())),
        "outputModes": list(skill.get("output_modes", ())),
    }


def _governance(about: About, document: dict[str, Json]) -> dict[str, Any]:
    models = [
        f"{model['provider']}/{model['name']}@{model['revision']}" for model in document.get("models", ())
    ]
    servers = sorted({tool["server"] for tool in document.get("tools", ()) if tool.get("server")})
    return {
        "uri": GOVERNANCE,
        "description": "Which build this is, as its system of record knows it.",
        "params": {**about.governance, "models": models, "toolServers": servers},
    }


def _modes(document: dict[str, Json], name: str) -> list[str]:
    found = {mode for skill in document.get("skills", ()) for mode in skill.get(name, ())}
    return sorted(found) or DEFAULT_MODES


def _problems(card: dict[str, Any], about: About, skills: list[dict[str, Any]]) -> Iterator[Problem]:
    for name in ("name", "description", "version", "supportedInterfaces", "skills"):
        if name not in card:
            yield Problem(pointer=f"/{name}", code="required", message=f"An agent card must have “{name}”.")
    if "url" not in card.get("provider", {}) or "organization" not in card.get("provider", {}):
        yield Problem(
            pointer="/provider",
            code="required",
            message="An agent card names its provider and their address.",
        )
    for number, skill in enumerate(skills):
        for name in ("id", "name", "description", "tags"):
            if name not in skill:
                message = f"A skill of an agent card must have “{name}”."
                yield Problem(pointer=f"/skills/{number}/{name}", code="required", message=message)
    for number, interface in enumerate(about.interfaces):
        where = f"/supportedInterfaces/{number}"
        if not _is_address(interface.url):
            yield Problem(
                pointer=f"{where}/url",
                code="invalid",
                message="An interface has an absolute http(s) address.",
            )
        if interface.binding not in BINDINGS:
            message = f"A binding is one of {', '.join(BINDINGS)}."
            yield Problem(pointer=f"{where}/protocolBinding", code="choice", message=message)
        if not interface.protocol_version.strip():
            message = "An interface says which version of the protocol it speaks."
            yield Problem(pointer=f"{where}/protocolVersion", code="required", message=message)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("https", "http") and bool(parts.hostname)


def without_empty(value: Any) -> Any:
    """The value without empty texts, lists and objects, at any depth."""
    if isinstance(value, dict):
        kept = {name: without_empty(member) for name, member in value.items()}
        return {name: member for name, member in kept.items() if member not in ("", [], {}, None)}
    if isinstance(value, list):
        return [kept for item in value if (kept := without_empty(item)) not in ("", [], {}, None)]
    return value
