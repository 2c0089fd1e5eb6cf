"""Who started whom: the instances above one, and the tree that it stands in."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count
from django.db.models.expressions import RawSQL
from django.urls import reverse

from arm import clock
from arm.models import User
from arm.permissions import visible
from arm.rights import Right

from ..facts import Allowance, allowances
from ..lifecycle import InstanceState
from ..models import AgentInstance, SpawnTerm
from .drawing import Box, Drawing, draw, shortened

MOST = 100
HOUR = timedelta(hours=1)

_ABOVE = """
WITH RECURSIVE line(id, parent_id, far) AS (
  SELECT id, parent_id, 0 FROM registry_agentinstance WHERE id = %s
  UNION ALL
  SELECT i.id, i.parent_id, far + 1 FROM registry_agentinstance i JOIN line ON i.id = line.parent_id WHERE far < 64
) SELECT id FROM line ORDER BY far
"""
_LINES = """
WITH RECURSIVE line(child, id, far) AS (
  SELECT id, parent_id, 1 FROM registry_agentinstance WHERE id = ANY(%s) AND parent_id IS NOT NULL
  UNION ALL
  SELECT line.child, i.parent_id, far + 1 FROM line JOIN registry_agentinstance i ON i.id = line.id
  WHERE i.parent_id IS NOT NULL AND far < 64
) SELECT child, id FROM line ORDER BY far
"""
_BELOW = """
WITH RECURSIVE tree(id, far) AS (
  SELECT %s::uuid, 0
  UNION ALL
  SELECT i.id, far + 1 FROM registry_agentinstance i JOIN tree ON i.parent_id = tree.id WHERE far < 64
) SELECT id FROM tree ORDER BY far, id
"""


def line_above(instance: AgentInstance) -> tuple[AgentInstance, ...]:
    """The instance itself, its parent, and so on to who was started by nobody; with their genomes."""
    with connection.cursor() as cursor:
        cursor.execute(_ABOVE, [instance.pk])
        keys = [row[0] for row in cursor.fetchall()]
    rows = AgentInstance.objects.select_related("version__genome", "version__template").in_bulk(keys)
    return tuple(rows[key] for key in keys)


def lines_above(instances: Iterable[UUID]) -> dict[UUID, list[UUID]]:
    """Who started each of these, the nearest first; who was started by nobody is not in it."""
    found: dict[UUID, list[UUID]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_LINES, [list(instances)])
        for child, above in cursor.fetchall():
            found.setdefault(child, []).append(above)
    return found


def everyone_below(instance: UUID) -> list[UUID]:
    """Its children, theirs, and so on, the nearest first."""
    with connection.cursor() as cursor:
        cursor.execute(_BELOW, [instance])
        return [row[0] for row in cursor.fetchall()[1:]]


def started_lately(parents: Iterable[UUID]) -> dict[UUID, int]:
    """How many children each of these has started in the last hour, whatever became of them; without those that started none."""
    since = clock.now() - HOUR
    lately = AgentInstance.objects.filter(parent__in=list(parents), created_at__gt=since).order_by()
    return {key: n for key, n in lately.values_list("parent").annotate(n=Count("pk")) if key is not None}


@dataclass(frozen=True, slots=True)
class SpawnRow:
    """One instance of a tree. `living` of `most` children (None: no number is set), `lately` of `hourly` started within an
    hour; `deepest` generations below it, by its own genome and those above it that are shown."""

    instance: AgentInstance
    box: Box[UUID]
    living: int
    most: int | None
    lately: int
    hourly: int | None
    deepest: int | None
    allowed: bool
    middle: bool
    above: AgentInstance | None
    budget: Allowance | None = None

    @property
    def url(self) -> str:
        return reverse("registry:spawn_tree", args=[self.instance.typeid])

    @property
    def title(self) -> str:
        return self.instance.name

    @property
    def short(self) -> str:
        return shortened(self.title)

    @property
    def note(self) -> str:
        quota = (
            "" if not self.allowed else f", {self.living} of {self.most if self.most is not None else 'any'}"
        )
        return f"{InstanceState(self.instance.state).label}{quota}"

    @property
    def off(self) -> bool:
        return self.instance.state == InstanceState.RETIRED


@dataclass(frozen=True, slots=True)
class SpawnTree:
    rows: tuple[SpawnRow, ...]
    drawing: Drawing[UUID]
    terms: tuple[SpawnTerm, ...]
    depth: int
    hidden: int
    more: int
    """Beyond those that are drawn, how many the actor may see."""

    @property
    def cut(self) -> bool:
        return self.more > 0

    @property
    def linked(self) -> bool:
        return bool(self.drawing.lines)


def spawn_tree(instance: AgentInstance, actor: User) -> SpawnTree:
    """The line above an instance and what is below it, as far as the actor sees it; the nearest first, at most MOST."""
    above = [row.pk for row in line_above(instance)]
    rows = AgentInstance.objects.select_related(
        "template", "environment", "version__template", "version__genome"
    )
    below = rows.filter(pk__in=RawSQL(_BELOW, [instance.pk]))  # noqa: S611  # its own text, a key beside it
    theirs = visible(below, actor, Right.READ_DIRECTORY)
    # what may be seen is chosen first: whoever sees three children of a thousand is shown those
    drawn = list(theirs.order_by("depth", "pk")[: MOST + 1])
    of_theirs = len(drawn) if len(drawn) <= MOST else theirs.order_by().count()
    line = visible(rows.filter(pk__in=above[1:]), actor, Right.READ_DIRECTORY).order_by("depth", "pk")
    seen = {row.pk: row for row in (*line, *drawn[:MOST])}
    hidden = len(above) - 1 + below.order_by().count() - (len(seen) - len(drawn[:MOST]) + of_theirs)
    living: Counter[UUID | None] = Counter()
    counted = AgentInstance.objects.live().filter(parent__in=seen).order_by().values_list("parent")
    for key, count in counted.annotate(n=Count("pk")):
        living[key] = count
    lately = started_lately(seen)
    rules = {row.version_id: row.version.genome.document().get("spawn") or {} for row in seen.values()}
    left = _generations_left(seen, rules)
    budgets = allowances().seen(list(seen), actor)
    edges = [(row.parent_id, row.pk) for row in seen.values() if row.parent_id in seen]
    drawing: Drawing[UUID] = draw(list(seen), edges)
    found = []
    for box in drawing.boxes:
        row = seen[box.key]
        spawn = rules[row.version_id]
        found.append(
            SpawnRow(
                instance=row,
                box=box,
                living=living[row.pk],
                most=spawn.get("max_children"),
                lately=lately.get(row.pk, 0),
                hourly=spawn.get("max_per_hour"),
                deepest=left[row.pk],
                allowed=spawn.get("allowed") is True,
                middle=row.pk == instance.pk,
                above=seen.get(row.parent_id) if row.parent_id else None,
                budget=budgets.get(row.pk),
            )
        )
    return SpawnTree(
        rows=tuple(found),
        drawing=drawing,
        terms=tuple(SpawnTerm.objects.filter(instance=instance).order_by("kind")),
        depth=instance.depth,
        hidden=hidden,
        more=of_theirs - len(drawn[:MOST]),
    )


def _generations_left(
    seen: Mapping[UUID, AgentInstance], rules: Mapping[UUID, Mapping[str, Any]]
) -> dict[UUID, int | None]:
    """How many generations each may have below it; None where nobody has set a number. `seen` has parents first."""
    left: dict[UUID, int | None] = {}
    for row in seen.values():
        own = rules[row.version_id].get("max_depth")
        above = left.get(row.parent_id) if row.parent_id else None
        numbers = [own] if own is not None else []
        numbers += [max(above - 1, 0)] if above is not None else []
        left[row.pk] = min(numbers) if numbers else None
    return left
