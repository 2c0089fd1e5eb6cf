"""The main flow as one story, in a real browser against a real server, worker and database: a file becomes an agent, its version is
built by one, put forward by another and approved by a third, tried as a canary, found bad, and rolled back; and whoever asks
afterwards has the answer in three clicks."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from arm import clock, db, tasks
from arm.models import ChangeRecord
from evaluation import services as evaluation
from evaluation.models import Run
from registry import services
from registry.lifecycle import InstanceState
from registry.models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    DeploymentSlot,
    InstanceStatus,
    Rollback,
    Rollout,
)
from telemetry.models import Incident
from telemetry.services import open_incident
from tests import make
from tests.browser.conftest import House, Open, Visitor
from tests.browser.worker import worker
from tests.hostile import Hostile, hostile
from tests.registry.genomes import example, tool

pytestmark = pytest.mark.browser
ACCEPTED = "Why breaking differences are accepted"
SOON = 60_000
"""Milliseconds within which the worker has done what a page waits for."""


@pytest.fixture
def agent() -> Iterator[Hostile]:
    """The agent's own endpoint: a real server that answers what it is asked."""
    with hostile() as server:
        server.answer = lambda asked: {"output": "hello"}
        yield server


@pytest.fixture
def work(committed: None, tmp_path: Path) -> Iterator[None]:
    with worker(tmp_path / "worker.log"):
        yield


@dataclass
class Places:
    """One role in two channels."""

    dev: DeploymentSlot
    prod: DeploymentSlot


@pytest.fixture
def places(house: House, agent: Hostile) -> Places:
    with db.tenants([house.tenant.pk]):
        make.bound(house.tenant)  # a policy for everything that runs here
        make.suite(f"manners-{house.tenant.slug}", name="Manners", tenant=house.tenant)
        evaluation.allow_host(
            tenant=house.tenant, entry="127.0.0.1", actor=house.root, reason="The agent is here"
        )
        role = make.role(f"clerk-{house.tenant.slug}", name="Clerk", tenant=house.tenant)
        prod = house.instance.environment
        dev = make.environment("dev", name="Development", tenant=house.tenant, position=prod.position - 1)
        return Places(
            *(
                make.slot(environment=place, role=role, provider=house.instance.provider)
                for place in (dev, prod)
            )
        )


@dataclass
class Clicks:
    """Counts every click that somebody needs to get somewhere."""

    page: Page
    done: int = field(default=0)

    def on(self, link: Locator) -> None:
        self.done += 1
        link.click()


def say(visitor: Visitor, reason: str, button: str) -> None:
    """Fill in why, and press the form's button."""
    visitor.page.get_by_label("Reason").fill(reason)
    visitor.page.locator("#content").get_by_role("button", name=button, exact=True).click()


def send(visitor: Visitor, rows: str) -> None:
    page = visitor.goto("/registry/imports/new/")
    file = {"name": "agents.csv", "mimeType": "text/csv", "buffer": rows.encode()}
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Check it").click()


def move(visitor: Visitor, version: AgentVersion, to: str, reason: str, accepted: str = "") -> None:
    visitor.goto(f"{version.get_absolute_url()}move/?to={to}")
    if accepted:
        visitor.page.get_by_label(ACCEPTED).fill(accepted)
    say(visitor, reason, "Move")


def wait_until(visitor: Visitor, path: str, words: str) -> None:
    """Open the page anew until it says so: the worker is at it."""
    until = clock.now().timestamp() + SOON / 1000
    while visitor.goto(path).get_by_text(words).count() == 0:
        assert clock.now().timestamp() < until, visitor.page.locator("#content").inner_text()
        visitor.page.wait_for_timeout(300)


def at_work(slot: DeploymentSlot, version: AgentVersion, house: House) -> list[AgentInstance]:
    """Those of the version in the slot have been heard of, and are let to work."""
    rows = AgentInstance.objects.filter(slot=slot, version=version, state=InstanceState.PROVISIONING)
    InstanceStatus.objects.filter(instance__in=rows).update(telemetry_at=clock.now())
    return [
        services.move_instance(
            instance=one, to=InstanceState.ACTIVE, actor=house.root, reason="Telemetry is linked"
        )
        for one in rows
    ]


def test_from_an_imported_file_to_the_rollback_and_the_answer_in_three_clicks(
    window: Open, house: House, places: Places, agent: Hostile, work: None
) -> None:
    # Alice may approve in general. What she has built she may not.
    alice, rita, erin, dan, judy = (window() for _ in range(5))
    alice.sign_in(house.hire("alice", "author", "approver"))
    rita.sign_in(house.hire("rita", "release_manager"))
    erin.sign_in(house.hire("erin", "approver"))
    dan_himself = house.hire("dan", "fleet_operator")
    dan.sign_in(dan_himself)
    judy.sign_in(house.hire("judy", "grc_analyst"))

    # --- a table of agents, tried before anything of it is stored --------------------------------------------
    send(alice, "slug,name,risk\nrefunds,Refunds,low\nletters,Letters,enormous\n")
    expect(alice.page.get_by_text("Nothing of this table is applied")).to_be_visible()
    expect(alice.page.get_by_role("row").filter(has_text="letters")).to_contain_text("risk")
    send(alice, "slug,name,risk\nrefunds,Refunds,low\nletters,Letters,low\n")
    expect(alice.page.get_by_text("Nothing is stored yet")).to_be_visible()
    with db.tenants([house.tenant.pk]):
        assert not AgentTemplate.objects.filter(slug="refunds").exists()
    alice.page.locator(".page-actions").get_by_role("link", name="Apply").click()
    say(alice, "The refunds desk begins", "Apply")
    expect(alice.page.get_by_text("All 2 rows are applied.")).to_be_visible()

    # --- what ran before: the first version, in both channels ------------------------------------------------
    with db.tenants([house.tenant.pk]):
        refunds = AgentTemplate.objects.get(slug="refunds")
        old = make.approved(template=refunds)
        evaluation.set_endpoint(
            template=refunds, url=f"{agent.url}/good", actor=house.root, reason="Where it answers"
        )
        for slot in (places.dev, places.prod):
            services.bind_slot(slot=slot, version=old, actor=house.root, reason="The first one")
        services.set_owners(
            template=refunds, owners=[dan_himself], actor=house.root, reason="He answers for it"
        )
        for number in (1, 2):
            services.provision_instance(
                version=old, environment=places.prod.environment, provider=places.prod.provider, slot=places.prod,
                name=f"refunds-{number}", actor=house.root, reason="Capacity",
            )  # fmt: skip
        assert len(at_work(places.prod, old, house)) == 2
    before = clock.now()

    # --- a version with its genome, and what it lacks -------------------------------------------------------
    page = alice.goto(refunds.get_absolute_url())
    page.locator(".page-actions").get_by_role("link", name="New version").click()
    document = example(template=refunds.typeid, tools=[tool("search"), tool("wire_transfer", risk="RED")])
    page.get_by_label("File").set_input_files(
        {"name": "genome.json", "mimeType": "application/json", "buffer": json.dumps(document).encode()}
    )
    say(alice, "Built last night", "Import")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Refunds v2")
    with db.tenants([house.tenant.pk]):
        new = AgentVersion.objects.select_related("genome", "template").get(template=refunds, number=2)
    here = new.get_absolute_url()
    expect(page.locator(f"[title*='{new.genome.digest}']").first).to_be_visible()
    missing = page.locator("#missing")
    expect(missing).to_contain_text("Before it can be Testing: 1 missing")
    missing.get_by_role("link", name="Mend: suite assigned").click()
    page.get_by_label("Suite").select_option(label="Manners")
    say(alice, "Whoever talks to customers is polite", "Assign")
    alice.goto(here)
    expect(missing).to_contain_text("Nothing stands between it and Testing")

    # --- evaluated by the worker, at the agent's own endpoint ------------------------------------------------
    move(alice, new, "testing", "Try it")
    wait_until(alice, here, "All mandatory suites passed on this genome")
    expect(missing).to_contain_text("Before it can be Candidate: 1 missing")
    expect(missing).to_contain_text("The tool wire_transfer is new (RED).")
    with db.tenants([house.tenant.pk]):
        run = Run.objects.get(version=new)
        assert (run.state, run.genome_digest) == ("passed", new.genome.digest)
    assert [one["input"] for one in agent.asked] == ["Say hello."]

    # --- two people let it on, and its builder is neither of them --------------------------------------------
    why = "Refunds are paid by it from now on"
    move(rita, new, "candidate", "The runs were read", accepted=why)
    expect(rita.page.get_by_text("The version was moved.")).to_be_visible()
    move(alice, new, "approved", "It is good, I made it")
    expect(alice.page.get_by_text("somebody else approves it").first).to_be_visible()
    move(erin, new, "approved", "Read and agreed")
    expect(erin.page.get_by_text("The version was moved.")).to_be_visible()
    with db.tenants([house.tenant.pk]):
        moved = ChangeRecord.objects.about(new).filter(verb="registry.version.moved").order_by("at")
        assert [row.actor_label.split("-")[0].lower() for row in moved] == ["alice", "rita", "erin"]

    # --- no way around the channel before; then a canary in production ---------------------------------------
    rita.goto(f"{places.prod.get_absolute_url()}bind/?version={new.typeid}")
    say(rita, "Straight to production", "Bind")
    expect(rita.page.get_by_text("was never bound for Clerk in Development").first).to_be_visible()
    rita.goto(f"{places.dev.get_absolute_url()}bind/?version={new.typeid}")
    rita.page.get_by_label(ACCEPTED).fill(why)
    say(rita, "To development first", "Bind")
    expect(rita.page.get_by_text("The slot is bound.")).to_be_visible()

    page = rita.goto(places.prod.get_absolute_url())
    page.get_by_role("link", name="Roll out a version").click()
    page.get_by_label("Version").fill(new.typeid)
    page.get_by_label("Shares of a canary").fill("50, 100")
    page.get_by_label("Bake time").fill("0")
    say(rita, "Better answers", "Plan")
    page.locator(".page-actions").get_by_role("link", name="Start").click()
    say(rita, "Agreed", "Start")
    expect(page.get_by_text("wire_transfer").first).to_be_visible()  # a new red tool needs its own reason
    page.get_by_label(ACCEPTED).fill(why)
    say(rita, "Agreed", "Start")
    expect(page.get_by_text("The rollout has begun.")).to_be_visible()
    rita.goto("/registry/channels/")
    expect(page.get_by_text(f"{new}, 50 %")).to_be_visible()

    # --- the worker finds the first step healthy and binds; then it goes bad and the worker stops it ----------
    with db.tenants([house.tenant.pk]):
        rollout = Rollout.objects.get(version=new)
        (canary,) = at_work(places.prod, new, house)
        for _ in range(6):  # that many calls went well: fewer say nothing
            make.event(canary)
        tasks.enqueue("registry.tasks.advance", tenant_id=house.tenant.pk)  # as its clock does every 15 s
    wait_until(rita, rollout.get_absolute_url(), "Passed")
    with db.tenants([house.tenant.pk]):
        places.prod.refresh_from_db()
        assert places.prod.current_version == new
        at_work(places.prod, new, house)
        between = clock.now()
        incident = open_incident(
            kind="quality_regression", severity="s2", title="Pays refunds twice", subject=canary, actor=dan_himself,
            note="Two customers called.",
        )  # fmt: skip
        tasks.enqueue("registry.tasks.advance", tenant_id=house.tenant.pk)
    wait_until(rita, rollout.get_absolute_url(), "Step 2 is unhealthy")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Paused")
    expect(page.locator("#health")).to_contain_text("Unhealthy")

    # --- what a rollback would do, on a telephone, and one click ---------------------------------------------
    phone = window(width=390, height=844)
    phone.sign_in(dan_himself)
    small = phone.goto(f"{places.prod.get_absolute_url()}roll-back/")
    expect(small.get_by_text("What cannot be undone")).to_be_visible()
    assert small.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    expect(small.locator("#content").get_by_role("button", name="Roll back")).to_be_enabled()

    page = dan.goto(incident.get_absolute_url())
    page.get_by_role("link", name=f"Roll back to {old}").first.click()
    preview = page.locator("#content")
    expect(preview).to_contain_text(f"{new} is deprecated as rolled back")
    expect(preview.locator(".stat, .stats li").filter(has_text="drain").first).to_contain_text("2")
    preview.get_by_role("button", name="Roll back", exact=True).click()
    expect(page.get_by_text("Rolled back.").first).to_be_visible()
    with db.tenants([house.tenant.pk]):
        places.prod.refresh_from_db()
        rollout.refresh_from_db()
        new.refresh_from_db()
        made = Rollback.objects.get(slot=places.prod)
        assert (places.prod.current_version, rollout.state) == (old, "aborted")
        assert (new.state, new.rolled_back) == ("deprecated", True)
        assert (made.from_version, made.drained, made.incident_id) == (new, 2, incident.pk)
        assert not Incident.objects.filter(title__contains="was rolled back").exists(), (
            "one incident is enough"
        )

    # --- what ran before, between and now --------------------------------------------------------------------
    def versions_then(moment: str) -> str:
        page = judy.goto(f"/registry/fleet/?at={moment}&environment=prod")
        return page.get_by_role("table", name="Instances as they were").inner_text()

    assert "Refunds v1" in (shown := versions_then(before.isoformat().replace("+", "%2B")))
    assert "Refunds v2" not in shown
    assert "Refunds v2" in versions_then(between.isoformat().replace("+", "%2B"))

    # --- who uses what, and what of it is still alive ---------------------------------------------------------
    page = judy.goto("/registry/uses/")
    page.get_by_role("link", name="wire_transfer").click()
    expect(page.get_by_role("row").filter(has_text="Refunds v2")).to_contain_text("Deprecated")

    # --- from the incident to the exact genome, the policy's version and who approved, each within three clicks --
    page = judy.goto("/incidents/")
    clicks = Clicks(page)
    clicks.on(page.get_by_role("link", name="Pays refunds twice"))
    clicks.on(page.get_by_role("link", name="The instance then"))
    assert clicks.done <= 3
    expect(page.locator("#content")).to_contain_text(canary.name)
    expect(page.get_by_role("heading", name="What it was")).to_be_visible()
    expect(page.locator(f"#content [title*='{new.genome.digest}']").first).to_be_visible()
    expect(page.locator("#content")).to_contain_text(re.compile(r"version 1, on "))

    page = judy.goto("/incidents/")
    clicks = Clicks(page)
    clicks.on(page.get_by_role("link", name="Pays refunds twice"))
    clicks.on(page.get_by_role("link", name=f"Approvals of {new}"))
    assert clicks.done <= 3
    expect(page.get_by_role("heading", level=1)).to_contain_text("Refunds v2")
    changes = page.locator("#changes li")
    expect(page.locator("#version-approvals")).to_contain_text("Erin")
    expect(changes.filter(has_text="moved to Approved")).to_contain_text("Read and agreed")
    expect(changes.filter(has_text="The runs were read")).to_contain_text("Rita")
