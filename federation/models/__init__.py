"""Tables of the federation: who may speak for a provider, what they said, what they are told, and what they proved."""

from .clients import AccessToken, AdapterSession, Assertion, ControlKey, Invite, ProviderClient
from .orders import Attestation, Command, Desired
from .reports import InstanceReport, Snapshot, SnapshotPage

__all__ = [
    "AccessToken", "AdapterSession", "Assertion", "Attestation", "Command", "ControlKey", "Desired", "InstanceReport",
    "Invite", "ProviderClient", "Snapshot", "SnapshotPage",
]  # fmt: skip
