"""What an enforcement attestation must say, check by check. Every check is made; the first that fails names the code."""

from dataclasses import dataclass
from typing import Any

from evidence.signing.dsse import Statement

from .documents import ENFORCEMENT
from .reading import plain


@dataclass(frozen=True, slots=True)
class Check:
    """`code` is what a refusal by this check is called."""

    name: str
    ok: bool
    detail: str
    code: str

    def plain(self) -> dict[str, Any]:
        return {"name": self.name, "ok": self.ok, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Expected:
    """What ARM wants now of the instance that a statement is about."""

    instance_id: str
    generation: int
    sha256: str
    run_state: str
    epoch: int


def subject_instance(statement: Statement) -> str:
    """The instance that the one subject names; '' where the subjects name something else."""
    (name, *more) = statement.subjects
    return name.removeprefix("instances/") if not more and name.startswith("instances/") else ""


def judge(statement: Statement, *, signed: bool, expected: Expected | None, wrong: str = "") -> list[Check]:
    """`expected` None: the instance is unknown at this provider; `wrong`: what the predicate gets wrong. Then nothing
    further can be checked."""
    said = statement.predicate
    checks = [
        Check("signature", signed, "The attest key of this client signed it." if signed else "It is not signed by the attest key of this client.", "signature-invalid"),
        _same("predicate_type", statement.predicate_type, ENFORCEMENT, "predicate-unknown"),
        Check("subject_known", expected is not None, "The instance runs at this provider." if expected else "No instance of this provider is its subject.", "subject-unknown"),
    ]  # fmt: skip
    if checks[1].ok and wrong:
        checks.append(Check("predicate", False, plain(wrong), "predicate-malformed"))
    if expected is None or wrong:
        return checks
    digest = statement.subjects.get(f"instances/{expected.instance_id}", "")
    return [
        *checks,
        _same("epoch", said["adapter"]["epoch"], expected.epoch, "stale-session"),
        _same("generation", said["generation"], expected.generation, "stale-generation"),
        _same("subject_digest", digest, expected.sha256, "digest-mismatch"),
        _same("run_state", said["observed"]["runState"], expected.run_state, "state-mismatch"),
    ]


def first_failure(checks: list[Check]) -> Check | None:
    return next((check for check in checks if not check.ok), None)


def _same(name: str, said: object, wanted: object, code: str) -> Check:
    if said == wanted:
        return Check(name, True, f"It is {_short(wanted)}.", code)
    return Check(name, False, f"It says {_short(said)}; {_short(wanted)} is wanted.", code)


def _short(value: object) -> str:
    """Digests by their first figures, as people compare them; the rest stands in the envelope."""
    text = plain(str(value))[:200]
    return f"{text[:12]}…" if len(text) == 64 else text
