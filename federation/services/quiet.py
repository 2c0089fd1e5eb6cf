"""What adapters say nearly always, in few prepared statements: nothing has changed, and is there anything for me?

Each function does what its namesake in `sessions` or `delivery` would do and leaves the same rows, or returns None and
has written nothing: then somebody is to be refused, told or asked for something, and that is the namesake's to do.

Their commits do not wait for the disk. What a machine forgets that fails in that moment is said again within seconds; a
number that is missing then asks for the full inventory, as any gap does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from arm import clock, db, ids
from arm.copying import Prepared, writing

from ..models import AccessToken, ProviderClient
from ..models.clients import LATE_AFTER
from ..protocol.documents import fleet_digest
from ..queries.credentials import token_by_digest
from .sessions import Beat, offset_ms

REMEMBERED: Final = 10_000
EPOCH: Final = datetime.fromtimestamp(0, UTC)

_SESSION: Final = """s.id = %(session)s AND s.client_id = %(client)s AND s.closed_at IS NULL AND EXISTS (
    SELECT FROM federation_accesstoken t JOIN federation_providerclient c ON c.id = t.client_id
    WHERE t.id = %(token)s AND t.revoked_at IS NULL AND c.status = 'registered')"""
"""The session, while it is its client's current one and the token counts."""
FLEET: Final = Prepared(
    """
SELECT (extract(epoch FROM coalesce(s.heartbeat_at, s.opened_at)) * 1000000)::bigint, r.id, r.instance_id, r.external_id, r.version_id, r.state,
  r.generation
FROM federation_adaptersession s
LEFT JOIN federation_instancereport r ON r.provider_id = %(provider)s AND NOT r.missing
WHERE s.epoch = %(epoch)s AND s.seq = %(last)s AND {session}
""".replace("{session}", _SESSION)
)
CONFIRM: Final = Prepared(
    """
WITH beat AS (
  UPDATE federation_adaptersession s SET seq = %(last)s::bigint + 1, heartbeat_at = %(now)s, agrees = true, full_wanted = false,
    said_count = %(count)s, said_digest = %(digest)s, health = %(health)s, health_message = %(message)s,
    offset_ms = %(offset)s
  WHERE s.seq = %(last)s AND {session} RETURNING id
), confirmed AS (
  UPDATE federation_instancereport r SET confirmed_at = %(now)s FROM beat
  WHERE r.provider_id = %(provider)s AND NOT r.missing RETURNING r.instance_id
), shown AS (
  UPDATE registry_instancestatus s SET heartbeat_at = %(now)s FROM confirmed c WHERE s.instance_id = c.instance_id
)
SELECT (SELECT count(*) FROM federation_command c
        WHERE c.provider_id = %(provider)s AND c.state IN ('available', 'delivered')) FROM beat
""".replace("{session}", _SESSION)
)
"""Only where the session still stands as FLEET has seen it: two may send the same number at once, and one counts."""
POLLED: Final = Prepared(
    """
UPDATE federation_adaptersession s SET polled_at = %(now)s WHERE {session} AND NOT EXISTS (
  SELECT FROM federation_command c WHERE c.provider_id = %(provider)s AND c.state IN ('available', 'delivered')
    AND (c.lease_until IS NULL OR c.lease_until <= %(now)s)
) RETURNING true
""".replace("{session}", _SESSION)
)


@dataclass(frozen=True, slots=True)
class Bearer:
    """Of an access token what never changes: the database refuses to change it. Whether it still counts is asked anew
    by each statement, so revoking it needs to tell nobody."""

    token_id: UUID
    tenant_id: UUID
    client_id: UUID
    provider_id: UUID
    scopes: frozenset[str]
    expires_at: datetime


_bearers: dict[bytes, Bearer] = {}


def bearer_of(digest: bytes) -> Bearer | None:
    """Whose token has this SHA-256; remembered by this process. None where it is unknown, or not current any more."""
    found = _bearers.get(digest)
    if found is None:
        with db.tenants(()):
            row = token_by_digest(digest)
        if row is None or not row.live or row.client.status != ProviderClient.Status.REGISTERED:
            return None
        found = _bearer(row)
        if len(_bearers) >= REMEMBERED:
            _bearers.clear()
        _bearers[digest] = found
    if found.expires_at <= clock.now():
        _bearers.pop(digest, None)
        return None
    return found


def heartbeat(*, bearer: Bearer, session: UUID, said: Mapping[str, Any]) -> Beat | None:
    """The next heartbeat of the current session, with our digest and no news of single instances."""
    if said.get("instances_changed"):
        return None
    given = _given(bearer, session) | {"epoch": said["epoch"], "last": said["seq"] - 1}
    inventory = said["inventory"]
    with writing("default", bearer.tenant_id, durable=False) as cursor:
        rows = FLEET.rows(cursor.connection, given)
        lines = [_line(*row[2:]) for row in rows if row[1]]
        if not rows or (inventory["count"], inventory["digest"]) != (len(lines), fleet_digest(lines)):
            return None
        now = clock.now()
        given |= {
            "now": now,
            "count": inventory["count"],
            "digest": inventory["digest"],
            "health": said["health"]["status"],
            "message": said["health"].get("message", ""),
            "offset": offset_ms(now, said["sent_at"], said.get("rtt_ms", 0)),
        }
        done = CONFIRM.rows(cursor.connection, given)
    if not done:
        return None
    pending = int(done[0][0] or 0)
    gap = now - (EPOCH + timedelta(microseconds=int(rows[0][0] or 0)))
    return Beat(
        received_at=now,
        gap_ms=round(gap.total_seconds() * 1000),
        late=gap > LATE_AFTER,
        flags=("poll_now",) if pending else (),
        pending=pending,
    )


def poll(*, bearer: Bearer, session: UUID, said: Mapping[str, Any]) -> bool:
    """True where the current session has nothing to say and nothing waits for it."""
    if said.get("ack") or said.get("setErrs"):
        return False
    with writing("default", bearer.tenant_id, durable=False) as cursor:
        return bool(POLLED.rows(cursor.connection, _given(bearer, session) | {"now": clock.now()}))


def _line(
    instance: str | None, name: str | None, version: str | None, state: str | None, generation: str | None
) -> tuple[str, str, str, int]:
    """A report as the fleet's digest has it."""
    shown = ids.encode("ins", UUID(instance)) if instance else name or ""
    return shown, version or "", state or "", int(generation or 0)


def _given(bearer: Bearer, session: UUID) -> dict[str, Any]:
    return {
        "session": session,
        "token": bearer.token_id,
        "client": bearer.client_id,
        "provider": bearer.provider_id,
    }


def _bearer(token: AccessToken) -> Bearer:
    return Bearer(
        token_id=token.pk,
        tenant_id=token.tenant_id,
        client_id=token.client_id,
        provider_id=token.client.provider_id,
        scopes=frozenset(token.scope.split()),
        expires_at=token.expires_at,
    )
