"""A role is given only to who has what it asks: refused, mended from the refusal, assigned."""

import pytest
from playwright.sync_api import expect

from tests import make
from tests.browser.conftest import House, Open

pytestmark = pytest.mark.browser


def test_a_role_is_refused_until_somebody_else_has_certified_the_version(window: Open, house: House) -> None:
    version = house.instance.version
    make.certification_type("privacy", name="Privacy", tenant=house.tenant)
    admin = window()
    admin.sign_in(house.hire("judy", "tenant_admin"))
    page = admin.goto("/registry/roles/new/")
    page.locator("#id_name").fill("First line")
    page.locator("#id_slug").fill("first-line")
    page.locator("#id_certifications").fill("privacy")
    page.locator("#id_coverage").fill("prod 1")
    page.locator("#id_reason").fill("The team grows")
    page.get_by_role("button", name="Define").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("First line")
    expect(page.get_by_text("Lacks 1 of 1")).to_be_visible()
    role = page.url.removeprefix(admin.site)

    carol = window(width=390)
    carol.sign_in(house.hire("carol", "release_manager"))
    page = carol.goto(role)
    page.get_by_role("link", name="Assign", exact=True).click()

    def assign() -> None:
        page.locator("#id_environment").select_option("prod")
        page.locator("#id_version").fill(version.typeid)
        page.locator("#id_reason").fill("Staff it")
        page.get_by_role("button", name="Assign", exact=True).click()

    assign()
    refusal = page.get_by_text("Certification privacy is missing on this genome.").first
    expect(refusal).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

    erin = window()
    erin.sign_in(house.hire("erin", "approver"))
    form = erin.goto(f"/evaluation/certifications/issue/?version={version.typeid}&type=privacy")
    form.locator("#id_reason").fill("I read all of it")
    form.get_by_role("button", name="Certify", exact=True).click()
    expect(form.get_by_role("heading", level=1)).to_have_text("Certifications")

    assign()
    expect(page.get_by_role("heading", level=1)).to_contain_text("First line")
    expect(page.get_by_text("Fits", exact=True).last).to_be_visible()


def test_the_lifecycle_is_drawn_and_said_in_words_on_a_phone(window: Open, house: House) -> None:
    visitor = window(width=390, scheme="dark")
    visitor.sign_in(house.hire("vera", "viewer"))
    for path, state in (
        (house.instance.get_absolute_url(), "Active"),
        (house.instance.version.get_absolute_url(), "Approved"),
    ):
        page = visitor.goto(path)
        picture = page.locator(".lifecycle-picture").bounding_box()
        assert picture is not None and picture["width"] <= 390 and picture["height"] > 300
        page.get_by_text("The same in words").click()
        expect(page.get_by_text(f"{state} (now)")).to_be_visible()
