"""Who owns what lacks somebody is told once: agents that nobody answers for, and roles that have lacked somebody for a while.

Told by an incident, the one way in which people hear of what no person did; what is mended is told anew if it comes back.
"""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from arm import clock
from arm.ports import incidents

from ..models import AgentTemplate, RoleDefinition
from ..queries import ownerless, role_coverage

NEW: Final = timedelta(days=1)
"""So long after it was registered an agent may be without an owner: naming one is the next step."""
LASTS: Final = timedelta(hours=1)
"""So long a role must have lacked somebody: a restart is no gap."""


@transaction.atomic
def tell_lacking(*, tenant_id: UUID) -> int:
    """Look at every agent and every role with a rule of coverage. Returns how many incidents were opened. May be repeated;
    two at once tell nothing twice."""
    return _tell_ownerless(tenant_id) + _tell_gaps(tenant_id)


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


def _seen(slug: str) -> dict[str, Any]:
    return {"environment": slug, "since": clock.exactly(clock.now()), "told": False}


def _since(row: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(row["since"])
