"""A page of rows is found by its keys alone, before other tables are joined to thousands of rows that it does not show."""

from collections.abc import Sequence
from typing import Any, Final

from django.db.models import Q, QuerySet
from django.db.models.sql import Query

from arm.keys import AmongFound

COLLAPSED: Final = 8
"""PostgreSQL's `join_collapse_limit`: past so many tables it joins them as they are written, and would join all rows before it
looks which keys are meant; up to them it finds an order itself, and needs to be told no better."""


def among(rows: QuerySet[Any], keys: QuerySet[Any]) -> Q | AmongFound:
    """Filter: those whose keys a question finds, which is asked before others are joined to them."""
    tables = 1 + _joined(rows.query.select_related) + 1  # their own, and the question
    return AmongFound("pk", keys) if tables > COLLAPSED else Q(pk__in=keys)


def cut(rows: QuerySet[Any], part: slice) -> list[Any]:
    """`rows[part]`, in one statement. What the rows are asked is asked of the keys, and their columns are those of few: but for
    a model that is `in_partitions`, whose key alone does not say in which of them to look, and for a question that follows a
    relation to many: what joins them stays when its condition is gone, and a row would come once for each."""
    query = rows.query
    plain = not query.select_related or query.combinator or query.distinct or _joins_many(query)
    if plain or getattr(rows.model, "in_partitions", False):
        return list(rows[part])
    whole = _unasked(rows)
    return list(whole.filter(among(whole, rows.values("pk")[part])))


def of_keys(rows: QuerySet[Any], keys: Sequence[Any]) -> QuerySet[Any]:
    """The rows that have these keys, which the rows' own question has just found: it is not asked again."""
    again = rows if _joins_many(rows.query) else _unasked(rows)
    return again.filter(pk__in=keys)


def _unasked(rows: QuerySet[Any]) -> QuerySet[Any]:
    whole = rows.all()
    whole.query.clear_where()
    return whole


def _joins_many(query: Query) -> bool:
    """Whether a row may be joined to several of another table."""
    fields = (getattr(join, "join_field", None) for join in query.alias_map.values())
    return any(field is not None and (field.one_to_many or field.many_to_many) for field in fields)


class ByKeys:
    """Rows for a paginator that orders, narrows and cuts them."""

    def __init__(self, rows: QuerySet[Any]) -> None:
        self.rows = rows

    def order_by(self, *names: str) -> "ByKeys":
        return ByKeys(self.rows.order_by(*names))

    def filter(self, *asked: Any, **named: Any) -> "ByKeys":
        return ByKeys(self.rows.filter(*asked, **named))

    def __getitem__(self, part: slice) -> list[Any]:
        return cut(self.rows, part)


def _joined(related: Any) -> int:
    """How many tables `select_related` joins to a list's own."""
    return sum(1 + _joined(below) for below in related.values()) if isinstance(related, dict) else 0
