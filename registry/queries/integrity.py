"""Which versions a finding is about."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber

from arm.models import User
from arm.permissions import visible
from arm.rights import Right

from ..models import AgentVersion, Dependency, IntegrityFinding

MOST = 50
"""Versions that are named of one finding."""


def versions_found(rows: Sequence[IntegrityFinding], actor: User) -> dict[UUID, list[UUID]]:
    """Finding → the versions that its genome defines or whose genomes name its prompt, as far as the actor sees them;
    oldest first. Two statements, however many findings."""
    found: defaultdict[UUID, list[UUID]] = defaultdict(list)
    genomes: defaultdict[UUID, list[UUID]] = defaultdict(list)
    prompts: defaultdict[str, list[UUID]] = defaultdict(list)
    for row in rows:
        (genomes[row.genome_id] if row.genome_id else prompts[row.digest]).append(row.pk)
    if genomes:
        seen = visible(AgentVersion.objects.filter(genome__in=genomes), actor, Right.READ_DIRECTORY)
        for pk, genome in _first(seen, "genome", "pk").values_list("pk", "genome"):
            for finding in genomes[genome]:
                found[finding].append(pk)
    if prompts:
        uses = Dependency.objects.filter(kind=Dependency.Kind.PROMPT, name__in=prompts)
        seen_uses = visible(uses, actor, Right.READ_DIRECTORY)
        for pk, digest in _first(seen_uses, "name", "version").values_list("version", "name"):
            for finding in prompts[digest]:
                found[finding].append(pk)
    return dict(found)


def _first(rows: QuerySet[Any], group: str, order: str) -> QuerySet[Any]:
    """The first MOST of each group: a prompt may be part of every version that there is."""
    place = Window(RowNumber(), partition_by=F(group), order_by=F(order).asc())
    found: QuerySet[Any] = rows.annotate(place=place).filter(place__lte=MOST).order_by(order)
    return found
