"""Many whole rows at once, as one JSON value that the database takes apart.

Django's `bulk_create` hands each column over as an array, prepared and quoted in Python value by value; one JSON value is
written by C. COPY would be quicker still, and is refused to whoever row-level security holds.
"""

import json
from collections.abc import Callable, Sequence
from datetime import date
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Field, Model

Row = TypeVar("Row", bound=Model)
BATCH = 2_000


def insert_all(rows: Sequence[Row]) -> Sequence[Row]:
    """Insert these new rows of one model, whose keys are their own, as they are; returns them.

    Like `bulk_create` it sends no signals and leaves what the database generates unread. Raises what the database raises
    (django.db.IntegrityError, …); TypeError for a value that is neither JSON's nor a key or a moment (which a document takes
    as text), UnicodeEncodeError for half a character.
    """
    if not rows:
        return rows
    model = type(rows[0])
    statement, names, values, timed = _plan(model)
    for field in timed:
        for row in rows:
            field.pre_save(row, add=True)
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        for at in range(0, len(rows), BATCH):
            given = [dict(zip(names, values(row), strict=True)) for row in rows[at : at + BATCH]]
            cursor.execute(
                statement,
                [
                    json.dumps(
                        given, default=_plain, allow_nan=False, ensure_ascii=False, separators=(",", ":")
                    )
                ],
            )
    for row in rows:
        row._state.adding, row._state.db = False, connection.alias
    return rows


@cache
def _plan(
    model: type[Model],
) -> tuple[str, list[str], Callable[[Model], tuple[Any, ...]], list[Field[Any, Any]]]:
    """The statement, its columns, what reads their values from a row, and the fields that tell the time by themselves."""
    fields = [field for field in model._meta.concrete_fields if not field.generated]
    quoted = connection.ops.quote_name
    table, columns = quoted(model._meta.db_table), ", ".join(quoted(str(field.column)) for field in fields)
    rows = f"json_populate_recordset(NULL::{table}, %s::json)"
    statement = f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {rows}"  # noqa: S608 - a model's names
    timed = [
        field
        for field in fields
        if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)
    ]
    return statement, [str(field.column) for field in fields], attrgetter(*(f.attname for f in fields)), timed


def _plain(value: object) -> str:
    """For `json.dumps(default=…)`: as PostgreSQL reads it, nothing lost."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{value!r} cannot be stored with many others.")
