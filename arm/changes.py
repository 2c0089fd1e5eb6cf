"""Write the record of a change of governance state, in the transaction of the change."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.db.models import Model, TextChoices

from arm import clock
from arm.crypto import canonical, digest
from arm.inserting import insert_all
from arm.logs import request_id
from arm.models import ApiKey, ChangeRecord, Tenant, User

credential: ContextVar[str] = ContextVar("arm_credential", default="")
"""What the actor came with: `session`, or the shown id of an API key. Set by middleware and authentication."""


def in_person() -> bool:
    """Whether the actor is signed in; a token is a machine's, whoever it acts as."""
    return not credential.get().startswith(f"{ApiKey.prefix}_")


@dataclass(frozen=True, slots=True)
class Change:
    """One of many changes that one act makes: what it did to `target`, as in `record`."""

    target: Model
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    links: Sequence[str] = ()


def record(
    actor: User | None,
    verb: str,
    target: Model,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
    links: Sequence[str] = (),
) -> ChangeRecord:
    """Record that `actor` (None: a rule of ARM itself) did `verb` (`<app>.<noun>.<past participle>`) to `target`.

    RuntimeError outside a transaction.
    """
    (row,) = record_all(actor, verb, [Change(target, before or {}, after or {}, links)], reason=reason)
    return row


def record_all(
    actor: User | None, verb: str, made: Iterable[Change], *, reason: str = ""
) -> list[ChangeRecord]:
    """The same for many targets of one act: a record each, written together and returned in the order given.

    RuntimeError outside a transaction.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("A change and its record commit together; there is no transaction.")
    at, label = clock.now(), str(actor) if actor else "ARM"
    rows = [
        ChangeRecord(
            tenant_id=change.target.pk if isinstance(change.target, Tenant) else change.target.tenant_id,  # type: ignore[attr-defined]
            at=at,
            actor_id=actor.pk if actor else None,
            actor_label=label,
            credential=credential.get() if actor else "rule",
            verb=verb,
            target_kind=change.target._meta.label_lower,
            target_id=change.target.pk,
            target_label=str(change.target)[:250],
            before=_plain(change.before),
            after=_plain(change.after),
            reason=reason,
            request_id=request_id.get(),
            links=list(change.links),
        )
        for change in made
    ]
    for row in rows:
        row.digest = digest(canonical(row.body()))
    insert_all(rows)
    return rows


_AS_THEY_ARE = (str, int, bool, type(None))


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON values only: times as ISO 8601, decimals and identifiers as strings."""
    if not values:
        return {}
    said = {name: value.value if isinstance(value, TextChoices) else value for name, value in values.items()}
    if all(type(value) in _AS_THEY_ARE and type(name) is str for name, value in said.items()):
        return said  # of ten thousand rows in bulk, each says so
    plain: dict[str, Any] = json.loads(json.dumps(values, cls=DjangoJSONEncoder))
    return plain
