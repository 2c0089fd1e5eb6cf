"""From a policy document to an envelope: what each member of the document means, or what is wrong with it."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from policy.engine import reach
from policy.engine.content import ContentInvalid, Problem, Reader
from policy.engine.digests import digest
from policy.engine.envelope import (
    HIGHEST_TIER,
    ApprovalRule,
    Envelope,
    Limit,
    LoopRule,
    Match,
    Part,
    Rule,
    Spawn,
)
from policy.engine.reach import CommandRule, HostRule, PathRule
from policy.engine.risk import ToolClass, normalised
from policy.engine.terms import (
    Access,
    Action,
    Breach,
    Effect,
    LimitKey,
    Loop,
    LoopKey,
    Per,
    Risk,
    Terms,
    Unit,
)

SCHEMA = "arm.policy/v1"
MEMBERS = [
    "schema",
    "tier",
    "tools",
    "data",
    "network",
    "paths",
    "commands",
    "limits",
    "loops",
    "spawn",
    "approvals",
    "mode",
]
EFFECTS = {effect.word: effect for effect in Effect}
RISKS = {risk.word: risk for risk in Risk}


def compile_envelope(content: object) -> Envelope:
    """Return the compiled envelope of one policy document (parsed JSON).

    ContentInvalid names every wrong member at once. A list that is missing is empty, and an empty list allows nothing.
    """
    problems: list[Problem] = []
    document = Reader(content, "", problems, MEMBERS)
    document.required("schema", "tier", "tools")
    if document.has("schema") and document.value["schema"] != SCHEMA:
        document.refuse("schema", "const", f"This must be “{SCHEMA}”.")
    part = Part(
        digest="",
        tier=document.whole("tier", least=0, most=HIGHEST_TIER) or 0,
        rules=tuple(_rules(document)),
        data=frozenset(_data(document)),
        network=tuple(_network(document)),
        paths=tuple(_paths(document)),
        commands=tuple(_commands(document)),
        limits=_limits(document),
        loops=_loops(document),
        spawn=_spawn(document),
        approvals=tuple(_approvals(document)),
        observe=_observe(document),
    )
    name = ""
    if not problems:
        try:
            name = digest(content)
        except ValueError as problem:
            problems.append(Problem("", "canonical", f"The document is {problem}."))
    if problems:
        raise ContentInvalid(problems)
    return Envelope([_named(part, name)])


def _named(part: Part, name: str) -> Part:
    values: dict[str, Any] = {field: getattr(part, field) for field in part.__struct_fields__}
    return Part(**{**values, "digest": name})


def _observe(document: Reader) -> bool:
    mode = document.value.get("mode", "enforce")
    if mode not in ("enforce", "observe"):
        document.refuse("mode", "choice", "This must be enforce or observe.")
    return bool(mode == "observe")


def _named_value(reader: Reader, name: str, known: Mapping[str, Any]) -> Any:
    value = reader.value.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or value not in known:
        reader.refuse(name, "choice", f"This must be one of {', '.join(known)}.")
        return None
    return known[value]


def _match(value: object, pointer: str, problems: list[Problem]) -> Match:
    reader = Reader(value, pointer, problems, ["tool", "class", "risk", "action"])
    if isinstance(value, dict) and not value:
        reader.refuse(
            "", "required", "Say what this matches: tool, class, risk or action (tool “*” is every tool)."
        )
    return Match(
        tool=normalised(reader.text("tool")),
        tool_class=reader.one_of("class", ToolClass),
        risk=_named_value(reader, "risk", RISKS),
        action=reader.one_of("action", Action),
    )


def _rules(document: Reader) -> list[Rule]:
    found: list[Rule] = []

    def read(value: object, pointer: str) -> None:
        reader = Reader(value, pointer, document.problems, ["match", "effect", "reason"])
        reader.required("match", "effect")
        match = (
            _match(reader.value["match"], reader.at("match"), document.problems)
            if reader.has("match")
            else Match()
        )
        effect = _named_value(reader, "effect", EFFECTS)
        found.append(Rule(match, effect or Effect.ALLOW, pointer, reader.text("reason", longest=500)))

    document.each("tools", read)
    return found


def _data(document: Reader) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []

    def read(value: object, pointer: str) -> None:
        reader = Reader(value, pointer, document.problems, ["class", "access"])
        reader.required("class", "access")
        found.append((reader.text("class"), reader.one_of("access", Access) or Access.READ))

    document.each("data", read)
    return found


def _network(document: Reader) -> list[HostRule]:
    found: list[HostRule] = []

    def read(value: object, pointer: str) -> None:
        reader = Reader(value, pointer, document.problems, ["host", "ports"])
        reader.required("host")
        host = reader.text("host").strip().lower()
        bare = host.removeprefix("*.")
        if bare and bare != "*":
            try:
                bare = reach.read_host(bare).name
            except ValueError as problem:
                reader.refuse(
                    "host", "host", f"This must be a host name, an address, “*.domain” or “*”: {problem}."
                )
        ports = reader.value.get("ports")
        if ports is None:
            found.append(HostRule(f"*.{bare}" if host.startswith("*.") else bare))
        elif isinstance(ports, list) and all(type(port) is int and 0 < port < 65536 for port in ports):
            found.append(HostRule(f"*.{bare}" if host.startswith("*.") else bare, frozenset(ports)))
        else:
            reader.refuse("ports", "ports", "This must be a list of port numbers.")

    document.each("network", read)
    return found


def _paths(document: Reader) -> list[PathRule]:
    found: list[PathRule] = []

    def read(value: object, pointer: str) -> None:
        reader = Reader(value, pointer, document.problems, ["path", "access"])
        reader.required("path", "access")
        access = reader.one_of("access", Access) or Access.READ
        try:
            found.append(PathRule(reach.read_path(reader.text("path", longest=1000)), access))
        except ValueError as problem:
            reader.refuse("path", "path", f"This is not a path that can be relied on: {problem}.")

    document.each("paths", read)
    return found


def _commands(document: Reader) -> list[CommandRule]:
    found: list[CommandRule] = []

    def read(value: object, pointer: str) -> None:
        reader = Reader(value, pointer, document.problems, ["argv"])
        reader.required("argv")
        argv = reader.texts("argv", least=1)
        if reach.ANY in argv[:-1]:
            reader.refuse("argv", "argv", "“**” can only be the last token.")
        found.append(CommandRule(tuple(argv)))

    document.each("commands", read)
    return found


def _limits(document: Reader) -> dict[LimitKey, Limit]:
    found: dict[LimitKey, Limit] = {}

    def read(value: object, pointer: str) -> None:
        reader = Reader(value, pointer, document.problems, ["per", "unit", "max", "currency", "on_breach"])
        reader.required("per", "unit", "max", "on_breach")
        unit = reader.one_of("unit", Unit) or Unit.CALLS
        currency = reader.text("currency", longest=3) or ("USD" if unit == Unit.MONEY else "")
        if reader.has("currency") and (unit != Unit.MONEY or not (len(currency) == 3 and currency.isupper())):
            reader.refuse(
                "currency", "currency", "Only money has a currency: three capital letters (ISO 4217)."
            )
        per = reader.one_of("per", Per) or Per.CALL
        most = reader.amount("max")
        if per == Per.CALL and unit == Unit.CALLS:
            reader.refuse("unit", "choice", "One call is always one call; limit calls per run, day or month.")
        key = LimitKey(per, unit, currency if unit == Unit.MONEY else "")
        if key in found:
            reader.refuse("", "duplicate", f"There is already a limit on {key}.")
        found[key] = Limit(most or Decimal(0), reader.one_of("on_breach", Breach) or Breach.DENY)

    document.each("limits", read)
    return found


def _loops(document: Reader) -> dict[LoopKey, LoopRule]:
    found: dict[LoopKey, LoopRule] = {}

    def read(value: object, pointer: str) -> None:
        reader = Reader(value, pointer, document.problems, ["rule", "window_s", "max", "on_breach"])
        reader.required("rule", "window_s", "max", "on_breach")
        window = reader.whole("window_s", least=1, most=3600) or 60
        key = LoopKey(reader.one_of("rule", Loop) or Loop.REPEAT, window)
        if key in found:
            reader.refuse("", "duplicate", "There is already a rule for this loop and window.")
        most = reader.whole("max", least=1, most=10_000) or 1
        found[key] = LoopRule(most, reader.one_of("on_breach", Breach) or Breach.DENY)

    document.each("loops", read)
    return found


def _spawn(document: Reader) -> Spawn:
    if not document.has("spawn"):
        return Spawn()
    names = ["allowed", "max_depth", "max_children", "max_per_hour", "max_ttl_s", "roles"]
    reader = Reader(document.value["spawn"], "/spawn", document.problems, names)
    reader.required("allowed")
    return Spawn(
        allowed=reader.flag("allowed", False),
        max_depth=reader.whole("max_depth", least=0, most=100),
        max_children=reader.whole("max_children", least=0, most=100_000),
        max_per_hour=reader.whole("max_per_hour", least=0, most=1_000_000),
        max_ttl_s=reader.whole("max_ttl_s", least=1, most=31_536_000),
        roles=frozenset(reader.texts("roles")) if reader.has("roles") else None,
    )


def _approvals(document: Reader) -> list[ApprovalRule]:
    found: list[ApprovalRule] = []
    names = ["match", "roles", "quorum", "ttl_s", "escalate_after_s", "escalate_to"]

    def read(value: object, pointer: str) -> None:
        reader = Reader(value, pointer, document.problems, names)
        reader.required("match")
        match = (
            _match(reader.value["match"], reader.at("match"), document.problems)
            if reader.has("match")
            else Match()
        )
        terms = Terms(
            roles=frozenset(reader.texts("roles")),
            quorum=reader.whole("quorum", least=1, most=10) or 1,
            ttl_s=reader.whole("ttl_s", least=60, most=2_592_000) or 3600,
            escalate_after_s=reader.whole("escalate_after_s", least=60, most=2_592_000),
            escalate_to=reader.text("escalate_to"),
        )
        if terms.escalate_after_s is not None and not terms.escalate_to:
            reader.refuse("escalate_to", "required", "Say which role an escalation goes to.")
        found.append(ApprovalRule(match, terms))

    document.each("approvals", read)
    return found
