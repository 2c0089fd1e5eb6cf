"""Which instance and version an event belongs to; what cannot be linked is set apart with its reason."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec

from arm import ids

from ..parsing import Batch, Event, EventType, Flag, Reason
from ..parsing.events import Place, Resource
from ..parsing.values import UNKNOWN
from ..queries.credentials import Credential
from ..queries.directory import Directory, KnownInstance, KnownVersion, Seen, exists_elsewhere

_MODEL_CALL, _TOOL_CALL = EventType.MODEL_CALL.value, EventType.TOOL_CALL.value
_VERSION_DRIFT, _MODEL_DRIFT, _TOOL_DRIFT = (
    Flag.VERSION_DRIFT.value,
    Flag.MODEL_DRIFT.value,
    Flag.TOOL_DRIFT.value,
)
_UNATTRIBUTED, _BY_ALIAS, _BY_CREDENTIAL = (
    Flag.UNATTRIBUTED.value,
    Flag.BY_ALIAS.value,
    Flag.BY_CREDENTIAL.value,
)
AHEAD_US = 10 * 60 * 1_000_000
DAY_US = 86_400_000_000
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Held:
    """A span for the quarantine. `payload` is JSON without content; the id is that of the event it would have been."""

    id: UUID
    reason: Reason
    detail: str
    occurred_us: int | None
    payload: str


@dataclass(slots=True)
class _Target:
    """Where events that name this instance and version go, worked out for one period between two bindings."""

    instance: KnownInstance
    named: KnownVersion | None
    """None: the version that was bound when the event happened."""
    noticed: int
    seen: Seen
    since: int = 0
    until: int = 0
    version: KnownVersion | None = None
    place: Place | None = None
    flags: int = 0

    def move(self, at_us: int) -> None:
        """Work it out for the period around this moment. `place` is None when no version is known for it."""
        self.since, self.until, bound = self.instance.bound_around(at_us)
        self.flags, self.version = self.noticed, self.named
        if self.named is None:
            self.version = None if bound is None else self.seen.versions.get(bound)
        elif bound != self.named.id:
            self.flags |= _VERSION_DRIFT
        self.place = None if self.version is None else self.instance.place(self.version.id)


class Unlinkable(Exception):
    """The events that name this go to quarantine."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def link(
    batch: Batch, credential: Credential, directory: Directory, now_us: int
) -> tuple[list[Event], list[Held]]:
    """Give every event its place, flags and cost centre. Returns (linked events, spans for the quarantine)."""
    seen = directory.look_up(
        {UUID(bytes=id) for id in {event.instance for event in batch.events} if id}
        | _others(batch, credential, directory),
        {UUID(bytes=id) for id in {event.version for event in batch.events} if id},
    )
    oldest, newest = now_us - credential.retention_days * DAY_US, now_us + AHEAD_US
    targets: dict[tuple[bytes | None, bytes | None, int], _Target | Unlinkable] = {}
    linked: list[Event] = []
    held = [_undecodable(bad.detail, bad.raw, credential) for bad in batch.bad]
    last: Event | None = None
    target: _Target | Unlinkable | None = None
    for event in batch.events:
        # The spans of one process share their identifiers, the very objects; the next span is mostly one of the same.
        if last is None or (event.instance, event.version, event.resource) != (
            last.instance,
            last.version,
            last.resource,
        ):
            key = event.instance, event.version, 0 if event.instance is not None else id(event.resource)
            target = targets.get(key)
            if target is None:
                target = targets[key] = _target(event, credential, directory, seen)
            last = event
        at = event.occurred_us
        if not oldest <= at <= newest:
            held.append(_held(event, Unlinkable(Reason.CLOCK, _clock(event, credential, now_us))))
        elif isinstance(target, Unlinkable):
            held.append(_held(event, target))
        elif target is not None:
            if not target.since <= at < target.until:
                target.move(at)
            if target.place is None:
                detail = f"No version was bound to {ids.encode('ins', target.instance.id)} at that time."
                held.append(_held(event, Unlinkable(Reason.UNBOUND_VERSION, detail)))
            else:
                _place(event, target)
                linked.append(event)
    return linked, held


def _others(batch: Batch, credential: Credential, directory: Directory) -> set[UUID]:
    """Instances that no span names: that of the key, and those that a declared alias stands for."""
    if credential.instance_id is not None:
        return {credential.instance_id}
    resources = {id(event.resource): event.resource for event in batch.events if event.instance is None}
    found = (_by_alias(resource, credential, directory) for resource in resources.values())
    return {instance for instance in found if instance is not None}


def _by_alias(resource: Resource, credential: Credential, directory: Directory) -> UUID | None:
    for alias in resource.aliases:
        found = directory.by_alias(credential.provider_id, credential.environment_id, alias)
        if found is not None:
            return found
    return None


def _target(event: Event, credential: Credential, directory: Directory, seen: Seen) -> _Target | Unlinkable:
    try:
        instance, flags = _instance(event, credential, directory, seen)
        return _Target(instance, _version(event, instance, flags, seen), flags, seen)
    except Unlinkable as reason:
        return reason


def _instance(
    event: Event, credential: Credential, directory: Directory, seen: Seen
) -> tuple[KnownInstance, int]:
    if event.instance == UNKNOWN:
        raise Unlinkable(Reason.UNKNOWN_INSTANCE, "arm.instance.id is not an instance identifier (ins_…).")
    flags = 0
    asked: UUID | None
    if event.instance is not None:
        asked = UUID(bytes=event.instance)
    elif credential.instance_id is not None:
        asked, flags = credential.instance_id, _BY_CREDENTIAL
    else:
        asked, flags = _by_alias(event.resource, credential, directory), _BY_ALIAS
        if asked is None:
            raise Unlinkable(Reason.NO_INSTANCE, "Neither arm.instance.id nor a declared alias is set.")
    shown = ids.encode("ins", asked)
    found = seen.instances.get(asked)
    if found is None:
        if exists_elsewhere(asked):
            raise Unlinkable(Reason.FOREIGN_TENANT, f"{shown} is not an instance of this tenant.")
        raise Unlinkable(Reason.UNKNOWN_INSTANCE, f"There is no instance {shown}.")
    if (found.provider_id, found.environment_id) != (credential.provider_id, credential.environment_id):
        detail = f"{shown} runs at another provider or in another environment than this key may speak for."
        raise Unlinkable(Reason.UNKNOWN_INSTANCE, detail)
    if credential.instance_id is not None and credential.instance_id != asked:
        raise Unlinkable(
            Reason.UNKNOWN_INSTANCE, f"This token speaks for one instance, and that is not {shown}."
        )
    return found, flags


def _version(event: Event, instance: KnownInstance, flags: int, seen: Seen) -> KnownVersion | None:
    if event.version is None:
        if flags & (_BY_CREDENTIAL | _BY_ALIAS):
            return None
        raise Unlinkable(Reason.NO_VERSION, "arm.version.id is not set.")
    found = None if event.version == UNKNOWN else seen.versions.get(UUID(bytes=event.version))
    if found is None or found.template_id != instance.template_id:
        raise Unlinkable(Reason.UNBOUND_VERSION, "arm.version.id is no version of this instance's template.")
    return found


def _place(event: Event, target: _Target) -> None:
    """Write place, flags and cost centre into the event."""
    flags, version = target.flags, target.version
    assert version is not None
    if event.type == _MODEL_CALL:
        model = event.model_used or event.model_requested
        if model is not None and not version.uses(model):
            flags |= _MODEL_DRIFT
    elif event.type == _TOOL_CALL and event.tool_name is not None:
        digest = version.tools.get(event.tool_name)
        if digest is None or (event.tool_digest is not None and event.tool_digest != digest):
            flags |= _TOOL_DRIFT
    if event.job is None and event.outcome is None:
        flags |= _UNATTRIBUTED
    if event.cost_center is None:
        event.cost_center = target.instance.cost_center
    event.flags = flags
    event.place = target.place


def _clock(event: Event, credential: Credential, now_us: int) -> str:
    if event.occurred_us > now_us:
        return "The span starts more than 10 minutes in the future."
    return f"The span is older than the {credential.retention_days} days that its environment keeps."


def _held(event: Event, why: Unlinkable) -> Held:
    """What is kept of an event that cannot be linked: enough to see whose it was. Its content was never read."""
    claimed: dict[str, object] = {
        "instance": event.instance.hex() if event.instance else None,
        "version": event.version.hex() if event.version else None,
        "trace": event.trace_id.hex(),
        "span": event.span_id.hex(),
        "type": EventType(event.type).name.lower(),
        "provider": event.provider,
        "model": event.model_used or event.model_requested,
        "tool": event.tool_name,
        "job": event.job,
        "input_tokens": event.input_tokens,
        "output_tokens": event.output_tokens,
        "aliases": list(event.resource.aliases),
        "attributes": msgspec.Raw(event.attributes if len(event.attributes) <= 4096 else b"{}"),
    }
    at = event.occurred_us if 0 <= event.occurred_us < 253_402_300_800_000_000 else None
    return Held(UUID(bytes=event.event_id), why.reason, why.detail[:300], at, _encode(claimed).decode())


def _undecodable(detail: str, raw: bytes, credential: Credential) -> Held:
    """The bytes may hold content, so only their digest is kept."""
    digest = hashlib.sha256(credential.tenant_id.bytes + credential.provider_id.bytes + raw)
    value = int.from_bytes(digest.digest()[:16], "big") & ~(0xF << 76 | 0b11 << 62) | 8 << 76 | 0b10 << 62
    payload = _encode({"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)}).decode()
    return Held(UUID(int=value), Reason.UNDECODABLE, detail[:300], None, payload)


def micros() -> int:
    """The server's clock in microseconds since 1970."""
    return time.time_ns() // 1000


def by_reason(held: Sequence[Held]) -> dict[str, int]:
    """How many spans were set apart, by reason code."""
    counts: dict[str, int] = {}
    for one in held:
        counts[one.reason.value] = counts.get(one.reason.value, 0) + 1
    return counts
