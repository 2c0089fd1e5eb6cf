"""Who owns what lacks somebody is told once: agents that nobody answers for, and roles that have lacked somebody for a while.

Told by an incident, the one way in which people hear of what no person did; what is mended is told anew if it comes back.
"""

from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from arm import clock
from arm.ports import incidents

from ..facts import role_facts
from ..models import AgentTemplate, RoleDefinition
from ..queries import ownerless, role_coverage

NEW: Final = timedelta(days=1)
"""So long after it was registered an agent may be without an owner: naming one is the next step."""
KEPT: Final = ("budget_per_day", "budget_per_month", "success_rate", "latency_ms")
"""Members of a role that somebody measures (settings.ROLE_FACTS)."""
LASTS: Final = timedelta(hours=1)
"""So long a role must have lacked somebody: a restart is no gap."""


@transaction.atomic
def tell_lacking(*, tenant_id: UUID) -> int:
    """Look at every agent, every role with a rule of coverage, and every role with a budget or an objective. Returns how many
    incidents were opened. May be repeated; two at once tell nothing twice."""
    return _tell_ownerless(tenant_id) + _tell_gaps(tenant_id) + _tell_unkept(tenant_id)


def _tell_ownerless(tenant_id: UUID) -> int:
    rows = AgentTemplate.objects.filter(tenant=tenant_id)
    alone = ownerless(rows)
    rows.exclude(ownerless_told_at=None).exclude(pk__in=alone.values("pk")).update(ownerless_told_at=None)
    now, told = clock.now(), 0
    for template in alone.filter(ownerless_told_at=None, created_at__lte=now - NEW).order_by("pk"):
        if not rows.filter(pk=template.pk, ownerless_told_at=None).update(ownerless_told_at=now):
            continue  # somebody else has told it meanwhile
        incidents().open(
            tenant_id=tenant_id,
            kind="drift",
            severity="s3",
            title=f"Nobody answers for {template}"[:200],
            subject_kind=template._meta.label_lower,
            subject_id=template.pk,
            facts={"template": template.typeid, "lacks": "an owner"},
        )
        told += 1
    return told


def _tell_gaps(tenant_id: UUID) -> int:
    rows = RoleDefinition.objects.select_for_update().filter(tenant=tenant_id).order_by("pk")
    roles = list(rows.exclude(coverage=[], gaps_told=[]))
    covers = role_coverage(roles, None)
    told = 0
    for role in roles:
        gaps = {one.environment.slug: one.gap for one in covers.get(role.pk, ()) if one.gap}
        held = {row["environment"]: row for row in role.gaps_told}
        now = [held.get(slug) or _seen(slug) for slug in gaps]
        due = [row for row in now if not row["told"] and clock.now() - _since(row) >= LASTS]
        for row in due:
            row["told"] = True
        if now != role.gaps_told or due:
            role.gaps_told = now
            role.save(update_fields=["gaps_told"])
        if due:
            names = ", ".join(row["environment"] for row in due)
            incidents().open(
                tenant_id=tenant_id,
                kind="outage",
                severity="s3",
                title=f"{role} lacks somebody in {names}"[:200],
                subject_kind=role._meta.label_lower,
                subject_id=role.pk,
                facts={"role": role.typeid, **{row["environment"]: gaps[row["environment"]] for row in due}},
            )
            told += 1
    return told


def _tell_unkept(tenant_id: UUID) -> int:
    """A budget that is passed, or an objective that is missed over its window; one that is kept again is told anew."""
    rows = RoleDefinition.objects.select_for_update().filter(tenant=tenant_id).order_by("pk")
    asked = [~Q(**{name: None}) for name in KEPT]
    told = 0
    for role in rows.filter(reduce(or_, asked) | ~Q(unkept_told=[])):
        missed = {fact.name: fact for fact in role_facts(role) if fact.ok is False}
        fresh = [fact for name, fact in missed.items() if name not in role.unkept_told]
        if sorted(missed) != role.unkept_told:
            role.unkept_told = sorted(missed)
            role.save(update_fields=["unkept_told"])
        for costs in (True, False):
            said = [fact for fact in fresh if fact.costs is costs]
            if not said:
                continue
            words = "has spent more than its budget" if costs else "misses an objective"
            incidents().open(
                tenant_id=tenant_id,
                kind="cost_overrun" if costs else "quality_regression",
                severity="s3",
                title=f"{role} {words}"[:200],
                subject_kind=role._meta.label_lower,
                subject_id=role.pk,
                facts={"role": role.typeid, **{fact.name: fact.sentence for fact in said}},
                again=True,
            )
            told += 1
    return told


def _seen(slug: str) -> dict[str, Any]:
    return {"environment": slug, "since": clock.exactly(clock.now()), "told": False}


def _since(row: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(row["since"])
