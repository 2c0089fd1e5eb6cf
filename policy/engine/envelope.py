"""A policy document compiled for speed, and several of them combined: the most restrictive wins per dimension."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import NamedTuple

from msgspec import Struct

from policy.engine.digests import digest
from policy.engine.reach import CommandRule, HostRule, PathRule
from policy.engine.risk import ToolClass, normalised
from policy.engine.terms import Action, Breach, Effect, LimitKey, LoopKey, Reason, Risk, Terms
from policy.engine.tiers import TIERS, TierOverlay, tier_for

KEPT = 8192


class Match(Struct, frozen=True):
    """All stated members must hold; an empty match holds always."""

    tool: str = ""
    tool_class: ToolClass | None = None
    risk: Risk | None = None
    action: Action | None = None

    def holds(self, action: Action, tool: str, tool_class: ToolClass, risk: Risk) -> bool:
        if self.action is not None and self.action != action:
            return False
        if self.risk is not None and self.risk != risk:
            return False
        if self.tool_class is not None and self.tool_class != tool_class:
            return False
        return not self.tool or fnmatchcase(tool, self.tool)

    @property
    def names_one_tool(self) -> bool:
        return bool(self.tool) and not any(char in self.tool for char in "*?[")

    def __str__(self) -> str:
        parts = []
        if self.tool:
            parts.append(f"tool “{self.tool}”")
        if self.tool_class is not None:
            parts.append(f"class {self.tool_class}")
        if self.risk is not None:
            parts.append(f"{self.risk.word} tools")
        if self.action is not None:
            parts.append(f"action {self.action}")
        return " and ".join(parts) or "anything"


class Rule(Struct, frozen=True):
    match: Match
    effect: Effect
    pointer: str
    reason: str = ""


class Limit(Struct, frozen=True):
    most: Decimal
    breach: Breach


class LoopRule(Struct, frozen=True):
    most: int
    breach: Breach


class Spawn(Struct, frozen=True):
    """May it start others, and how many; None = not limited by this policy."""

    allowed: bool = False
    max_depth: int | None = None
    max_children: int | None = None
    max_per_hour: int | None = None
    max_ttl_s: int | None = None
    roles: frozenset[str] | None = None


class ApprovalRule(Struct, frozen=True):
    match: Match
    terms: Terms


class Part(Struct, frozen=True):
    """One policy version as compiled. Its digest is the policy version's."""

    digest: str
    tier: int
    rules: tuple[Rule, ...]
    data: frozenset[tuple[str, str]]
    network: tuple[HostRule, ...]
    paths: tuple[PathRule, ...]
    commands: tuple[CommandRule, ...]
    limits: Mapping[LimitKey, Limit]
    loops: Mapping[LoopKey, LoopRule]
    spawn: Spawn
    approvals: tuple[ApprovalRule, ...]
    observe: bool


class Ruling(NamedTuple):
    """What rules and tiers say about one (action, tool, class, risk), whatever the arguments."""

    effect: Effect
    reasons: tuple[Reason, ...]
    matched: tuple[str, ...]
    obligations: tuple[str, ...]
    terms: Terms | None
    spawn: bool


class Envelope:
    """Everything that binds one agent. Immutable; rulings are remembered, nothing else is."""

    def __init__(self, parts: Iterable[Part], overlays: tuple[TierOverlay, ...] = ()) -> None:
        unique = {part.digest: part for part in parts}
        self.parts = tuple(unique[key] for key in sorted(unique))
        self.overlays = overlays
        self.digest = self._name()
        self.tier = min((part.tier for part in self.parts), default=0)
        self.observe = bool(self.parts) and all(part.observe for part in self.parts)
        self.limits = _strictest_limits(self.parts)
        self.loops = _strictest_loops(self.parts)
        self.spawn = _narrowest_spawn(self.parts)
        self._rulings: dict[tuple[Action, str, Risk], Ruling] = {}

    def _name(self) -> str:
        ceilings = [[overlay.tool, overlay.ceiling] for overlay in self.overlays]
        if len(self.parts) == 1 and not ceilings:
            return self.parts[0].digest
        return digest({"parts": [part.digest for part in self.parts], "ceilings": ceilings})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Envelope) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def under(self, overlays: Iterable[TierOverlay]) -> "Envelope":
        """Return the same envelope below a tenant's tier ceilings."""
        ceilings = sorted({*self.overlays, *overlays}, key=lambda overlay: (overlay.tool, overlay.ceiling))
        return Envelope(self.parts, tuple(ceilings))

    def ruling(self, action: Action, tool: str, tool_class: ToolClass, risk: Risk) -> Ruling:
        """Return what the rules say. `tool_class` follows from the tool, so it is not part of the memory's key."""
        key = (action, tool, risk)
        found = self._rulings.get(key)
        if found is None:
            if len(self._rulings) >= KEPT:
                self._rulings.clear()
            found = self._rulings[key] = self._rule(action, normalised(tool), tool_class, risk)
        return found

    def _rule(self, action: Action, tool: str, tool_class: ToolClass, risk: Risk) -> Ruling:
        judged = [_judge(part, self.overlays, action, tool, tool_class, risk) for part in self.parts]
        if not judged:
            nothing = Reason("no_policy", "No policy is bound to this agent, so nothing is allowed.")
            return Ruling(Effect.DENY, (nothing,), (), (), None, False)
        effect = max(ruling.effect for ruling in judged)
        reasons = tuple(reason for ruling in judged if ruling.effect == effect for reason in ruling.reasons)
        matched = tuple(rule for ruling in judged for rule in ruling.matched)
        owed = sorted({duty for ruling in judged for duty in ruling.obligations})
        spawn = all(ruling.spawn for ruling in judged)
        # Terms are ready even for what is allowed: a limit or a loop may still turn the answer into “ask”.
        return Ruling(
            effect, reasons, matched, tuple(owed), self._terms(action, tool, tool_class, risk), spawn
        )

    def _terms(self, action: Action, tool: str, tool_class: ToolClass, risk: Risk) -> Terms:
        found = [
            rule.terms
            for part in self.parts
            for rule in part.approvals
            if rule.match.holds(action, tool, tool_class, risk)
        ] or [Terms()]
        soonest = min(
            (terms for terms in found if terms.escalate_after_s is not None),
            key=lambda terms: terms.escalate_after_s or 0,
            default=Terms(),
        )
        return Terms(
            roles=frozenset().union(*(terms.roles for terms in found)),
            quorum=max(terms.quorum for terms in found),
            ttl_s=min(terms.ttl_s for terms in found),
            escalate_after_s=soonest.escalate_after_s,
            escalate_to=soonest.escalate_to,
        )


def meet(envelopes: Iterable[Envelope]) -> Envelope:
    """Return the envelope that allows only what each of them allows. Without any, it allows nothing."""
    every = list(envelopes)
    parts = [part for envelope in every for part in envelope.parts]
    overlays = {overlay for envelope in every for overlay in envelope.overlays}
    return Envelope(parts, tuple(sorted(overlays, key=lambda overlay: (overlay.tool, overlay.ceiling))))


def _judge(
    part: Part,
    overlays: tuple[TierOverlay, ...],
    action: Action,
    tool: str,
    tool_class: ToolClass,
    risk: Risk,
) -> Ruling:
    holding = [rule for rule in part.rules if rule.match.holds(action, tool, tool_class, risk)]
    matched = tuple(f"{part.digest}#{rule.pointer}" for rule in holding)
    if action != Action.TOOL_CALL:
        # Runs and model calls need no allow rule: posture, state and limits govern them; a rule may still stop them.
        holding = [rule for rule in holding if rule.match.action is not None]
        effect = max((rule.effect for rule in holding), default=Effect.ALLOW)
        return Ruling(effect, _rule_reasons(part, holding, effect), matched, (), None, True)
    tier = tier_for(tool, part.tier, overlays)
    listed = any(rule.effect == Effect.ALLOW and rule.match.names_one_tool for rule in holding)
    by_tier = tier.effect(risk, listed)
    by_rule = max((rule.effect for rule in holding), default=Effect.DENY)
    effect = max(by_tier, by_rule)
    reasons: tuple[Reason, ...] = ()
    if not holding:
        sentence = f"No rule of the policy mentions “{tool}”, so it is denied."
        reasons = (Reason("no_rule", sentence, part.digest),)
    elif by_rule == effect:
        reasons = _rule_reasons(part, holding, effect)
    if by_tier == effect and effect != Effect.ALLOW:
        verb = "needs an approval" if effect == Effect.APPROVE else "is denied"
        sentence = f"“{tool}” is a {risk.word} tool; at tier {tier.number} ({tier.name}) it {verb}."
        reasons = (*reasons, Reason(f"tier_{effect.word}", sentence, f"{part.digest}#/tier"))
    duties = ("report_outcome",) if risk != Risk.GREEN else ()
    if risk == Risk.RED:
        duties = (*duties, "log_content", "review_after") if tier.review_after else (*duties, "log_content")
    return Ruling(effect, reasons, matched, duties, None, tier.spawn)


def _rule_reasons(part: Part, holding: list[Rule], effect: Effect) -> tuple[Reason, ...]:
    verbs = {Effect.ALLOW: "allows", Effect.APPROVE: "asks for an approval of", Effect.DENY: "denies"}
    return tuple(
        Reason(
            f"rule_{effect.word}",
            rule.reason or f"A rule {verbs[effect]} {rule.match}.",
            f"{part.digest}#{rule.pointer}",
        )
        for rule in holding
        if rule.effect == effect
    )


def _strictest_limits(parts: tuple[Part, ...]) -> dict[LimitKey, Limit]:
    found: dict[LimitKey, Limit] = {}
    for part in parts:
        for key, limit in part.limits.items():
            other = found.get(key, limit)
            breach = max(limit.breach, other.breach, key=lambda breach: breach.strictness)
            found[key] = Limit(min(limit.most, other.most), breach)
    return dict(sorted(found.items()))


def _strictest_loops(parts: tuple[Part, ...]) -> dict[LoopKey, LoopRule]:
    found: dict[LoopKey, LoopRule] = {}
    for part in parts:
        for key, rule in part.loops.items():
            other = found.get(key, rule)
            breach = max(rule.breach, other.breach, key=lambda breach: breach.strictness)
            found[key] = LoopRule(min(rule.most, other.most), breach)
    return dict(sorted(found.items()))


def _narrowest_spawn(parts: tuple[Part, ...]) -> Spawn:
    if not parts:
        return Spawn()
    roles = [part.spawn.roles for part in parts if part.spawn.roles is not None]
    return Spawn(
        allowed=all(part.spawn.allowed for part in parts),
        max_depth=_least(part.spawn.max_depth for part in parts),
        max_children=_least(part.spawn.max_children for part in parts),
        max_per_hour=_least(part.spawn.max_per_hour for part in parts),
        max_ttl_s=_least(part.spawn.max_ttl_s for part in parts),
        roles=frozenset.intersection(*roles) if roles else None,
    )


def _least(values: Iterable[int | None]) -> int | None:
    return min((value for value in values if value is not None), default=None)


HIGHEST_TIER = len(TIERS) - 1
