"""The rules of releases: states of a rollout, who gets which version, what drifts between two genomes. Pure."""

from registry.engine.assignment import BUCKETS, bucket, chosen
from registry.engine.drift import Drift, drift
from registry.engine.rollouts import (
    ENDED,
    HELD,
    OPEN,
    ROLLOUT_MOVES,
    Fact,
    Health,
    Plan,
    RolloutState,
    StepState,
    Strategy,
    batches,
    judge,
    may_move,
    plan,
)

__all__ = [
    "BUCKETS",
    "ENDED",
    "HELD",
    "OPEN",
    "ROLLOUT_MOVES",
    "Drift",
    "Fact",
    "Health",
    "Plan",
    "RolloutState",
    "StepState",
    "Strategy",
    "batches",
    "bucket",
    "chosen",
    "drift",
    "judge",
    "may_move",
    "plan",
]
