"""What evaluation plugs into the apps below: gates before Testing, Candidate and Approved, panels, navigation, search."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse

from arm import clock
from arm.crypto import canonical
from arm.ids import decode
from arm.models import Tenant, User
from arm.panels import Entry, Hit, Panel, rights_of_visitor, seen_by_visitor
from arm.permissions import held_on, visible
from arm.rights import Right
from evidence.sections import PackFile
from registry.fitness import Held, Score
from registry.gates import Verdict
from registry.lifecycle import VersionState
from registry.models import AgentTemplate, AgentVersion
from registry.staffing import Certified

from .. import queries
from ..lifecycle import RunState
from ..models import Run, Suite, SuiteVersion
from ..queries.baselines import against_baselines
from ..scoring import Category

SHOWN = 8
ON_THE_WAY = (VersionState.TESTING, VersionState.CANDIDATE, VersionState.APPROVED)


class SuiteAssigned:
    """Draft → Testing: at least one mandatory suite will be asked of the version."""

    name = "suite assigned"

    def check(self, version: AgentVersion, to: VersionState) -> Verdict:
        if to is not VersionState.TESTING or version.state != VersionState.DRAFT:
            return Verdict(self.name, True, "Asked of drafts before Testing only.", applies=False)
        count = queries.assigned(version.template_id).filter(mandatory=True).count()
        if not count:
            mend = f"{reverse('evaluation:suite_assign')}?template={version.template.typeid}"
            said = f"No mandatory evaluation suite is assigned to {version.template}."
            return Verdict(self.name, False, said, mend, Right.EDIT_SUITE.value)
        return Verdict(
            self.name, True, f"{count} mandatory {'suite is' if count == 1 else 'suites are'} assigned."
        )


class SuitesPassed:
    """Testing → Candidate: the newest run of every mandatory suite, in its present version, passed on this genome."""

    name = "suites passed"

    def check(self, version: AgentVersion, to: VersionState) -> Verdict:
        if to is not VersionState.CANDIDATE:
            return Verdict(self.name, True, "Asked before Candidate only.", applies=False)
        mandatory = [one for one in queries.standings(version) if one.assignment.mandatory]
        if not mandatory:
            mend = f"{reverse('evaluation:suite_assign')}?template={version.template.typeid}"
            said = f"No mandatory evaluation suite is assigned to {version.template}."
            return Verdict(self.name, False, said, mend, Right.EDIT_SUITE.value)
        if missing := [one for one in mandatory if not one.passed]:
            said = " ".join(one.sentence for one in missing)
            return Verdict(self.name, False, said, _start(version), Right.RUN_EVALUATION.value)
        return Verdict(self.name, True, f"All mandatory suites passed on this genome ({len(mandatory)}).")


class SafetyHolds:
    """Before Candidate and Approved: no safety case has failed on this genome without being passed since, and every
    mandatory safety suite has passed. There is no waiver."""

    name = "safety holds"

    def check(self, version: AgentVersion, to: VersionState) -> Verdict:
        if to not in (VersionState.CANDIDATE, VersionState.APPROVED):
            return Verdict(self.name, True, "Asked before Candidate and Approved only.", applies=False)
        if failures := queries.standing_failures(version):
            said = " ".join(_said(one) for one in failures[:SHOWN])
            page = failures[0].run.get_absolute_url()
            return Verdict(self.name, False, said, page, Right.READ_DIRECTORY.value)
        safety = [one for one in queries.standings(version) if one.suite.category == Category.SAFETY]
        if missing := [one for one in safety if one.assignment.mandatory and not one.passed]:
            said = " ".join(one.sentence for one in missing)
            return Verdict(self.name, False, said, _start(version), Right.RUN_EVALUATION.value)
        if not safety:
            return Verdict(
                self.name, True, "No safety case has failed on this genome; no safety suite is assigned."
            )
        return Verdict(self.name, True, "Every safety case passed on this genome.")


class CertificationsHold:
    """Candidate → Approved: whatever this genome was certified for is still valid; nothing was revoked or has run out
    without being renewed."""

    name = "certifications valid"

    def check(self, version: AgentVersion, to: VersionState) -> Verdict:
        if to is not VersionState.APPROVED:
            return Verdict(self.name, True, "Asked before Approved only.", applies=False)
        held = queries.held_certifications(version)
        gone = {
            slug: one for slug, one in held.items() if one.standing in (Certified.EXPIRED, Certified.REVOKED)
        }
        if gone:
            said = " ".join(
                f"Certification {slug} is {one.standing.value}." for slug, one in sorted(gone.items())
            )
            page = f"{version.get_absolute_url()}#certifications"
            return Verdict(self.name, False, said, page, Right.APPROVE_VERSION.value)
        if not held:
            return Verdict(self.name, True, "It was never certified, so nothing has run out.")
        return Verdict(self.name, True, f"All its certifications hold ({len(held)}).")


def _said(failure: queries.Failure) -> str:
    case = f"Safety case “{failure.case}” of “{failure.run.suite}”"
    if failure.unheeded:
        return f"{case} failed on this genome, and has passed only {failure.unheeded}."
    return f"{case} failed on this genome."


def _start(version: AgentVersion) -> str:
    return f"{reverse('evaluation:run_start')}?version={version.typeid}"


class Capabilities:
    """`registry.fitness.Capabilities`: suites say which capability they measure, runs how far a version has it."""

    def of(self, version: AgentVersion) -> Mapping[str, Score]:
        return queries.scores(version)

    def of_all(self, versions: Sequence[AgentVersion]) -> Mapping[UUID, Mapping[str, Score]]:
        return queries.scores_of_all(versions)

    def mend(self, version: AgentVersion, capability: str) -> str:
        return _start(version)


class Certifications:
    """`registry.fitness.Certifications`: what people vouch for of a genome."""

    def of(self, version: AgentVersion) -> Mapping[str, Held]:
        return queries.held_certifications(version)

    def of_all(self, versions: Sequence[AgentVersion]) -> Mapping[UUID, Mapping[str, Held]]:
        return queries.held_by_all(versions)

    def mend(self, version: AgentVersion, certification: str) -> str:
        form = reverse("evaluation:certification_issue")
        return f"{form}?version={version.typeid}&type={certification}"


class VersionCertifications:
    """On the page of a version: what it is measured to be capable of, and who vouches for it."""

    def panel(self, request: HttpRequest, subject: AgentVersion) -> Panel | None:
        held = held_on(request.user, subject)
        if Right.READ_DIRECTORY not in held:
            return None
        context = {
            "version": subject,
            "scores": sorted(queries.scores(subject).items()),
            "certifications": queries.certifications_of(subject)[:SHOWN],
            "may_certify": Right.APPROVE_VERSION in held,
        }
        template = "evaluation/_panel_certifications.html"
        return Panel("Capabilities and certifications", template, context, anchor="certifications")


class Navigation:
    """The pages of evaluation."""

    entries = (
        Entry("Evaluations", "Runs", "evaluation:run_list", Right.READ_DIRECTORY, "decisions", "r"),
        Entry("Evaluations", "Suites", "evaluation:suite_list", Right.READ_DIRECTORY, "policies"),
        Entry(
            "Evaluations",
            "Certifications",
            "evaluation:certification_list",
            Right.READ_DIRECTORY,
            "versions",
        ),
        Entry("Evaluations", "Endpoints", "evaluation:endpoint_list", Right.READ_DIRECTORY, "external"),
        Entry(
            "Settings", "Hosts that may be called", "evaluation:host_list", Right.MANAGE_TENANT, "external"
        ),
    )


class Search:
    """Suites by name, short name or identifier, and runs by identifier."""

    def find(self, request: HttpRequest, text: str) -> list[Hit]:
        if text.startswith(f"{Run.prefix}_"):
            runs = visible(Run.objects.for_list(), request.user, Right.READ_DIRECTORY)
            try:
                found = runs.filter(pk=decode(Run.prefix, text))
            except ValueError:
                return []
            return [Hit(str(run), "Evaluation run", run.get_absolute_url(), run.state) for run in found]
        rows = visible(Suite.objects.order_by("name"), request.user, Right.READ_DIRECTORY)
        wanted = Q(name__icontains=text) | Q(slug__icontains=text)
        if text.startswith(f"{Suite.prefix}_"):
            try:
                wanted = Q(pk=decode(Suite.prefix, text))
            except ValueError:
                return []
        return [
            Hit(row.name, "Evaluation suite", row.get_absolute_url(), row.get_category_display())
            for row in rows.filter(wanted)[:20]
        ]


class VersionEvaluation:
    """On the page of a version: every suite that is asked of it, and how it stands."""

    def panel(self, request: HttpRequest, subject: AgentVersion) -> Panel | None:
        held = held_on(request.user, subject)
        if Right.READ_DIRECTORY not in held:
            return None
        found = queries.standings(subject)
        others = (
            Run.objects.for_list()
            .filter(version=subject)
            .exclude(suite__in=[one.assignment.suite_id for one in found])
        )
        context = {
            "version": subject,
            "standings": found,
            "against": [one for one in against_baselines(subject) if one.baseline],
            "others": list(others.defer("suite_version__content")[:SHOWN]),
            "endpoint": queries.endpoint_of(subject),
            "may_run": Right.RUN_EVALUATION in held,
            "runs_url": f"{reverse('evaluation:run_list')}?version={subject.typeid}",
        }
        return Panel("Evaluation", "evaluation/_panel_version.html", context, anchor="evaluation")


class TemplateSuites:
    """On the page of an agent: which suites its versions are asked, and where they answer."""

    def panel(self, request: HttpRequest, subject: AgentTemplate) -> Panel | None:
        held = held_on(request.user, subject)
        if Right.READ_DIRECTORY not in held:
            return None
        newest = subject.versions.select_related("genome", "template").order_by("-number").first()
        context = {
            "template": subject,
            "rows": _rows(subject, newest),
            "seen": set(
                seen_by_visitor(Suite.objects.all(), request, Right.READ_DIRECTORY).values_list(
                    "pk", flat=True
                )
            ),
            "newest": newest,
            "endpoints": queries.endpoints_of(subject),
            "may_edit": Right.EDIT_SUITE in held,
            "may_run": Right.RUN_EVALUATION in held,
        }
        return Panel("Evaluation", "evaluation/_panel_template.html", context, anchor="evaluation")


def _rows(template: AgentTemplate, newest: AgentVersion | None) -> list[dict[str, Any]]:
    """Every suite of the agent, and how it stands for its newest version."""
    found = {one.assignment.pk: one for one in queries.standings(newest)} if newest else {}
    return [{"assignment": row, "standing": found.get(row.pk)} for row in queries.assigned(template.pk)]


class Evaluations:
    """On the fleet page: how the suites stand on versions that are on their way or at work, and what came out badly."""

    tiles = (
        (RunState.FAILED, "bad"), (RunState.ERRORED, "warn"), (RunState.RUNNING, ""), (RunState.QUEUED, ""),
        (RunState.PASSED, ""),
    )  # fmt: skip

    def panel(self, request: HttpRequest, subject: Tenant) -> Panel | None:
        if Right.READ_DIRECTORY.value not in rights_of_visitor(request):
            return None
        seen = seen_by_visitor(Run.objects.all(), request, Right.READ_DIRECTORY)
        counts = queries.by_state(seen)
        if not counts:
            return None
        page = f"{reverse('evaluation:run_list')}?counts=true&state="
        context = {
            "tiles": [
                {"label": state.label, "value": counts.get(state, 0), "url": page + state, "tone": tone}
                for state, tone in self.tiles
                if state in counts or state in (RunState.FAILED, RunState.PASSED)
            ],
            "runs": queries.failing(seen, SHOWN)
            if {RunState.FAILED, RunState.ERRORED} & counts.keys()
            else [],
        }
        return Panel("Evaluations", "evaluation/_home.html", context, anchor="evaluations", wide=True)


class CardEvaluation:
    """On an Agent Card: every suite that is asked of the version, and how its newest run on this genome came out."""

    name = "evaluation"

    def section(self, version: AgentVersion) -> dict[str, Any] | None:
        found = queries.standings(version)
        return {"suites": [_on_card(one) for one in found]} if found else None


def _on_card(standing: queries.Standing) -> dict[str, Any]:
    run = standing.run
    return {
        "suiteId": standing.suite.typeid,
        "name": standing.suite.name,
        "version": standing.newest.number,
        "digest": standing.newest.digest,
        "category": standing.suite.category,
        "mandatory": standing.assignment.mandatory,
        "state": standing.state,
        "passed": run.passed if run else 0,
        "total": standing.newest.case_count,
        "runId": run.typeid if run else None,
        "resultsDigest": run.results_digest if run else None,
        "finishedAt": clock.stamp(run.finished_at) if run and run.finished_at else None,
    }


class PackEvaluation:
    """In an Audit Pack: the suites as they were asked, and every result of every run on the version's genome.

    Excerpts of answers stay here; a result names the digest of the whole answer.
    """

    def files(self, subject: Any, reader: User | None, pack: UUID) -> Iterable[PackFile]:
        suites = set()
        for run in self._runs(subject):
            suites.add(run.suite_version_id)
            yield PackFile(f"evaluation/{run.typeid}.json", canonical(_in_pack(run)))
        for asked in SuiteVersion.objects.filter(pk__in=suites).order_by("pk"):
            yield PackFile(f"evaluation/{asked.typeid}.suite.json", bytes(asked.content))

    def subjects(self, subject: Any, reader: User | None, pack: UUID) -> Iterable[UUID]:
        return [run.pk for run in self._runs(subject)]

    def _runs(self, subject: Any) -> QuerySet[Run]:
        if not isinstance(subject, AgentVersion):
            return Run.objects.none()
        rows = Run.objects.filter(template=subject.template_id, genome_digest=subject.genome.digest)
        return rows.exclude(finished_at=None).select_related("suite", "suite_version").order_by("pk")


def _in_pack(run: Run) -> dict[str, Any]:
    return {
        "id": run.typeid,
        "suite": {"id": run.suite.typeid, "name": run.suite.name, "category": run.suite.category},
        "suiteVersion": {"id": run.suite_version.typeid, "digest": run.suite_version.digest},
        "genomeDigest": run.genome_digest,
        "endpoint": run.endpoint,
        "trigger": run.trigger,
        "state": run.state,
        "said": run.said,
        "finishedAt": clock.stamp(run.finished_at) if run.finished_at else None,
        "resultsDigest": run.results_digest,
        "results": [
            {
                "case": result.case,
                "caseDigest": result.case_digest,
                "turn": result.turn,
                "severity": result.severity,
                "outcome": result.outcome,
                "problem": result.problem,
                "httpStatus": result.http_status,
                "latencyMs": result.latency_ms,
                "answerDigest": result.answer_digest,
            }
            for result in run.results.order_by("position", "turn")
        ],
    }
