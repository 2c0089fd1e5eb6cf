"""Take a row for this transaction alone, and read it as it then is."""

from typing import TypeVar
from uuid import UUID

from django.db import connection
from django.db.models import Model, QuerySet

M = TypeVar("M", bound=Model)


def locked(rows: QuerySet[M], pk: UUID, *, referable: bool = False) -> M:
    """The row with what `rows` joins to it, after everybody who held it has committed. `referable`: others may store
    rows that refer to it meanwhile, for whoever holds many of them for long.

    Two statements: joined in the locking one, a neighbour would be what it was before the wait.
    """
    rows.model._default_manager.select_for_update(no_key=referable).only("pk").get(pk=pk)
    return rows.get(pk=pk)


def referred(row: Model) -> None:
    """Wait here for whoever has locked a row that the caller is about to refer to. The foreign key would wait as long
    (FOR KEY SHARE), but after the new row has taken its place in unique indexes, where the other then waits for it."""
    table = connection.ops.quote_name(row._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT FROM {table} WHERE id = %s FOR KEY SHARE", [row.pk])
