"""States as colour, shape and word, so that none of the three is needed alone.

What this table does not know is drawn as unknown: grey, dashed, with its own name. It is never drawn healthy.
"""

from datetime import datetime
from typing import NamedTuple

from django.utils.html import format_html
from django.utils.safestring import SafeString

from arm import clock
from arm.templatetags.ui.glyphs import shape
from arm.templatetags.ui.library import register
from arm.templatetags.ui.values import age


class Look(NamedTuple):
    """`tone` picks the colours in components.css, `shape` the glyph, `word` what is read."""

    tone: str
    shape: str
    word: str


_UNKNOWN = Look("mute", "question", "Unknown")

_VERSION = {
    "draft": Look("mute", "dashed", "Draft"),
    "testing": Look("info", "half", "Testing"),
    "candidate": Look("info", "diamond", "Candidate"),
    "approved": Look("ok", "check", "Approved"),
    "deprecated": Look("warn", "triangle-down", "Deprecated"),
    "retired": Look("mute", "square", "Retired"),
}

_INSTANCE = {
    "provisioning": Look("move", "turn", "Provisioning"),
    "active": Look("ok", "disc", "Active"),
    "paused": Look("warn", "pause", "Paused"),
    "readonly": Look("warn", "lock", "Read-only"),
    "read_only": Look("warn", "lock", "Read-only"),
    "draining": Look("info", "arrow-down", "Draining"),
    "quarantined": Look("stop", "octagon", "Quarantined"),
    "killed": Look("stop", "cross", "Killed"),
    "normal": Look("ok", "disc", "Normal"),
    "unknown": _UNKNOWN,
    "stale": Look("mute", "question", "Stale"),
}

# On the way: what was asked for is not proven yet, so the word is never that of the state itself.
_MOVING = {
    "activating": Look("move", "turn", "Activating"),
    "pausing": Look("move", "turn", "Pausing"),
    "restricting": Look("move", "turn", "Restricting"),
    "draining_requested": Look("move", "turn", "Starting to drain"),
    "quarantining": Look("move", "turn", "Quarantining"),
    "retiring": Look("move", "turn", "Retiring"),
    "releasing": Look("move", "turn", "Releasing"),
    "killing": Look("move", "turn", "Killing"),
}

_MOVE_TOWARDS = {
    "active": "activating",
    "normal": "releasing",
    "paused": "pausing",
    "readonly": "restricting",
    "read_only": "restricting",
    "draining": "draining_requested",
    "quarantined": "quarantining",
    "retired": "retiring",
    "killed": "killing",
    "provisioning": "provisioning",
}

# States that ask nothing of whoever runs the instance: there is nothing to observe.
_OURS_ALONE = frozenset({"provisioning", "retired"})

_SEVERITY = {
    "S0": Look("stop", "level-4", "S0"),
    "S1": Look("bad", "level-3", "S1"),
    "S2": Look("warn", "level-2", "S2"),
    "S3": Look("info", "level-1", "S3"),
    "S4": Look("mute", "dot", "S4"),
}

_INCIDENT = {
    "open": Look("bad", "bang", "Open"),
    "triaged": Look("warn", "half", "Triaged"),
    "mitigated": Look("info", "lock", "Mitigated"),
    "resolved": Look("ok", "check", "Resolved"),
    "reviewed": Look("mute", "ticked", "Reviewed"),
}

_DECISION = {
    "allow": Look("ok", "check", "Allow"),
    "deny": Look("bad", "cross", "Deny"),
    "approve": Look("warn", "person", "Ask a person"),
}

_APPROVAL = {
    "requested": Look("warn", "clock", "Requested"),
    "pending": Look("warn", "clock", "Pending"),
    "escalated": Look("warn", "bang", "Escalated"),
    "granted": Look("ok", "check", "Granted"),
    "denied": Look("bad", "cross", "Denied"),
    "rejected": Look("bad", "cross", "Rejected"),
    "expired": Look("mute", "clock", "Expired"),
    "consumed": Look("mute", "ticked", "Used"),
    "used": Look("mute", "ticked", "Used"),
    "voided": Look("mute", "cross", "Voided"),
    "withdrawn": Look("mute", "square", "Withdrawn"),
    "confirmed": Look("ok", "check", "Confirmed"),
    "declined": Look("mute", "cross", "Declined"),
    "cancelled": Look("mute", "square", "Cancelled"),
}

_RISK = {
    "green": Look("ok", "disc", "Green"),
    "yellow": Look("warn", "triangle", "Yellow"),
    "red": Look("bad", "octagon", "Red"),
    "low": Look("mute", "level-1", "Low"),
    "medium": Look("info", "level-2", "Medium"),
    "high": Look("warn", "level-3", "High"),
    "critical": Look("bad", "level-4", "Critical"),
}

_OUTCOME = {
    "ok": Look("ok", "check", "OK"),
    "passed": Look("ok", "check", "Passed"),
    "verified": Look("ok", "check", "Verified"),
    "succeeded": Look("ok", "check", "Succeeded"),
    "success": Look("ok", "check", "Success"),
    "enabled": Look("ok", "disc", "Enabled"),
    "published": Look("ok", "disc", "Published"),
    "attested": Look("info", "ticked", "Attested"),
    "accepted": Look("ok", "check", "Accepted"),
    "checking": Look("move", "turn", "Checking"),
    "checked": Look("info", "diamond", "Ready to apply"),
    "applying": Look("move", "turn", "Applying"),
    "applied": Look("ok", "check", "Applied"),
    "queued": Look("mute", "clock", "Queued"),
    "running": Look("move", "turn", "Running"),
    "warning": Look("warn", "triangle", "Warning"),
    "degraded": Look("warn", "triangle", "Degraded"),
    "partial": Look("warn", "half", "Partial"),
    "failed": Look("bad", "cross", "Failed"),
    "errored": Look("warn", "bang", "Errored"),
    "never_run": Look("mute", "dashed", "Never run"),
    "outdated": Look("warn", "clock", "Outdated"),
    "failure": Look("bad", "cross", "Failure"),
    "error": Look("bad", "cross", "Error"),
    "refused": Look("bad", "cross", "Refused"),
    "tampered": Look("stop", "octagon", "Tampered"),
    "valid": Look("ok", "check", "Valid"),
    "planned": Look("mute", "clock", "To come"),
    "revoked": Look("mute", "cross", "Revoked"),
    "disabled": Look("mute", "ring", "Disabled"),
    "superseded": Look("mute", "square", "Superseded"),
    "unlinked": Look("warn", "triangle-open", "Unlinked"),
    "unattributed": Look("warn", "triangle-open", "Unattributed"),
    "missing": Look("bad", "square", "Missing"),
    "pending_approval": Look("warn", "clock", "Waits for approval"),
    "registered": Look("ok", "check", "Registered"),
    "reachable": Look("ok", "disc", "Reachable"),
    "unreachable": Look("bad", "cross", "Unreachable"),
    "failing": Look("bad", "cross", "Failing"),
    "held": Look("warn", "pause", "Held"),
    "will": Look("move", "half", "Will change"),
    "same": Look("mute", "square", "Stays as it is"),
    "changed": Look("warn", "bang", "Changed meanwhile"),
    "left": Look("mute", "dashed", "Left out"),
    "waiting": Look("mute", "clock", "Waiting"),
}

_COMMAND = {
    "available": Look("move", "clock", "Available"),
    "delivered": Look("move", "arrow-down", "Delivered"),
    "acked": Look("move", "half", "Acknowledged"),
    "applying": Look("move", "turn", "Applying"),
    "enforced": Look("ok", "check", "Enforced"),
    "undeliverable": Look("bad", "bang", "Undeliverable"),
}

# On the way to being verified: each step is done by another process.
_EVIDENCE = {
    "assembled": Look("move", "turn", "Assembled"),
    "signed": Look("move", "turn", "Signed"),
    "rendered": Look("move", "turn", "Rendered"),
    "pdf_signed": Look("move", "turn", "PDF signed"),
    "packed": Look("move", "turn", "Packed"),
    "logged": Look("info", "ticked", "In the log"),
}
_RELEASE = {
    "planned": Look("mute", "dashed", "Planned"),
    "waiting": Look("mute", "clock", "Waiting"),
    "baking": Look("move", "half", "Baking"),
    "completed": Look("ok", "check", "Completed"),
    "replaced": Look("ok", "check", "Replaced"),
    "time_up": Look("bad", "clock", "Time was up"),
    "at_once": Look("warn", "bang", "Drained at once"),
    "kept": Look("mute", "ticked", "Bound again"),
    "gone": Look("mute", "square", "None was left"),
    "aborted": Look("bad", "cross", "Aborted"),
    "stopped": Look("bad", "square", "Stopped"),
    "healthy": Look("ok", "check", "Healthy"),
    "unhealthy": Look("bad", "bang", "Unhealthy"),
}
_EVALUATION = {
    "regression": Look("info", "half", "Regression"),
    "capability": Look("info", "diamond", "Capability"),
    "safety": Look("move", "lock", "Safety"),
    "blocker": Look("bad", "octagon", "Blocker"),
    "info": Look("mute", "dot", "Info"),
}

FAMILIES = {
    "version": _VERSION,
    "instance": _INSTANCE,
    "transition": _MOVING,
    "severity": _SEVERITY,
    "incident": _INCIDENT,
    "decision": _DECISION,
    "approval": _APPROVAL,
    "risk": _RISK,
    "outcome": _OUTCOME,
    "evidence": _EVIDENCE,
    "evaluation": _EVALUATION,
    "command": _COMMAND,
    "release": _RELEASE,
}
"""Every state that has a look, by family; the gallery draws all of them."""

_LOOKS = {name: look for family in FAMILIES.values() for name, look in family.items()}


def look(state: str) -> Look:
    """The look of a state; one that is not in the table is unknown, with its own name beside the word."""
    if found := _LOOKS.get(state) or _LOOKS.get(state.lower()) or _LOOKS.get(state.upper()):
        return found
    return _UNKNOWN._replace(word=f"Unknown ({state})") if state else _UNKNOWN


def tone_of(state: str) -> str:
    """The tone a chart or a tile uses for this state: ok, info, move, warn, bad, stop or mute."""
    return look(state).tone


@register.simple_tag
def pill(
    state: str | None, label: str = "", since: datetime | None = None, note: str = "", certainty: str = ""
) -> SafeString:
    """`{% pill version.state %}`. `since` adds for how long, `certainty` how we know: “Quarantined (verified)”.

    `label` replaces the word (colour and shape stay), `note` follows it. None and what is not known are grey.
    """
    seen = look(str(state) if state is not None else "")
    words = label or seen.word
    if since is not None:
        words = f"{words} {age((clock.now() - since).total_seconds())}"
    if detail := certainty or note:
        words = f"{words} ({detail})"
    return format_html(
        '<span class="pill tone-{}">{}<span>{}</span></span>', seen.tone, shape(seen.shape), words
    )


@register.simple_tag
def instance_state(
    desired: str,
    observed: str | None = None,
    *,
    desired_at: datetime | None = None,
    observed_at: datetime | None = None,
    certainty: str = "",
    stale: bool = False,
) -> SafeString:
    """Desired beside observed. Until observation proves the desired state the pill says “Quarantining 7 s”.

    A `stale` (silent) instance is drawn unknown with the age of its last word, whatever it said then.
    """
    if desired in _OURS_ALONE and not observed:
        return pill(desired, note="never seen" if desired == "provisioning" else "")
    if stale or not observed:
        pills = pill("unknown", since=observed_at, note="" if observed_at else "never seen")
        return format_html(
            '<span class="state-pair">{} <span class="aside-note">wanted {}</span></span>',
            pills,
            look(desired).word,
        )
    if desired == observed:
        return pill(desired, certainty=certainty)
    moving = pill(_MOVE_TOWARDS.get(desired, "unknown"), since=desired_at)
    return format_html(
        '<span class="state-pair">{} <span class="aside-note">observed {}</span></span>',
        moving,
        look(observed).word,
    )
