"""Writes of evaluation: suites, what they are asked of, where agents answer, and runs."""

from .baselines import end_baseline, pin_baseline
from .certifications import (
    create_certification_type,
    declare_capability,
    expire_certifications,
    issue_certification,
    revoke_certification,
)
from .places import allow_host, end_allowed_host, end_endpoint, set_endpoint
from .runs import (
    Step,
    begin_step,
    cancel_run,
    cancel_runs_of,
    hand_over,
    record_reply,
    scored,
    start_missing,
    start_run,
    wake_stalled,
)
from .suites import assign_suite, create_suite, end_assignment, save_version

__all__ = [
    "Step",
    "allow_host",
    "assign_suite",
    "begin_step",
    "cancel_run",
    "cancel_runs_of",
    "create_certification_type",
    "create_suite",
    "declare_capability",
    "end_allowed_host",
    "end_assignment",
    "end_baseline",
    "end_endpoint",
    "expire_certifications",
    "hand_over",
    "issue_certification",
    "pin_baseline",
    "record_reply",
    "revoke_certification",
    "save_version",
    "scored",
    "set_endpoint",
    "start_missing",
    "start_run",
    "wake_stalled",
]
