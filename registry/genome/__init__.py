"""The genome: one document that says what an agent version is made of. Pure: no database, no clock, no user."""

from registry.genome.checking import Flag, check, completeness, missing, risk_flags, wrong
from registry.genome.comparing import Change, Model, Summary, diff, summary
from registry.genome.kinds import Json
from registry.genome.patching import Operation, patch
from registry.genome.reading import Parsed, pointer, read, unwritable
from registry.genome.schema import NAME, OPTIONAL, PROFILES, REQUIRED, SCHEMA
from registry.genome.sealing import Sealed, normalise, prune, seal

__all__ = [
    "NAME",
    "OPTIONAL",
    "PROFILES",
    "REQUIRED",
    "SCHEMA",
    "Change",
    "Flag",
    "Json",
    "Model",
    "Operation",
    "Parsed",
    "Sealed",
    "Summary",
    "check",
    "completeness",
    "diff",
    "missing",
    "normalise",
    "patch",
    "pointer",
    "prune",
    "read",
    "risk_flags",
    "seal",
    "summary",
    "unwritable",
    "wrong",
]
