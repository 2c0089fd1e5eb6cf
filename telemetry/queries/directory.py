"""What linking needs to know of instances and versions, remembered in the process for a moment."""

import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from arm import db
from registry.models import AgentInstance, AgentVersion, InstanceInterval

from ..parsing.events import Place
from ..parsing.packing import place

INSTANCE_SECONDS = 2.0
VERSION_SECONDS = 60.0
MISSING_SECONDS = 1.0
REMEMBERED = 50_000
TOGETHER = 1_000
FOREVER = 2**62
_DATED = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2}|latest)$", re.ASCII)


@dataclass(slots=True)
class KnownVersion:
    """A version and what its genome allows it to use."""

    id: UUID
    template_id: UUID
    models: frozenset[str]
    tools: dict[str, str]
    """Tool → digest of its schema."""
    _seen: dict[str, bool] = field(default_factory=dict)

    def uses(self, model: str) -> bool:
        """Whether the genome names the model; a date behind its name is the provider's, not another model."""
        known = self._seen.get(model)
        if known is None:
            known = self._seen[model] = model in self.models or _DATED.sub("", model) in self.models
        return known


@dataclass(slots=True)
class KnownInstance:
    """An instance, where it belongs, and which version it was bound to when."""

    id: UUID
    tenant_id: UUID
    provider_id: UUID
    environment_id: UUID
    template_id: UUID
    role_id: UUID | None
    cost_center: str
    bindings: Sequence[tuple[int, int | None, UUID]]
    """(since, until, version) in microseconds since 1970, newest first."""
    _places: dict[UUID, Place] = field(default_factory=dict)

    def bound_around(self, at_us: int) -> tuple[int, int, UUID | None]:
        """(since, until, version): the period around this moment, and the version that was bound in it, if any."""
        after = FOREVER
        for since, until, version in self.bindings:
            if since <= at_us:
                if until is None or at_us < until:
                    return since, min(after, until or FOREVER), version
                return until, after, None
            after = since
        return -FOREVER, after, None

    def place(self, version_id: UUID) -> Place:
        found = self._places.get(version_id)
        if found is None:
            found = self._places[version_id] = place(
                tenant_id=self.tenant_id,
                provider_id=self.provider_id,
                environment_id=self.environment_id,
                template_id=self.template_id,
                version_id=version_id,
                instance_id=self.id,
                role_id=self.role_id,
            )
        return found


T = TypeVar("T")


class _Remembered(Generic[T]):
    """Rows by id for a while. Shared by threads: an entry goes in when it is complete, and each caller gets a dict of
    its own. That there is no such row is remembered for a shorter time: it may be made any moment.

    Whoever has to read reads along what others have asked for meanwhile and will soon ask for again: a fleet of hundreds
    is one query a moment, not hundreds.
    """

    def __init__(self, seconds: float, read: Callable[[Sequence[UUID]], dict[UUID, T]]) -> None:
        self._seconds = seconds
        self._read = read
        self._entries: dict[UUID, tuple[float, T | None]] = {}
        self._asked: set[UUID] = set()

    def get(self, ids: Iterable[UUID]) -> dict[UUID, T | None]:
        """The rows with these ids, None for one that is not there; read together what is unknown or too old."""
        now = time.monotonic()
        found: dict[UUID, T | None] = {}
        old = []
        for id in ids:
            entry = self._entries.get(id)
            if entry is not None and entry[0] >= now:
                found[id] = entry[1]
            else:
                old.append(id)
        due = self._due(now, set(old)) if old else []
        self._asked.update(found, old)
        if old:
            together = [*old, *due]
            fresh = self._read(together)
            if len(self._entries) > REMEMBERED:
                self._entries.clear()
            for id in together:
                row = fresh.get(id)
                self._entries[id] = now + (self._seconds if row is not None else MISSING_SECONDS), row
            for id in old:
                found[id] = fresh.get(id)
        return found

    def _due(self, now: float, besides: set[UUID]) -> list[UUID]:
        """At most TOGETHER ids that were asked for since the last reading and are soon too old."""
        asked, self._asked = self._asked, set()
        soon = now + self._seconds / 2
        due = (id for id in list(asked) if id not in besides)  # a copy: another thread may still add to it
        return [id for id in due if (entry := self._entries.get(id)) is None or entry[0] < soon][:TOGETHER]


@dataclass(frozen=True, slots=True)
class Seen:
    """What one batch needs of the directory, as it was at one moment: nobody else writes into it."""

    instances: dict[UUID, KnownInstance | None]
    versions: dict[UUID, KnownVersion | None]
    """Those asked for, and all that the instances were ever bound to."""


class Directory:
    """One tenant's instances and versions as this process last read them."""

    def __init__(self, tenant_id: UUID) -> None:
        self._tenant_id = tenant_id
        self._instances = _Remembered(INSTANCE_SECONDS, self._read_instances)
        self._versions = _Remembered(VERSION_SECONDS, self._read_versions)
        self._aliases: dict[tuple[UUID, UUID, str], tuple[float, UUID | None]] = {}

    def look_up(self, instances: Iterable[UUID], versions: Iterable[UUID]) -> Seen:
        """These instances and versions, and the versions that these instances were ever bound to."""
        found = self._instances.get(set(instances))
        bound = {version for one in found.values() if one is not None for _, _, version in one.bindings}
        return Seen(found, self._versions.get(bound.union(versions)))

    def by_alias(self, provider_id: UUID, environment_id: UUID, alias: str) -> UUID | None:
        """The instance whose labels carry this `name=value`, among those of one provider in one environment."""
        key = provider_id, environment_id, alias
        now = time.monotonic()
        until, found = self._aliases.get(key, (0.0, None))
        if until < now:
            if len(self._aliases) > REMEMBERED:
                self._aliases.clear()
            name, _, value = alias.partition("=")
            with db.tenants([self._tenant_id]):
                matches = AgentInstance.objects.live().filter(
                    provider=provider_id, environment=environment_id, labels__contains={name: value}
                )
                ids = list(matches.values_list("pk", flat=True)[:2])
            found = ids[0] if len(ids) == 1 else None  # an alias of two is an alias of none
            self._aliases[key] = now + INSTANCE_SECONDS, found
        return found

    def _read_instances(self, ids: Sequence[UUID]) -> dict[UUID, KnownInstance]:
        bindings: dict[UUID, list[tuple[int, int | None, UUID]]] = {id: [] for id in ids}
        with db.tenants([self._tenant_id]):
            intervals = InstanceInterval.objects.filter(instance__in=ids).order_by("-since", "-pk")
            for instance, since, ends, version in intervals.values_list(
                "instance_id", "since", "until", "version_id"
            ):
                bindings[instance].append((_micros(since), None if ends is None else _micros(ends), version))
            rows = AgentInstance.objects.filter(pk__in=ids).select_related(
                "tenant", "template__project", "role"
            )
            return {
                row.pk: KnownInstance(
                    row.pk,
                    row.tenant_id,
                    row.provider_id,
                    row.environment_id,
                    row.template_id,
                    row.role_id,
                    _cost_center(row),
                    bindings[row.pk],
                )
                for row in rows
            }

    def _read_versions(self, ids: Sequence[UUID]) -> dict[UUID, KnownVersion]:
        with db.tenants([self._tenant_id]):
            rows = list(AgentVersion.objects.filter(pk__in=ids).select_related("genome"))
        documents = [(row, json.loads(bytes(row.genome.content))) for row in rows]
        return {
            row.pk: KnownVersion(row.pk, row.template_id, _models(document), _tools(document))
            for row, document in documents
        }


def _cost_center(row: AgentInstance) -> str:
    """Who pays unless a span says otherwise: the nearest of instance, role, template, project, tenant that knows."""
    project = row.template.project
    return (
        row.cost_center
        or (row.role.cost_center if row.role else "")
        or row.template.cost_center
        or (project.cost_center if project else "")
        or row.tenant.cost_center
    )


def _models(document: dict[str, list[dict[str, str]]]) -> frozenset[str]:
    named = [(model.get("name", ""), model.get("revision", "")) for model in document.get("models", [])]
    return frozenset(name for name, _ in named) | {
        f"{name}-{revision}" for name, revision in named if revision
    }


def _tools(document: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {tool.get("name", ""): tool.get("schema_digest", "") for tool in document.get("tools", [])}


def _micros(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


def exists_elsewhere(instance_id: UUID) -> bool:
    """Whether any tenant has this instance: asked only to say *foreign tenant* instead of *unknown*."""
    with db.tenants(db.all_tenants()):
        return AgentInstance.objects.filter(pk=instance_id).exists()


_directories: dict[UUID, Directory] = {}


def directory_of(tenant_id: UUID) -> Directory:
    found = _directories.get(tenant_id)
    if found is None:
        found = _directories.setdefault(tenant_id, Directory(tenant_id))
    return found


def forget() -> None:
    """Drop what is remembered (tests)."""
    _directories.clear()
