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
    page = visitor.goto("/registry/evidence/?kind=agent_card")
    page.locator("tbody tr th a").first.click()
    expect(page.get_by_role("heading", name="How far it has come")).to_be_visible()
    expect(page.get_by_role("heading", name="What is signed")).to_be_visible()
    assert fits(page)
    visitor.shoot("card")


def test_an_instance_at_a_provider_shows_what_is_wanted_said_and_proven(as_: SignsIn) -> None:
    visitor = as_("dan")
    page = visitor.goto("/registry/instances/?provider=northwind&state=active")
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
    page = visitor.goto("/registry/versions/?state=draft&q=2.0.0")  # two lines come together in one
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


def first_of(visitor: Visitor, *addresses: str) -> Page:
    """The page behind the first row of the first of these lists that has one: a small fleet lacks what is rare."""
    page = visitor.page
    for address in addresses:
        visitor.goto(address)
        link = page.locator("tbody tr th a").first
        if link.count():
            link.click()
            return page
    raise AssertionError(f"Nothing is listed at {addresses}.")


def test_a_lifecycle_is_drawn_beside_what_the_next_step_misses(as_: SignsIn) -> None:
    visitor = as_("frank")
    page = first_of(visitor, "/registry/versions/?approval=mine", "/registry/versions/?state=candidate")
    card = page.locator("#lifecycle")
    expect(card.locator("svg.lifecycle-picture .state-now")).to_have_count(1)
    expect(
        card.get_by_role("heading", name="Before it can be").or_(card.get_by_text("Nothing stands"))
    ).to_be_visible()
    assert fits(page)
    visitor.shoot("lifecycle", card)


def test_a_spawn_tree_tells_depth_quota_and_what_each_may_spend(as_: SignsIn) -> None:
    visitor = as_("ivan")
    helpers = "/registry/instances/?q=helper-of-the-month-end"
    page = first_of(visitor, helpers, "/registry/instances/")
    page.goto(f"{page.url}spawn-tree/")
    expect(page.get_by_role("columnheader", name="May spend today")).to_be_visible()
    assert page.locator("tbody tr").count() >= 1
    assert fits(page)
    visitor.shoot("spawn-tree")


def test_two_versions_are_compared_in_words(as_: SignsIn) -> None:
    visitor = as_("alice")
    page = first_of(
        visitor, "/registry/versions/?q=refund&state=approved", "/registry/versions/?state=approved"
    )
    page.get_by_role("link", name="Compare").first.click()
    expect(page.get_by_role("heading", name="Differences")).to_be_visible()
    assert page.locator("#differences li").count() > 0
    assert fits(page)
    visitor.shoot("compare")


def test_a_refused_table_names_the_row_and_the_column(as_: SignsIn) -> None:
    visitor = as_("alice")
    page = visitor.goto("/registry/imports/")
    page.get_by_role("link", name="agents-of-marketing.csv").click()
    expect(page.locator("#rows tbody tr")).to_have_count(1)
    expect(page.locator("#rows").get_by_text("risk", exact=True)).to_be_visible()
    assert fits(page)
    visitor.shoot("import")


def test_other_rules_of_a_place_are_shown_before_they_hold(as_: SignsIn) -> None:
    visitor = as_("judy")
    page = visitor.goto("/registry/environments/")
    page.get_by_role("link", name="Staging").first.click()
    page.locator(".page-actions").get_by_role("link", name="Change").click()
    page.get_by_label("Production").check()
    page.get_by_label("Reason").fill("Customers are served from here by now")
    page.locator(".form-buttons button").click()
    expect(page.get_by_role("heading", name="Whom other rules would refuse")).to_be_visible()
    page.evaluate("scrollTo(0, 0)")  # the refusal below had the focus
    assert fits(page)
    visitor.shoot("place-rules")


def test_a_rollback_says_before_the_click_what_it_does(as_: SignsIn) -> None:
    visitor = as_("carol")
    page = first_of(visitor, "/registry/slots/?q=researcher&environment=prod", "/registry/slots/")
    way_back = page.locator(".page-actions").get_by_role("link", name="Roll back")
    if page.locator("dt", has_text="Before").locator("+ dd").get_by_role("link").count() == 0:
        expect(way_back).to_have_count(0)  # a small fleet has nothing to go back to, and offers it nowhere
        return
    way_back.click()
    expect(page.get_by_role("heading", name="What it changes")).to_be_visible()
    assert fits(page)
    visitor.shoot("rollback")
