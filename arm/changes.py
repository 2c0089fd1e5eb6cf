"""Write the record of a change of governance state, in the transaction of the change."""

import json
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.db.models import Model

from arm import clock
from arm.crypto import canonical, digest
from arm.logs import request_id
from arm.models import ApiKey, ChangeRecord, Tenant, User

credential: ContextVar[str] = ContextVar("arm_credential", default="")
"""What the actor came with: `session`, or the shown id of an API key. Set by middleware and authentication."""


def in_person() -> bool:
    """Whether the actor is signed in; a token is a machine's, whoever it acts as."""
    return not credential.get().startswith(f"{ApiKey.prefix}_")


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
    if not connection.in_atomic_block:
        raise RuntimeError("A change and its record commit together; there is no transaction.")
    tenant_id: UUID = target.pk if isinstance(target, Tenant) else target.tenant_id  # type: ignore[attr-defined]
    row = ChangeRecord(
        tenant_id=tenant_id,
        at=clock.now(),
        actor_id=actor.pk if actor else None,
        actor_label=str(actor) if actor else "ARM",
        credential=credential.get() if actor else "rule",
        verb=verb,
        target_kind=target._meta.label_lower,
        target_id=target.pk,
        target_label=str(target)[:250],
        before=_plain(before or {}),
        after=_plain(after or {}),
        reason=reason,
        request_id=request_id.get(),
        links=list(links),
    )
    row.digest = digest(canonical(row.body()))
    row.save(force_insert=True)
    return row


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON values only: times as ISO 8601, decimals and identifiers as strings."""
    plain: dict[str, Any] = json.loads(json.dumps(values, cls=DjangoJSONEncoder))
    return plain
