"""Releases through the API: plan, start, pause, resume, confirm, abort; roll back with its preview; exceptions."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from arm import clock
from arm.models import ApiKey
from arm.rights import Right
from registry.gates import CHANNEL_ORDER
from registry.models import Rollback, Rollout
from tests import make
from tests.registry.releasing import bound, running, started

pytestmark = pytest.mark.django_db
API = "/api/v1/registry/"


class Caller:
    def __init__(self, client):
        self.client = client

    def get(self, path, **query):
        return self.client.get(API + path, query)

    def post(self, path, **body):
        return self.client.post(API + path, {"reason": "go", **body}, content_type="application/json")


@pytest.fixture
def api(client, rita, settings):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound", "registry.plugins.ChannelOrder"]
    client.force_login(rita)
    return Caller(client)


@pytest.fixture
def slot(api, rita, old):
    return bound(make.slot(environment=make.environment("prod")), old, actor=rita)


def test_a_rollout_lives_its_whole_life_there(api, slot, old, new):
    plan = {"slots": [slot.typeid], "version": new.typeid, "strategy": "canary", "percents": [10, 100]}
    made = api.post("rollouts/", **plan, bake_seconds=0)
    assert made.status_code == 201, made.json()
    row = made.json()
    assert (row["state"], [step["percent"] for step in row["steps"]]) == ("planned", [10, 100])
    where = f"rollouts/{row['id']}/"
    states = []
    of = {"step": 1}, {"step": 2}
    verbs = ("start", "pause", "resume", "confirm", "confirm")
    for verb, said in zip(verbs, ({}, {}, {}, *of), strict=True):
        answer = api.post(f"{where}{verb}/", **said)
        assert answer.status_code == 200, answer.json()
        states.append(answer.json()["state"])
    assert states == ["running", "paused", "running", "running", "completed"]
    assert api.get(where).json()["slots"][0]["from_version"] == old.typeid
    assert [one["id"] for one in api.get("rollouts/", state="completed").json()["results"]] == [row["id"]]
    assert api.get("rollouts/", state="running").json()["results"] == []
    assert api.post(f"{where}abort/").status_code == 409


def test_a_list_of_rollouts_counts_steps_and_slots_and_leaves_them_to_each(api, slot, old, new):
    plan = {"slots": [slot.typeid], "version": new.typeid, "strategy": "canary", "percents": [10, 50, 100]}
    made = api.post("rollouts/", **plan, bake_seconds=0).json()

    def listed():
        (row,) = api.get("rollouts/").json()["results"]
        assert not {"steps", "slots"} & row.keys() and row.keys() > {"state", "said", "gates", "drift"}
        return row["step"], row["step_count"], row["slot_count"]

    assert listed() == (None, 3, 1)
    where = f"rollouts/{made['id']}/"
    api.post(f"{where}start/")
    assert listed() == (1, 3, 1)
    api.post(f"{where}confirm/", step=1)
    assert listed() == (2, 3, 1)
    whole = api.get(where).json()
    assert (len(whole["steps"]), len(whole["slots"])) == (3, 1) and "step_count" not in whole


def test_an_abort_returns_the_slot(api, slot, old, new):
    row = api.post("rollouts/", slots=[slot.typeid], version=new.typeid, strategy="all").json()
    api.post(f"rollouts/{row['id']}/start/")
    assert api.get(f"slots/{slot.typeid}/").json()["current_version"] == new.typeid
    assert api.post(f"rollouts/{row['id']}/abort/").json()["state"] == "aborted"
    assert api.get(f"slots/{slot.typeid}/").json()["current_version"] == old.typeid


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"strategy": "canary", "percents": [10]}, "/percents"),
        ({"strategy": "sideways"}, "/strategy"),
        ({"slots": []}, "/slots"),
        ({"health_gates": ["luck"]}, "/health_gates"),
        ({"surprise": 1}, "/surprise"),
        ({"version": "ver_01h455vb4pex5vsknk084sn02q"}, "/version"),
        ({"drain": "at_once", "within_seconds": 60}, "/within_seconds"),
    ],
)
def test_a_plan_that_is_wrong_is_answered_with_where(api, slot, new, wrong, pointer):
    plan = {"slots": [slot.typeid], "version": new.typeid, "strategy": "all"}
    answer = api.post("rollouts/", **plan | wrong)
    assert answer.status_code == 422 and pointer in {error["pointer"] for error in answer.json()["errors"]}
    assert not Rollout.objects.exists()


def test_a_refused_start_names_every_gate(api, slot, old):
    poor = make.version(template=old.template, state="testing")
    row = api.post("rollouts/", slots=[slot.typeid], version=poor.typeid, strategy="all").json()
    answer = api.post(f"rollouts/{row['id']}/start/")
    assert (answer.status_code, answer.json()["code"]) == (409, "gate_refused")
    assert [gate["gate"] for gate in answer.json()["gates"]] == ["version may run"]


def test_a_rollback_is_previewed_and_done_with_the_version_that_was_shown(api, slot, rita, old, new):
    assert api.get(f"slots/{slot.typeid}/roll-back-preview/").status_code == 404
    bound(slot, new, actor=rita)
    running(slot, new, 2)
    seen = api.get(f"slots/{slot.typeid}/roll-back-preview/").json()
    assert (seen["leaving"], seen["target"], seen["drains"], seen["provisioned"]) == (
        new.typeid, old.typeid, 2, 2,
    )  # fmt: skip
    stale = api.post(f"slots/{slot.typeid}/roll-back/", leaving=old.typeid)
    assert stale.status_code == 409 and not Rollback.objects.exists()
    unused = api.post(
        f"slots/{slot.typeid}/roll-back/", leaving=new.typeid, drain="at_once", within_seconds=60
    )
    assert unused.status_code == 422 and unused.json()["errors"][0]["pointer"] == "/within_seconds"
    done = api.post(f"slots/{slot.typeid}/roll-back/", leaving=new.typeid, drain="at_once")
    assert done.status_code == 201, done.json()
    assert (done.json()["drained"], done.json()["to_version"]) == (2, old.typeid)
    assert api.get(f"rollbacks/{done.json()['id']}/").json()["dossier"]["reason"] == "go"


def test_an_exception_is_a_persons(api, slot, new, tenant, client):
    erin = make.hired("erin", "approver", tenant)
    body = {
        "slot": slot.typeid, "version": new.typeid, "gate": CHANNEL_ORDER,
        "until": (clock.now() + timedelta(hours=1)).isoformat(),
    }  # fmt: skip
    assert api.post("exceptions/", **body).status_code == 403
    client.force_login(erin)
    made = api.post("exceptions/", **body)
    assert made.status_code == 201 and made.json()["used_at"] is None
    key, token = make.key(ApiKey.Kind.SERVICE, tenant=tenant, user=erin)
    client.logout()
    refused = client.post(
        f"{API}exceptions/", {"reason": "x", **body}, content_type="application/json",
        HTTP_AUTHORIZATION=f"Bearer {token}",
    )  # fmt: skip
    assert refused.status_code == 403 and key


def test_a_stranger_finds_none_of_it(api, slot, new, tenant, client):
    row = api.post("rollouts/", slots=[slot.typeid], version=new.typeid, strategy="all").json()
    client.force_login(make.user("mallory", member_of=tenant))
    for path in (f"rollouts/{row['id']}/", f"slots/{slot.typeid}/roll-back-preview/"):
        assert api.get(path).status_code == 404
    for path in (f"rollouts/{row['id']}/start/", f"slots/{slot.typeid}/roll-back/"):
        assert api.post(path).status_code == 404
    assert api.get("rollouts/").json()["results"] == []


# a rollback that compares what was read (If-Match)

NOBODYS = ("slt_01h455vb4pex5vsknk084sn02q", "slt_01h455vb4pex5vsknk084sn02r")


@pytest.fixture
def back(api, client, slot, rita, new, settings):
    """Asks to roll the slot back if it is as it was read: the answer, and whether anything was locked for it."""
    settings.BINDING_GATES = []
    bound(slot, new, actor=rita)

    def ask(**said):
        address = f"{API}slots/{slot.typeid}/"
        body = {"reason": "It lies", "leaving": new.typeid, **said}
        headers = {"If-Match": client.get(address)["ETag"]}
        with CaptureQueriesContext(connection) as seen:
            answer = client.post(
                f"{address}roll-back/", body, content_type="application/json", headers=headers
            )
        locks = [one["sql"] for one in seen if " FOR " in one["sql"] and "registry_" in one["sql"]]
        return answer, bool(locks)

    return ask


def test_slots_of_a_rollback_that_nobody_knows_are_named_before_anything_is_locked(
    back, slot, old, new, rita
):
    other = bound(make.slot(environment=slot.environment), old, new, actor=rita)
    answer, locked = back(
        also=[NOBODYS[0], other.typeid, NOBODYS[1]], leaving="ver_01h455vb4pex5vsknk084sn02q"
    )
    assert (answer.status_code, locked) == (422, False), answer.content
    assert [(one["pointer"], one["code"]) for one in answer.json()["errors"]] == [
        ("/leaving", "unknown"), ("/also/0", "unknown"), ("/also/2", "unknown"),
    ]  # fmt: skip
    answer, _ = back(also=[NOBODYS[0]])
    assert [one["pointer"] for one in answer.json()["errors"]] == ["/also/0"]
    assert not Rollback.objects.exists()
    answer, locked = back(also=[other.typeid])
    assert (answer.status_code, locked) == (201, True), answer.content
    assert Rollback.objects.count() == 2


def test_who_may_not_roll_back_a_slot_locks_neither_it_nor_a_rollout_that_holds_it(
    back, client, slot, rita, old, new, tenant
):
    third = make.approved(template=old.template)
    elsewhere = bound(make.slot(environment=make.environment("staging")), old, new, actor=rita)
    started(elsewhere, third, rita, strategy="canary", percents=[5, 100])
    client.force_login(make.hired("vera", "viewer", tenant))
    answer, locked = back()
    assert (answer.status_code, answer.json()["code"], locked) == (403, "not_allowed", False)
    bob = make.user("bob", member_of=tenant)
    make.grant(bob, tenant, Right.READ_DIRECTORY)
    make.grant(bob, slot.environment, Right.ROLL_BACK_RELEASE)
    client.force_login(bob)
    answer, locked = back(also=[elsewhere.typeid])
    assert (answer.status_code, locked) == (403, False) and str(elsewhere) in answer.json()["detail"]
    assert back()[0].status_code == 201


def test_a_slot_that_the_caller_does_not_see_is_told_as_one_that_is_not_there(
    back, client, slot, tenant, old, new, rita
):
    hidden = bound(make.slot(environment=make.environment("vault")), old, new, actor=rita)
    bob = make.user("bob", member_of=tenant)
    make.grant(bob, slot.environment, Right.READ_DIRECTORY, Right.ROLL_BACK_RELEASE)
    make.grant(bob, new.template, Right.READ_DIRECTORY)
    client.force_login(bob)
    (answer, locked), (other, _) = back(also=[hidden.typeid]), back(also=[NOBODYS[0]])
    assert (answer.status_code, locked) == (422, False)
    assert answer.json()["errors"] == other.json()["errors"]


def test_a_plan_names_every_slot_that_nobody_knows(api, slot, new):
    plan = {"slots": [NOBODYS[0], slot.typeid, NOBODYS[1]], "version": new.typeid, "strategy": "all"}
    answer = api.post("rollouts/", **plan)
    assert [one["pointer"] for one in answer.json()["errors"]] == ["/slots/0", "/slots/2"]


def test_a_rollout_of_many_slots_stands_once_among_those_of_a_slot(api, slot, new, rita):
    """Three rollouts of two slots each, two a page."""
    other = make.slot(environment=slot.environment, role=slot.role, provider=make.provider("elsewhere"))
    made = []
    for _ in range(3):
        rollout = Rollout.objects.create(
            tenant=slot.tenant, environment=slot.environment, role=slot.role, version=new, strategy="all",
            reason="t", created_by=rita,
        )  # fmt: skip
        for one in (slot, other):
            rollout.slots.create(tenant=slot.tenant, slot=one)
        made.insert(0, rollout.typeid)
    first = api.get("rollouts/", slot=slot.typeid, page_size=2).json()
    second = api.client.get(first["next"]).json()
    assert [row["id"] for row in first["results"] + second["results"]] == made and second["next"] is None
