"""The decision's own addresses in the OpenAPI document: they are answered before Django, so nobody finds them there."""

from typing import Any, Final

import msgspec

from arm.ids import encode, uuid7

from ..engine import Effect, Risk
from . import wire

REF: Final = "#/components/schemas/{name}"
_NAMES: Final = {
    "AskIn": "DecideIn",
    "BatchIn": "DecideBatchIn",
    "UseIn": "DecideDataIn",
    "Estimate": "DecideEstimate",
    "SpawnRequest": "DecideSpawn",
}
_TAG: Final = ["policy"]


def document(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """For the OpenAPI document: `decide`, its batch and where an approval stands, from the types that read them."""
    schemas = result["components"].setdefault("schemas", {})
    schemas.update(_read_by_type())
    schemas.update(_answers())
    result["components"].setdefault("securitySchemes", {})["decideToken"] = {
        "type": "http",
        "scheme": "bearer",
        "description": "A workload token (`armw_…`, one instance) or a service token (`arms_…`).",
    }
    result["paths"]["/api/v1/policy/decide"] = {
        "post": _post("policy_decide", "DecideIn", "DecideOut", decide=True)
    }
    result["paths"]["/api/v1/policy/decide/batch"] = {
        "post": _post("policy_decide_batch", "DecideBatchIn", "DecideBatchOut", decide=False)
    }
    result["paths"]["/api/v1/policy/decide/approval"] = {
        "get": {
            "operationId": "policy_decide_approval",
            "summary": "Where an approval stands.",
            "tags": _TAG,
            "security": [{"decideToken": []}],
            "parameters": [
                {
                    "in": "query",
                    "name": "id",
                    "required": True,
                    "schema": {"type": "string"},
                    "description": "The approval's identifier (apr_…)",
                }
            ],
            "responses": {"200": _json("DecideApproval", "The approval.")},
        }
    }
    return result


def _post(name: str, asked: str, answered: str, *, decide: bool) -> dict[str, Any]:
    one = "May this agent do this, now? The decision is on record before it is answered."
    many = "Up to 100 questions at once; each is decided or refused for itself."
    busy = {
        "description": "Not decided: what is known is too old, or the record could not be written. Treat it as deny.",
        "headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}},
        "content": {"application/problem+json": {"schema": {"$ref": REF.format(name="Problem")}}},
    }
    return {
        "operationId": name,
        "summary": one if decide else many,
        "tags": _TAG,
        "security": [{"decideToken": []}],
        "requestBody": {
            "required": True,
            "content": {wire.JSON: {"schema": {"$ref": REF.format(name=asked)}}},
        },
        "responses": {"200": _json(answered, "Decided."), "503": busy},
    }


def _json(name: str, description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {wire.JSON: {"schema": {"$ref": REF.format(name=name)}}},
    }


def _read_by_type() -> dict[str, Any]:
    """The schemas of what is asked, worked out of the very types that decode it."""
    _, found = msgspec.json.schema_components([wire.AskIn, wire.BatchIn], ref_template="{name}")
    found["BatchIn"]["properties"]["requests"]["items"] = {
        "$ref": "AskIn"
    }  # raw until each is read for itself
    return {_NAMES.get(name, f"Decide{name}"): _renamed(schema) for name, schema in found.items()}


def _renamed(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: REF.format(name=_NAMES.get(item, f"Decide{item}")) if key == "$ref" else _renamed(item)
            for key, item in value.items()
        }
    return [_renamed(item) for item in value] if isinstance(value, list) else value


def _answers() -> dict[str, Any]:
    text, texts = {"type": "string"}, {"type": "array", "items": {"type": "string"}}
    effects = {"type": "string", "enum": [effect.word for effect in Effect]}
    approval = {
        "type": "object",
        "additionalProperties": False,
        "required": ["id", "state"],
        "properties": {
            "id": text,
            "state": text,
            "poll": text,
            "expires_at": {"type": "string", "format": "date-time"},
            "needs": {"type": "integer", "description": "How many people have to agree."},
            "digest": text,
        },
    }
    reason = {
        "type": "object",
        "required": ["code", "rule", "sentence"],
        "properties": {"code": text, "rule": text, "sentence": text},
    }
    answer = {
        "type": "object",
        "additionalProperties": False,
        "required": [
            "id", "decision", "risk", "reasons", "obligations", "matched", "instance", "action_digest",
            "policy_digest", "verdict_digest", "age_ms",
        ],
        "properties": {
            "id": {**text, "examples": [encode("dec", uuid7())]},
            "decision": effects,
            "would": {**effects, "description": "What it would be if the policy were enforced; only where it differs."},
            "risk": {"type": "string", "enum": [risk.word for risk in Risk]},
            "reasons": {"type": "array", "items": reason},
            "obligations": texts,
            "matched": {**texts, "description": "The rules that applied."},
            "instance": text,
            "action_digest": {**text, "description": "Names exactly this action; an approval is bound to it."},
            "policy_digest": text,
            "verdict_digest": text,
            "age_ms": {"type": "integer", "description": "How old what was known was, at most."},
            "approval": {"$ref": REF.format(name="DecideApproval")},
            "retry_after": {"type": "integer", "description": "Seconds, where asking again later may help."},
        },
    }  # fmt: skip
    either = [{"$ref": REF.format(name="DecideOut")}, {"$ref": REF.format(name="Problem")}]
    return {
        "DecideOut": answer,
        "DecideApproval": approval,
        "DecideBatchOut": {
            "type": "object",
            "required": ["decisions"],
            "properties": {"decisions": {"type": "array", "items": {"anyOf": either}}},
        },
    }
