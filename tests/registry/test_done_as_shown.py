"""A rollback does what was shown, or nothing: what moved between the look and the click is said, and done by nobody."""

import pytest
from django.utils.html import strip_tags

from arm.errors import Conflict, NotAllowed
from arm.rights import Right
from registry import queries, services
from registry.models import AgentVersion, Rollback
from tests import make
from tests.registry.releasing import Told, bound, running, shown, started

pytestmark = pytest.mark.django_db
API = "/api/v1/registry/"


@pytest.fixture(autouse=True)
def plugged(settings, monkeypatch):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound", "registry.plugins.ChannelOrder"]
    settings.HEALTH_FACTS = ["tests.registry.releasing.Told"]
    monkeypatch.setattr(Told, "said", {"errors": True})


@pytest.fixture
def versions(old, new):
    """Three of one agent, the oldest first."""
    return [old, new, make.approved(template=old.template)]


@pytest.fixture
def slot(tenant, rita, versions):
    return bound(make.slot(environment=make.environment("prod", name="Production")), *versions, actor=rita)


def beside(slot, *versions, rita):
    """Another slot of the same role, that had these one after the other."""
    return bound(make.slot(environment=slot.environment, role=slot.role), *versions, actor=rita)


def left_elsewhere(slot, version):
    """What the slot would have gone back to is rolled back in another slot meanwhile."""
    AgentVersion.objects.filter(pk=version.pk).update(rolled_back=True)
    slot.refresh_from_db()


def roll_back(slot, actor, **more):
    return services.roll_back_slot(slot=slot, actor=actor, reason="It lies", **more)


def unmoved(*slots):
    before = [slot.current_version for slot in slots]
    for slot in slots:
        slot.refresh_from_db()
    assert [slot.current_version for slot in slots] == before and not Rollback.objects.exists()


def test_what_was_shown_is_done(slot, dan, versions):
    seen = queries.rollback_preview(slot, dan).targets
    assert seen == {slot.pk: versions[1].pk}
    assert roll_back(slot, dan, seen=seen).to_version == versions[1]


def test_another_target_than_was_shown_is_refused_with_both_names(slot, dan, versions):
    seen = queries.rollback_preview(slot, dan).targets
    left_elsewhere(slot, versions[1])
    with pytest.raises(Conflict) as refused:
        roll_back(slot, dan, seen=seen)
    assert f"{slot} would now go to {versions[0]}" in str(refused.value)
    assert refused.value.extra["targets"] == {slot.typeid: versions[0].typeid}
    unmoved(slot)
    assert roll_back(slot, dan).to_version == versions[0], "who has looked at nothing is refused nothing"


@pytest.fixture
def phased(slot, rita, versions):
    """Two slots of a phased rollout of a fourth version: it has the first one, and the second is still to come."""
    second = beside(slot, *versions, rita=rita)
    fourth = make.approved(template=slot.current_version.template)
    rollout = started([slot, second], fourth, rita, strategy="phased", batch_size=1, health_gates=["manual"])
    first, second = (row.slot for row in rollout.slots.select_related("slot").order_by("batch"))
    assert first.current_version == fourth and second.current_version == versions[2]
    return rollout, first, second


def on(rollout, rita):
    """The rollout takes its next batch."""
    step = rollout.steps.get(state="baking")
    rollout.steps.filter(pk=step.pk).update(due_at=rollout.created_at)
    services.confirm_step(rollout=rollout, step=step.number, actor=rita, reason="It does well")


def test_a_slot_that_the_rollout_took_since_is_not_taken_back_unseen(phased, rita, versions):
    rollout, first, second = phased
    seen = queries.rollback_preview(first, rita).targets
    assert seen == {first.pk: versions[2].pk}
    on(rollout, rita)
    first.refresh_from_db()
    second.refresh_from_db()
    with pytest.raises(Conflict, match=f"{second} would now go to {versions[2]}, which was not shown"):
        roll_back(first, rita, seen=seen)
    unmoved(first, second)
    seen = queries.rollback_preview(first, rita).targets
    assert seen == {first.pk: versions[2].pk, second.pk: versions[2].pk}
    roll_back(first, rita, seen=seen)
    second.refresh_from_db()
    assert second.current_version == versions[2]


def test_a_slot_that_would_not_be_taken_back_any_more_is_said_too(phased, rita, versions):
    rollout, first, second = phased
    on(rollout, rita)
    seen = queries.rollback_preview(first, rita).targets
    on(rollout, rita)
    first.refresh_from_db()
    second.refresh_from_db()
    with pytest.raises(Conflict, match="would now keep what it has"):
        roll_back(first, rita, seen=seen)
    unmoved(first, second)


def test_who_may_not_go_back_in_every_slot_is_told_nothing_of_them(phased, rita, tenant):
    rollout, first, _ = phased
    on(rollout, rita)
    bob = make.user("bob", member_of=tenant)
    make.grant(bob, first.provider, Right.READ_DIRECTORY, Right.ROLL_BACK_RELEASE)
    with pytest.raises(NotAllowed):
        roll_back(first, bob, seen={})
    unmoved(first)


def test_the_page_does_what_it_showed_and_says_what_is_otherwise(client, slot, rita, dan, versions):
    other = beside(slot, *versions, rita=rita)
    client.force_login(dan)
    there = f"{slot.get_absolute_url()}roll-back/"
    page = client.get(there).text
    assert f'would go back to <a href="{versions[1].get_absolute_url()}">' in page
    assert "none of its instances is replaced" in page
    for state in ("active", "provisioning", "paused"):
        make.instance(version=other.current_version, slot=other, state=state)
    told = " ".join(strip_tags(client.get(there).text).split())
    assert f"would go back to {versions[1]}: 2 of its instances are replaced" in told
    left_elsewhere(slot, versions[1])
    answer = client.post(there, {"reason": "It lies", "also": [str(other.pk)], **shown(page)})
    assert answer.status_code == 409
    assert f"{slot} would now go to {versions[0]}" in answer.text and f"{other} would now" in answer.text
    unmoved(slot, other)
    again = client.post(there, {"reason": "It lies", "also": [str(other.pk)], **shown(answer.text)})
    assert again.status_code == 302, "who sends what the refusal showed has seen it"
    assert set(Rollback.objects.values_list("to_version", flat=True)) == {versions[0].pk}
    assert Rollback.objects.count() == 2


@pytest.mark.parametrize("targets", ["", "{", "[]", '{"x": {}}', '{"slt_x": {"y": "z"}}', "[" * 9999, "null"])
def test_a_page_that_says_not_what_it_showed_does_nothing(client, slot, dan, targets):
    client.force_login(dan)
    body = {"reason": "It lies", "leaving": slot.current_version.typeid, "targets": targets}
    answer = client.post(f"{slot.get_absolute_url()}roll-back/", body)
    assert answer.status_code == 422 and "open the page again" in answer.text
    unmoved(slot)


def test_the_page_of_an_incident_does_what_it_showed(client, slot, tenant, rita, dan, versions):
    (one, *_) = running(slot, versions[2], 2)
    incident = make.incident(one)
    client.force_login(dan)
    there = f"{incident.get_absolute_url()}roll-back/"
    page = client.get(there).text
    left_elsewhere(slot, versions[1])
    answer = client.post(there, {"reason": "It lies", **shown(page)})
    assert answer.status_code == 409 and f"would now go to {versions[0]}" in answer.text
    assert client.post(there, {"reason": "It lies"}).status_code == 422
    unmoved(slot)
    assert client.post(there, {"reason": "It lies", **shown(answer.text)}).status_code == 302
    assert Rollback.objects.get().to_version == versions[0]


def test_the_api_takes_what_the_preview_said(client, slot, dan, versions):
    client.force_login(dan)
    seen = client.get(f"{API}slots/{slot.typeid}/roll-back-preview/").json()["targets"]
    assert seen == {slot.typeid: versions[1].typeid}
    left_elsewhere(slot, versions[1])
    body = {"reason": "It lies", "leaving": versions[2].typeid, "drain": "at_once"}

    def post(**more):
        there = f"{API}slots/{slot.typeid}/roll-back/"
        return client.post(there, {**body, **more}, content_type="application/json")

    refused = post(targets=seen)
    assert refused.status_code == 409 and "would now go to" in refused.json()["detail"]
    assert refused.json()["targets"] == {slot.typeid: versions[0].typeid}
    unmoved(slot)
    wrong = post(targets={"x": versions[0].typeid, slot.typeid: "y"})
    assert wrong.status_code == 422
    pointers = {one["pointer"] for one in wrong.json()["errors"]}
    assert pointers == {"/targets/x", f"/targets/{slot.typeid}"}
    assert post(targets=refused.json()["targets"]).status_code == 201
