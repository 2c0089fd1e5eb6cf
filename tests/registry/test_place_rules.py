"""Other rules of a place: shown before whom they would refuse; who stands already is listed, and goes on."""

import json
from datetime import timedelta

import pytest
from django.urls import reverse

from arm import clock
from arm.errors import Conflict, NotAllowed
from arm.models import TenantUserGrant
from arm.rights import Right
from registry import queries, services
from registry.gates import CHANNEL_ORDER
from registry.lifecycle import InstanceState as S
from registry.lifecycle import VersionState
from registry.models import AgentVersion
from tests import make
from tests.registry.releasing import bound, running, started

pytestmark = pytest.mark.django_db
API = "/api/v1/registry/environments/"


@pytest.fixture(autouse=True)
def gates(settings):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound", "registry.plugins.ChannelOrder"]


@pytest.fixture
def places(tenant):
    first = make.environment("first", position=1, production=False)
    return first, make.environment("second", name="Second", position=2, production=False)


@pytest.fixture
def slots(places, alice):
    """Two slots of the second place: one with a version that is tested, one with an approved one."""
    role = make.role("clerk", name="Clerk")
    found = []
    for state in (VersionState.TESTING, VersionState.APPROVED):
        version = make.approved()
        slot = make.slot(environment=places[1], role=role)
        bound(make.slot(environment=places[0], role=role), version, actor=alice)
        bound(slot, version, actor=alice)
        AgentVersion.objects.filter(pk=version.pk).update(state=state)
        found.append(slot)
    return found


def test_turning_production_on_names_the_slots_and_the_instances_that_it_would_refuse(places, slots, alice):
    _, second = places
    climbed, stranger = slots[1].bindings.get().version, make.approved()
    for version in (climbed, stranger, stranger):
        make.instance(version=version, environment=second)
    make.instance(version=stranger, environment=second, state=S.PROVISIONING)
    preview = queries.change_preview(second, alice, production=True)
    (lack,) = preview.slots
    assert lack.slot == slots[0]
    assert lack.reasons == (
        f"{lack.slot.current_version} is Testing; Second is production, which takes approved versions only.",
    )
    (beside,) = preview.beside
    assert (beside.version, beside.instances) == (stranger, 2)
    assert "has worked properly in first, the channel before Second" in beside.reasons[0]
    second.refresh_from_db()
    assert not second.production and queries.lacks_of(second, alice).none, "nothing is changed by looking"


def test_what_is_refused_today_already_is_no_news_of_the_change(places, slots, alice):
    _, second = places
    AgentVersion.objects.filter(pk=slots[1].bindings.get().version_id).update(rolled_back=True)
    assert [lack.slot for lack in queries.lacks_of(second, alice).slots] == [slots[1]]
    assert [lack.slot for lack in queries.change_preview(second, alice, production=True).slots] == [slots[0]]
    assert [lack.slot for lack in queries.change_preview(second, alice, risk_default="high").slots] == [
        slots[0]
    ]
    assert queries.change_preview(second, alice, risk_default="low").none


def test_what_stands_goes_on_and_is_listed_until_it_is_mended(places, slots, alice):
    _, second = places
    (clerk,) = running(slots[0], slots[0].bindings.get().version, 1)
    services.update_environment(environment=second, actor=alice, reason="audit", production=True)
    clerk.refresh_from_db()
    slots[0].refresh_from_db()
    second.refresh_from_db()
    assert clerk.state == S.ACTIVE and slots[0].current_version is not None
    assert [lack.slot for lack in queries.lacks_of(second, alice).slots] == [slots[0]]
    AgentVersion.objects.filter(pk=slots[0].current_version_id).update(state=VersionState.APPROVED)
    assert queries.lacks_of(second, alice).none


def test_an_exception_that_lasts_covers_what_works_beside_the_slots(tenant, places, slots, alice):
    _, second = places
    stranger = make.instance(environment=second).version
    assert queries.change_preview(second, alice, production=True).beside
    services.grant_exception(
        slot=slots[0], version=stranger, gate=CHANNEL_ORDER, until=clock.now() + timedelta(days=1), actor=alice,
        reason="r",
    )  # fmt: skip
    assert not queries.change_preview(second, alice, production=True).beside


def test_a_reader_of_some_of_it_is_told_how_much_more_there_is(tenant, places, slots):
    _, second = places
    mine = make.instance(environment=second)
    make.instance(environment=second)
    bob = make.user("bob", member_of=tenant)
    make.grant(bob, mine.template, Right.READ_DIRECTORY)
    preview = queries.change_preview(second, bob, production=True)
    assert ([lack.version for lack in preview.beside], preview.hidden_instances) == ([mine.version], 1)
    assert (preview.slots, preview.hidden_slots) == ((), 1)


def test_a_refusal_names_only_the_rollouts_that_its_reader_sees(tenant, places, slots, alice):
    first, second = places
    version = make.approved()
    bound(make.slot(environment=first, role=slots[1].role), version, actor=alice)
    rollout = started(slots[1], version, alice, acknowledged="Accepted")
    bob = make.user("bob", member_of=tenant)
    make.grant(bob, second, Right.MANAGE_DIRECTORY)
    with pytest.raises(Conflict, match="1 rollout that you may not see") as refused:
        services.update_environment(environment=second, actor=bob, reason="r", production=True)
    assert refused.value.extra["rollouts"] == []
    assert queries.change_preview(second, bob, production=True).hidden_rollouts == 1
    assert queries.change_preview(second, alice, production=True).rollouts == (rollout,)


# through the API and the pages


def body(place, **values):
    opened = json.dumps(services.as_it_is(place, queries.place_of(place)))
    held = {"name": place.name, "position": queries.place_of(place), "risk_default": place.risk_default}
    return {
        **held, "retention_days": 90, "aggregate_days": 365, "cost_tags": "", "seen": "", "opened": opened,
        "reason": "go", **values,
    }  # fmt: skip


def test_the_page_shows_whom_production_would_refuse_and_asks_once_more(client, places, slots, alice):
    _, second = places
    client.force_login(alice)
    page = reverse("registry:environment_edit", args=[second.typeid])
    opened = client.get(page).context["form"]["opened"].value()  # exactly as the page carries it along
    asked = body(second, production="on", opened=opened)
    shown = client.post(page, asked)
    text = shown.content.decode()
    assert "Whom other rules would refuse" in text and str(slots[0]) in text and "Nothing is stopped" in text
    second.refresh_from_db()
    assert not second.production
    assert client.post(page, asked | {"seen": "2 first second not:medium"}).status_code == 200, "another one"
    seen = shown.context["form"]["seen"].value()
    assert client.post(page, asked | {"seen": seen}).status_code == 302
    second.refresh_from_db()
    assert second.production
    listed = client.get(reverse("registry:environment_lacks", args=[second.typeid])).content.decode()
    assert str(slots[0]) in listed and "takes approved versions only" in listed
    assert f"at {slots[0].provider}" in listed, "two providers may have a slot of the same name"
    clean = client.get(reverse("registry:environment_lacks", args=[places[0].typeid])).content.decode()
    assert "Nothing stands against the rules" in clean


def test_who_edits_what_another_has_changed_meanwhile_is_told_what(client, places, alice):
    _, second = places
    client.force_login(alice)
    page = reverse("registry:environment_edit", args=[second.typeid])
    mine = body(second, name="Mine")
    services.update_environment(
        environment=second, actor=alice, reason="first", name="Theirs", retention_days=30
    )
    refused = client.post(page, mine)
    assert refused.status_code == 409
    text = refused.content.decode()
    assert "name is “Theirs” by now; retention days is “30” by now" in text
    second.refresh_from_db()
    assert second.name == "Theirs"
    again = mine | {"opened": refused.context["form"]["opened"].value(), "retention_days": 30}
    assert client.post(page, again).status_code == 302
    second.refresh_from_db()
    assert (second.name, second.retention_days) == ("Mine", 30)
    assert client.post(page, mine | {"opened": "[1]"}).status_code == 422


def test_the_api_previews_other_rules_and_lists_what_stands_against_them(client, places, slots, alice):
    _, second = places
    client.force_login(alice)
    where = f"{API}{second.typeid}/"
    preview = client.get(f"{where}change-preview/", {"production": "true"}).json()
    assert [row["slot"] for row in preview["slots"]] == [slots[0].typeid] and preview["hidden_slots"] == 0
    assert client.get(f"{where}lacks/").json()["slots"] == []
    for wrong in ({"production": "odd"}, {"colour": "red"}, {"risk_default": "odd"}):
        assert client.get(f"{where}change-preview/", wrong).status_code == 422
    mallory = make.user("mallory", member_of=make.tenant("other"))
    client.force_login(mallory)
    assert client.get(f"{where}lacks/").status_code == 404


def test_who_granted_an_exception_withdraws_it_even_without_the_right_by_now(client, tenant, places, slots):
    erin = make.user("erin", member_of=tenant)
    make.grant(erin, tenant, Right.READ_DIRECTORY, Right.APPROVE_RELEASE)
    until = clock.now() + timedelta(days=1)
    held = [
        services.grant_exception(
            slot=slots[0], version=make.approved(), gate=CHANNEL_ORDER, until=until, actor=erin, reason="r"
        )
        for _ in range(2)
    ]
    TenantUserGrant.objects.filter(user=erin, permission__codename=Right.APPROVE_RELEASE.value).delete()
    bob = make.user("bob", member_of=tenant)
    make.grant(bob, tenant, Right.READ_DIRECTORY)
    with pytest.raises(NotAllowed):
        services.withdraw_exception(exception=held[0], actor=bob, reason="no")
    assert services.withdraw_exception(exception=held[0], actor=erin, reason="mine").standing == "withdrawn"
    page = reverse("registry:exception_withdraw", args=[held[1].typeid])
    client.force_login(bob)
    assert client.get(page).status_code == 403
    assert page not in client.get(slots[0].get_absolute_url()).content.decode()
    client.force_login(erin)
    assert page in client.get(slots[0].get_absolute_url()).content.decode()
    assert client.post(page, {"reason": "mine"}).status_code == 302


def test_one_look_asks_about_some_twenty_five_and_leads_to_the_next(
    places, slots, alice, client, django_assert_max_num_queries
):
    """However many there are, a page asks the gates about no more than 25 slots, and each gate once about all of them."""
    _, second = places
    version = slots[1].bindings.get().version
    AgentVersion.objects.filter(pk=version.pk).update(rolled_back=True)
    role = make.role("porter", name="Porter")
    for _n in range(28):
        place = make.slot(environment=second, role=role)
        type(place).objects.filter(pk=place.pk).update(current_version=version)
    first = queries.lacks_of(second, alice)
    assert (len(first.slots), first.unasked, first.next_start) == (24, 5, 25)
    rest = queries.lacks_of(second, alice, first.next_start)
    assert (len(rest.slots), rest.unasked, rest.next_start) == (5, 0, 0)
    with django_assert_max_num_queries(15):
        queries.lacks_of(second, alice)
    client.force_login(alice)
    page = client.get(f"/registry/environments/{second.typeid}/lacks/").content.decode()
    assert "?from=25" in page
    page = client.get(f"/registry/environments/{second.typeid}/lacks/?from=25").content.decode()
    assert page.count("Porter") >= 5 and "Ask about the next" not in page
    asked = client.get(f"{API}{second.typeid}/lacks/?start=25").json()
    assert (len(asked["slots"]), asked["next_start"]) == (5, 0)
    assert client.get(f"{API}{second.typeid}/lacks/?start=-1").status_code == 422
