"""Many rows at once behind the wall: COPY goes to a table of this session, and from there as any INSERT."""

from collections.abc import Iterable, Sequence

from django.db import connection


def load(table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows as the application would, with its triggers and its wall; PostgreSQL refuses COPY through the latter."""
    names = ", ".join(columns)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMP TABLE loading AS SELECT {names} FROM {table} WITH NO DATA")
        with cursor.copy(f"COPY loading ({names}) FROM STDIN") as stream:  # type: ignore[attr-defined]
            for row in rows:
                stream.write_row(row)
        cursor.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM loading")
        cursor.execute("DROP TABLE loading")
