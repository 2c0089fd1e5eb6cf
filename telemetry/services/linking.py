"""Which instance and version an event belongs to; what cannot be linked is set apart with its reason."""

import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

import msgspec

from arm import ids

from ..parsing import Batch, Event, EventType, Flag, Reason
from ..parsing.blocks import DAY_US, Block
from ..parsing.events import Belonging, Meaning, Place, Resource, Work
from ..parsing.values import UNKNOWN
from ..queries.credentials import Credential
from ..queries.directory import Directory, KnownInstance, KnownVersion, Seen, exists_elsewhere
from .linked import Linked

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
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Held:
    """A span for the quarantine. `payload` is JSON without content; the id is that of the event it would have been."""

    id: UUID
    reason: Reason
    detail: str
    occurred_us: int | None
    payload: str


class OneByOne(Exception):
    """Not every span of a block can be linked, or not all alike: each has to be looked at."""


class Unlinkable(Exception):
    """The events that name this go to quarantine."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class _Period(NamedTuple):
    """Where events of a target go between two bindings. Without a version there is no place for them."""

    since: int
    until: int
    version: KnownVersion | None
    place: Place | None
    flags: int


@dataclass(slots=True)
class _Target:
    """Where events that name this instance and version go."""

    instance: KnownInstance
    named: KnownVersion | None
    """None: the version that was bound when the event happened."""
    noticed: int
    seen: Seen
    _paid: dict[Work, Work] = field(default_factory=dict)

    def around(self, at_us: int) -> _Period:
        """The period around this moment."""
        since, until, bound = self.instance.bound_around(at_us)
        flags, version = self.noticed, self.named
        if version is None:
            version = None if bound is None else self.seen.versions.get(bound)
        elif bound != version.id:
            flags |= _VERSION_DRIFT
        place = None if version is None else self.instance.place(version.id)
        return _Period(since, until, version, place, flags)

    def paid(self, work: Work) -> Work:
        """The same work, with the cost centre of the instance."""
        found = self._paid.get(work)
        if found is None:
            found = self._paid[work] = Work(work.job, self.instance.cost_center, work.outcome)
        return found


class _Kind:
    """The spans of one resource with one meaning: what is known of all of them, for one period of their target."""

    __slots__ = ("_meaning", "attributed", "since", "target", "unattributed", "until")

    def __init__(self, meaning: Meaning, target: _Target) -> None:
        self._meaning = meaning
        self.target = target
        self.since = self.until = 0
        self.attributed: Belonging | None = None
        self.unattributed: Belonging | None = None
        """Both None when no version is known for the period."""

    def move(self, at_us: int) -> None:
        """Work it out for the period around this moment."""
        self.since, self.until, version, place, flags = self.target.around(at_us)
        if version is None or place is None:
            self.attributed = self.unattributed = None
            return
        flags |= _drift(self._meaning, version)
        self.attributed = Belonging(self._meaning, place, flags)
        self.unattributed = Belonging(self._meaning, place, flags | _UNATTRIBUTED)


def link(
    batch: Batch, credential: Credential, directory: Directory, now_us: int
) -> tuple[Linked, list[Held]]:
    """Give every event its place, flags and cost centre. Returns (linked events, spans for the quarantine).

    OneByOne when that does not hold for a whole block: the same batch is then to be parsed without blocks.
    """
    several: list[Event | Block] = [*batch.events, *batch.blocks]
    meanings = {one.meaning for one in several}
    resources = list({id(one.resource): one.resource for one in several}.values())
    seen = directory.look_up(
        _named(meaning.instance for meaning in meanings)
        | _named(resource.instance for resource in resources)
        | _others(resources, credential, directory),
        _named(meaning.version for meaning in meanings) | _named(resource.version for resource in resources),
    )
    oldest, newest = now_us - credential.retention_days * DAY_US, now_us + AHEAD_US
    linked: list[Event] = []
    held = [_undecodable(bad.detail, bad.raw, credential) for bad in batch.bad]
    targets: dict[tuple[bytes | None, bytes | None, int], _Target | Unlinkable] = {}

    def target_of(one: Event | Block) -> _Target | Unlinkable:
        key = one.instance, one.version, 0 if one.instance is not None else id(one.resource)
        target = targets.get(key)
        if target is None:
            target = targets[key] = _target(one, credential, directory, seen)
        return target

    for block in batch.blocks:
        _place(block, target_of(block), oldest, newest)
    kinds: dict[int, dict[Meaning, _Kind | Unlinkable]] = {id(resource): {} for resource in resources}
    for event in batch.events:
        of_resource, meaning, at, work = (
            kinds[id(event.resource)],
            event.meaning,
            event.occurred_us,
            event.work,
        )
        kind = of_resource.get(meaning)
        if kind is None:
            target = target_of(event)
            kind = target if isinstance(target, Unlinkable) else _Kind(meaning, target)
            of_resource[meaning] = kind
        if not oldest <= at <= newest:
            held.append(_held(event, Unlinkable(Reason.CLOCK, _clock(event, credential, now_us))))
        elif isinstance(kind, Unlinkable):
            held.append(_held(event, kind))
        else:
            if not kind.since <= at < kind.until:
                kind.move(at)
            belonging = kind.unattributed if work.job is None and work.outcome is None else kind.attributed
            if belonging is None:
                detail = f"No version was bound to {ids.encode('ins', kind.target.instance.id)} at that time."
                held.append(_held(event, Unlinkable(Reason.UNBOUND_VERSION, detail)))
            else:
                event.belonging = belonging
                if work.cost_center is None:
                    event.work = kind.target.paid(work)
                linked.append(event)
    return Linked(linked, batch.blocks), held


def _place(block: Block, target: _Target | Unlinkable, oldest: int, newest: int) -> None:
    """Give a block its belongings and cost centre, if the same is so for all of its spans; else OneByOne."""
    first, last = int(block.occurred_us.min()), int(block.occurred_us.max())
    if isinstance(target, Unlinkable) or not oldest <= first <= last <= newest:
        raise OneByOne
    kind = _Kind(block.meaning, target)
    kind.move(first)
    if kind.attributed is None or kind.unattributed is None or last >= kind.until:
        raise OneByOne
    if first // DAY_US != last // DAY_US:  # partitions are by day
        raise OneByOne
    paid = {work: work if work.cost_center is not None else target.paid(work) for work in set(block.works)}
    block.works = [paid[work] for work in block.works]
    block.belongings = {
        work: kind.attributed if work.attributed else kind.unattributed for work in paid.values()
    }


def _named(identifiers: Iterable[bytes | None]) -> set[UUID]:
    return {UUID(bytes=id) for id in set(identifiers) if id}


def _others(resources: Iterable[Resource], credential: Credential, directory: Directory) -> set[UUID]:
    """Instances that no span names: that of the key, and those that a declared alias stands for."""
    if credential.instance_id is not None:
        return {credential.instance_id}
    nameless = [resource for resource in resources if resource.instance is None]
    found = (_by_alias(resource, credential, directory) for resource in nameless)
    return {instance for instance in found if instance is not None}


def _by_alias(resource: Resource, credential: Credential, directory: Directory) -> UUID | None:
    for alias in resource.aliases:
        found = directory.by_alias(credential.provider_id, credential.environment_id, alias)
        if found is not None:
            return found
    return None


def _target(
    event: Event | Block, credential: Credential, directory: Directory, seen: Seen
) -> _Target | Unlinkable:
    try:
        instance, flags = _instance(event, credential, directory, seen)
        return _Target(instance, _version(event, instance, flags, seen), flags, seen)
    except Unlinkable as reason:
        return reason


def _instance(
    event: Event | Block, credential: Credential, directory: Directory, seen: Seen
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


def _version(event: Event | Block, instance: KnownInstance, flags: int, seen: Seen) -> KnownVersion | None:
    if event.version is None:
        if flags & (_BY_CREDENTIAL | _BY_ALIAS):
            return None
        raise Unlinkable(Reason.NO_VERSION, "arm.version.id is not set.")
    found = None if event.version == UNKNOWN else seen.versions.get(UUID(bytes=event.version))
    if found is None or found.template_id != instance.template_id:
        raise Unlinkable(Reason.UNBOUND_VERSION, "arm.version.id is no version of this instance's template.")
    return found


def _drift(meaning: Meaning, version: KnownVersion) -> int:
    """Flags for a model or a tool that the version's genome does not name."""
    if meaning.type == _MODEL_CALL:
        model = meaning.model_used or meaning.model_requested
        return _MODEL_DRIFT if model is not None and not version.uses(model) else 0
    if meaning.type == _TOOL_CALL and meaning.tool_name is not None:
        digest = version.tools.get(meaning.tool_name)
        if digest is None or (meaning.tool_digest is not None and meaning.tool_digest != digest):
            return _TOOL_DRIFT
    return 0


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
