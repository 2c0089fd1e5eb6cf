"""The rules of releases: states of a rollout, who gets which version, what drifts between two genomes. Pure."""

from registry.engine.assignment import BUCKETS, bucket, chosen
from registry.engine.channels import moved_to, other_rules
from registry.engine.drift import Drift, drift
from registry.engine.handovers import LONGEST, SHORTEST, WITHIN, Drain, HandoverEnd, may_leave
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
    "LONGEST",
    "OPEN",
    "ROLLOUT_MOVES",
    "SHORTEST",
    "WITHIN",
    "Drain",
    "Drift",
    "Fact",
    "HandoverEnd",
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
    "may_leave",
    "may_move",
    "moved_to",
    "other_rules",
    "plan",
]
