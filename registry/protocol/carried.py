"""What each kind of file cannot carry of a genome: the members that are lost when a version leaves in it and comes back."""

from collections.abc import Mapping

from ..genome import SCHEMA

ALL = tuple(name for name in SCHEMA["properties"] if name not in ("schema", "template"))
_BUILD = ("provenance.built_at", "provenance.build_id")
_CARD = ("skills", "security")
_SERVER = ("tools", "servers")

LOST: Mapping[str, tuple[str, ...]] = {
    "genome": _BUILD,
    "genome-yaml": _BUILD,
    "cyclonedx-1.6": _BUILD,
    "cyclonedx-1.7": _BUILD,
    "oasf": _BUILD,
    "mcp-server": (
        *(name for name in ALL if name not in _SERVER),
        "other servers and their tools",
        "x_…",
    ),
    "agent-card": (*(name for name in ALL if name not in _CARD), "skills.oasf", "x_…"),
}
"""Format: members, or members of members. When something was built is no part of any digest, and leaves in no file."""

BESIDE: Mapping[str, tuple[str, ...]] = {
    "genome": ("name and description of the agent", "label"),
    "genome-yaml": ("name and description of the agent", "label"),
    "mcp-server": ("name and description of the agent", "label"),
}
"""Format: what is said beside a genome and does not come along."""


def lost_in(format: str) -> tuple[str, ...]:
    """Everything that this kind of file cannot say, in words; the texts of prompts stand in none."""
    return (*LOST[format], *BESIDE.get(format, ()))


KINDS = {
    "genome": "Genome",
    "cyclonedx-1.7": "CycloneDX BOM",
    "oasf": "OASF record",
    "mcp-server": "MCP server.json",
    "agent-card": "A2A agent card",
}


FILES = {
    "genome": "Genome, JSON",
    "genome-yaml": "Genome, YAML",
    "cyclonedx-1.7": "CycloneDX 1.7",
    "cyclonedx-1.6": "CycloneDX 1.6",
    "oasf": "OASF record",
}
"""What every version can leave as, in words; a server.json is of one server."""


def by_kind() -> list[tuple[str, tuple[str, ...]]]:
    """For a page: each kind of file in words, and what it cannot say."""
    return [(words, lost_in(format)) for format, words in KINDS.items()]
