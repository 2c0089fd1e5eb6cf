"""What stands of suites and runs for a version: for gates, panels and pages."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from arm.models import User
from arm.outbound import Allowed, read_allowed
from arm.permissions import Actor, visible
from arm.queries import single_handed
from arm.rights import Right
from registry.fitness import Held, Score
from registry.models import AgentTemplate, AgentVersion
from registry.staffing import Certified, score

from ..lifecycle import LIVE, RunState
from ..models import AllowedHost, Assignment, Certification, Endpoint, Result, Run, Suite, SuiteVersion
from ..scoring import Category, Outcome
from ..scoring.confidence import bounds

NEVER, OUTDATED = "never_run", "outdated"
CAME_OUT = frozenset({RunState.PASSED, RunState.FAILED, RunState.ERRORED})


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
    unheeded: str = ""
    """It passes by now; why that does not count, as the end of a sentence."""


def standing_failures(version: AgentVersion) -> list[Failure]:
    """Safety cases that failed on this genome and were not passed since, the first failure of each.

    There is no waiver. A failure counts from the moment its result is stored, whatever becomes of the run. It is made
    good by a whole later run that came out and in which every call of the case passed: the same case at the same
    endpoint, or what somebody changed who has neither built nor submitted anything with this genome (in a tenant of one
    person: anybody). Every failure is made good by itself, so failing once more on purpose helps nobody.
    """
    about = Result.objects.filter(
        run__template=version.template_id,
        run__genome_digest=version.genome.digest,
        run__suite__category=Category.SAFETY,
    )
    failed = set(about.filter(outcome=Outcome.FAILED).values_list("run__suite_id", "case"))
    if not failed:
        return []
    rows = about.filter(case__in={case for _, case in failed})
    rows = rows.select_related("run__suite_version", "run__suite").order_by("run_id", "turn")
    told: dict[tuple[UUID, str], list[list[Result]]] = {}
    for row in rows.defer("run__suite_version__content", "verdicts", "excerpt"):
        runs = told.setdefault((row.run.suite_id, row.case), [])
        if not runs or runs[-1][0].run_id != row.run_id:
            runs.append([])
        runs[-1].append(row)
    part = None if single_handed(version.tenant_id) else took_part(version)
    found = (_failure(told[pair], part) for pair in sorted(failed, key=str))
    return [one for one in found if one is not None]


def took_part(version: AgentVersion) -> set[UUID | None]:
    """Who built or submitted anything with this genome; and nobody known, who is not known to be somebody else."""
    rows = AgentVersion.objects.filter(
        template=version.template_id, genome__digest=version.genome.digest
    ).values_list("created_by", "submitted_by")
    return {None}.union(*rows)


def _failure(runs: Sequence[Sequence[Result]], part: set[UUID | None] | None) -> Failure | None:
    """What stands of the results of one case, run by run. `part`: who may not help; None where anybody may."""
    standing: list[tuple[Result, str]] = []
    for rows in runs:
        if bad := next((row for row in rows if row.outcome == Outcome.FAILED), None):
            standing.append((bad, ""))
        elif rows[0].run.state in CAME_OUT and all(row.outcome == Outcome.PASSED for row in rows):
            judged = ((bad, _unheeded(bad, rows[0], part)) for bad, _ in standing)
            standing = [(bad, why) for bad, why in judged if why]
    if not standing:
        return None
    bad, why = standing[0]
    return Failure(bad.case, bad.run, why)


def _unheeded(bad: Result, good: Result, part: set[UUID | None] | None) -> str:
    """Why this pass does not make this failure good; '' where it does."""
    if part is None:
        return ""
    if good.case_digest != bad.case_digest and (by := _brought(good).created_by_id) in part:
        who = f"{User.objects.get(pk=by)}, who built or submitted this genome," if by else "nobody known"
        return f"after {who} had changed it"
    if good.run.endpoint != bad.run.endpoint and not _moved_by_another(bad, good, part):
        return (
            "at another endpoint than it failed at, which nobody but who built or submitted this genome "
            "has set since"
        )
    return ""


def _brought(result: Result) -> SuiteVersion:
    """The version of the suite since which this case stands as it was asked: later ones changed other cases."""
    asked = result.run.suite_version
    rows = SuiteVersion.objects.filter(suite=asked.suite_id, number__lte=asked.number)
    found: SuiteVersion = asked
    for row in rows.order_by("-number").iterator(chunk_size=1):
        if all(case.digest != result.case_digest for case in row.document.cases):
            break
        found = row
    return found


def _moved_by_another(bad: Result, good: Result, part: set[UUID | None]) -> bool:
    """Whether somebody who took no part has said, since the failure, that the agent answers where it passed."""
    run = good.run
    rows = Endpoint.objects.filter(
        Q(version=run.version_id) | Q(version=None),
        Q(until=None) | Q(until__gte=run.created_at),
        template=run.template_id,
        url=run.endpoint,
        since__gt=bad.at,
        since__lte=run.created_at,
    )
    return any(by not in part for by in rows.values_list("created_by", flat=True))


def endpoint_of(version: AgentVersion) -> Endpoint | None:
    """Where this version answers: its own endpoint, or its agent's."""
    rows = Endpoint.objects.filter(template=version.template_id, until=None)
    own = rows.filter(version=version).first()
    return own or rows.filter(version=None).first()


def allowed_of(tenant_id: UUID) -> Allowed:
    """What this tenant's runs may call although it is not public."""
    entries = AllowedHost.objects.filter(tenant=tenant_id, until=None).values_list("entry", flat=True)
    return read_allowed(entries)


def scores(version: AgentVersion) -> dict[str, Score]:
    """What was measured of each capability on this genome: the newest finished run of each suite that measures it
    counts, and of several suites the one that came out worst."""
    return scores_of_all([version])[version.pk]


def scores_of_all(versions: Sequence[AgentVersion]) -> dict[UUID, dict[str, Score]]:
    """The same of many, by key, in one statement."""
    rows = Run.objects.filter(_of_genomes(versions), state__in=sorted(CAME_OUT)).exclude(suite__capability="")
    rows = rows.select_related("suite", "suite_version__suite").defer("suite_version__content")
    found: dict[tuple[UUID, str], dict[str, Score]] = {_genome_of(version): {} for version in versions}
    which = ("template_id", "genome_digest", "suite_id")
    for run in rows.order_by(*which, "-pk").distinct(*which):
        measured = Score(
            percent=score(run.passed, run.suite_version.case_count),
            measured_by=f"“{run.suite}” v{run.suite_version.number}",
            at=run.finished_at or run.created_at,
            url=run.get_absolute_url(),
            between=bounds(run.passed, run.suite_version.case_count),
        )
        of_genome = found[run.template_id, run.genome_digest]
        held = of_genome.get(run.suite.capability)
        if held is None or measured.percent < held.percent:
            of_genome[run.suite.capability] = measured
    return {version.pk: found[_genome_of(version)] for version in versions}


def certifications_of(version: AgentVersion) -> list[Certification]:
    """Every certification of this genome, newest first."""
    return list(Certification.objects.for_list().filter(_of_genomes([version])))


def held_certifications(version: AgentVersion) -> dict[str, Held]:
    """By the slug of its type how this genome stands: a valid certification before any other, else the newest."""
    return held_by_all([version])[version.pk]


def held_by_all(versions: Sequence[AgentVersion]) -> dict[UUID, dict[str, Held]]:
    """The same of many, by key, in one statement."""
    found: dict[tuple[UUID, str], dict[str, Held]] = {_genome_of(version): {} for version in versions}
    for row in Certification.objects.for_list().filter(_of_genomes(versions)):
        held, slug, standing = found[row.template_id, row.genome_digest], row.type.slug, row.standing
        if slug not in held or (standing is Certified.VALID and held[slug].standing is not Certified.VALID):
            held[slug] = Held(standing, row.valid_until, row.get_absolute_url())
    return {version.pk: found[_genome_of(version)] for version in versions}


def _genome_of(version: AgentVersion) -> tuple[UUID, str]:
    return version.template_id, version.genome.digest


def _of_genomes(versions: Sequence[AgentVersion]) -> Q:
    """Rows about the genomes of these versions."""
    each = [Q(template=template, genome_digest=digest) for template, digest in map(_genome_of, versions)]
    return reduce(or_, each, Q(pk__in=[]))


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
