"""Requests for a stop over the API: asked by scripts, answered by people who are signed in."""

import json

import pytest

from arm.models import ApiKey, User
from arm.roles import ROLES
from policy.models import Posture, RestrictionRequest
from tests import make
from tests.policy.test_api import API, Speaker, problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def prod(acme):
    return make.environment("prod", name="Production")


@pytest.fixture
def token_of(client, acme, people):
    def token_of(name):
        _, token = make.key(ApiKey.Kind.PERSONAL, tenant=acme, user=people[name])
        return Speaker(client, token)

    return token_of


@pytest.fixture
def signed_in(client, people):
    """Asks with the console's session of that person."""

    def signed_in(name):
        client.force_login(people[name])
        speaker = Speaker(client, "")
        speaker.headers = {}
        return speaker

    return signed_in


def wish(scope, **members):
    body = {"scope": scope.typeid, "mode": "paused", "reason_code": "security", "reason": "A stolen key."}
    return body | members


def test_a_stop_of_production_is_asked_for_and_confirmed(signed_in, prod):
    asked = signed_in("dan").post("restrictions/", **wish(prod))
    assert asked.status_code == 201, asked.content
    body = asked.json()
    assert asked["Location"] == body["url"]
    assert (body["state"], body["needs"], body["have"], body["who_may"]) == ("requested", 2, 1, ["judy"])
    answer = signed_in("judy").post(f"{body['url']}confirm/", digest=body["digest"]).json()
    posture = Posture.objects.get()
    assert (answer["state"], answer["posture"], answer["closed_by"]) == ("confirmed", posture.typeid, "judy")
    shown = signed_in("judy").get(f"postures/{posture.typeid}/").json()
    assert shown["request"] == body["id"]


def test_setting_it_alone_is_refused_with_the_names_of_those_who_may_help(signed_in, prod):
    body = {name: value for name, value in wish(prod).items() if name != "reason_code"}
    refused = problem(signed_in("dan").post("postures/", **body), 409, "second_person_needed")
    assert (refused["needs"], refused["who_may"]) == (2, ["judy"])
    assert not Posture.objects.exists()


def test_the_preview_says_what_the_caller_can_do(signed_in, prod):
    template = make.instance().template
    ways = {}
    for name in ("dan", "grace", "vera"):
        for scope in (prod, template):
            found = signed_in(name).post("postures/preview/", scope=scope.typeid, mode="paused").json()
            ways[name, scope] = found["way"]
    assert ways == {
        ("dan", prod): "first_of_two",
        ("dan", template): "at_once",
        ("grace", prod): "ask",
        ("grace", template): "ask",
        ("vera", prod): "none",
        ("vera", template): "none",
    }


def test_a_script_may_ask_with_a_persons_token_but_confirm_nothing(token_of, signed_in, prod):
    asked = token_of("dan").post("restrictions/", **wish(prod)).json()
    assert (asked["have"], asked["needs"]) == (0, 2)
    refused = token_of("judy").post(f"restrictions/{asked['id']}/confirm/", digest=asked["digest"])
    assert problem(refused, 403, "not_allowed")["who_may"] == ["judy"]
    body = {"reason": "no"}
    problem(token_of("judy").post(f"restrictions/{asked['id']}/decline/", **body), 403, "not_allowed")
    assert not Posture.objects.exists()


def test_a_service_account_neither_asks_nor_confirms(client, acme, signed_in, prod):
    robot = make.user("robot", member_of=acme, kind=User.Kind.SERVICE)
    make.grant(robot, acme, *ROLES["fleet_operator"].rights)
    _, token = make.key(ApiKey.Kind.SERVICE, tenant=acme, user=robot)
    asked = signed_in("dan").post("restrictions/", **wish(prod)).json()
    machine = Speaker(client, token)
    problem(machine.post("restrictions/", **wish(prod, mode="draining")), 403, "not_allowed")
    url = f"restrictions/{asked['id']}/confirm/"
    problem(machine.post(url, digest=asked["digest"]), 403, "not_allowed")
    assert RestrictionRequest.objects.count() == 1 and not Posture.objects.exists()


def test_a_workload_token_finds_no_door_here(client, prod):
    agent = Speaker(client, make.workload_token(make.instance(environment=prod)))
    assert agent.post("restrictions/", **wish(prod)).status_code == 401


def test_who_asked_is_told_who_may_confirm(signed_in, prod):
    asked = signed_in("dan").post("restrictions/", **wish(prod)).json()
    refused = signed_in("dan").post(f"restrictions/{asked['id']}/confirm/", digest=asked["digest"])
    assert problem(refused, 403, "not_allowed")["who_may"] == ["judy"]


def test_a_digest_of_something_else_is_409_with_the_right_one(signed_in, prod):
    asked = signed_in("dan").post("restrictions/", **wish(prod)).json()
    refused = signed_in("judy").post(f"restrictions/{asked['id']}/confirm/", digest="sha256:0")
    assert problem(refused, 409, "conflict")["digest"] == asked["digest"]


def test_wrong_members_are_named_all_at_once(signed_in, prod):
    refused = signed_in("dan").post("restrictions/", **wish(prod, mode="sleepy", reason_code="whim"))
    pointers = {error["pointer"] for error in problem(refused, 422, "invalid")["errors"]}
    assert pointers == {"/mode", "/reason_code"}
    refused = signed_in("dan").post("restrictions/", **wish(prod, person="judy"))
    assert problem(refused, 422, "invalid")["errors"][0]["pointer"] == "/person"


def test_it_is_declined_taken_back_and_listed_by_its_true_state(signed_in, acme, prod):
    first = signed_in("dan").post("restrictions/", **wish(prod)).json()
    signed_in("judy").post(f"restrictions/{first['id']}/decline/", reason="A drill of mine")
    second = signed_in("grace").post("restrictions/", **wish(prod)).json()
    signed_in("grace").post(f"restrictions/{second['id']}/withdraw/", reason="I erred")
    listed = signed_in("vera").get("restrictions/?state=declined").json()["results"]
    assert [row["id"] for row in listed] == [first["id"]]
    assert signed_in("vera").get(f"restrictions/{second['id']}/").json()["state"] == "withdrawn"


def test_mallory_of_another_tenant_gets_404_before_her_body_is_read(client, signed_in, prod):
    asked = signed_in("dan").post("restrictions/", **wish(prod)).json()
    other = make.tenant("other")
    client.force_login(make.everything(make.user("mallory", member_of=other), other))
    for verb in ("", "confirm/", "decline/", "withdraw/"):
        url = f"{API}/restrictions/{asked['id']}/{verb}"
        ask = client.get(url) if not verb else client.post(url, "{", "application/json")
        problem(ask, 404, "not_found")
    assert json.loads(client.get(f"{API}/restrictions/").content)["results"] == []
