"""The pages that the tour shows, of the demo fleet: on a small one, or on the one that runs at ARM_SCREENSHOTS."""

import os
from collections.abc import Iterator

import pytest
from django.core.management import call_command
from playwright.sync_api import Page, expect
from pytest_django.plugin import DjangoDbBlocker

from arm.models import User
from tests import make
from tests.browser.conftest import PASSWORD, SCREENSHOTS, Open, Visitor
from tests.telemetry.sending import forget

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def demo(site: str, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """Where the demo fleet is served."""
    if SCREENSHOTS:
        yield SCREENSHOTS
        return
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARM_DEMO_PASSWORD", PASSWORD)
        forget()
        make.user("root", member_of=make.tenant("main"), is_superuser=True)
        call_command("demo", scale=0.03, verbosity=0)
    yield site
    forget()


@pytest.fixture
def as_(window: Open, demo: str) -> "SignsIn":
    return SignsIn(window, demo)


class SignsIn:
    """`as_("dan")`: a window of one of the demo's people."""

    def __init__(self, window: Open, demo: str) -> None:
        self.window, self.demo = window, demo

    def __call__(self, name: str) -> Visitor:
        visitor = self.window()
        visitor.site = self.demo
        visitor.sign_in(User(username=name), os.environ["ARM_DEMO_PASSWORD"] if SCREENSHOTS else PASSWORD)
        return visitor


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_the_fleet_page_shows_the_fleet_its_incidents_and_what_was_spent(as_: SignsIn) -> None:
    visitor = as_("judy")
    page = visitor.page
    expect(page.get_by_text("Updates every 3 s")).to_be_visible()
    for title in ("Instances", "Open incidents", "Spend today", "Approvals waiting"):
        expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
    assert fits(page)
    visitor.shoot("fleet")


def test_a_version_page_shows_its_genome_and_how_far_it_has_come(as_: SignsIn) -> None:
    visitor = as_("alice")
    page = visitor.goto("/registry/versions/?state=approved")
    page.locator("tbody tr th a, tbody tr td a").first.click()
    expect(page.get_by_text("sha256:").first).to_be_visible()
    assert fits(page)
    visitor.shoot("version")


def test_a_card_says_how_far_it_has_come_and_what_is_signed(as_: SignsIn) -> None:
    visitor = as_("heidi")
    page = visitor.goto("/registry/evidence/")
    page.locator("tbody tr th a").first.click()
    expect(page.get_by_role("heading", name="How far it has come")).to_be_visible()
    expect(page.get_by_role("heading", name="What is signed")).to_be_visible()
    assert fits(page)
    visitor.shoot("card")


def test_an_instance_at_a_provider_shows_what_is_wanted_said_and_proven(as_: SignsIn) -> None:
    visitor = as_("dan")
    page = visitor.goto("/registry/instances/?provider=northwind")
    page.locator("tbody tr th a").first.click()
    expect(page.get_by_role("heading", name="At its provider")).to_be_visible()
    assert fits(page)
    visitor.shoot("provider")


def test_before_a_quarantine_its_page_says_how_far_it_reaches_and_what_undoes_it(as_: SignsIn) -> None:
    visitor = as_("dan")
    page = visitor.goto("/registry/instances/?state=active&environment=prod")
    page.locator("tbody tr th a, tbody tr td a").first.click()
    page.locator(".page-actions").get_by_role("link", name="Quarantine", exact=True).click()
    expect(page.get_by_text("Two people who take no part now must agree")).to_be_visible()
    assert fits(page)
    visitor.shoot("quarantine")


PICTURES = {
    "fleet-at": ("judy", "/registry/fleet/", "By environment and state"),
    "uses": ("judy", "/registry/uses/", "Who uses what"),
    "channels": ("carol", "/registry/channels/", "Channels"),
    "roles": ("judy", "/registry/roles/", "Roles and coverage"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_page_of_the_registry_shows_the_demo(as_: SignsIn, name: str) -> None:
    person, path, heading = PICTURES[name]
    visitor = as_(person)
    page = visitor.goto(path)
    expect(page.get_by_role("heading", name=heading).first).to_be_visible()
    assert page.locator("tbody tr, .board li").count() > 0
    assert fits(page)
    visitor.shoot(name)


def test_a_lineage_is_drawn_and_told_in_a_table(as_: SignsIn) -> None:
    visitor = as_("judy")
    page = visitor.goto("/registry/versions/?state=draft")  # two lines come together in one
    page.locator("tbody tr th a").first.click()
    page.get_by_role("link", name="Lineage").first.click()
    expect(page.locator("svg").last).to_be_visible()
    assert page.locator("tbody tr").count() >= 2
    assert fits(page)
    visitor.shoot("lineage")


def test_a_canary_shows_its_steps_and_how_it_does(as_: SignsIn) -> None:
    visitor = as_("carol")
    page = visitor.goto("/registry/rollouts/?state=running")
    if not page.locator("tbody tr th a").count():  # a small fleet may have none under way
        visitor.goto("/registry/rollouts/")
    page.locator("tbody tr th a").first.click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert fits(page)
    visitor.shoot("rollout")
