"""A release from the browser: promoted into the next channel, rolled out as a canary, rolled back, by a release manager."""

import pytest
from playwright.sync_api import expect

from arm import db
from registry import services
from registry.models import AgentVersion, DeploymentSlot, Rollback
from tests import make
from tests.browser.conftest import House, Open

pytestmark = pytest.mark.browser


@pytest.fixture
def slots(house: House, settings) -> tuple[DeploymentSlot, DeploymentSlot, AgentVersion]:
    """Staging and production of one role, both bound to the first version; production has four at work."""
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound", "registry.plugins.ChannelOrder"]
    old = house.instance.version
    with db.tenants([house.tenant.pk]):
        role = make.role(f"clerk-{house.tenant.slug}", name="Clerk", tenant=house.tenant)
        prod = house.instance.environment
        staging = make.environment("staging", name="Staging", tenant=house.tenant, position=prod.position - 1)
        made = [
            make.slot(environment=place, role=role, provider=house.instance.provider)
            for place in (staging, prod)
        ]
        for slot in made:
            services.bind_slot(slot=slot, version=old, actor=house.root, reason="first")
        for number in range(4):
            make.instance(
                version=old, environment=prod, provider=house.instance.provider, slot=made[1], role=role,
                name=f"clerk-{number}",
            )  # fmt: skip
        new = make.approved(template=old.template)
    return made[0], made[1], new


def test_a_version_is_promoted_tried_as_a_canary_and_rolled_back(window: Open, house: House, slots) -> None:
    staging, prod, new = slots
    visitor = window()
    visitor.sign_in(house.hire("rita", "release_manager"))

    page = visitor.goto(f"{prod.get_absolute_url()}bind/?version={new.typeid}")
    page.get_by_label("Reason").fill("Straight to production")
    page.locator("#content").get_by_role("button", name="Bind").click()
    expect(page.get_by_text("was never bound for Clerk in Staging").first).to_be_visible()

    page = visitor.goto(f"{staging.get_absolute_url()}bind/?version={new.typeid}")
    page.get_by_label("Reason").fill("To staging first")
    page.locator("#content").get_by_role("button", name="Bind").click()
    expect(page.get_by_text("The slot is bound.")).to_be_visible()

    visitor.goto(prod.get_absolute_url())
    page.get_by_role("link", name="Roll out a version").click()
    page.get_by_label("Version").fill(new.typeid)
    page.get_by_label("Shares of a canary").fill("50, 100")
    page.get_by_label("Bake time").fill("0")
    for gate in ("Calls that fail", "Open incidents"):
        page.get_by_label(gate).uncheck()
    page.get_by_label("Reason").fill("Better answers")
    page.get_by_role("button", name="Plan").click()
    page.locator(".page-actions").get_by_role("link", name="Start").click()
    page.get_by_label("Reason").fill("Agreed")
    page.locator("#content").get_by_role("button", name="Start").click()
    expect(page.get_by_text("The rollout has begun.")).to_be_visible()
    prod.refresh_from_db()
    assert (prod.canary_version, prod.canary_share) == (new, 50)

    visitor.goto("/registry/channels/")
    expect(page.get_by_text(f"{new}, 50 %")).to_be_visible()
    visitor.goto(prod.rollouts.get().rollout.get_absolute_url())
    for _ in range(2):
        page.locator(".page-actions").get_by_role("link", name="Confirm the step").click()
        page.get_by_label("Reason").fill("I looked at its answers")
        page.locator("#content").get_by_role("button", name="Confirm").click()
        expect(page.get_by_text("The step is confirmed.")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Completed")

    visitor.goto(prod.get_absolute_url())
    page.locator(".page-actions").get_by_role("link", name="Roll back").click()
    expect(page.get_by_text("What cannot be undone")).to_be_visible()
    page.get_by_label("Reason").fill("It promises too much")
    page.locator("#content").get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Rolled back")
    prod.refresh_from_db()
    assert prod.current_version == house.instance.version
    made = Rollback.objects.get(slot=prod)
    assert (made.drained, made.from_version) == (0, new), "the new ones had not begun yet"
    assert prod.instances.filter(version=new, state="retired").count() == 4
