"""`registry.sections.EvaluationReports`: every suite that is asked of a version, its runs on this genome and how they came
out, what was measured with which confidence, and who vouches for it."""

from datetime import datetime
from typing import Any

from django.db.models import Max

from arm import clock
from registry.models import AgentVersion
from registry.staffing import score

from .. import queries
from ..models import Certification, Run
from ..scoring.confidence import interval


class Report:
    def report(self, version: AgentVersion) -> dict[str, Any]:
        standings = queries.standings(version)
        runs = list(_runs(version).select_related("suite", "suite_version").defer("suite_version__content"))
        return {
            "suites": [
                {
                    "suiteId": one.suite.typeid,
                    "name": one.suite.name,
                    "category": one.suite.category,
                    "mandatory": one.assignment.mandatory,
                    "version": one.newest.number,
                    "digest": one.newest.digest,
                    "state": one.state,
                    "runId": one.run.typeid if one.run else None,
                }
                for one in standings
            ],
            "runs": [_run(run) for run in runs],
            "certifications": [
                {
                    "id": row.typeid,
                    "type": row.type.slug,
                    "standing": row.standing.value,
                    "validUntil": clock.stamp(row.valid_until) if row.valid_until else None,
                }
                for row in queries.certifications_of(version)
            ],
        }

    def changed_at(self, version: AgentVersion) -> datetime | None:
        told = Certification.objects.filter(
            template=version.template_id, genome_digest=version.genome.digest
        ).aggregate(issued=Max("issued_at"), revoked=Max("revoked_at"))
        times = [_runs(version).aggregate(at=Max("finished_at"))["at"], told["issued"], told["revoked"]]
        return max((at for at in times if at is not None), default=None)


def _runs(version: AgentVersion) -> Any:
    rows = Run.objects.filter(template=version.template_id, genome_digest=version.genome.digest)
    return rows.exclude(finished_at=None).order_by("pk")


def _run(run: Run) -> dict[str, Any]:
    counted = run.passed + run.failed + run.errored
    low, high = interval(run.passed, counted)
    return {
        "id": run.typeid,
        "suiteId": run.suite.typeid,
        "suiteVersion": run.suite_version.number,
        "suiteDigest": run.suite_version.digest,
        "state": run.state,
        "finishedAt": clock.stamp(run.finished_at) if run.finished_at else None,
        "cases": {
            "total": run.suite_version.case_count,
            "passed": run.passed,
            "failed": run.failed,
            "errored": run.errored,
        },
        "score": f"{score(run.passed, run.suite_version.case_count).normalize():f}",
        "confidence95": [f"{100 * low:.1f}", f"{100 * high:.1f}"],
        "resultsDigest": run.results_digest,
        "said": run.said,
    }
