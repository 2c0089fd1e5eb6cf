"""Ports that the engine's facts come through: what sibling and higher apps know, and what they must do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, Protocol
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string

from arm.ports import implementation

from .engine import LimitKey


@dataclass(frozen=True, slots=True)
class Lease:
    """A slice of a limit that may be spent in memory until it expires; `amount` 0 means nothing is left."""

    id: UUID | None
    amount: Decimal
    expires_at: datetime


class Limits(Protocol):
    """Effect port (settings.LIMITS): who counts what is used. Every call commits before it returns."""

    def reserve(
        self,
        *,
        tenant_id: UUID,
        instance_id: UUID,
        key: LimitKey,
        most: Decimal,
        wanted: Decimal,
        window: str,
        holder: str,
    ) -> Lease:
        """A lease of at least `wanted`, if that much is left of `most` in this window."""
        ...

    def settle(self, *, tenant_id: UUID, lease_id: UUID, left: Decimal) -> None:
        """The lease is over; `left` of it was not spent and may be handed out again."""
        ...


class ErrorStreaks(Protocol):
    """Fact port (settings.POLICY_FACTS["error_streak"]): calls that failed one after the other."""

    def counts(self, *, tenant_id: UUID, instance_ids: Iterable[UUID], window_s: int) -> Mapping[UUID, int]:
        """How many of the latest calls of each agent failed in a row, within the window."""
        ...


def limits() -> Limits:
    port: Limits = implementation("LIMITS")
    return port


def error_streaks() -> ErrorStreaks:
    """Who knows. KeyError where nobody does: such a rule cannot be published there."""
    port: ErrorStreaks = _named(settings.POLICY_FACTS["error_streak"])
    return port


@cache
def _named(path: str) -> Any:
    return import_string(path)()


def knows(fact: str) -> bool:
    """Whether somebody answers for this fact here; where nobody does, it is unknown and never allows."""
    return fact in settings.POLICY_FACTS
