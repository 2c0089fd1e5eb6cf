"""What stands of suites and runs for a version: for gates, panels and pages."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from arm.outbound import Allowed, read_allowed
from arm.permissions import Actor, visible
from arm.queries import single_handed
from arm.rights import Right
from registry.models import AgentTemplate, AgentVersion

from .lifecycle import LIVE, RunState
from .models import AllowedHost, Assignment, Endpoint, Result, Run, Suite, SuiteVersion
from .scoring import Category, Outcome

NEVER, OUTDATED = "never_run", "outdated"


@dataclass(frozen=True, slots=True)
class Standing:
    """A suite that is assigned to a version's agent, and how its newest run on this genome came out.

    `state`: a RunState, `never_run`, or `outdated` where the suite has changed since.
    """

    assignment: Assignment
    newest: SuiteVersion
    run: Run | None
    state: str

    @property
    def suite(self) -> Suite:
        return self.assignment.suite

    @property
    def passed(self) -> bool:
        return self.state == RunState.PASSED

    @property
    def at(self) -> datetime | None:
        return (self.run.finished_at or self.run.created_at) if self.run else None

    @property
    def sentence(self) -> str:
        """What is missing, for a gate."""
        name = f"“{self.suite}” v{self.newest.number}"
        if self.run is None:
            return f"{name} was never run on this genome."
        if self.state == OUTDATED:
            return f"{name} is newer than what was run (v{self.run.suite_version.number})."
        if self.state in LIVE:
            return f"{name} is still being run ({self.run.done} of {self.run.total})."
        return f"{name} {self.state}: {self.run.said}"


def suites_for(actor: Actor) -> QuerySet[Suite]:
    """The suites that a person may put to something: those they may see, and those that are asked of agents that they may
    see. Who works on one agent only runs its suites, and reads no others."""
    seen = visible(Suite.objects.all(), actor, Right.READ_DIRECTORY)
    asked = visible(Assignment.objects.filter(until=None), actor, Right.READ_DIRECTORY)
    return Suite.objects.filter(Q(pk__in=seen.values("pk")) | Q(pk__in=asked.values("suite")))


def newest_version(suite: Suite) -> SuiteVersion | None:
    return suite.versions.order_by("-number").first()


def assigned(template_id: UUID) -> QuerySet[Assignment]:
    """What is asked of an agent now: mandatory first, then by name."""
    rows = Assignment.objects.filter(template=template_id, until=None).select_related("suite", "template")
    return rows.order_by("-mandatory", "suite__name", "pk")


def standings(version: AgentVersion) -> list[Standing]:
    """Every suite that is assigned to the version's agent, with how it stands for this genome."""
    assignments = list(assigned(version.template_id))
    if not assignments:
        return []
    suites = [one.suite_id for one in assignments]
    newest = {
        row.suite_id: row
        for row in SuiteVersion.objects.filter(suite__in=suites)
        .defer("content")
        .select_related("suite")
        .order_by("suite_id", "-number")
        .distinct("suite_id")
    }
    runs = {row.suite_id: row for row in _latest(version, suites)}
    return [_standing(one, newest[one.suite_id], runs.get(one.suite_id)) for one in assignments]


def _latest(version: AgentVersion, suites: Sequence[UUID]) -> QuerySet[Run]:
    """The newest run of each suite on this genome; cancelled ones say nothing."""
    rows = Run.objects.filter(
        template=version.template_id, genome_digest=version.genome.digest, suite__in=suites
    ).exclude(state=RunState.CANCELLED)
    rows = rows.select_related("suite_version__suite", "version__template").defer("suite_version__content")
    return rows.order_by("suite_id", "-pk").distinct("suite_id")


def _standing(assignment: Assignment, newest: SuiteVersion, run: Run | None) -> Standing:
    if run is None:
        return Standing(assignment, newest, None, NEVER)
    stale = run.suite_version_id != newest.pk and run.state not in LIVE
    return Standing(assignment, newest, run, OUTDATED if stale else run.state)


@dataclass(frozen=True, slots=True)
class Failure:
    """A safety case that has failed on this genome and is not made good."""

    case: str
    run: Run
    weakened_by: str = ""
    """It passes by now, but this person changed it, who built or submitted the version."""


def standing_failures(version: AgentVersion) -> list[Failure]:
    """Safety cases that failed on this genome and were not passed since.

    There is no waiver. A later pass of the same case counts; taking the case out of its suite, or ending the suite's
    assignment, does not undo the failure. Where the case was changed in between, its pass counts only if somebody else
    changed it than who built or submitted the version (in a tenant of one person: anybody).
    """
    about = Result.objects.filter(
        run__template=version.template_id,
        run__genome_digest=version.genome.digest,
        run__suite__category=Category.SAFETY,
        run__state__in=[RunState.PASSED, RunState.FAILED, RunState.ERRORED],
    )
    failed = set(about.filter(outcome=Outcome.FAILED).values_list("run__suite_id", "case"))
    if not failed:
        return []
    rows = about.filter(case__in={case for _, case in failed}).exclude(outcome=Outcome.ERRORED)
    rows = rows.select_related("run__suite_version__created_by", "run__suite").order_by("run_id", "turn")
    told: dict[tuple[UUID, str], list[list[Result]]] = {}
    for row in rows.defer("run__suite_version__content", "verdicts", "excerpt"):
        runs = told.setdefault((row.run.suite_id, row.case), [])
        if not runs or runs[-1][0].run_id != row.run_id:
            runs.append([])
        runs[-1].append(row)
    found = (_failure(version, told[pair]) for pair in sorted(failed, key=str))
    return [one for one in found if one is not None]


def _failure(version: AgentVersion, runs: Sequence[Sequence[Result]]) -> Failure | None:
    bad = [any(row.outcome == Outcome.FAILED for row in rows) for rows in runs]
    last_bad = len(bad) - 1 - bad[::-1].index(True)
    failing, passing = runs[last_bad][0], runs[-1][0]
    if last_bad == len(runs) - 1:
        return Failure(failing.case, failing.run)
    if passing.case_digest == failing.case_digest or single_handed(version.tenant_id):
        return None
    by = passing.run.suite_version.created_by
    took_part = by is not None and by.pk in (version.created_by_id, version.submitted_by_id)
    return Failure(failing.case, failing.run, str(by)) if took_part else None


def endpoint_of(version: AgentVersion) -> Endpoint | None:
    """Where this version answers: its own endpoint, or its agent's."""
    rows = Endpoint.objects.filter(template=version.template_id, until=None)
    own = rows.filter(version=version).first()
    return own or rows.filter(version=None).first()


def allowed_of(tenant_id: UUID) -> Allowed:
    """What this tenant's runs may call although it is not public."""
    entries = AllowedHost.objects.filter(tenant=tenant_id, until=None).values_list("entry", flat=True)
    return read_allowed(entries)


@dataclass(frozen=True, slots=True)
class Summary:
    """How a version stands over all its suites, in one pill: the worst of them."""

    state: str
    passed: int
    total: int
    at: datetime | None


ORDER = (
    RunState.FAILED,
    RunState.ERRORED,
    RunState.RUNNING,
    RunState.QUEUED,
    OUTDATED,
    NEVER,
    RunState.PASSED,
)


def summary(found: Iterable[Standing]) -> Summary | None:
    """None where nothing is assigned."""
    rows = list(found)
    if not rows:
        return None
    worst = min((row.state for row in rows), key=ORDER.index)
    times = [row.at for row in rows if row.at is not None]
    return Summary(worst, sum(row.passed for row in rows), len(rows), max(times, default=None))


def by_state(runs: QuerySet[Run]) -> dict[str, int]:
    """How many of the runs that count now are in which state."""
    rows = runs.counting().order_by()  # type: ignore[attr-defined]
    return dict(rows.values_list("state").annotate(Count("pk")))


def failing(runs: QuerySet[Run], most: int) -> list[Run]:
    """What has come out badly and counts now, the newest first."""
    rows = runs.counting().for_list()  # type: ignore[attr-defined]
    bad = rows.filter(state__in=[RunState.FAILED, RunState.ERRORED])
    return list(bad.defer("suite_version__content")[:most])


def endpoints_of(template: AgentTemplate) -> list[Endpoint]:
    """Where the agent answers: the one of all its versions first, then those of single versions."""
    rows = Endpoint.objects.filter(template=template, until=None).select_related(
        "version__template", "template"
    )
    return sorted(rows, key=lambda row: (row.version is not None, row.version.number if row.version else 0))
