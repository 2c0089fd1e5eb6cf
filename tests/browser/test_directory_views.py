"""Saved views, acts on many rows and the palette, as people use them."""

import os
import re
from contextlib import suppress

import pytest
from playwright.sync_api import Page, expect

from arm import db
from registry.models import AgentInstance
from tests import make
from tests.browser.conftest import House, Open

pytestmark = pytest.mark.browser
LOOK = os.environ.get("ARM_LOOK", "")


def look(page, name):
    """Pictures for who builds the page: ARM_LOOK=a directory."""
    if not LOOK:
        return
    for width, scheme in ((1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=f"{LOOK}/{name}-{width}-{scheme}.png")
    page.set_viewport_size({"width": 1440, "height": 900})
    page.emulate_media(color_scheme="light")


def test_alice_shares_a_view_and_bob_opens_it(window: Open, house: House) -> None:
    alice, bob = house.hire("alice", "fleet_operator"), house.hire("bob", "viewer")
    hers = window()
    hers.sign_in(alice)
    page = hers.goto("/registry/templates/?risk=medium&sort=-name")
    page.get_by_role("link", name="Save as a view", exact=True).click()
    look(page, "view-save")
    page.get_by_role("textbox", name="Name").fill("Medium risks")
    page.get_by_label("Share it with everybody here").check()
    page.get_by_role("button", name="Save the view").click()
    expect(page.locator(".view-bar summary")).to_contain_text("Medium risks")
    expect(page.get_by_role("link", name="Support triage", exact=True)).to_be_visible()

    his = window()
    his.sign_in(bob)
    page = his.goto("/registry/templates/")
    page.locator(".view-bar summary").click()
    look(page, "view-menu")
    page.get_by_role("link", name="Medium risks").click()
    expect(page).to_have_url(re.compile(r"risk=medium&sort=-name&view=viw_"))
    expect(page.get_by_role("link", name="Support triage", exact=True)).to_be_visible()
    page.get_by_label("Search", exact=True).last.fill("nothing of this name")
    page.get_by_role("button", name="Filter", exact=True).click()
    expect(page.get_by_text("Changed", exact=True)).to_be_visible()
    look(page, "view-changed")
    page.get_by_role("link", name="Back to the view").click()
    page.locator(".view-bar summary").click()
    page.get_by_role("button", name="Open the list with").click()
    his.goto("/registry/templates/")
    expect(page.locator(".view-bar summary")).to_contain_text("Medium risks")
    his.goto("/views/")
    look(page, "view-list")


def go(page: Page, letter: str, heading: str) -> None:
    """`g` and the letter, which count when they come within a second and a half of each other: a busy machine may not
    manage that at first."""
    there = page.get_by_role("heading", level=1).filter(has_text=re.compile(f"^{heading}$"))
    for _ in range(3):
        page.keyboard.press("g")
        page.keyboard.press(letter)
        with suppress(AssertionError):
            expect(there).to_be_visible(timeout=4_000)
            break
    expect(there).to_be_visible()
    page.wait_for_load_state()


def test_the_palette_is_used_by_keyboard_alone(window: Open, house: House) -> None:
    visitor = window()
    page = visitor.sign_in(house.hire("dan", "fleet_operator"))
    page.keyboard.press("Control+k")
    text = page.get_by_role("combobox", name="Go to or find")
    expect(text).to_be_focused()
    page.keyboard.type("support")
    expect(page.get_by_role("option", selected=True)).to_contain_text("Support triage")
    look(page, "palette")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Support triage")
    page.wait_for_load_state()  # keys that are pressed before the page hears them are lost
    page.keyboard.press("Control+k")
    expect(text).to_be_focused()
    page.keyboard.press("Escape")
    expect(text).not_to_be_visible()

    go(page, "i", "Instances")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.get_by_label(re.compile("^Choose support-triage-1"))).to_be_checked()
    expect(page.get_by_text("(1)")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    look(page, "keys")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("jkx?go")
    expect(page.get_by_role("heading", level=1)).to_have_text("Instances")
    page.keyboard.press("Control+k")
    expect(page.get_by_role("group", name="Recent")).to_contain_text("Support triage")
    look(page, "palette-recent")


def test_rows_are_chosen_foreseen_and_changed_without_a_script(window: Open, house: House) -> None:
    with db.tenants([house.tenant.pk]):
        make.instance(
            version=house.instance.version, environment=house.instance.environment, name="support-triage-2"
        )
    visitor = window(script=False)
    visitor.sign_in(house.hire("olga", "fleet_operator"))
    page = visitor.goto("/registry/instances/")
    look(page, "bulk-list")
    page.get_by_label("Every row that").check()
    page.get_by_label("What to do").select_option("Quarantine")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("State: Active → Quarantined.").first).to_be_visible()
    look(page, "bulk-preview")
    page.get_by_label("Reason").fill("They leak secrets.")
    page.get_by_role("button", name="Quarantine").click()
    expect(
        page.get_by_text("Every row has its outcome").or_(page.get_by_text("Applied").first).first
    ).to_be_visible()
    look(page, "bulk-result")
    with db.tenants([house.tenant.pk]):
        assert set(AgentInstance.objects.values_list("state", flat=True)) == {"quarantined"}
