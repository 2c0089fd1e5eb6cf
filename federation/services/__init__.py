"""Everything that changes the federation, one function per verb."""

from .attesting import failed, take_attestation
from .clients import Invited, approve_client, invite_provider, register_client, revoke_client
from .delivery import LEASE, MOST_EVENTS, Batch, poll, take_status
from .inventory import commit_snapshot, open_snapshot, put_page, release_snapshot
from .keys import control_key
from .orders import ACK_WITHIN, ENFORCE_WITHIN, decide
from .overdue import follow_stops, sweep_overdue, tidy
from .sessions import Beat, close_session, current_session, heartbeat, open_session, our_fleet
from .tokens import TOKEN_LIFE, issue_token

__all__ = [
    "ACK_WITHIN", "ENFORCE_WITHIN", "LEASE", "MOST_EVENTS", "TOKEN_LIFE", "Batch", "Beat", "Invited", "approve_client",
    "close_session", "commit_snapshot", "control_key", "current_session", "decide", "failed", "follow_stops",
    "heartbeat", "invite_provider", "issue_token", "open_session", "open_snapshot", "our_fleet", "poll", "put_page",
    "register_client", "release_snapshot", "revoke_client", "sweep_overdue", "take_attestation", "take_status", "tidy",
]  # fmt: skip
