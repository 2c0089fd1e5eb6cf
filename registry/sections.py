"""What an Agent Card says beside what the directory knows: answered by the apps above (settings.CARD_SECTIONS)."""

from typing import Any, Protocol

from .models import AgentVersion


class CardSection(Protocol):
    """A part of the card. `name` is its member of the predicate, in camelCase; it may not be one of the directory's."""

    name: str

    def section(self, version: AgentVersion) -> dict[str, Any] | None:
        """JSON without NaN, money as strings, people by identifier only; None where there is nothing to say, which
        the card then states as missing."""
        ...
