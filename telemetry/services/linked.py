"""What of a batch can be stored: its events, single ones and others in columns, and what they say of jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from ..parsing import Event
from ..parsing.blocks import Block, rows_of
from ..parsing.events import Belonging, Work


class Told(NamedTuple):
    """What an instance says of a job."""

    work: Work
    instance_id: UUID


@dataclass(frozen=True, slots=True)
class Linked:
    """What of a batch goes into the table of events: single events, and others in columns."""

    events: Sequence[Event]
    blocks: Sequence[Block] = ()

    def __len__(self) -> int:
        return len(self.events) + sum(map(len, self.blocks))

    def belongings(self) -> set[Belonging | None]:
        """Where all of these belong, each once."""
        found = {event.belonging for event in self.events}
        for block in self.blocks:
            found.update(block.belongings.values())
        return found

    def works(self) -> set[Work]:
        """Whose work these are, each once."""
        return {event.work for event in self.events}.union(*(block.belongings for block in self.blocks))

    def jobs(self) -> dict[str, Told]:
        """Each job that is named, and what is said of it: with an outcome rather than without, then what was said first.

        In which order the events stand here makes no difference: that depends on what this process has read before.
        """
        told: dict[str, set[Told]] = {}
        for event in self.events:
            work, belonging = event.work, event.belonging
            if work.job is not None and belonging is not None:
                told.setdefault(work.job, set()).add(Told(work, belonging.place.instance_id))
        for block in self.blocks:
            for work, belonging in block.belongings.items():
                if work.job is not None:
                    told.setdefault(work.job, set()).add(Told(work, belonging.place.instance_id))
        if all(len(several) == 1 for several in told.values()):
            return {job: one for job, (one,) in told.items()}
        first = self._first()
        return {
            job: min(several, key=lambda one: (not one.work.outcome, first[one]))
            for job, several in told.items()
        }

    def _first(self) -> dict[Told, tuple[int, bytes]]:
        """When each was said first, and the event that said so."""
        first: dict[Told, tuple[int, bytes]] = {}
        for event in self.events:
            if event.belonging is not None:
                told = Told(event.work, event.belonging.place.instance_id)
                said = event.occurred_us, event.event_id
                first[told] = min(first.get(told, said), said)
        for block in self.blocks:
            times = zip(block.occurred_us.tolist(), rows_of(block.event_ids), strict=True)
            for work, said in zip(block.works, times, strict=True):
                told = Told(work, block.belongings[work].place.instance_id)
                first[told] = min(first.get(told, said), said)
        return first
