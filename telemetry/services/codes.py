"""Names that many rows carry, stored once per tenant and written as numbers."""

from collections.abc import Iterable
from uuid import UUID

from arm import db

from ..models import CODES_PER_TENANT, OTHER, Code
from ..parsing.packing import NULL, code

TEXT_MAX = 300

_books: dict[UUID, dict[str | None, bytes]] = {}


def codebook(tenant_id: UUID) -> dict[str | None, bytes]:
    """Every name of the tenant that this process knows → its field in a row; None → NULL. Only ever grows."""
    book = _books.get(tenant_id)
    if book is None:
        book = _books.setdefault(tenant_id, {None: NULL})
    return book


def intern(tenant_id: UUID, texts: Iterable[str]) -> None:
    """Give these names a number, in a transaction of its own, and put them into the process's codebook.

    Past CODES_PER_TENANT a new name gets the number of OTHER.
    """
    book = codebook(tenant_id)
    wanted = {text[:TEXT_MAX]: text for text in texts if text not in book}
    with db.tenants([tenant_id]):
        found = _numbers(wanted)
        missing = wanted.keys() - found.keys()
        if missing and Code.objects.count() + len(missing) > CODES_PER_TENANT:
            found |= dict.fromkeys(missing, _numbers(_made(tenant_id, [OTHER]))[OTHER])
        elif missing:
            found |= _numbers(_made(tenant_id, missing))
    for stored, number in found.items():
        book[wanted[stored]] = code(number)


def _made(tenant_id: UUID, texts: Iterable[str]) -> list[str]:
    made = sorted(texts)  # in one order for everybody: two batches must not lock each other out
    Code.objects.bulk_create([Code(tenant_id=tenant_id, text=text) for text in made], ignore_conflicts=True)
    return made


def _numbers(texts: Iterable[str]) -> dict[str, int]:
    return dict(Code.objects.filter(text__in=list(texts)).values_list("text", "pk"))


def forget() -> None:
    """Drop what this process knows: another database is behind the same settings now (tests)."""
    _books.clear()
