"""Stopping an agent from the browser: by an operator who is no superuser, seen elsewhere at once, without a script too."""

import pytest
from playwright.sync_api import expect

from registry.lifecycle import InstanceState
from registry.models import AgentInstance
from tests.browser.conftest import House, Open, Visitor

pytestmark = pytest.mark.browser


def quarantine(visitor: Visitor, instance: AgentInstance) -> None:
    page = visitor.goto(instance.get_absolute_url())
    page.locator(".page-actions").get_by_role("link", name="Quarantine", exact=True).click()
    expect(page.get_by_text("Two people who take no part now must agree")).to_be_visible()
    page.get_by_label("Reason").fill("Sends refunds to itself.")
    page.locator("#content").get_by_role("button", name="Quarantined").click()


def test_an_operator_quarantines_and_another_window_shows_it_within_five_seconds(
    window: Open, house: House
) -> None:
    dan, erin = house.hire("dan", "fleet_operator"), house.hire("erin", "approver")
    assert not dan.is_superuser
    watching = window()
    other = watching.sign_in(erin)
    expect(other.get_by_text("Updates every 3 s")).to_be_visible()
    expect(other.get_by_role("link", name="support-triage-1")).to_have_count(0)

    acting = window()
    acting.sign_in(dan)
    quarantine(acting, house.instance)

    expect(acting.page.get_by_role("heading", level=1)).to_contain_text("support-triage-1")
    expect(other.get_by_role("link", name="support-triage-1")).to_be_visible(timeout=5_000)
    house.instance.refresh_from_db()
    assert house.instance.state == InstanceState.QUARANTINED


def test_a_page_never_says_quarantined_before_it_is_observed(window: Open, house: House) -> None:
    visitor = window()
    visitor.sign_in(house.hire("dan", "fleet_operator"))
    quarantine(visitor, house.instance)

    heading = visitor.page.get_by_role("heading", level=1)
    expect(heading).to_contain_text("Unknown")  # nothing was ever heard of this instance
    expect(heading).to_contain_text("wanted Quarantined")


def test_it_works_without_a_script(window: Open, house: House) -> None:
    visitor = window(script=False)
    visitor.sign_in(house.hire("dan", "fleet_operator"))
    quarantine(visitor, house.instance)

    house.instance.refresh_from_db()
    assert house.instance.state == InstanceState.QUARANTINED


def test_without_a_reason_nothing_happens_and_the_form_says_what_is_missing(
    window: Open, house: House
) -> None:
    visitor = window()
    visitor.sign_in(house.hire("dan", "fleet_operator"))
    page = visitor.goto(f"{house.instance.get_absolute_url()}move/?to=quarantined")
    page.locator("#content").get_by_role("button", name="Quarantined").click()

    expect(page.get_by_role("alert").get_by_role("link", name="Reason")).to_be_visible()
    house.instance.refresh_from_db()
    assert house.instance.state == InstanceState.ACTIVE


def test_who_may_not_stop_it_finds_no_button(window: Open, house: House) -> None:
    visitor = window()
    visitor.sign_in(house.hire("vera", "viewer"))
    page = visitor.goto(house.instance.get_absolute_url())

    expect(page.get_by_role("heading", level=1)).to_contain_text("support-triage-1")
    expect(page.locator(".page-actions").get_by_role("link", name="Quarantine", exact=True)).to_have_count(0)
