"""What is exchanged about an instance: the fleet's digest, the desired document, and the event that says it changed."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from arm.crypto import canonical

DESIRED = "arm.desired/v1"
CHANGED = "https://arm.example/secevent/event-type/desired-state-changed"
SESSION_REVOKED = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
SET_TYPE = "secevent+jwt"
ENFORCEMENT = "https://arm.example/attestation/enforcement/v1"


def moment(at: datetime) -> str:
    """RFC 3339 in UTC with milliseconds: `2026-11-22T13:52:00.123Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def fleet_digest(lines: Iterable[tuple[str, str, str, int]]) -> str:
    """`sha256:<hex>` over the lines `id|version|state|generation\\n` of every live instance, sorted bytewise."""
    written = sorted(
        f"{id}|{version}|{state}|{generation}\n".encode() for id, version, state, generation in lines
    )
    return "sha256:" + hashlib.sha256(b"".join(written)).hexdigest()


def desired_document(
    *,
    instance_id: str,
    generation: int,
    run_state: str,
    version_id: str,
    genome_digest: str,
    allow: Mapping[str, bool],
    issued_at: datetime,
    command_id: str,
    reason_code: str,
) -> bytes:
    """The canonical bytes (RFC 8785) of what is wanted; their SHA-256 is what an attestation is about."""
    return canonical(
        {
            "schema": DESIRED,
            "instance_id": instance_id,
            "generation": generation,
            "run_state": run_state,
            "version_id": version_id,
            "genome_digest": genome_digest,
            "allow": dict(allow),
            "issued_at": moment(issued_at),
            "command_id": command_id,
            "reason_code": reason_code,
        }
    )


def set_claims(
    *,
    issuer: str,
    audience: str,
    jti: str,
    issued_at: datetime,
    tenant_id: str,
    event: Mapping[str, Any],
    restrictive: bool,
) -> dict[str, Any]:
    """The claims of a Security Event Token (RFC 8417, so without `exp`). A restriction also says CAEP's
    session-revoked, so that a plain receiver acts on it without knowing ARM."""
    events: dict[str, Any] = {CHANGED: dict(event)}
    if restrictive:
        events[SESSION_REVOKED] = {
            "event_timestamp": event["event_timestamp"],
            "initiating_entity": event["initiating_entity"],
        }
    return {
        "iss": issuer,
        "aud": audience,
        "iat": int(issued_at.timestamp()),
        "jti": jti,
        "txn": event["command_id"],
        "sub_id": {
            "format": "complex",
            "tenant": {"format": "opaque", "id": tenant_id},
            "application": {"format": "opaque", "id": event["desired"]["instance_id"]},
        },
        "events": events,
    }
