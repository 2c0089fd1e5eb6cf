"""What exactly is this agent, where does it run, and what was running when something happened: from the browser."""

import json

import pytest
from playwright.sync_api import expect

from arm import db
from registry.models import AgentVersion
from tests import make
from tests.browser.conftest import House, Open
from tests.registry.genomes import example, tool

pytestmark = pytest.mark.browser


def test_a_genome_file_becomes_a_draft_and_what_it_uses_is_found_with_what_runs_it(
    window: Open, house: House
) -> None:
    agent = house.instance.template
    visitor = window()
    visitor.sign_in(house.hire("alice", "author", "fleet_operator"))
    page = visitor.goto(f"{agent.get_absolute_url()}")
    page.locator(".page-actions").get_by_role("link", name="New version").click()
    document = example(template=agent.typeid, tools=[tool("search"), tool("wire_transfer", risk="RED")])
    page.get_by_label("File").set_input_files(
        {"name": "genome.json", "mimeType": "application/json", "buffer": json.dumps(document).encode()}
    )
    page.get_by_label("Reason").fill("Built last night")
    page.locator("#content").get_by_role("button", name="Import").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("v2")

    with db.tenants([house.tenant.pk]):
        draft = AgentVersion.objects.get(template=agent, number=2)
        at = {"environment": house.instance.environment, "provider": house.instance.provider}
        make.instance(version=draft, name="support-triage-2", **at)
    page.get_by_role("link", name="Who uses what").first.click()
    page.get_by_role("link", name="wire_transfer").click()
    row = page.get_by_role("row").filter(has_text="Support triage v2")
    expect(row).to_contain_text("Draft")
    row.get_by_role("link", name="1", exact=True).click()
    expect(page.get_by_role("link", name="support-triage-2")).to_be_visible()
    expect(page.get_by_role("link", name="support-triage-1")).to_have_count(0)


def test_what_an_instance_was_then_is_three_clicks_away(window: Open, house: House) -> None:
    visitor = window()
    page = visitor.sign_in(house.hire("judy", "grc_analyst"))
    page.get_by_role("link", name="Fleet at a time").first.click()
    page.get_by_role("link", name="support-triage-1").click()
    expect(page.get_by_role("heading", name="What it was")).to_be_visible()
    expect(page.locator(f"[title*='{house.instance.version.genome.digest}']").first).to_be_visible()
    page.get_by_role("link", name="Support triage v1").first.click()
    expect(page.get_by_text("Verified").first).to_be_visible()
