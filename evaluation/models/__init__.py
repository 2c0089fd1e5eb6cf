"""Suites, what they are assigned to, where agents answer, runs and their results, and certifications."""

from .baselines import Baseline
from .certifications import Certification, CertificationType
from .suites import (
    EXCERPT,
    AllowedHost,
    Assignment,
    Endpoint,
    Result,
    Run,
    Suite,
    SuiteVersion,
)

__all__ = [
    "EXCERPT",
    "AllowedHost",
    "Assignment",
    "Baseline",
    "Certification",
    "CertificationType",
    "Endpoint",
    "Result",
    "Run",
    "Suite",
    "SuiteVersion",
]
