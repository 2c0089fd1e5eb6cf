"""The shell on every page: it fits, it is labelled, it remembers the theme, and it says when it has stopped."""

from typing import Literal

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PASSWORD, House, Open

pytestmark = pytest.mark.browser

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
AUDIT = """() => {
  const wrong = [];
  if (document.documentElement.scrollWidth > innerWidth) wrong.push("the page is wider than the window");
  if (document.querySelectorAll("h1").length !== 1) wrong.push("not exactly one h1");
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of ids) if (ids.filter((other) => other === id).length > 1) wrong.push(`id ${id} twice`);
  for (const control of document.querySelectorAll("input:not([type=hidden]), select, textarea"))
    if (!control.labels?.length && !control.getAttribute("aria-label")) wrong.push(`${control.name} has no label`);
  for (const button of document.querySelectorAll("button, a[href]"))
    if (!button.textContent.trim() && !button.getAttribute("aria-label")) wrong.push(`${button.outerHTML} has no name`);
  for (const table of document.querySelectorAll("table")) if (!table.caption) wrong.push("a table has no caption");
  for (const element of document.querySelectorAll("[aria-describedby]"))
    for (const id of element.getAttribute("aria-describedby").split(/\\s+/))
      if (!document.getElementById(id)) wrong.push(`${id} describes and does not exist`);
  if (document.querySelector("[style], style, script:not([src])")) wrong.push("inline style or script");
  return [...new Set(wrong)];
}"""


@pytest.mark.parametrize("width", [1440, 390])
def test_every_page_of_the_navigation_fits_and_is_labelled(window: Open, house: House, width: int) -> None:
    visitor = window(width=width, height=844 if width < 1000 else 900, scheme="light")
    house.root.set_password(PASSWORD)
    house.root.save()
    page = visitor.sign_in(house.root)
    expect(page.get_by_role("heading", level=1)).to_have_text("Fleet")
    paths = page.eval_on_selector_all(".nav-link", "links => links.map(link => link.getAttribute('href'))")
    paths = [path for path in dict.fromkeys(paths) if not path.startswith("/admin")]
    assert len(paths) > 8
    instance = house.instance
    paths += [instance.get_absolute_url(), instance.version.get_absolute_url()]
    paths += [instance.template.get_absolute_url(), instance.environment.get_absolute_url()]
    paths += [f"{instance.get_absolute_url()}move/?to=quarantined", "/gallery/", "/search/?q=support"]

    found = {}
    for path in paths:
        visitor.goto(path)
        wrong = []
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            wrong += page.evaluate(AUDIT)
        if path != "/gallery/" and page.locator(".nav-link[aria-current]").count() > 1:
            wrong.append("the navigation says that two pages are this one")
        if wrong:
            found[path] = wrong

    assert found == {}


def test_the_theme_is_remembered_and_set_before_the_first_paint(window: Open, house: House) -> None:
    visitor = window(scheme="light")
    page = visitor.sign_in(house.hire("dan", "fleet_operator"))
    button = page.get_by_role("button", name="Theme: as the system")
    button.click()
    page.get_by_role("button", name="Theme: light").click()

    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    visitor.goto("/registry/versions/")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 18, 22)"


def test_the_fleet_says_since_when_it_no_longer_renews_and_goes_on_when_asked(
    window: Open, house: House
) -> None:
    visitor = window()
    page = visitor.sign_in(house.hire("dan", "fleet_operator"))
    expect(page.get_by_text("Updates every 3 s")).to_be_visible()

    page.context.set_offline(True)
    expect(page.get_by_text("Stopped updating since")).to_be_visible(timeout=15_000)
    expect(page.get_by_text("the server cannot be reached")).to_be_visible()

    assert all("htmx:" in text for text in visitor.complaints)  # htmx notes each request that failed
    visitor.complaints.clear()
    page.context.set_offline(False)
    page.get_by_role("button", name="Update now").click()
    expect(page.get_by_text("Updates every 3 s")).to_be_visible()


def test_a_session_that_has_ended_is_not_drawn_as_the_fleet(window: Open, house: House) -> None:
    visitor = window()
    page = visitor.sign_in(house.hire("dan", "fleet_operator"))
    expect(page.get_by_text("Updates every 3 s")).to_be_visible()

    page.context.clear_cookies()

    expect(page.get_by_text("you are signed out")).to_be_visible(timeout=8_000)
    expect(page.get_by_label("Password")).to_have_count(0)


def test_the_first_tab_stop_skips_to_the_content(window: Open, house: House) -> None:
    page = window().sign_in(house.hire("dan", "fleet_operator"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Fleet")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_on_a_phone_the_navigation_unfolds(window: Open, house: House) -> None:
    page = window(width=390, height=844).sign_in(house.hire("dan", "fleet_operator"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Fleet")
    expect(page.get_by_role("link", name="Versions", exact=True)).to_be_hidden()
    page.get_by_text("Menu").click()
    page.get_by_role("link", name="Versions", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Versions")
