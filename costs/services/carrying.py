"""Caps of instances that are replaced: the replacement has the same from its first moment on."""

from collections.abc import Collection
from uuid import UUID

from arm import changes, clock
from arm.keys import Among
from arm.models import User
from arm.permissions import visible
from arm.rights import Right
from registry.facts import Carry, Pairs

from ..models import Cap


def own_caps(instances: Collection[UUID], actor: User | None = None) -> dict[UUID, list[str]]:
    """The cap that each of them has, in words; with an actor, where they read the ledger."""
    rows = Cap.objects.filter(Among("instance", tuple(instances)), until=None)
    if actor is not None:
        rows = visible(rows, actor, Right.READ_LEDGER)
    return {cap.instance_id: [f"cap of {_amount(cap)}"] for cap in rows}


def carry_caps(pairs: Pairs, actor: User | None, reason: str) -> list[Carry]:
    """Callers have asked the right to replace, and replaced instances lose no cap. It stays the decision of who set it."""
    keys = {one.pk for pair in pairs for one in pair}
    held = {cap.instance_id: cap for cap in Cap.objects.filter(Among("instance", tuple(keys)), until=None)}
    now, found = clock.now(), []
    for old, new in pairs:
        if (cap := held.get(old.pk)) is not None and new.pk not in held:
            copy = Cap(
                tenant_id=new.tenant_id,
                instance=new,
                per_day=cap.per_day,
                currency=cap.currency,
                unpriced=cap.unpriced,
                since=now,
                created_by_id=cap.created_by_id,
            )
            found.append((old, cap, new, copy))
    Cap.objects.bulk_create([copy for *_, copy in found])
    told = []
    for old, cap, new, copy in found:
        after = {
            "instance": new.typeid,
            "per_day": copy.per_day,
            "currency": copy.currency,
            "from": cap.typeid,
        }
        links = [new.typeid, cap.typeid, old.typeid]
        told.append(changes.Change(copy, after=after | {"unpriced": copy.unpriced}, links=links))
    changes.record_all(actor, "costs.cap.set", told, reason=reason)
    return [Carry("cap", old.typeid, cap.typeid, new.typeid, copy.typeid) for old, cap, new, copy in found]


def _amount(cap: Cap) -> str:
    return f"{cap.per_day.normalize():f} {cap.currency} a day"
