"""Suites, runs and certifications."""

import json
from datetime import timedelta
from typing import Any

from arm import clock
from evaluation.models import (
    AllowedHost,
    Assignment,
    Baseline,
    Certification,
    CertificationType,
    Endpoint,
    Result,
    Run,
    Suite,
    SuiteVersion,
)
from evaluation.scoring import read_suite
from registry.models import AgentTemplate, AgentVersion

from .core import _n, _tenant, user


def suite_document(*cases: dict[str, Any], category: str = "regression", **members: Any) -> dict[str, Any]:
    """A suite of one case that looks for “hello” in /output, unless cases are given."""
    scorers = [{"scorer": "contains", "field": "/output", "text": "hello"}]
    usual = {"name": "greets", "input": "Say hello.", "scorers": scorers}
    return {"schema": "arm.suite/v1", "category": category, "cases": list(cases) or [usual]} | members


def suite(slug: str = "", *, document: Any = None, **kw: Any) -> Suite:
    """A suite with one version; of `category`, or of a document."""
    owner = _tenant(kw)
    slug = slug or f"suite-{next(_n)}"
    read = read_suite(document or suite_document(category=kw.pop("category", "regression")))
    row = Suite.objects.create(tenant=owner, slug=slug, **{"name": slug, "category": read.category} | kw)
    suite_version(row, document=json.loads(read.content))
    return row


def suite_version(of: Suite, *, document: Any, **kw: Any) -> SuiteVersion:
    read = read_suite(document)
    return SuiteVersion.objects.create(
        tenant=of.tenant,
        suite=of,
        number=of.versions.count() + 1,
        content=read.content,
        digest=read.digest,
        threshold=read.threshold,
        case_count=len(read.cases),
        **kw,
    )


def assigned(template: AgentTemplate, suite_: Suite | None = None, **kw: Any) -> Assignment:
    """A mandatory suite of the agent."""
    row = suite_ or suite(tenant=template.tenant)
    return Assignment.objects.create(tenant=template.tenant, suite=row, template=template, **kw)


def endpoint(template: AgentTemplate, url: str = "https://agent.example/ask", **kw: Any) -> Endpoint:
    return Endpoint.objects.create(tenant=template.tenant, template=template, url=url, **kw)


def run(version: AgentVersion, suite_: Suite | None = None, state: str = "passed", **kw: Any) -> Run:
    """A run of a suite's newest version that has come out, with a result for each of its calls."""
    of = suite_ or suite(tenant=version.tenant)
    asked = kw.pop("suite_version", None) or of.versions.order_by("-number")[0]
    steps = asked.document.steps
    now = clock.now()
    over = {"finished_at": now, "done": len(steps), "said": f"It {state}."}
    row = Run.objects.create(
        tenant=version.tenant,
        suite=of,
        suite_version=asked,
        template=version.template,
        version=version,
        **{
            "total": len(steps),
            "genome_digest": version.genome.digest,
            "endpoint": "https://agent.example/ask",
            "state": state,
        }
        | ({} if state in ("queued", "running") else over | {"started_at": now})
        | kw,
    )
    if state in ("passed", "failed", "errored"):
        for position, (_, turn) in enumerate(steps):
            result(row, state if position == 0 else "passed", position=position, turn=turn)
    return row


def result(of: Run, outcome: str = "passed", *, position: int = 0, turn: int = 1) -> Result:
    """How one call of a run came out."""
    case, _ = of.suite_version.document.steps[position]
    return Result.objects.create(
        tenant=of.tenant,
        run=of,
        case=case.name,
        case_digest=case.digest,
        turn=turn,
        position=position,
        severity=case.severity,
        outcome=outcome,
        problem="timeout" if outcome == "errored" else "",
    )


def evaluated(version: AgentVersion) -> AgentVersion:
    """Nothing of evaluation stands between the version and Approved: every mandatory suite has passed on it."""
    rows = Assignment.objects.filter(template=version.template, until=None)
    for one in list(rows) or [assigned(version.template)]:
        run(version, one.suite)
    return version


def certification_type(slug: str = "", **kw: Any) -> CertificationType:
    slug = slug or f"cert-{next(_n)}"
    return CertificationType.objects.create(tenant=_tenant(kw), slug=slug, **{"name": slug.title()} | kw)


def certification(of: AgentVersion, kind: CertificationType | None = None, **kw: Any) -> Certification:
    """Valid since now, for a year."""
    now = clock.now()
    defaults = {
        "issued_by": None,
        "valid_from": now,
        "valid_until": now + timedelta(days=365),
        "reason": "test",
    } | kw
    defaults["issued_by"] = defaults["issued_by"] or user(member_of=of.tenant)
    return Certification.objects.create(
        tenant=of.tenant,
        type=kind or certification_type(tenant=of.tenant),
        template=of.template,
        version=of,
        genome_digest=of.genome.digest,
        **defaults,
    )


def evaluations(version: AgentVersion) -> list[Any]:
    """One row of every noun of evaluation."""
    assignment = assigned(version.template)
    ran = run(version, assignment.suite)
    allowed = AllowedHost.objects.create(tenant=version.tenant, entry="agents.internal")
    place = endpoint(version.template)
    vouched = certification(version)
    held = Baseline.objects.create(
        tenant=version.tenant, template=version.template, suite=ran.suite, run=ran, reason="test"
    )
    found = [assignment, assignment.suite, ran.suite_version, ran, ran.results.get(), place, allowed, held]
    return [*found, vouched, vouched.type]
