"""Whether a version is worse than what its agent is held against. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from .terms import Outcome, Severity

Cases = Mapping[tuple[str, str], bool]
"""(name, digest) of every case that counts, and whether all its calls passed."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Shares of the cases that both runs asked, `cases` of them."""

    here: Fraction
    baseline: Fraction
    cases: int

    def worse(self, tolerance: float) -> bool:
        """Whether less has passed than the baseline and the suite's tolerance (a share) allow; exactly as much less is not."""
        return self.baseline - self.here > Fraction(str(tolerance))


def cases_of(results: Iterable[tuple[str, str, str, str]]) -> dict[tuple[str, str], bool]:
    """Of (case, digest, severity, outcome) of every call. Cases that only inform do not count."""
    found: dict[tuple[str, str], bool] = {}
    for case, digest, severity, outcome in results:
        if severity != Severity.INFO:
            key = (case, digest)
            found[key] = found.get(key, True) and outcome == Outcome.PASSED
    return found


def compare(here: Cases, baseline: Cases) -> Compared | None:
    """None where the two have no case in common."""
    both = here.keys() & baseline.keys()
    if not both:
        return None
    return Compared(
        Fraction(sum(here[key] for key in both), len(both)),
        Fraction(sum(baseline[key] for key in both), len(both)),
        len(both),
    )
