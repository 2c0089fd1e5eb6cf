"""An environment changes, and its place among the channels: shown before, refused while a rollout asks that rule."""

import pytest
from django.urls import reverse

from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right, Risk
from registry import queries, services
from registry.engine import moved_to, other_rules
from registry.gates import GateRefused
from registry.models import Environment
from tests import make
from tests.registry.releasing import bound, started

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def gates(settings):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound", "registry.plugins.ChannelOrder"]


@pytest.fixture
def clerk(tenant):
    return make.role("clerk", name="Clerk")


@pytest.fixture
def places(tenant):
    return [
        make.environment(slug, name=slug.title(), position=n)
        for n, slug in enumerate(("dev", "staging", "pilot", "prod"), 1)
    ]


def change(environment, actor, **values):
    return services.update_environment(environment=environment, actor=actor, reason="because", **values)


def order():
    return list(Environment.objects.order_by("position").values_list("slug", flat=True))


def test_moving_one_names_everybody_whose_rule_is_another_one():
    assert moved_to(list("abcd"), "d", 2) == list("adbc")
    assert other_rules(list("abcd"), list("adbc")) == [("d", "c", "a"), ("b", "a", "d")]
    assert other_rules(list("abc"), list("bac")) == [("b", "a", None), ("a", None, "b"), ("c", "b", "a")]
    with pytest.raises(ValueError, match="places 1 to 2"):
        moved_to(list("ab"), "a", 3)


def test_an_environment_takes_its_new_place_and_the_others_close_up(places, alice):
    moved = change(places[3], alice, position=2)
    assert order() == ["dev", "prod", "staging", "pilot"] and moved.position == 2
    record = ChangeRecord.objects.get(verb="registry.environment.updated")
    assert record.before == {"position": 4, "order": ["dev", "staging", "pilot", "prod"]}
    assert record.after == {"position": 2, "order": ["dev", "prod", "staging", "pilot"]}


def test_what_it_is_called_and_takes_is_changed_with_its_record(places, alice):
    change(places[0], alice, name="Play", risk_default=Risk.LOW, retention_days=30, cost_tags={"team": "a"})
    places[0].refresh_from_db()
    assert (places[0].name, places[0].retention_days, places[0].cost_tags) == ("Play", 30, {"team": "a"})
    record = ChangeRecord.objects.get(verb="registry.environment.updated")
    assert record.before["name"] == "Dev" and record.after["risk_default"] == "low"
    change(places[0], alice, name="Play")
    assert ChangeRecord.objects.filter(verb="registry.environment.updated").count() == 1, "nothing changed"


def test_versions_climb_in_the_new_order(places, alice, clerk):
    _, _, pilot, _ = places
    version = make.approved()
    slots = {place.slug: make.slot(environment=place, role=clerk) for place in places}
    bound(slots["dev"], version, actor=alice)
    with pytest.raises(GateRefused, match="never bound for Clerk in Staging"):
        bound(slots["pilot"], version, actor=alice)
    change(pilot, alice, position=2)
    bound(slots["pilot"], version, actor=alice)
    with pytest.raises(GateRefused, match="never bound for Clerk in Staging"):
        bound(slots["prod"], version, actor=alice)


def test_the_preview_names_whose_rule_changes_and_who_never_came_that_way(places, alice, clerk):
    version = make.approved()
    slots = [make.slot(environment=place, role=clerk) for place in places]
    for slot in slots:
        bound(slot, version, actor=alice)
    make.slot(environment=places[1], role=clerk)  # empty: nothing of it changes
    other = bound(make.slot(environment=places[0], role=make.role("other")), make.approved(), actor=alice)
    preview = queries.order_preview(places[0], 2, alice)
    assert preview.then == ("staging", "dev", "pilot", "prod")
    told = [(one.environment.slug, one.before and one.before.slug, one.after and one.after.slug, one.slots, one.strangers)
            for one in preview.changes]  # fmt: skip
    assert told == [
        ("staging", "dev", None, 1, 0),
        ("dev", None, "staging", 2, 1),
        ("pilot", "staging", "dev", 1, 0),
    ]
    assert order() == ["dev", "staging", "pilot", "prod"]
    nobody = make.user("nobody", member_of=places[0].tenant)
    make.grant(nobody, places[0], Right.READ_DIRECTORY)
    mallory = queries.order_preview(places[0], 2, nobody)
    assert [(one.environment, str(one.after), one.slots) for one in mallory.changes] == [
        (places[0], "one that you may not see", 2)
    ], "what she may not see has no name"
    assert mallory.then == ("hidden", "dev", "hidden", "hidden") and mallory.hidden_rules == 2
    assert other.current_version


def test_a_rollout_that_asks_the_rule_stands_in_the_way_by_its_name(places, alice, clerk):
    old = make.approved()
    slot = bound(make.slot(environment=places[0], role=clerk), old, actor=alice)
    rollout = started(slot, make.approved(template=old.template), alice)
    for values in ({"position": 2}, {"production": True}, {"risk_default": Risk.HIGH}):
        with pytest.raises(Conflict, match="Clerk in Dev") as refused:
            change(places[0], alice, **values)
        assert refused.value.extra["rollouts"] == [rollout.typeid]
    change(places[0], alice, name="Play")
    change(places[3], alice, position=3)
    assert order() == ["dev", "staging", "prod", "pilot"], "that changes nothing for Dev"
    services.abort_rollout(rollout=rollout, actor=alice, reason="done")
    change(places[0], alice, position=2)


def test_another_order_than_the_preview_was_of_is_refused(places, alice):
    seen = queries.order_preview(places[3], 1, alice).order
    change(places[1], alice, position=1)
    with pytest.raises(Conflict, match="in another order by now: staging, dev, pilot, prod"):
        change(places[3], alice, position=1, order=seen)


@pytest.mark.parametrize(
    ("values", "pointers"),
    [
        ({"position": 0}, ["/position"]),
        ({"position": 5}, ["/position"]),
        ({"name": " ", "retention_days": 0}, ["/name", "/retention_days"]),
        ({"risk_default": "odd"}, ["/risk_default"]),
        ({"slug": "x"}, ["/slug"]),
        ({"cost_tags": {"a": 1}}, ["/cost_tags"]),
    ],
)
def test_what_is_wrong_is_named_all_at_once_and_changes_nothing(places, alice, values, pointers):
    with pytest.raises(Invalid) as refused:
        change(places[0], alice, **values)
    assert [problem["pointer"] for problem in refused.value.extra["errors"]] == pointers
    assert order() == ["dev", "staging", "pilot", "prod"]
    assert not ChangeRecord.objects.filter(verb="registry.environment.updated").exists()


def test_the_order_is_the_tenants_and_takes_the_right_there(places, tenant):
    bob = make.user("bob", member_of=tenant)
    make.grant(bob, places[0], Right.MANAGE_DIRECTORY)
    assert change(places[0], bob, name="Mine").name == "Mine"
    with pytest.raises(NotAllowed):
        change(places[0], bob, position=2)
    mallory = make.user("mallory", member_of=tenant)
    make.grant(mallory, tenant, *set(Right) - {Right.MANAGE_DIRECTORY})
    with pytest.raises(NotAllowed):
        change(places[0], mallory, name="x")


# through the API and the pages

API = "/api/v1/registry/environments/"


def patch(client, environment, etag="", **body):
    headers = {"If-Match": etag} if etag else {}
    return client.patch(
        f"{API}{environment.typeid}/", {"reason": "go", **body}, content_type="application/json", headers=headers
    )  # fmt: skip


def test_the_api_previews_changes_and_heeds_if_match(client, places, alice):
    client.force_login(alice)
    where = f"{API}{places[3].typeid}/"
    preview = client.get(f"{where}order-preview/", {"position": 2}).json()
    assert preview["then"] == ["dev", "prod", "staging", "pilot"]
    assert [(one["environment"], one["after"]) for one in preview["changes"]] == [
        ("prod", "dev"),
        ("staging", "prod"),
    ]
    for wrong in ("", "x", "9", "0"):
        answer = client.get(f"{where}order-preview/", {"position": wrong})
        assert answer.status_code == 422 and answer.json()["errors"][0]["pointer"] == "/position"
    etag = client.get(where)["ETag"]
    assert patch(client, places[3], etag, position=2, order=preview["order"]).json()["position"] == 2
    assert patch(client, places[3], etag, position=1).status_code == 412
    assert patch(client, places[3], position=9).json()["errors"][0]["pointer"] == "/position"
    assert patch(client, places[3], colour="red").status_code == 422
    assert order() == ["dev", "prod", "staging", "pilot"]


def test_the_page_shows_another_order_before_it_is_made(client, places, alice):
    client.force_login(alice)
    page = reverse("registry:environment_edit", args=[places[3].typeid])
    places[3].refresh_from_db()
    assert page in client.get(places[3].get_absolute_url()).content.decode()
    body = {
        "reason": "go", "name": "Prod", "position": "2", "risk_default": "medium", "retention_days": 90,
        "aggregate_days": 365, "cost_tags": "team=support\n", "seen": "", "production": "on",
    }  # fmt: skip
    shown = client.post(page, body).content.decode()
    assert "dev → prod → staging → pilot" in shown and "Nothing is changed yet" in shown
    assert order()[1] == "staging"
    assert client.post(page, body | {"position": "3", "seen": "2 dev staging pilot prod"}).status_code == 200
    assert client.post(page, body | {"seen": "2 dev staging pilot prod"}).status_code == 302
    assert order() == ["dev", "prod", "staging", "pilot"]
    places[3].refresh_from_db()
    assert places[3].cost_tags == {"team": "support"}
    wrong = client.post(page, body | {"cost_tags": "support"}).content.decode()
    assert "a name, an equals sign and a value" in wrong


def test_the_admin_changes_what_an_environment_takes(client, places, alice):
    client.force_login(alice)
    page = reverse("admin:registry_environment_change", args=[places[0].pk])
    body = {
        "name": "Play",
        "risk_default": "low",
        "retention_days": 30,
        "aggregate_days": 365,
        "cost_tags": "{}",
    }
    assert client.post(page, body | {"reason": "go"}).status_code == 302
    places[0].refresh_from_db()
    assert (places[0].name, places[0].retention_days) == ("Play", 30)
