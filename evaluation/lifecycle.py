"""What states a run goes through, and why it was started. Data and pure functions only."""

from datetime import timedelta
from typing import Final

from django.db.models import TextChoices


class RunState(TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    PASSED = "passed", "Passed"
    FAILED = "failed", "Failed"
    ERRORED = "errored", "Errored"
    CANCELLED = "cancelled", "Cancelled"


class Trigger(TextChoices):
    MANUAL = "manual", "By hand"
    SCHEDULED = "scheduled", "On schedule"
    PROMOTION = "promotion", "For a promotion"
    DRIFT = "drift", "After drift"


LIVE: Final = frozenset({RunState.QUEUED, RunState.RUNNING})
"""A run in these states may still be worked on; one per suite, version and genome at a time."""

GRACE: Final = timedelta(seconds=15)
"""How long beyond an answer's deadline a worker may be silent before another one takes the run."""
TRIES: Final = 3
"""How often one case is begun. A case that takes every worker down with it is errored, not begun for ever."""


def live(state: str) -> bool:
    return RunState(state) in LIVE
