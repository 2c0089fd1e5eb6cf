"""Step 7: data, hosts, paths, commands and children, each held against the allow lists of every policy part."""

from collections.abc import Iterator

from policy.engine.envelope import Envelope, Part, Ruling
from policy.engine.reach import Path, covers_unknown_host
from policy.engine.risk import Tool, ToolClass
from policy.engine.scan import Scan
from policy.engine.standing import Facts
from policy.engine.terms import Access, Action, Reason, Request, Risk

MAX_AGE = 5.0
_WORKING_DIRECTORY = Path(False, ())
_REACHING = frozenset({ToolClass.NETWORK, ToolClass.FILE, ToolClass.COMMAND})


def beyond(
    envelope: Envelope, request: Request, tool: Tool, found: Scan, ruling: Ruling, facts: Facts
) -> list[Reason]:
    """Return every way in which the request leaves its bounds; empty when it does not."""
    reasons: list[Reason] = []
    if request.data:
        reasons += _data(envelope, request)
    if request.action == Action.TOOL_CALL:
        if found.unreadable or found.hosts or found.paths or found.commands or tool.tool_class in _REACHING:
            reasons += _reach(envelope, tool, found)
        if tool.tool_class == ToolClass.SPAWN or request.spawn is not None:
            reasons += _spawn(envelope, request, ruling, facts)
    return reasons


def _data(envelope: Envelope, request: Request) -> Iterator[Reason]:
    for part in envelope.parts:
        for use in request.data:
            if (use.data_class, use.access.value) not in part.data:
                sentence = f"The policy does not let this agent {use.access} {use.data_class} data."
                yield Reason("data_denied", sentence, f"{part.digest}#/data")


def _reach(envelope: Envelope, tool: Tool, found: Scan) -> Iterator[Reason]:
    for problem in found.unreadable:
        yield Reason(
            "target_unreadable", f"What this call reaches cannot be read with certainty: {problem}.", "/args"
        )
    access = Access.READ if tool.risk == Risk.GREEN else Access.WRITE
    paths = found.paths or ((_WORKING_DIRECTORY,) if tool.tool_class == ToolClass.FILE else ())
    for part in envelope.parts:
        yield from _hosts(part, tool, found)
        for path in paths:
            if not any(rule.covers(path, access) for rule in part.paths):
                sentence = f"The policy does not let this agent {access} “{path}”."
                yield Reason("path_denied", sentence, f"{part.digest}#/paths")
        yield from _commands(part, tool, found)


def _hosts(part: Part, tool: Tool, found: Scan) -> Iterator[Reason]:
    rule = f"{part.digest}#/network"
    for host in found.hosts:
        if not any(entry.covers(host) for entry in part.network):
            yield Reason("host_denied", f"The policy does not let this agent reach {host}.", rule)
    unknown = tool.tool_class == ToolClass.NETWORK and not found.hosts and not found.unreadable
    if unknown and not covers_unknown_host(part.network):
        yield Reason(
            "host_unknown", "This call names no host, and the policy allows only certain hosts.", rule
        )


def _commands(part: Part, tool: Tool, found: Scan) -> Iterator[Reason]:
    rule = f"{part.digest}#/commands"
    for argv in found.commands:
        if any(entry.covers(argv) for entry in part.commands):
            continue
        if argv is None:
            sentence = (
                "A line with shell operators cannot be held against a list of commands; pass argv as a list."
            )
            yield Reason("command_composite", sentence, rule)
        else:
            yield Reason(
                "command_denied", f"The policy does not let this agent run “{' '.join(argv)[:120]}”.", rule
            )
    unknown = tool.tool_class == ToolClass.COMMAND and not found.commands
    if unknown and not any(entry.everything for entry in part.commands):
        yield Reason(
            "command_unknown", "This call names no command, and the policy allows only certain ones.", rule
        )


def _spawn(envelope: Envelope, request: Request, ruling: Ruling, facts: Facts) -> Iterator[Reason]:
    allowed = envelope.spawn
    if not ruling.spawn or not allowed.allowed:
        yield Reason("spawn_denied", "This agent may not start other agents.")
        return
    asked = request.spawn
    if asked is None or asked.depth is None:
        yield Reason("spawn_unknown", "Say how deep the new agent would be (spawn.depth).", "/spawn/depth")
        return
    if allowed.max_depth is not None and asked.depth > allowed.max_depth:
        yield Reason(
            "spawn_depth", f"Agents may be started {allowed.max_depth} deep; this would be {asked.depth}."
        )
    if allowed.max_ttl_s is not None and (asked.ttl_s is None or asked.ttl_s > allowed.max_ttl_s):
        yield Reason("spawn_ttl", f"A started agent may live {allowed.max_ttl_s} s at most (spawn.ttl_s).")
    if allowed.roles is not None and asked.role not in allowed.roles:
        yield Reason(
            "spawn_role", f"Agents may be started only as {', '.join(sorted(allowed.roles)) or 'no role'}."
        )
    if allowed.max_children is None and allowed.max_per_hour is None:
        return
    known = facts.spawn
    if known is None or facts.now - known.as_of > MAX_AGE:
        yield Reason("spawn_unknown", "How many agents it has started is not known for certain now.")
        return
    if allowed.max_children is not None and known.children >= allowed.max_children:
        yield Reason("spawn_children", f"It already has {known.children} of {allowed.max_children} agents.")
    if allowed.max_per_hour is not None and known.last_hour >= allowed.max_per_hour:
        yield Reason(
            "spawn_rate", f"It started {known.last_hour} of {allowed.max_per_hour} agents in the last hour."
        )
