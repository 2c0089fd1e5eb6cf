"""The life of a command: which event moves it where. A terminal state never changes; what comes later is answered."""

from enum import StrEnum

from django.db.models import TextChoices


class CommandState(TextChoices):
    AVAILABLE = "available", "Available"
    DELIVERED = "delivered", "Delivered"
    ACKED = "acked", "Acknowledged"
    APPLYING = "applying", "Applying"
    ENFORCED = "enforced", "Enforced"
    REJECTED = "rejected", "Rejected"
    FAILED = "failed", "Failed"
    SUPERSEDED = "superseded", "Superseded"
    UNDELIVERABLE = "undeliverable", "Undeliverable"


class CommandEvent(StrEnum):
    DELIVER = "deliver"
    ACK = "ack"
    ERR = "err"
    APPLY = "apply"
    FAIL = "fail"
    ATTEST = "attest"
    SUPERSEDE = "supersede"


_S, _E = CommandState, CommandEvent
OPEN = frozenset({_S.AVAILABLE, _S.DELIVERED, _S.ACKED, _S.APPLYING})
TERMINAL = frozenset(_S) - OPEN
_LATER = {_E.ATTEST: _S.ENFORCED, _E.SUPERSEDE: _S.SUPERSEDED}

MOVES: dict[CommandState, dict[CommandEvent, CommandState]] = {
    # An adapter may live on the desired documents alone: then an attestation is the first that is heard of a command.
    _S.AVAILABLE: {_E.DELIVER: _S.DELIVERED, **_LATER},
    _S.DELIVERED: {_E.DELIVER: _S.DELIVERED, _E.ACK: _S.ACKED, _E.ERR: _S.REJECTED, **_LATER}
    | {_E.APPLY: _S.APPLYING, _E.FAIL: _S.FAILED},
    _S.ACKED: {_E.ACK: _S.ACKED, _E.ERR: _S.REJECTED, _E.APPLY: _S.APPLYING, _E.FAIL: _S.FAILED, **_LATER},
    _S.APPLYING: {_E.ACK: _S.APPLYING, _E.APPLY: _S.APPLYING, _E.FAIL: _S.FAILED, **_LATER},
}


def after(state: str, event: CommandEvent) -> CommandState:
    """Where the event leaves the command; where it is, if the event means nothing there."""
    here = CommandState(state)
    return MOVES.get(here, {}).get(event, here)
