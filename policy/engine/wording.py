"""Policy documents in words, and what changed between two of them. Pure: a document in, sentences out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policy.engine.terms import Effect
from policy.engine.tiers import TIERS, Tier

Document = Mapping[str, Any]
_EFFECT = {"allow": "Allow", "deny": "Deny", "approve": "Ask a person about"}
_BREACH = {
    "approve": "a person is asked",
    "throttle": "it has to wait",
    "deny": "the call is denied",
    "read_only": "the agent becomes read-only",
    "pause": "the agent is paused",
    "quarantine": "the agent is quarantined",
}
_LOOP = {
    "repeat": "The same call at most {max} times in {window}",
    "thrash": "At most {max} tool calls in {window}",
    "error_streak": "At most {max} failures one after the other in {window}",
    "ping_pong": "Back and forth between two calls at most {max} times in {window}",
}
_ANYTHING = "anything"


@dataclass(frozen=True, slots=True)
class Line:
    """One rule as a sentence, and where it stands in the document (RFC 6901)."""

    pointer: str
    sentence: str
    reason: str = ""

    @property
    def anchor(self) -> str:
        return "rule" + self.pointer.replace("/", "-")


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a document; `nothing` says what its absence means."""

    title: str
    lines: tuple[Line, ...]
    nothing: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One sentence that only one of two documents says."""

    section: str
    added: bool
    line: Line


def sections(document: Document) -> tuple[Section, ...]:
    """What a valid document says, part by part, in the order in which a decision asks."""
    return (
        Section("Tier", (Line("/tier", _tier(TIERS[document["tier"]])),), ""),
        Section("Tools", tuple(_tools(document)), "No rule, so every tool is denied."),
        Section("Approvals", tuple(_approvals(document)), "One approver decides within 1 h."),
        Section("Limits", tuple(_limits(document)), "No limit."),
        Section("Loops", tuple(_loops(document)), "No rule against loops."),
        Section("Spawning", tuple(_spawn(document)), "It may start no other agents."),
        Section("Data", tuple(_data(document)), "No class of data may be used."),
        Section("Network", tuple(_network(document)), "No host may be reached."),
        Section("Paths", tuple(_paths(document)), "No path may be used."),
        Section("Commands", tuple(_commands(document)), "No command may be run."),
        Section("Mode", (Line("/mode", _mode(document)),), ""),
    )


def differences(old: Document, new: Document) -> tuple[Difference, ...]:
    """What the newer document no longer says, then what it says anew, part by part.

    Rules are compared by what they say: their order means nothing, so moving one is no difference.
    """
    found: list[Difference] = []
    for before, after in zip(sections(old), sections(new), strict=True):
        was = {(line.sentence, line.reason) for line in before.lines}
        now = {(line.sentence, line.reason) for line in after.lines}
        found += [
            Difference(before.title, False, line)
            for line in before.lines
            if (line.sentence, line.reason) not in now
        ]
        found += [
            Difference(after.title, True, line)
            for line in after.lines
            if (line.sentence, line.reason) not in was
        ]
    return tuple(found)


def span(seconds: int) -> str:
    """`90 s`, `20 min`, `1 h`, `3 d`: whole units only."""
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds % unit == 0 and seconds >= unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"


def _tier(tier: Tier) -> str:
    said = {Effect.ALLOW: "are allowed", Effect.APPROVE: "ask a person", Effect.DENY: "are denied"}
    red = said[tier.red] + (" unless a rule names them" if tier.listed_red else "")
    after = ", and are looked at afterwards" if tier.review_after else ""
    return (
        f"At most tier {tier.number} ({tier.name}): green tools {said[tier.green]}, "
        f"yellow tools {said[tier.yellow]}, red tools {red}{after}."
    )


def match(value: Mapping[str, Any]) -> str:
    """What a rule is about: `tool “send_*” and class messaging`."""
    parts = []
    if tool := value.get("tool"):
        parts.append("every tool" if tool == "*" else f"tool “{tool}”")
    if kind := value.get("class"):
        parts.append(f"{kind} tools")
    if risk := value.get("risk"):
        parts.append(f"{risk} tools")
    if action := value.get("action"):
        parts.append(f"the action {str(action).replace('_', ' ')}")
    return " and ".join(parts) or _ANYTHING


def _tools(document: Document) -> Iterator[Line]:
    for number, rule in enumerate(document.get("tools") or ()):
        yield Line(
            f"/tools/{number}", f"{_EFFECT[rule['effect']]} {match(rule['match'])}.", rule.get("reason") or ""
        )


def _approvals(document: Document) -> Iterator[Line]:
    for number, rule in enumerate(document.get("approvals") or ()):
        quorum = rule.get("quorum") or 1
        who = "1 approver" if quorum == 1 else f"{quorum} approvers"
        if roles := rule.get("roles"):
            who += f", each of them {' and '.join(sorted(roles))},"
        verb = "decides" if quorum == 1 else "must agree"
        said = f"{match(rule['match']).capitalize()}: {who} {verb} within {span(rule.get('ttl_s') or 3600)}"
        if rule.get("escalate_after_s"):
            said += f"; after {span(rule['escalate_after_s'])} {rule['escalate_to']} may decide too"
        yield Line(f"/approvals/{number}", f"{said}.")


def _limits(document: Document) -> Iterator[Line]:
    for number, rule in enumerate(document.get("limits") or ()):
        most = f"{rule['max']:,}" if isinstance(rule["max"], int) else str(rule["max"])
        unit = rule.get("currency") or "USD" if rule["unit"] == "money" else rule["unit"]
        sentence = f"At most {most} {unit} per {rule['per']}; beyond that {_BREACH[rule['on_breach']]}."
        yield Line(f"/limits/{number}", sentence)


def _loops(document: Document) -> Iterator[Line]:
    for number, rule in enumerate(document.get("loops") or ()):
        said = _LOOP[rule["rule"]].format(max=rule["max"], window=span(rule["window_s"]))
        yield Line(f"/loops/{number}", f"{said}; beyond that {_BREACH[rule['on_breach']]}.")


def _spawn(document: Document) -> Iterator[Line]:
    rule = document.get("spawn")
    if not rule:
        return
    if not rule["allowed"]:
        yield Line("/spawn/allowed", "It may start no other agents.")
        return
    yield Line("/spawn/allowed", "It may start other agents.")
    sentences = {
        "max_depth": "At most {} deep below the first.",
        "max_children": "At most {} at a time.",
        "max_per_hour": "At most {} per hour.",
    }
    for name, sentence in sentences.items():
        if rule.get(name) is not None:
            yield Line(f"/spawn/{name}", sentence.format(rule[name]))
    if rule.get("max_ttl_s") is not None:
        yield Line("/spawn/max_ttl_s", f"Each lives at most {span(rule['max_ttl_s'])}.")
    if rule.get("roles") is not None:
        yield Line("/spawn/roles", f"Only as {_list(rule['roles'])}.")


def _data(document: Document) -> Iterator[Line]:
    for number, rule in enumerate(document.get("data") or ()):
        verb = "Read" if rule["access"] == "read" else "Read and write"
        yield Line(f"/data/{number}", f"{verb} {rule['class']} data.")


def _network(document: Document) -> Iterator[Line]:
    for number, rule in enumerate(document.get("network") or ()):
        host = "Any host" if rule["host"] == "*" else rule["host"]
        ports = f", port {_list([str(port) for port in rule['ports']], 'or')}" if rule.get("ports") else ""
        yield Line(f"/network/{number}", f"{host}{ports}.")


def _paths(document: Document) -> Iterator[Line]:
    for number, rule in enumerate(document.get("paths") or ()):
        verb = "Read" if rule["access"] == "read" else "Read and write"
        where = "the working directory" if rule["path"] in (".", "./") else rule["path"]
        yield Line(f"/paths/{number}", f"{verb} below {where}.")


def _commands(document: Document) -> Iterator[Line]:
    for number, rule in enumerate(document.get("commands") or ()):
        yield Line(f"/commands/{number}", " ".join(rule["argv"]))


def _mode(document: Document) -> str:
    if document.get("mode") == "observe":
        return "Observe: decide and record, and let it pass."
    return "Enforce: what is denied does not happen."


def _list(words: Sequence[str], last: str = "and") -> str:
    *first, end = words or ["nobody"]
    return f"{', '.join(first)} {last} {end}" if first else end
