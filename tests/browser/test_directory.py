"""The directory: found by keyboard, by filter and by search; a version page proves its digest."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import House, Open

pytestmark = pytest.mark.browser


def test_an_agent_is_found_by_keyboard_from_anywhere(window: Open, house: House) -> None:
    page = window().sign_in(house.hire("dan", "fleet_operator"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Fleet")

    page.keyboard.press("/")
    page.keyboard.type("support")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_contain_text("support")
    page.get_by_role("link", name="Support triage", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Support triage")


def test_a_list_is_filtered_and_says_by_how_many_filters(window: Open, house: House) -> None:
    visitor = window()
    visitor.sign_in(house.hire("dan", "fleet_operator"))
    page = visitor.goto("/registry/instances/")
    expect(page.get_by_role("link", name="support-triage-1")).to_be_visible()

    page.get_by_text("Filters").click()
    page.get_by_label("Quarantined").check()
    page.get_by_role("button", name="Filter", exact=True).click()

    expect(page.get_by_text("No instance matches")).to_be_visible()
    page.get_by_role("link", name="Clear 1 filter").click()
    expect(page.get_by_role("link", name="support-triage-1")).to_be_visible()


def test_the_version_page_says_that_the_digest_was_checked_and_copies_it_whole(
    window: Open, house: House
) -> None:
    visitor = window()
    visitor.sign_in(house.hire("dan", "fleet_operator"))
    visitor.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = visitor.goto("/registry/versions/")
    page.get_by_role("link", name="Support triage v1").click()

    expect(page.get_by_text("Verified").first).to_be_visible()
    page.get_by_role("button", name="Copy digest").first.click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == house.instance.version.genome.digest


def test_who_may_see_nothing_finds_nothing(window: Open, house: House) -> None:
    visitor = window()
    visitor.sign_in(house.hire("mallory"))
    page = visitor.goto("/search/?q=support-triage")

    expect(page.get_by_text("Nothing found")).to_be_visible()
    visitor.goto(house.instance.get_absolute_url())
    expect(page.get_by_role("heading", level=1)).to_have_text("There is no such page")
