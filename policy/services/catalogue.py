"""A tenant's own entries in the tool catalogue, and its rules about asking."""

from django.db import transaction

from arm import changes, clock, tasks
from arm.errors import Conflict, Invalid, Problem
from arm.models import ChangeRecord, Tenant, User
from arm.permissions import require
from arm.rights import Right
from registry.models import Environment
from registry.services.asking import require_reason

from ..engine import CATALOGUE, ToolClass
from ..engine.risk import normalised
from ..models import Policy, TenantPolicy, ToolRisk


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
    environment: Environment | None = None,
) -> ToolRisk:
    """Give a tool (or glob) a class, a ceiling on its tier, or both, everywhere or in one environment; an earlier entry for
    it there ends. Of all that reach a call, the strictest counts.

    A known tool can only be raised. Making an unknown tool anything but red loosens, so who may activate policies
    decides that; everything else tightens.
    """
    tool = normalised(tool.strip())
    loosens = risk in ("green", "yellow") and tool not in CATALOGUE
    place = environment or tenant
    require(actor, Right.ACTIVATE_POLICY if loosens else Right.DRAFT_POLICY, place)
    require_reason(note)
    _check(tool, risk, tool_class, ceiling)
    Tenant.objects.select_for_update().get(pk=tenant.pk)
    now = clock.now()
    held = ToolRisk.objects.filter(tenant=tenant, environment=environment, tool=tool, until=None)
    earlier = held.first()
    before = {}
    if earlier is not None:
        before = _said(earlier)
        loosened = earlier.ceiling is not None and (ceiling is None or ceiling > earlier.ceiling)
        if loosened or _rank(risk) < _rank(earlier.risk):
            require(actor, Right.ACTIVATE_POLICY, place)
        earlier.until = now
        earlier.save(update_fields=["until"])
    entry = ToolRisk.objects.create(
        tenant=tenant,
        environment=environment,
        tool=tool,
        risk=risk,
        tool_class=tool_class,
        ceiling=ceiling,
        note=note,
        created_by=actor,
        since=now,
    )
    _tell(
        changes.record(actor, "policy.tool.classified", entry, before=before, after=_said(entry), reason=note)
    )
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
    _tell(changes.record(actor, "policy.tool.declassified", entry, before=_said(entry), reason=reason))
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


@transaction.atomic
def set_default_policy(*, tenant: Tenant, policy: Policy | None, actor: User, reason: str) -> TenantPolicy:
    """Which policy holds for what none is bound to, so that a new agent is not without; None: nothing is allowed to that.

    It lets agents do something that could do nothing, so an approver decides it. Conflict while none of its versions is
    active.
    """
    require(actor, Right.ACTIVATE_POLICY, tenant)
    require_reason(reason)
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    if policy is not None and not policy.versions.active().exists():
        raise Conflict(f"{policy} has no active version yet; activate one first.")
    row, _ = TenantPolicy.objects.get_or_create(tenant=tenant)
    if row.default_policy == policy:
        return row
    before, row.default_policy = {"policy": row.default_policy.typeid if row.default_policy else ""}, policy
    row.save(update_fields=["default_policy"])
    after = {"policy": policy.typeid if policy else ""}
    _tell(changes.record(actor, "policy.default.set", row, before=before, after=after, reason=reason))
    return row


def _tell(record: ChangeRecord) -> None:
    """What tools may do has changed, for the whole tenant: candidates are asked anew."""
    tasks.announce(record.verb, tenant_id=record.tenant_id, change_id=str(record.pk))


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
    said = {"tool": entry.tool, "risk": entry.risk, "tool_class": entry.tool_class, "ceiling": entry.ceiling}
    return {**said, **({"environment": entry.environment.slug} if entry.environment else {})}


def _refuse(pointer: str, sentence: str) -> None:
    raise Invalid(sentence, [Problem(pointer=pointer, code="invalid", message=sentence)])
