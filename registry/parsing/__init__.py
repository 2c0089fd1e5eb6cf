"""An A2A agent card, 0.2 to 1.0, as the draft of a genome. Pure; a card says little, and this adds nothing to it."""

from collections.abc import Iterator
from dataclasses import dataclass

from arm.errors import Problem
from registry import genome
from registry.genome import Json
from registry.genome.members import Members
from registry.parsing.addresses import flaw_of
from registry.parsing.security import Security

MOST = 20
READ = frozenset(
    {
        "name", "description", "version", "protocolVersion", "url", "preferredTransport", "supportedInterfaces",
        "additionalInterfaces", "defaultInputModes", "defaultOutputModes", "skills", "capabilities", "signatures",
        "securitySchemes", "securityRequirements", "security", "authentication", "supportsAuthenticatedExtendedCard",
    }
)  # fmt: skip
"""Members of a card that are taken over, or that have a note of their own; likewise those of capabilities and skills."""
SAID = frozenset({"extendedAgentCard"})
OF_SKILLS = frozenset({"id", "name", "description", "tags", "inputModes", "outputModes"})


@dataclass(frozen=True)
class Interface:
    """Where the agent answers: a matter of its instances, so no part of the genome."""

    url: str
    binding: str
    protocol_version: str


@dataclass(frozen=True)
class Imported:
    """What a card says. With `problems` nothing of it may be stored."""

    name: str
    description: str
    version_label: str
    genome_draft: dict[str, Json]
    skills: tuple[dict[str, Json], ...]
    interfaces: tuple[Interface, ...]
    notes: tuple[str, ...]
    problems: tuple[Problem, ...]


def read_a2a_card(data: bytes) -> Imported:
    """Read an A2A agent card. The draft has `skills` and `security` only: a card names no models, prompts or tools.

    Invalid or TooLarge where the bytes are no I-JSON object; a card with wrong members comes back with every one
    of them in `problems`.
    """
    card = _Card(genome.read(data, media_type="application/json").document)
    name = card.text(card.document, "name", required=True, most=256)
    description = card.text(card.document, "description", most=8192)
    label = card.text(card.document, "version", most=64)
    interfaces = tuple(card.interfaces())
    skills = tuple(card.skills())
    draft: dict[str, Json] = {"schema": genome.NAME}
    if skills:
        draft["skills"] = list(skills)
    security = Security(card)
    if security.document:
        draft["security"] = security.document
    notes = (*card.notes(interfaces, skills), *security.notes)
    problems = card.problems or security.at_home(genome.wrong(draft))
    return Imported(name, description, label, draft, skills, interfaces, notes, tuple(problems))


class _Card(Members):
    def interfaces(self) -> Iterator[Interface]:
        """1.0 lists them all; before, the card itself was the preferred one."""
        for at, entry in self.objects(self.document, "supportedInterfaces"):
            binding = self.text(entry, "protocolBinding", at, required=True, most=64)
            url = self.reached(entry, at, binding, required=True)
            yield Interface(url, binding, self.text(entry, "protocolVersion", at, most=16) or "1.0")
        version = self.text(self.document, "protocolVersion", most=16) or "0.2"
        transport = self.text(self.document, "preferredTransport", most=64) or "JSONRPC"
        if url := self.reached(self.document, (), transport):
            yield Interface(url, transport, version)
        for at, entry in self.objects(self.document, "additionalInterfaces"):
            transport = self.text(entry, "transport", at, required=True, most=64)
            yield Interface(self.reached(entry, at, transport, required=True), transport, version)

    def reached(
        self, within: dict[str, Json], at: tuple[str | int, ...], binding: str, *, required: bool = False
    ) -> str:
        """Where callers reach the agent."""
        url = self.text(within, "url", at, required=required)
        if url and (flaw := flaw_of(url, bare=binding.upper() == "GRPC")):
            self.wrong((*at, "url"), flaw, "address")
            return ""
        return url

    def skills(self) -> Iterator[dict[str, Json]]:
        inputs = self.texts(self.document, "defaultInputModes")
        outputs = self.texts(self.document, "defaultOutputModes")
        seen: set[str] = set()
        for at, entry in self.objects(self.document, "skills"):
            skill: dict[str, Json] = {
                "id": self.text(entry, "id", at, required=True, most=256),
                "name": self.text(entry, "name", at, required=True, most=256),
                "description": self.text(entry, "description", at, most=8192),
                "tags": self.texts(entry, "tags", at),
                "input_modes": self.texts(entry, "inputModes", at) or inputs,
                "output_modes": self.texts(entry, "outputModes", at) or outputs,
            }
            if skill["id"] and skill["id"] in seen:
                self.wrong((*at, "id"), "Another skill has the same id.", "duplicate")
            seen.add(skill["id"])
            # early cards leave the description out, and a genome must have one
            yield {**skill, "description": skill["description"] or skill["name"]}

    def notes(self, interfaces: tuple[Interface, ...], skills: tuple[dict[str, Json], ...]) -> Iterator[str]:
        yield "An agent card does not say which models, prompts and tools the agent uses; add them before testing."
        if not skills:
            yield "The card names no skills."
        if not interfaces:
            yield "The card names no address."
        for interface in interfaces:
            spoken = f"{interface.binding}, A2A {interface.protocol_version}"
            yield f"It answers at {interface.url} ({spoken}); addresses belong to instances and are not kept."
        self.objects(self.document, "signatures")  # what they prove is asked by whoever knows keys
        capabilities = self.mapping("capabilities")
        extended = capabilities.get("extendedAgentCard") or self.document.get(
            "supportsAuthenticatedExtendedCard"
        )
        if extended is True:
            yield "The agent has an extended card for signed-in callers; this is the public one."
        yield from self.left(capabilities)

    def left(self, capabilities: dict[str, Json]) -> Iterator[str]:
        """What the card says and a genome has no member for."""
        wanted: list[str] = []
        for at, one in self.objects(capabilities, "extensions", ("capabilities",)):
            if one.get("required") is True:
                wanted.append(str(one.get("uri") or "/".join(map(str, at)))[:200])
        for uri in wanted[:MOST]:
            yield f"Not taken over: the extension {uri}, which callers of the agent must support."
        others = [
            f"capabilities/{name[:60]}" for name, value in capabilities.items() if value and name not in SAID
        ]
        others += [name[:60] for name, value in self.document.items() if value and name not in READ]
        bare = []
        skills = (
            () if self.problems else self.document.get("skills") or ()
        )  # what is wrong was said by `skills`
        for skill in skills:
            called = str(skill.get("id"))[:60]
            if not skill.get("description"):
                bare.append(called)
            others += [
                f"{name[:60]} of the skill {called}"
                for name in skill
                if skill[name] and name not in OF_SKILLS
            ]
        if bare:
            yield f"Not described: {_listed(bare, 'skills')}. A genome must describe each skill: its name stands there."
        if others:
            yield f"Not taken over: {_listed(others, 'members')}; a genome has no member for it."


def _listed(words: list[str], noun: str) -> str:
    more = f" and {len(words) - MOST} more {noun}" if len(words) > MOST else ""
    return ", ".join(words[:MOST]) + more
