"""What a provider says of itself when it registers (RFC 7591, with our members)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from arm.errors import Problem
from evidence.signing.keys import BadKey, from_jwk, jwk, key_id

from .refusals import Refused

SCOPES = ("federation:control", "inventory:write", "attest:write")
DUTIES = ("auth", "attest")
CAPABILITIES = (
    "heartbeat", "inventory.full", "state.drain", "state.pause", "state.readonly", "state.quarantine", "state.retire",
    "attest.signed",
)  # fmt: skip
"""What this server understands; others are kept and passed over."""
MANDATORY = ("heartbeat", "inventory.full")
PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "k", "oth"})


@dataclass(frozen=True, slots=True)
class Keys:
    """Public keys by duty, with their thumbprints (RFC 7638)."""

    auth: dict[str, str]
    auth_kid: str
    attest: dict[str, str]
    attest_kid: str


def invalid_metadata(problems: list[Problem]) -> Refused:
    return Refused(
        "invalid-client-metadata", 400, "The registration has wrong members.",
        error="invalid_client_metadata", errors=problems,
    )  # fmt: skip


def keys_of(jwks: Mapping[str, Any]) -> Keys:
    """The two keys of a key set, each with its duty. Refused names every key that is wrong."""
    problems, found = [], {}
    for number, key in enumerate(jwks["keys"]):
        pointer = f"/jwks/keys/{number}"
        duty = key.get("arm_duty")
        if held := sorted(PRIVATE & key.keys()):
            problems.append(
                _problem(pointer, "private", f"“{held[0]}” is private; make new keys and keep theirs.")
            )
        elif duty not in DUTIES or duty in found:
            problems.append(
                _problem(f"{pointer}/arm_duty", "duty", "One key has the duty “auth”, one “attest”.")
            )
        else:
            try:
                public = from_jwk(key)
                found[duty] = (jwk(public), key_id(public))
            except BadKey as problem:
                problems.append(_problem(pointer, "key", str(problem)))
    if not problems and set(found) != set(DUTIES):
        problems.append(_problem("/jwks/keys", "duty", "One key has the duty “auth”, one “attest”."))
    if not problems and found["auth"][1] == found["attest"][1]:
        problems.append(_problem("/jwks/keys", "same", "The keys of the two duties must differ."))
    if problems:
        raise invalid_metadata(problems)
    return Keys(*found["auth"], *found["attest"])


def _problem(pointer: str, code: str, message: str) -> Problem:
    return Problem(pointer=pointer, code=code, message=message)
