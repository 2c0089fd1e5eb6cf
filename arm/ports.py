"""Lower apps ask, higher apps answer: implementations are dotted paths in settings, like MIDDLEWARE."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Protocol
from uuid import UUID

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string


class Incidents(Protocol):
    """Effect port: opens an incident in the caller's transaction (implemented by telemetry)."""

    def open(
        self,
        *,
        tenant_id: UUID,
        kind: str,
        severity: str,
        title: str,
        subject_kind: str,
        subject_id: UUID,
        facts: Mapping[str, Any],
        harm: bool = False,
        again: bool = False,
    ) -> UUID:
        """The incident's id; an open incident of the same kind and subject is returned, not doubled.

        `harm`: what the version does is wrong wherever it runs, so a tenant's rule may deprecate it for this.
        `again`: a further occurrence; its title and facts are a line on the timeline of the one that is open."""
        ...

    def standing(self, *, tenant_id: UUID, incident_id: UUID, hold: bool = False) -> str:
        """How an incident is named while it is somebody's business; "" once it is resolved. One that is not known
        stands: nobody has resolved it. `hold`: nobody resolves or reopens it before the caller's transaction ends; taken
        after versions and before instances, as `open` takes it."""
        ...

    def standing_among(self, *, tenant_id: UUID, incident_ids: Collection[UUID]) -> dict[UUID, str]:
        """Those of many that stand, each by how `standing` names it, with one question for all of them."""
        ...

    def named(self, *, tenant_id: UUID, incident_id: UUID, actor: Any) -> None:
        """Hold an incident that a person gives as the cause of an act. Invalid, at /incident, where there is none that
        `actor` sees; Conflict where it is settled."""
        ...


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of a timeline. `state` picks its mark, `url` leads to the record behind it."""

    at: datetime
    title: str
    actor: str = ""
    text: str = ""
    url: str = ""
    state: str = ""


class Witness(Protocol):
    """Tells what an app saw of an instance in a time (settings.WITNESSES), as far as `actor` may see it."""

    def saw(self, actor: Any, instance: Any, since: datetime, until: datetime, most: int) -> Iterable[Moment]:
        """At most `most` lines, the newest of that time."""
        ...


class MemberEffect(Protocol):
    """Effect port (settings.MEMBER_EFFECTS): what else ends when somebody leaves a tenant."""

    def ends(self, member: Any) -> Iterable[str]:
        """A line for each thing, for whoever is about to end the membership."""
        ...

    def left(self, *, member: Any, actor: Any, reason: str) -> None:
        """Called in the transaction of the leaving, before it is visible to anybody."""
        ...

    def closed(self, *, member: Any, actor: Any, reason: str) -> None:
        """Called in the transaction that closes their account, once for each tenant that they are a member of. They stay
        its members, and may come back."""
        ...


@cache
def implementations(setting: str) -> tuple[Any, ...]:
    """One instance of each class that the list setting names, in order; imported once."""
    return tuple(import_string(path)() for path in getattr(settings, setting))


@cache
def implementation(setting: str) -> Any:
    """The instance of the single class that the setting names; imported once."""
    return import_string(getattr(settings, setting))()


def incidents() -> Incidents:
    port: Incidents = implementation("INCIDENTS")
    return port


def _forget(**kwargs: Any) -> None:
    implementations.cache_clear()
    implementation.cache_clear()


setting_changed.connect(_forget)
