"""Who may call the functions of costs in the database."""

from django.db import connections

from arm.pg.base import role_name

BOOK = "costs_book(uuid, json, boolean)"


def prepare(alias: str) -> None:
    """After migrating, on the owner's alias: the ingest role may sum batches up, nobody else."""
    with connections[alias].cursor() as cursor:
        cursor.execute(f'GRANT EXECUTE ON FUNCTION {BOOK} TO "{role_name("ingest")}"')
