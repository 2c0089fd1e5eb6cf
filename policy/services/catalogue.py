"""A tenant's own entries in the tool catalogue, and its rules about asking."""

from django.db import transaction

from arm import changes, clock
from arm.errors import Conflict, Invalid, Problem
from arm.models import Tenant, User
from arm.permissions import require
from arm.rights import Right
from registry.services.asking import require_reason

from ..engine import CATALOGUE, ToolClass
from ..engine.risk import normalised
from ..models import TenantPolicy, ToolRisk


@transaction.atomic
def set_tool_risk(
    *,
    tenant: Tenant,
    tool: str,
    actor: User,
    note: str,
    risk: str = "",
    tool_class: str = "",
    ceiling: int | None = None,
) -> ToolRisk:
    """Give a tool (or glob) a class, a ceiling on its tier, or both; an earlier entry for it ends.

    A known tool can only be raised. Making an unknown tool anything but red loosens, so who may activate policies
    decides that; everything else tightens.
    """
    tool = normalised(tool.strip())
    loosens = risk in ("green", "yellow") and tool not in CATALOGUE
    require(actor, Right.ACTIVATE_POLICY if loosens else Right.DRAFT_POLICY, tenant)
    require_reason(note)
    _check(tool, risk, tool_class, ceiling)
    Tenant.objects.select_for_update().get(pk=tenant.pk)
    now = clock.now()
    earlier = ToolRisk.objects.filter(tenant=tenant, tool=tool, until=None).first()
    before = {}
    if earlier is not None:
        before = _said(earlier)
        loosened = earlier.ceiling is not None and (ceiling is None or ceiling > earlier.ceiling)
        if loosened or _rank(risk) < _rank(earlier.risk):
            require(actor, Right.ACTIVATE_POLICY, tenant)
        earlier.until = now
        earlier.save(update_fields=["until"])
    entry = ToolRisk.objects.create(
        tenant=tenant,
        tool=tool,
        risk=risk,
        tool_class=tool_class,
        ceiling=ceiling,
        note=note,
        created_by=actor,
        since=now,
    )
    changes.record(actor, "policy.tool.classified", entry, before=before, after=_said(entry), reason=note)
    return entry


@transaction.atomic
def end_tool_risk(*, entry: ToolRisk, actor: User, reason: str) -> ToolRisk:
    """Take an entry away: the seeded catalogue, or “unknown”, holds again."""
    require(actor, Right.ACTIVATE_POLICY, entry)
    require_reason(reason)
    entry = ToolRisk.objects.select_for_update().get(pk=entry.pk)
    if entry.until is not None:
        raise Conflict("This entry has already ended.")
    entry.until = clock.now()
    entry.save(update_fields=["until"])
    changes.record(actor, "policy.tool.declassified", entry, before=_said(entry), reason=reason)
    return entry


@transaction.atomic
def set_outcome_rule(*, tenant: Tenant, outcome: str, actor: User, reason: str) -> TenantPolicy:
    """Whether a request without job or outcome is refused (`require`) or only counted (`warn`)."""
    require(actor, Right.ACTIVATE_POLICY, tenant)
    require_reason(reason)
    if outcome not in TenantPolicy.Outcome.values:
        _refuse("/outcome", f"This must be one of {', '.join(TenantPolicy.Outcome.values)}.")
    row, _ = TenantPolicy.objects.select_for_update().get_or_create(tenant=tenant)
    before, row.outcome = row.outcome, outcome
    row.save(update_fields=["outcome"])
    changes.record(
        actor,
        "policy.outcome_rule.set",
        row,
        before={"outcome": before},
        after={"outcome": outcome},
        reason=reason,
    )
    return row


def _check(tool: str, risk: str, tool_class: str, ceiling: int | None) -> None:
    if not tool or len(tool) > 128:
        _refuse("/tool", "Name a tool, or a glob like crm_*.")
    if risk not in ("", "green", "yellow", "red"):
        _refuse("/risk", "This must be green, yellow or red.")
    if tool_class and tool_class not in list(ToolClass):
        _refuse("/tool_class", f"This must be one of {', '.join(ToolClass)}.")
    if ceiling is not None and not 0 <= ceiling <= 5:
        _refuse("/ceiling", "This must be a tier from 0 to 5.")
    if not risk and ceiling is None:
        _refuse("/risk", "Say a class, a ceiling, or both.")
    known = CATALOGUE.get(tool)
    if known is not None and risk and _rank(risk) < known.risk:
        _refuse(
            "/risk", f"“{tool}” is {known.risk.word} for everybody; a tenant may raise that, not lower it."
        )


def _rank(risk: str) -> int:
    return ("", "green", "yellow", "red").index(risk) - 1


def _said(entry: ToolRisk) -> dict[str, object]:
    return {"tool": entry.tool, "risk": entry.risk, "tool_class": entry.tool_class, "ceiling": entry.ceiling}


def _refuse(pointer: str, sentence: str) -> None:
    raise Invalid(sentence, [Problem(pointer=pointer, code="invalid", message=sentence)])
