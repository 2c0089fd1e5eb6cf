"""Rows named by many keys: as one parameter, and from one question to the next without becoming objects of Python."""

from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import BooleanField, F, Func, QuerySet

_COUNTED = (
    "WITH found AS MATERIALIZED (SELECT ARRAY({asked}) AS k)"
    " SELECT cardinality(k), CASE WHEN cardinality(k) <= %s THEN array_remove(k, NULL)::text END FROM found"
)
"""Materialised: the question would otherwise stand, and be asked, wherever `k` does."""


class Keys:
    """Keys as the database wrote them, of which only their number is known here."""

    def __init__(self, written: str, number: int) -> None:
        self.written = written
        self.number = number

    def __len__(self) -> int:
        return self.number


def keys_of(*questions: QuerySet[Any], most: int) -> Keys | None:
    """What the questions name, each by one column of UUIDs, in one statement; None where it is more than `most`.

    Ten thousand UUIDs cost 50 ms to bring here and to send back, and 5 as the text of one array. A question that may name a
    key twice says `distinct` itself: asked of primary keys, it would walk down all of them in order.
    """
    first, *others = [one.order_by() for one in questions]
    asked = (first.union(*others) if others else first)[: most + 1]
    try:
        sql, params = asked.query.sql_with_params()
    except EmptyResultSet:  # a question that no row can fit is not asked
        return Keys("{}", 0)
    with connection.cursor() as cursor:
        cursor.execute(_COUNTED.format(asked=sql), [*params, most])
        number, written = cursor.fetchone()
    return None if written is None else Keys(written, number)


class Among(Func):
    """`column = ANY(array)`: the rows of `IN` with one parameter, where IN has one for each of hundreds of ids."""

    def __init__(self, path: str, ids: tuple[UUID, ...] | Keys) -> None:
        self.ids = ids
        super().__init__(F(path), output_field=BooleanField())

    def as_sql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        if not self.ids:
            return "FALSE", []
        column, params = compiler.compile(self.source_expressions[0])
        if isinstance(self.ids, Keys):
            return f"{column} = ANY(%s::uuid[])", [*params, self.ids.written]
        return f"{column} = ANY(%s)", [*params, list(self.ids)]


class AmongFound(Func):
    """`column = ANY(ARRAY(question))`: the rows that the question names, which is asked first, whatever is joined to them.
    Only where the order of joins is given, by their number: without statistics of its tables, PostgreSQL might begin with the
    others' product."""

    template = "%(expressions)s)"
    arg_joiner = " = ANY("

    def __init__(self, path: str, question: QuerySet[Any]) -> None:
        super().__init__(F(path), ArraySubquery(question), output_field=BooleanField())
