"""The words of evaluation: what kind of suite, how grave a case, how it came out."""

from typing import Final

from django.db.models import TextChoices

SCHEMA: Final = "arm.suite/v1"


class Category(TextChoices):
    REGRESSION = "regression", "Regression"
    CAPABILITY = "capability", "Capability"
    SAFETY = "safety", "Safety"


class Severity(TextChoices):
    """What a case that does not pass means: a blocker fails the run, a warning counts against the threshold, an info is
    reported only. In a safety suite every case has to pass, whatever its severity."""

    BLOCKER = "blocker", "Blocker"
    WARNING = "warning", "Warning"
    INFO = "info", "Info"


class Outcome(TextChoices):
    """Errored: nobody knows how the agent would have answered. It counts as not passed."""

    PASSED = "passed", "Passed"
    FAILED = "failed", "Failed"
    ERRORED = "errored", "Errored"
