"""Policies of single instances that are replaced: they hold for the replacement from its first moment on."""

from collections import defaultdict
from collections.abc import Collection
from uuid import UUID

from arm import changes, clock
from arm.keys import Among
from arm.models import User
from arm.permissions import visible
from arm.rights import Right
from registry.facts import Carry, Pairs

from ..models import Binding


def own_policies(instances: Collection[UUID], actor: User | None = None) -> dict[UUID, list[str]]:
    """The policies that hold for each of them alone, in words; with an actor, those that they read."""
    held = (
        Binding.objects.in_force()
        .filter(Among("instance", tuple(instances)))
        .select_related("policy")
        .order_by("pk")
    )
    found: dict[UUID, list[str]] = defaultdict(list)
    for row in held if actor is None else visible(held, actor, Right.READ_POLICY):
        if row.instance_id is not None:
            found[row.instance_id].append(f"policy “{row.policy}”")
    return dict(found)


def carry_policies(pairs: Pairs, actor: User | None, reason: str) -> list[Carry]:
    """Callers have asked the right to replace, and it loosens nothing. Who bound it stays who does not unbind it alone."""
    keys = {one.pk for pair in pairs for one in pair}
    held: dict[UUID, list[Binding]] = defaultdict(list)
    rows = (
        Binding.objects.in_force().filter(Among("instance", tuple(keys))).select_related("policy", "instance")
    )
    for row in rows.order_by("pk"):
        if row.instance_id is not None:
            held[row.instance_id].append(row)
    now, found = clock.now(), []
    for old, new in pairs:
        there = {row.policy_id for row in held[new.pk]}
        for row in held[old.pk]:
            if row.policy_id not in there:
                copy = Binding(
                    tenant_id=new.tenant_id,
                    policy=row.policy,
                    instance=new,
                    since=now,
                    bound_by_id=row.bound_by_id,
                    reason=row.reason,
                )
                found.append((old, row, new, copy))
    Binding.objects.bulk_create([copy for *_, copy in found])
    told = []
    for old, row, new, copy in found:
        after = {
            "policy": row.policy.typeid,
            "target": str(new),
            "target_id": new.typeid,
            "kind": "instance",
            "from": row.typeid,
        }
        told.append(changes.Change(copy, after=after, links=[new.typeid, row.typeid, old.typeid]))
    changes.record_all(actor, "policy.binding.created", told, reason=reason)
    return [Carry("policy", old.typeid, row.typeid, new.typeid, copy.typeid) for old, row, new, copy in found]
