"""A long list narrowed to few of its rows, at the price of a look at few rows."""

from collections.abc import Iterator
from math import inf
from typing import Any, TypeVar

from django.db.models import BooleanField, Case, Model, Q, QuerySet, Value, When
from django.db.models.sql.where import WhereNode

from arm.keys import Among, keys_of

from ..models.words import FEW

M = TypeVar("M", bound=Model)


MANY = 4000
"""So many agents are named by their keys: a fifth of a large fleet."""


def narrowed(
    rows: QuerySet[M], path: str, *keys: QuerySet[Any], most: int | None = None, else_: Q | None = None
) -> QuerySet[M]:
    """The rows whose `path` is among what any of these questions names, each by one column.

    Few keys are looked up first and named: the planner then takes the index of `path`, where it would otherwise walk
    down a million rows for fifty that are not there. Of more than `most` (FEW), the newest rows are soon found by looking at
    them, and the condition stands in a CASE: as a join, PostgreSQL would collect and sort all of them first, since
    it cannot tell how many a question about tags or owners names. `else_` is asked instead where the rows tell it
    themselves.
    """
    few = keys_of(*keys, most=FEW if most is None else most)
    if few is not None:
        if not few:
            return rows.none()
        among = Among(path, few)
        return rows.filter(of_many(Q(among)) if len(few) * 10 > _held(rows, path) else among)
    if else_ is not None:
        return rows.filter(else_)
    wanted = Q()
    for one in keys:
        wanted |= Q(**{f"{path}__in": one})
    return rows.filter(of_many(wanted))


def _held(rows: QuerySet[Any], path: str) -> float:
    """Among how many keys rights leave the rows, which PostgreSQL takes for another question than the one that follows: the
    more of the same both name, the fewer rows it expects. Without end where rights say nothing of that column."""
    meta = rows.model._meta
    field = meta.pk if path == "pk" else meta.get_field(path)
    held = [
        len(one.ids)
        for one in _leaves(rows.query.where)
        if isinstance(one, Among) and getattr(one.source_expressions[0], "target", None) == field
    ]
    return min(held, default=inf)


def _leaves(condition: Any) -> Iterator[Any]:
    """What a condition is made of; `Among` stands as something that is true."""
    if isinstance(condition, WhereNode):
        for one in condition.children:
            yield from _leaves(one)
    else:
        yield getattr(condition, "lhs", condition)


def of_many(condition: Q) -> Case:
    """The condition, of which PostgreSQL shall not think that few rows match: it would collect all of them before it sorts
    them. In a CASE it is nothing that it knows, and the newest are looked at until there are enough."""
    return Case(When(condition, then=Value(True)), default=Value(False), output_field=BooleanField())
