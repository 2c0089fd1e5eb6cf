"""Rows of a table that name an instance which is there, as the list of instances writes them: each says what it is."""

from collections.abc import Collection, Iterator, Sequence
from uuid import UUID

from arm.models import Tenant, User
from arm.permissions import visible
from arm.rights import Right

from ..models import AgentInstance
from ..protocol.rows import InstanceRow
from .judging import UNKNOWN, Judged


def judge_known(judged: Judged, tenant: Tenant, rows: Sequence[InstanceRow], actor: User) -> None:
    """Each row is the same as its instance, or wrong at every member that says otherwise: an instance is moved, rolled out
    or described by its own acts, which ask more than a table does. What a row does not say is not compared."""
    if not rows:
        return
    keys = [row.id for row in rows if row.id is not None]
    there = AgentInstance.objects.filter(tenant=tenant, pk__in=keys).select_related(
        "version__template", "environment", "provider", "role", "slot"
    )
    held = {one.pk: one for one in visible(there, actor, Right.READ_DIRECTORY)}
    seen: set[UUID] = set()
    for row in rows:
        assert row.id is not None
        wrong = list(_wrong(row, held.get(row.id), seen))
        for member, code, said in wrong:
            judged.wrong(row.at, member, code, said)
        if wrong:
            judged.bad += 1
        else:
            judged.outcomes[row.at] = "same"
        seen.add(row.id)


def _wrong(
    row: InstanceRow, one: AgentInstance | None, seen: Collection[UUID]
) -> Iterator[tuple[str, str, str]]:
    """Member, code and message of everything that is wrong with the row."""
    if one is None:
        yield "id", "unknown", UNKNOWN
    elif one.pk in seen:
        yield "id", "duplicate", f"{one} comes twice."
    else:
        for member, is_now in _otherwise(row, one):
            said = f"{one} has {is_now or 'none'}; no table changes an instance that is there."
            yield member, "changed", said


def _otherwise(row: InstanceRow, one: AgentInstance) -> Iterator[tuple[str, str]]:
    """Each member that the row says otherwise, and what it is."""
    version = f"{one.version.template.slug}@{one.version.number}"
    if row.version not in (one.version_id, (one.version.template.slug, one.version.number)):
        yield "version", version
    role = one.role.slug if one.role else ""
    words = (
        ("environment", row.environment, one.environment.slug),
        ("provider", row.provider, one.provider.slug),
        ("name", row.name, one.name.strip()),
        ("role", row.role or role, role),
        ("cost_center", row.cost_center or one.cost_center.strip(), one.cost_center.strip()),
    )
    for member, said, is_now in words:
        if said != is_now:
            yield member, is_now
    if row.slot is not None and row.slot not in ((one.slot.pk, one.slot.ordinal) if one.slot else ()):
        yield "slot", one.slot.typeid if one.slot else ""
    if row.labels and dict(row.labels) != one.labels:
        yield "labels", ", ".join(f"{key}={value}" for key, value in one.labels.items())
