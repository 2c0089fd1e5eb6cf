"""What a suite is and how answers are held to it. Pure: no database, no clock, no network."""

from .documents import DEADLINE, MOST_CASES, Case, Suite, problems, read_suite, stored_suite
from .scorers import COMPARISONS, SCORERS, Verdict, score
from .terms import SCHEMA, Category, Outcome, Severity
from .values import count, short
from .verdicts import Judgement, judge
from .watch import OutOfTime

__all__ = [
    "COMPARISONS",
    "DEADLINE",
    "MOST_CASES",
    "SCHEMA",
    "SCORERS",
    "Case",
    "Category",
    "Judgement",
    "OutOfTime",
    "Outcome",
    "Severity",
    "Suite",
    "Verdict",
    "count",
    "judge",
    "problems",
    "read_suite",
    "score",
    "short",
    "stored_suite",
]
