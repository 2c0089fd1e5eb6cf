"""The second workplace in a real browser: a GRC analyst and an operator at work there, neither of them superuser."""

import re

import pytest
from playwright.sync_api import expect

from arm import db, services
from arm.models import ChangeRecord
from registry.lifecycle import InstanceState
from tests import make
from tests.browser.conftest import House, Open

pytestmark = pytest.mark.browser

FAINT = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const read = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const blend = (top, under) => [0, 1, 2].map((i) => (top[i] * top[3] + under[i] * (255 - top[3])) / 255);
  const linear = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  const light = (c) => 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || element.closest("script, style, option, [disabled]")) continue;
    if (!element.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
    const behind = [];
    for (let e = element; e; e = e.parentElement) behind.unshift(read(getComputedStyle(e).backgroundColor));
    const ground = behind.reduce((under, top) => blend(top, under), [255, 255, 255]);
    const ink = blend(read(getComputedStyle(element).color), ground);
    const [low, high] = [light(ink), light(ground)].sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < 4.5) faint.push(`${text}: ${contrast.toFixed(2)}`);
  }
  return [...new Set(faint)];
}"""


def test_an_analyst_of_production_sees_it_and_nothing_else_and_exports_what_she_sees(
    window: Open, house: House
) -> None:
    with db.tenants([house.tenant.pk]):
        dev = make.environment("dev", name="Development", tenant=house.tenant)
        make.instance(version=house.instance.version, environment=dev, name="support-triage-dev")
        grace = house.hire("grace")
    with db.tenants([house.tenant.pk]):
        prod = house.instance.environment
        services.bind(principal=grace, role="grc_analyst", scope=prod, actor=house.root, reason="hired")
    assert not grace.is_superuser
    visitor = window()
    visitor.sign_in(grace)
    page = visitor.goto("/admin/registry/agentinstance/")

    expect(page.get_by_role("link", name="support-triage-1")).to_be_visible()
    expect(page.get_by_text("support-triage-dev")).to_have_count(0)
    page.get_by_role("checkbox").nth(1).check()
    actions = page.locator("select[name=action]")
    offered = actions.locator("option").all_text_contents()
    assert "Export as CSV" in offered and "Quarantine" not in offered

    page.get_by_role("link", name="support-triage-1").click()
    expect(page.get_by_text("Production").first).to_be_visible()
    assert page.locator("textarea[name=reason], input[name=reason]").count() == 0, (
        "she reads, and edits nothing"
    )


def test_an_operator_pauses_from_the_admin_and_the_history_says_why(window: Open, house: House) -> None:
    visitor = window()
    visitor.sign_in(house.hire("dan", "fleet_operator"))
    page = visitor.goto("/admin/registry/agentinstance/")
    page.get_by_role("checkbox").nth(1).check()
    page.locator("select[name=action]").select_option("pause")
    page.get_by_role("button", name=re.compile("^(Run|Go)", re.IGNORECASE)).click()

    expect(page.locator(".arm-rows")).to_contain_text("support-triage-1")
    page.get_by_label("Reason").fill("Waits for a fix")
    page.get_by_role("button", name="Pause", exact=True).click()

    expect(page.get_by_text("Pause: 1 of 1 done.")).to_be_visible()
    house.instance.refresh_from_db()
    assert house.instance.state == InstanceState.PAUSED
    with db.tenants([house.tenant.pk]):
        record = ChangeRecord.objects.about(house.instance).filter(verb="registry.instance.restricted").get()
    assert record.reason == "Waits for a fix"
    visitor.goto(f"/admin/registry/agentinstance/{house.instance.pk}/history/")
    expect(page.get_by_role("cell", name="Waits for a fix")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_and_icon_of_the_admin_keeps_the_contrast_of_wcag_aa(
    window: Open, house: House, scheme: str
) -> None:
    with db.tenants([house.tenant.pk]):
        for number in range(2, 53):  # the second page is what gives the list its page numbers
            make.instance(
                version=house.instance.version, environment=house.instance.environment, name=f"a-{number}"
            )
    visitor = window(scheme=scheme)
    page = visitor.sign_in(house.hire("grace", "grc_analyst"))

    found = {}
    for path in ("/admin/", "/admin/registry/agentinstance/", "/admin/registry/agentversion/"):
        visitor.goto(path)
        if faint := page.evaluate(FAINT):
            found[path] = faint

    assert found == {}
