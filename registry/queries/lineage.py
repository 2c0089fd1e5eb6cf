"""What a version comes from and what came from it: a window of the lineage, to draw and to list."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db import connection
from django.db.models import Count
from django.urls import reverse

from arm.models import User
from arm.permissions import visible
from arm.rights import Right

from ..lifecycle import VersionState
from ..models import AgentTemplate, AgentVersion, VersionParent
from .drawing import Box, Drawing, draw, shortened

REACH = 6
"""How many generations up and down a window shows."""
MOST = 80
"""Versions of a window; those nearest to its middle."""

_NEAR = """
WITH RECURSIVE
up(id, far) AS (
  SELECT id, 0 FROM unnest(%s::uuid[]) AS middle(id)
  UNION SELECT id, far FROM (
    SELECT DISTINCT e.parent_id AS id, up.far + 1 AS far FROM up
    JOIN registry_versionparent e ON e.version_id = up.id WHERE up.far < %s ORDER BY id DESC LIMIT %s
  ) AS nearest
),
down(id, far) AS (
  SELECT id, 0 FROM unnest(%s::uuid[]) AS middle(id)
  UNION SELECT id, far FROM (
    SELECT DISTINCT e.version_id AS id, down.far + 1 AS far FROM down
    JOIN registry_versionparent e ON e.parent_id = down.id WHERE down.far < %s ORDER BY id DESC LIMIT %s
  ) AS nearest
)
SELECT id, min(far) FROM (SELECT * FROM up UNION ALL SELECT * FROM down) AS near GROUP BY id
ORDER BY min(far), id DESC LIMIT %s
"""
"""A generation is cut at what a window takes, in the window's own order: it would be full with that one already."""
_ABOVE = """
WITH RECURSIVE above(id) AS (
  SELECT parent_id FROM registry_versionparent WHERE version_id = %s
  UNION SELECT e.parent_id FROM registry_versionparent e JOIN above ON e.version_id = above.id
) SELECT id FROM above
"""


def ancestors(version_id: UUID) -> frozenset[UUID]:
    """Everything that a version comes from, however far."""
    with connection.cursor() as cursor:
        cursor.execute(_ABOVE, [version_id])
        return frozenset(row[0] for row in cursor.fetchall())


@dataclass(frozen=True, slots=True)
class LineageRow:
    """One version of the window: what it comes from and led to, as far as both are drawn, and how many more there are
    of each that are not."""

    version: AgentVersion
    box: Box[UUID]
    parents: tuple[AgentVersion, ...]
    children: tuple[AgentVersion, ...]
    more: int
    middle: bool

    @property
    def url(self) -> str:
        return reverse("registry:version_lineage", args=[self.version.typeid])

    @property
    def title(self) -> str:
        return str(self.version)

    @property
    def short(self) -> str:
        return shortened(self.title)

    @property
    def note(self) -> str:
        beyond = f", {self.more} more" if self.more else ""
        return f"{VersionState(self.version.state).label}{beyond}"

    @property
    def off(self) -> bool:
        return self.version.state == VersionState.RETIRED


@dataclass(frozen=True, slots=True)
class Lineage:
    rows: tuple[LineageRow, ...]
    drawing: Drawing[UUID]
    cut: bool

    @property
    def linked(self) -> bool:
        return bool(self.drawing.lines)


def lineage_of(version: AgentVersion, actor: User) -> Lineage:
    """The window around a version."""
    return _window([version.pk], actor, reach=REACH)


def lineage_of_template(template: AgentTemplate, actor: User) -> Lineage:
    """The latest versions of an agent, with what they come from directly and what came of them."""
    latest = AgentVersion.objects.filter(template=template).order_by("-number")
    return _window(list(latest.values_list("pk", flat=True)[: MOST // 2]), actor, reach=1)


def _beyond(seen: Collection[UUID], near: str, far: str, actor: User) -> Counter[UUID]:
    """How many edges lead from each version of the window to one beside it that the actor may see, counted where they
    are: thousands may have been forked from one."""
    theirs = visible(AgentVersion.objects.all(), actor, Right.READ_DIRECTORY).order_by().values("pk")
    edges = VersionParent.objects.filter(**{f"{near}__in": seen, f"{far}__in": theirs})
    outside = edges.exclude(**{f"{far}__in": seen}).order_by().values_list(near)
    return Counter(dict(outside.annotate(count=Count("pk"))))


def _window(middle: list[UUID], actor: User, *, reach: int) -> Lineage:
    with connection.cursor() as cursor:
        cursor.execute(_NEAR, [middle, reach, MOST + 1, middle, reach, MOST + 1, MOST + 1])
        near = [row[0] for row in cursor.fetchall()]
    rows = AgentVersion.objects.select_related("template").filter(pk__in=near[:MOST])
    seen = {row.pk: row for row in visible(rows, actor, Right.READ_DIRECTORY).order_by("pk")}
    edges = VersionParent.objects.filter(version__in=seen, parent__in=seen)
    inside = list(edges.values_list("parent_id", "version_id"))
    more = _beyond(seen, "parent", "version", actor) + _beyond(seen, "version", "parent", actor)
    drawing = draw(list(seen), inside)
    return Lineage(
        rows=tuple(
            LineageRow(
                version=seen[box.key],
                box=box,
                parents=tuple(seen[a] for a, b in inside if b == box.key),
                children=tuple(seen[b] for a, b in inside if a == box.key),
                more=more[box.key],
                middle=box.key in middle and len(middle) == 1,
            )
            for box in drawing.boxes
        ),
        drawing=drawing,
        cut=len(near) > MOST,
    )
