"""Many rows at once behind the wall: COPY goes to a table of this session, and from there as any INSERT."""

from collections.abc import Iterable, Sequence

from django.apps import apps
from django.db import connection
from django.db.models import NOT_PROVIDED


def load(table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows as the application would, with its triggers and its wall; PostgreSQL refuses COPY through the latter.
    What `columns` leave out begins as the model says."""
    names = ", ".join(columns)
    begun = _defaults(table, columns)
    into = ", ".join([names, *begun])
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMP TABLE loading AS SELECT {names} FROM {table} WITH NO DATA")
        with cursor.copy(f"COPY loading ({names}) FROM STDIN") as stream:  # type: ignore[attr-defined]
            for row in rows:
                stream.write_row(row)
        marks = "".join(", %s" for _ in begun)
        cursor.execute(
            f"INSERT INTO {table} ({into}) SELECT {names}{marks} FROM loading", list(begun.values())
        )
        cursor.execute("DROP TABLE loading")


def _defaults(table: str, columns: Sequence[str]) -> dict[str, object]:
    """The other columns that may not be null, each as a new row of the model has it."""
    model = next(
        model for model in apps.get_models(include_auto_created=True) if model._meta.db_table == table
    )
    return {
        field.column: field.get_db_prep_save(field.get_default(), connection)
        for field in model._meta.concrete_fields
        if field.column not in columns
        and not field.null
        and field.db_default is NOT_PROVIDED
        and not field.generated
    }
