"""What the demo's people govern at the end: approvals, documents, a project, and places that close."""

from datetime import timedelta
from typing import Any, Final

from arm.demo import Demo
from arm.rights import Risk
from registry import services
from registry.lifecycle import VersionState
from registry.models import AgentTemplate, AgentVersion, DeploymentSlot, Provider

from . import genomes
from .promoting import promote

TWO_APPROVE: Final = {Risk.CRITICAL: 2}


def govern(demo: Demo) -> None:
    """Each once, by whoever has the right, in the order in which a quarter ends."""
    _approve(demo)
    _approve_by_one(demo)
    _write_again(demo)
    _gather(demo)
    _close(demo)


def _approve(demo: Demo) -> None:
    """A candidate has its documents made before somebody else approves it; what is critical takes two from now on."""
    by_risk = {risk.value: number for risk, number in TWO_APPROVE.items()}
    services.require_approvals(
        tenant=demo.tenant, by_risk=by_risk, actor=demo.people["judy"], reason="Asked for by the auditors"
    )
    for version in AgentVersion.objects.filter(state=VersionState.CANDIDATE).order_by("pk")[:1]:
        grace = demo.people["grace"]
        services.issue_missing(version=version, actor=grace, reason="Before it is approved")
        services.sign_bom(version=version, actor=grace, reason="The customer asks what is in it")


def _approve_by_one(demo: Demo) -> None:
    """What pays comes as a candidate under the new rule: Erin has approved it, and it waits for a second person."""
    last = AgentVersion.objects.filter(template__risk=Risk.CRITICAL).select_related("template", "created_by")
    parent = last.order_by("-pk").first()
    if parent is None or parent.created_by is None:
        return  # a fleet of few agents pays nothing
    began = demo.now - timedelta(hours=30)
    with demo.at(began):
        version = services.create_version(
            template=parent.template, genome=genomes.genome(demo, parent.template, parent.number), label="2.1.0",
            description="Names the account in each proposal", parents=[parent], actor=parent.created_by, reason="Built by the pipeline",
        )  # fmt: skip
    version = promote(demo, version, VersionState.CANDIDATE, began)
    services.approve_version(
        version=version, actor=demo.people["erin"], reason="Payment runs of a week were compared"
    )


def _write_again(demo: Demo) -> None:
    """Who made a draft works on it: nobody has seen it yet, so it stays the same version."""
    drafts = AgentVersion.objects.filter(state=VersionState.DRAFT, submitted_by=None, label="2.0.0")
    for version in drafts.select_related("template", "created_by").order_by("pk")[:1]:
        again = genomes.genome(demo, version.template, 2, "Ask before you promise a refund.\n")
        by = version.created_by or demo.people["alice"]
        services.save_genome(version=version, genome=again, actor=by, reason="Returns are asked about first")


def _gather(demo: Demo) -> None:
    """What closes the books belongs together, and is charged together from now on."""
    judy = demo.people["judy"]
    project = services.create_project(
        tenant=demo.tenant, slug="quarter-close", name="Quarter close", cost_center="finance", actor=judy,
        reason="The board asks what it costs",
    )  # fmt: skip
    agents = list(AgentTemplate.objects.filter(cost_center="finance").order_by("pk")[:4])
    services.move_agents(
        project=project, agents=agents, actor=demo.people["alice"], reason="They close the books"
    )


def _close(demo: Demo) -> None:
    """A provider whose trial is over closes with its slot; others are allowed by name."""
    judy = demo.people["judy"]
    trial = services.create_provider(
        tenant=demo.tenant, slug="trial-cloud", name="Trial cloud", actor=judy, reason="Tried for a week"
    )
    beside = DeploymentSlot.objects.filter(environment__slug="dev").order_by("pk").first()
    if beside is not None:
        place: dict[str, Any] = {"environment": beside.environment, "role": beside.role, "provider": trial}
        slot = services.create_slot(**place, actor=demo.people["carol"], reason="To try it")
        services.empty_slot(slot=slot, actor=demo.people["carol"], reason="The trial is over", close=True)
    services.close_provider(provider=trial, actor=judy, reason="The trial is over")
    allowed = Provider.objects.filter(closed_at=None).values_list("slug", flat=True)
    services.allow_providers(
        tenant=demo.tenant, providers=allowed, actor=judy, reason="Those with a contract"
    )
