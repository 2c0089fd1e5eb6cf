"""Deciding, purely: no query, no clock, no user. What it may not know comes in as facts with their age."""

from policy.engine.compiler import SCHEMA, compile_envelope
from policy.engine.content import ContentInvalid, Problem
from policy.engine.envelope import Envelope, meet
from policy.engine.evaluate import MAX_AGE, action_digest, evaluate
from policy.engine.posture import Column, Exit, Mode, is_restriction
from policy.engine.risk import CATALOGUE, Catalogue, Overlay, ToolClass
from policy.engine.scan import redact
from policy.engine.standing import Facts, InForce, Standing
from policy.engine.terms import (
    Access,
    Action,
    Approval,
    Breach,
    Count,
    DataUse,
    Effect,
    Estimate,
    LimitKey,
    Loop,
    LoopKey,
    Per,
    Reason,
    Request,
    Risk,
    SpawnFacts,
    SpawnRequest,
    Terms,
    Unit,
    Verdict,
)
from policy.engine.tiers import TIERS, TierOverlay

__all__ = [
    "CATALOGUE",
    "MAX_AGE",
    "SCHEMA",
    "TIERS",
    "Access",
    "Action",
    "Approval",
    "Breach",
    "Catalogue",
    "Column",
    "ContentInvalid",
    "Count",
    "DataUse",
    "Effect",
    "Envelope",
    "Estimate",
    "Exit",
    "Facts",
    "InForce",
    "LimitKey",
    "Loop",
    "LoopKey",
    "Mode",
    "Overlay",
    "Per",
    "Problem",
    "Reason",
    "Request",
    "Risk",
    "SpawnFacts",
    "SpawnRequest",
    "Standing",
    "Terms",
    "TierOverlay",
    "ToolClass",
    "Unit",
    "Verdict",
    "action_digest",
    "compile_envelope",
    "evaluate",
    "is_restriction",
    "meet",
    "redact",
]
