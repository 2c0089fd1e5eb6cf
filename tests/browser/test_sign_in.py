"""Signing in: a one-time password opens nothing but its own change, and a wrong one says so."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PASSWORD, House, Open

pytestmark = pytest.mark.browser


def test_a_one_time_password_opens_nothing_until_it_is_changed(window: Open, house: House) -> None:
    dan = house.hire("dan", "fleet_operator", must_change_password=True)
    visitor = window()

    page = visitor.sign_in(dan)
    expect(page.get_by_role("heading", level=1)).to_have_text("Change password")
    visitor.goto("/registry/instances/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Change password")

    page.get_by_label("Old password").fill(PASSWORD)
    page.get_by_label("New password", exact=False).first.fill("a staple of new horses")
    page.get_by_label("New password confirmation").fill("a staple of new horses")
    page.get_by_role("button", name="Change password").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Fleet")
    page.get_by_label("Account of").click()
    page.get_by_role("button", name="Sign out").click()
    visitor.sign_in(dan, "a staple of new horses")
    expect(page.get_by_role("heading", level=1)).to_have_text("Fleet")


def test_a_wrong_password_says_so_and_takes_the_focus_there(window: Open, house: House) -> None:
    dan = house.hire("dan")
    page = window().sign_in(dan, "wrong")

    expect(page.get_by_role("alert")).to_contain_text("Please enter a correct username and password")
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.get_by_label("Username")).to_have_value(dan.username)


def test_a_page_that_needs_a_session_leads_to_the_sign_in_and_back(window: Open, house: House) -> None:
    dan = house.hire("dan", "fleet_operator")
    visitor = window()
    page = visitor.goto("/registry/instances/")

    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.get_by_label("Username").fill(dan.username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Instances")


def test_a_missing_page_carries_its_request_id(window: Open, house: House) -> None:
    visitor = window()
    visitor.sign_in(house.hire("dan", "fleet_operator"))
    page = visitor.goto("/nowhere/")

    expect(page.get_by_role("heading", level=1)).to_have_text("There is no such page")
    expect(page.get_by_text("Request req_")).to_be_visible()
