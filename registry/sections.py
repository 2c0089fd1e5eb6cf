"""What apps above say on pages and documents of the directory: on an Agent Card (settings.CARD_SECTIONS), and of an
instance at a moment that has passed (settings.PAST_FACTS)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from arm.models import User

from .models import AgentInstance, AgentVersion


class CardSection(Protocol):
    """A part of the card. `name` is its member of the predicate, in camelCase; it may not be one of the directory's."""

    name: str

    def section(self, version: AgentVersion) -> dict[str, Any] | None:
        """JSON without NaN, money as strings, people by identifier only; None where there is nothing to say, which
        the card then states as missing."""
        ...


@dataclass(frozen=True, slots=True)
class PastLine:
    """`url` leads to the exact thing that counted then, if it has a page."""

    label: str
    text: str
    url: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class PastSection:
    """What one app knows of the moment; without lines it says `absent`."""

    title: str
    lines: Sequence[PastLine]
    absent: str


class PastFact(Protocol):
    """Port (settings.PAST_FACTS)."""

    def past(
        self, instance: AgentInstance, version: AgentVersion, at: datetime, known: datetime, actor: User
    ) -> PastSection | None:
        """What held for the instance, with the version that it ran, at `at` as told by `known`; None where the actor may
        not read it."""
        ...
