"""What each suite of a version is held against, and how the version compares."""

from dataclasses import dataclass
from uuid import UUID

from registry.lifecycle import VersionState
from registry.models import AgentVersion

from ..lifecycle import RunState
from ..models import Baseline, Result, Run
from ..scoring.baselines import Compared, cases_of, compare
from . import Standing, standings


@dataclass(frozen=True, slots=True)
class Against:
    """A suite of a version beside its baseline. `compared` is None where there is no baseline, no run that came out, or no
    case in common; `tolerance` is the suite's, a share."""

    standing: Standing
    baseline: Run | None
    pinned: Baseline | None
    compared: Compared | None
    tolerance: float

    @property
    def worse(self) -> bool:
        return self.compared is not None and self.compared.worse(self.tolerance)

    @property
    def sentence(self) -> str:
        """Suite, both scores, difference and tolerance."""
        name = f"“{self.standing.suite}”"
        if self.baseline is None:
            return f"{name} has no baseline yet."
        if self.compared is None:
            return f"{name} has no case in common with its baseline ({self.baseline.version})."
        here, there = self.compared.here, self.compared.baseline
        said = f"{name}: {_percent(here)} here, {_percent(there)} at the baseline ({self.baseline.version}"
        said += ", pinned)" if self.pinned else ")"
        if here >= there:
            return f"{said}."
        return f"{said}: {_points(there - here)} less; the suite tolerates {_points(self.tolerance)}."


def against_baselines(version: AgentVersion) -> list[Against]:
    """Every suite that is assigned to the version's agent."""
    found = standings(version)
    pinned = {
        row.suite_id: row
        for row in Baseline.objects.filter(template=version.template_id, until=None).select_related(
            "run__version__template"
        )
    }
    usual = _of_newest_approved(version)
    return [_against(one, pinned.get(one.assignment.suite_id), usual) for one in found]


def pinned_by(run: Run) -> Baseline | None:
    """The pin in force that names this run."""
    return Baseline.objects.filter(run=run, until=None).first()


def _of_newest_approved(version: AgentVersion) -> dict[UUID, Run]:
    """By suite: the newest run that passed on the newest approved version of another genome."""
    approved = AgentVersion.objects.filter(template=version.template_id, state=VersionState.APPROVED)
    newest = approved.exclude(genome=version.genome_id).select_related("genome").order_by("-number").first()
    if newest is None:
        return {}
    rows = Run.objects.filter(
        template=version.template_id, genome_digest=newest.genome.digest, state=RunState.PASSED
    )
    rows = rows.select_related("version__template").order_by("suite_id", "-pk").distinct("suite_id")
    return {row.suite_id: row for row in rows}


def _against(standing: Standing, pinned: Baseline | None, usual: dict[UUID, Run]) -> Against:
    baseline = pinned.run if pinned else usual.get(standing.assignment.suite_id)
    tolerance = standing.newest.document.tolerance
    run = standing.run
    if baseline is None or run is None or run.live:
        return Against(standing, baseline, pinned, None, tolerance)
    return Against(standing, baseline, pinned, compare(_cases(run), _cases(baseline)), tolerance)


def _cases(run: Run) -> dict[tuple[str, str], bool]:
    return cases_of(Result.objects.filter(run=run).values_list("case", "case_digest", "severity", "outcome"))


def _percent(share: object) -> str:
    return f"{float(share) * 100:.1f}".removesuffix(".0") + " %"  # type: ignore[arg-type]


def _points(share: object) -> str:
    number = f"{float(share) * 100:.1f}".removesuffix(".0")  # type: ignore[arg-type]
    return f"{number} point{'' if number == '1' else 's'}"
