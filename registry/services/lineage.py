"""Which versions a version comes from: named when it is made, or while it is in its first Draft."""

from collections.abc import Sequence

from django.db import connection, transaction

from arm import changes
from arm.errors import Conflict, Invalid, Problem
from arm.models import User
from arm.permissions import require
from arm.rights import Right

from ..lifecycle import VersionState
from ..models import AgentVersion, VersionParent
from ..queries import ancestors
from .asking import require_reason, require_same_tenant
from .locking import locked
from .news import tell


@transaction.atomic
def name_parents(
    *, version: AgentVersion, parents: Sequence[AgentVersion], actor: User, reason: str
) -> AgentVersion:
    """Exactly these are what the version comes from, from now on. Only while it is in its first Draft.

    Invalid names each parent that comes from this version itself, or is of another tenant.
    """
    require(actor, Right.CREATE_VERSION, version)
    require_reason(reason)
    require_same_tenant(version=version, **{f"parents/{n}": parent for n, parent in enumerate(parents)})
    one_at_a_time(version)  # before the row: an edge also takes its other end, which the other half may hold
    version = locked(AgentVersion.objects.select_related("template", "genome"), version.pk)
    if version.state != VersionState.DRAFT or version.submitted_by_id is not None:
        raise Conflict(f"{version} has left its first draft; what it comes from is history.")
    before = [edge.parent.typeid for edge in _edges(version)]
    wanted = list(dict.fromkeys(parents))
    after = [parent.typeid for parent in wanted]
    if sorted(before) == sorted(after):
        return version
    VersionParent.objects.filter(version=version).exclude(parent__in=wanted).delete()
    held = set(VersionParent.objects.filter(version=version).values_list("parent_id", flat=True))
    link_parents(version, wanted, held=frozenset(held))
    record = changes.record(
        actor,
        "registry.version.derived",
        version,
        before={"parents": before},
        after={"parents": after},
        reason=reason,
    )
    tell(record, version)
    return version


def link_parents(
    version: AgentVersion, parents: Sequence[AgentVersion], *, held: frozenset[object] = frozenset()
) -> None:
    """Write the edges to these parents. For services that have asked for the right and hold the version."""
    if not parents:
        return
    one_at_a_time(version)
    problems = [
        Problem(
            pointer=f"/parents/{place}",
            code="circle",
            message=f"{parent} comes from {version}, so {version} cannot come from it.",
        )
        for place, parent in enumerate(parents)
        if parent.pk == version.pk or version.pk in ancestors(parent.pk)
    ]
    if problems:
        raise Invalid("A version does not come from itself.", problems)
    relation = VersionParent.Relation
    for parent in dict.fromkeys(parents):
        if parent.pk not in held:
            VersionParent.objects.create(
                tenant_id=version.tenant_id,
                version=version,
                parent=parent,
                relation=relation.DERIVED if parent.template_id == version.template_id else relation.FORKED,
            )


def one_at_a_time(version: AgentVersion) -> None:
    """As the trigger does: of two halves of a circle, the second sees the first. Before the row of a version is held."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtext('registry_lineage'), hashtext(%s))",
            [str(version.tenant_id)],
        )


def _edges(version: AgentVersion) -> list[VersionParent]:
    return list(VersionParent.objects.filter(version=version).select_related("parent").order_by("pk"))
