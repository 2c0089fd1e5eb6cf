"""Two who store the same at the same moment: the database lets one of them, and the other is told so."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import IntegrityError, transaction
from psycopg import errors

from arm.errors import Conflict, Problem

_KEY = re.compile(r"\((?P<columns>[^)]*)\)=")


def conflict_of(problem: IntegrityError) -> Conflict | None:
    """The refusal for who came second; None where something else is wrong, which is our mistake.

    `errors` point to the members whose values were taken.
    """
    cause = problem.__cause__
    if not isinstance(cause, errors.UniqueViolation):
        return None
    found = _KEY.search(cause.diag.message_detail or "")
    columns = [name.strip().strip('"') for name in found["columns"].split(",")] if found else []
    members = [name.removesuffix("_id") for name in columns if name not in {"tenant_id", "id"}]
    taken = " and ".join(members) or "value"
    message = f"Somebody has just stored the same {taken}. Look at what is there now, then try again."
    pointed = [
        Problem(pointer=f"/{name}", code="unique", message="This was taken meanwhile.") for name in members
    ]
    return Conflict(message, errors=pointed)


@contextmanager
def whole() -> Iterator[None]:
    """All of it or nothing; Conflict where another has just stored the same."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as problem:
        refusal = conflict_of(problem)
        if refusal is None:
            raise
        raise refusal from problem
