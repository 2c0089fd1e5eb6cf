"""Take a row for this transaction alone, and read it as it then is."""

from typing import TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet

M = TypeVar("M", bound=Model)


def locked(rows: QuerySet[M], pk: UUID) -> M:
    """The row with what `rows` joins to it, after everybody who held it has committed.

    Two statements: joined in the locking one, a neighbour would be what it was before the wait.
    """
    rows.model._default_manager.select_for_update().only("pk").get(pk=pk)
    return rows.get(pk=pk)
