"""The directory without a mouse: a list is filtered, rows are chosen and an act is previewed and applied, focus in sight."""

import pytest
from playwright.sync_api import Page, expect

from arm import db
from registry.models import AgentInstance
from tests import make
from tests.browser.conftest import House, Open

pytestmark = pytest.mark.browser

FOCUS = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  const style = getComputedStyle(at), box = at.getBoundingClientRect();
  const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  const seen = box.width > 0 && box.height > 0 && at.checkVisibility({visibilityProperty: true});
  const name = at.getAttribute("aria-label") || at.labels?.[0]?.textContent || at.textContent || at.name || "";
  return {name: name.trim().replace(/\\s+/g, " ").slice(0, 80), tag: at.tagName, ring: ring, seen: seen};
}"""


def tab_to(page: Page, name: str, most: int = 150) -> list[str]:
    """Press Tab until what has the focus is called so; each stop on the way is in sight and has a ring."""
    passed = []
    for _ in range(most):
        page.keyboard.press("Tab")
        at = page.evaluate(FOCUS)
        assert at is not None, f"The focus is lost after {passed[-3:]}"
        assert at["seen"], f"{at['tag']} “{at['name']}” has the focus and cannot be seen"
        assert at["ring"], f"{at['tag']} “{at['name']}” has the focus and does not show it"
        passed.append(at["name"])
        if at["name"].startswith(name):
            return passed
    raise AssertionError(f"Tab does not come to “{name}”: {passed}")


def test_rows_are_filtered_chosen_and_paused_without_a_mouse(window: Open, house: House) -> None:
    with db.tenants([house.tenant.pk]):
        other = make.instance(
            version=house.instance.version, environment=house.instance.environment, name="support-triage-2"
        )
    page = window().sign_in(house.hire("dan", "fleet_operator"))
    page.keyboard.press("g")
    page.keyboard.press("i")
    expect(page.get_by_role("heading", level=1)).to_have_text("Instances")
    tab_to(page, "Search")
    tab_to(page, "Filters")
    page.keyboard.press("Enter")
    tab_to(page, "Active")
    page.keyboard.press("Space")
    tab_to(page, "Kind of environment")
    tab_to(page, "Filter")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Clear 1 filter")).to_be_visible()

    tab_to(page, "Choose support-triage-2")
    page.keyboard.press("Space")
    expect(page.get_by_text("(1)")).to_be_visible()
    tab_to(page, "What to do")
    page.keyboard.type("Pause")
    tab_to(page, "Preview")
    page.keyboard.press("Enter")

    expect(page.get_by_text("State: Active → Paused.")).to_be_visible()
    tab_to(page, "Reason")
    page.keyboard.type("Quiet for a while")
    tab_to(page, "Pause")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Applied").first).to_be_visible()
    with db.tenants([house.tenant.pk]):
        states = dict(AgentInstance.objects.values_list("name", "state"))
    assert states == {other.name: "paused", house.instance.name: "active"}


def test_every_stop_of_a_list_is_in_sight(window: Open, house: House) -> None:
    """From the top of the page through all that can be used in it, and back into the browser."""
    with db.tenants([house.tenant.pk]):
        make.instance(version=house.instance.version, state="draining", name="leaving")
    visitor = window()
    visitor.sign_in(house.hire("dan", "fleet_operator", "author"))
    for noun in ("templates", "versions", "projects", "draining"):
        page = visitor.goto(f"/registry/{noun}/")
        usable = page.evaluate(
            "[...document.querySelectorAll('main a, main button, main input, main summary, main select')]"
            ".filter(one => one.checkVisibility() && !one.disabled && one.type !== 'hidden').length"
        )
        passed: list[str] = []
        for _ in range(200):
            page.keyboard.press("Tab")
            at = page.evaluate(FOCUS)
            if at is None:
                break
            assert at["seen"] and at["ring"], (noun, at, passed[-3:])
            passed.append(at["name"])
        assert len(passed) > usable > 1, (noun, passed)
