"""The messages as JSON Schemas (2020-12). The copies in docs/schemas/federation are written by running this module.

Members that a schema does not name are passed over, as the protocol asks: a newer adapter may say more.
"""

import json
import sys
from pathlib import Path
from typing import Any

from .documents import DESIRED, ENFORCEMENT
from .states import OBSERVED, RunState

DIALECT = "https://json-schema.org/draft/2020-12/schema"
BASE = "https://arm.example/schemas/federation/v1/"
MOST_INTEGER = 2**53 - 1
MOST_COUNT = 2**31 - 1


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties}


def _text(most: int = 200, least: int = 1, **more: Any) -> dict[str, Any]:
    return {"type": "string", "minLength": least, "maxLength": most, **more}


def _typeid(prefix: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$"}


_NUMBER = {"type": "integer", "minimum": 0, "maximum": MOST_INTEGER}
_POSITIVE = _NUMBER | {"minimum": 1}
_COUNT = {"type": "integer", "minimum": 0, "maximum": MOST_COUNT}
_TIME = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$",
}
_DIGEST = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
_HEX = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_STATE = {"enum": list(OBSERVED)}
_CAPABILITIES = {"type": "array", "maxItems": 64, "items": _text(60)}
_CHANGED = _object(
    ["id", "version_id", "state", "generation", "seq"],
    id=_typeid("ins"), version_id=_text(80), state=_STATE, generation=_NUMBER, seq=_NUMBER,
)  # fmt: skip
_INSTANCE = _object(
    ["external_id", "state", "generation", "version_id", "observed_at", "seq"],
    external_id=_text(200), id=_typeid("ins"), state=_STATE, generation=_NUMBER, version_id=_text(80),
    environment=_text(80), observed_at=_TIME, seq=_NUMBER, in_flight=_COUNT,
)  # fmt: skip

SCHEMAS: dict[str, dict[str, Any]] = {
    "register": _object(
        ["client_name", "jwks", "token_endpoint_auth_method", "scope", "software_id", "software_version", "contacts",
         "arm_capabilities"],
        client_name=_text(120),
        jwks=_object(["keys"], keys={"type": "array", "minItems": 2, "maxItems": 8, "items": {"type": "object"}}),
        token_endpoint_auth_method={"const": "private_key_jwt"},
        scope=_text(300), software_id=_text(120), software_version=_text(60),
        contacts={"type": "array", "minItems": 1, "maxItems": 10, "items": _text(254, pattern="^[^@ ]+@[^@ ]+$")},
        arm_capabilities=_CAPABILITIES,
    ),
    "session": _object(
        ["adapter_uid", "protocol_versions", "adapter", "capabilities", "sent_at", "attest_kid"],
        adapter_uid={"type": "string", "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"},
        protocol_versions={"type": "array", "minItems": 1, "maxItems": 16, "items": _text(20)},
        adapter=_object(["name", "version"], name=_text(120), version=_text(60), build_digest=_DIGEST),
        capabilities=_CAPABILITIES, sent_at=_TIME, attest_kid=_text(100),
    ),
    "heartbeat": _object(
        ["epoch", "seq", "sent_at", "inventory", "health"],
        epoch=_POSITIVE, seq=_POSITIVE, sent_at=_TIME, rtt_ms=_NUMBER,
        inventory=_object(["count", "digest"], count=_COUNT, digest=_DIGEST),
        instances_changed={"type": "array", "maxItems": 200, "items": _CHANGED},
        health=_object(["status"], status={"enum": ["ok", "degraded", "failing"]}, message=_text(500, 0)),
    ),
    "snapshot-page": _object(["instances"], instances={"type": "array", "maxItems": 500, "items": _INSTANCE}),
    "snapshot-commit": _object(["count", "digest"], count=_COUNT, digest=_DIGEST),
    "poll": _object(
        [],
        maxEvents={"type": "integer", "minimum": 0, "maximum": 1000}, returnImmediately={"type": "boolean"},
        ack={"type": "array", "maxItems": 1000, "items": _text(100)},
        setErrs={"type": "object", "maxProperties": 1000,
                 "additionalProperties": _object(["err"], err=_text(60), description=_text(500, 0))},
    ),
    "command-status": _object(
        ["epoch", "seq", "status"],
        epoch=_POSITIVE, seq=_NUMBER, status={"enum": ["applying", "failed"]},
        progress={"type": "integer", "minimum": 0, "maximum": 100}, in_flight=_COUNT,
        reason=_object(["code", "message"], code=_text(60), message=_text(500)),
    ) | {"if": {"properties": {"status": {"const": "failed"}}}, "then": {"required": ["reason"]}},
    "enforcement": _object(
        ["generation", "observed", "appliedAt", "adapter"],
        commandId=_typeid("cmd"), generation=_POSITIVE,
        observed=_object(["runState"], runState=_STATE, versionId=_text(80)),
        appliedAt=_TIME, method={"type": "array", "maxItems": 10, "items": _text(60)},
        adapter=_object(["uid", "epoch", "seq"], uid=_text(60), epoch=_POSITIVE, seq=_NUMBER, version=_text(60)),
    ) | {"description": f"The predicate of {ENFORCEMENT}."},
    "desired": _object(
        ["schema", "instance_id", "generation", "run_state", "version_id", "genome_digest", "allow", "issued_at",
         "command_id", "reason_code"],
        schema={"const": DESIRED}, instance_id=_typeid("ins"), generation=_POSITIVE,
        run_state={"enum": [state.value for state in RunState]}, version_id=_typeid("ver"), genome_digest=_DIGEST,
        allow=_object(["new_work", "side_effects", "spawn"],
                      **{name: {"type": "boolean"} for name in ("new_work", "side_effects", "spawn")}),
        issued_at=_TIME, command_id=_typeid("cmd"), reason_code=_text(60),
    ),
    "desired-state-changed": _object(
        ["command_id", "generation", "desired", "desired_sha256", "from_state", "to_state", "initiating_entity",
         "initiated_by", "reason_code", "ack_by", "enforce_by", "drill", "event_timestamp"],
        command_id=_typeid("cmd"), generation=_POSITIVE, desired={"$ref": BASE + "desired"}, desired_sha256=_HEX,
        from_state={"enum": [*(state.value for state in RunState), "Unknown"]},
        to_state={"enum": [state.value for state in RunState]},
        initiating_entity={"enum": ["admin", "user", "policy", "system"]}, initiated_by=_text(80),
        reason_code=_text(60), ack_by=_TIME, enforce_by=_TIME, drill={"type": "boolean"}, event_timestamp=_NUMBER,
    ),
}  # fmt: skip
"""By the name of the message."""
for _name, _schema in SCHEMAS.items():
    SCHEMAS[_name] = {"$schema": DIALECT, "$id": BASE + _name, "title": _name, **_schema}


def written(name: str) -> str:
    """The schema as its file has it."""
    return json.dumps(SCHEMAS[name], indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name in SCHEMAS:
        Path(sys.argv[1], f"{name}.json").write_text(written(name))
