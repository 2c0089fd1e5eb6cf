"""`/api/v1/incidents/`: the same rules for machines, with problem documents."""

import pytest

from arm.ids import encode, uuid7
from arm.models import ApiKey
from arm.rights import Right
from registry.lifecycle import InstanceState
from telemetry import services
from telemetry.lifecycle import IncidentKind, Severity
from telemetry.models import Incident
from tests import make

pytestmark = pytest.mark.django_db
URL = "/api/v1/incidents/"


@pytest.fixture
def tenant():
    return make.tenant("acme")


@pytest.fixture
def alice(tenant):
    user = make.user("alice", member_of=tenant)
    make.grant(
        user,
        tenant,
        Right.READ_INCIDENTS,
        Right.READ_DIRECTORY,
        Right.MANAGE_INCIDENT,
        Right.RESTRICT_INSTANCE,
    )
    return user


@pytest.fixture
def ask(client, tenant, alice):
    """Alice's service token in hand."""
    _, token = make.key(ApiKey.Kind.SERVICE, tenant=tenant, user=alice)

    def call(method, path="", body=None, status=200):
        response = getattr(client, method)(
            URL + path,
            data=body,
            content_type="application/json",
            headers={"Authorization": f"Bearer {token}"},
        )
        assert response.status_code == status, response.content
        return response.json()

    return call


@pytest.fixture
def instance(tenant):
    return make.instance(environment=make.environment("prod"))


def opened(subject, **kw):
    defaults = {"kind": IncidentKind.DRIFT, "severity": Severity.S2, "title": "Another model answers"}
    return services.open_incident(subject=subject, actor=None, **(defaults | kw))


def test_the_list_is_filtered_and_complete(ask, instance):
    opened(instance, severity=Severity.S1)
    resolved = opened(make.instance())
    Incident.objects.filter(pk=resolved.pk).update(state="resolved", root_cause="x")
    assert len(ask("get")["results"]) == 2
    (row,) = ask("get", "?severity=s1&state=open")["results"]
    assert (row["instance"], row["environment"], row["owner"]) == (instance.typeid, "prod", None)


def test_one_incident_comes_with_its_timeline(ask, instance):
    incident = opened(instance, facts={"model": "other"})
    body = ask("get", f"{incident.typeid}/")
    assert body["facts"] == {"model": "other"} and [e["kind"] for e in body["entries"]] == ["opened"]
    assert ask("get", incident.typeid) == body, "both slash forms answer"


def test_opening_twice_answers_with_the_standing_one(ask, instance):
    body = {"subject": instance.typeid, "kind": "outage", "severity": "s1", "title": "Silent"}
    first = ask("post", body=body, status=201)
    again = ask("post", body=body, status=200)
    assert again["id"] == first["id"] and first["opened_by"] == "alice"


def test_from_open_to_reviewed(ask, instance):
    path = f"{opened(instance).typeid}/"
    body = ask("post", path + "triage/", {"severity": "s0", "owner": "alice", "reason": "Seen"})
    assert (body["state"], body["owner"], body["severity"]) == ("triaged", "alice", "s0")
    body = ask("post", path + "mitigate/", {"measure": "quarantined", "reason": "Stop it"})
    instance.refresh_from_db()
    assert body["state"] == "mitigated" and instance.state == InstanceState.QUARANTINED
    body = ask("post", path + "resolve/", {"root_cause": "x", "remediation": "y"})
    body = ask("post", path + "reopen/", {"reason": "Back"})
    ask("post", path + "assign/", {"owner": "alice"})
    body = ask("post", path + "resolve/", {"root_cause": "x", "remediation": "z"})
    body = ask("post", path + "review/", {"lessons": "z"})
    assert body["state"] == "reviewed" and body["remediation"] == "z"
    note = ask("post", path + "notes/", {"text": "Filed", "links": ["chg_1"]}, status=201)
    assert note["author"] == "alice" and note["links"] == ["chg_1"]


def test_what_an_incident_drains_is_drained_to_be_looked_at_and_not_to_be_retired(ask, instance):
    ask("post", f"{opened(instance).typeid}/mitigate/", {"measure": "draining", "reason": "Look at it"})
    instance.refresh_from_db()
    assert (instance.state, instance.leaving) == (InstanceState.DRAINING, False)


def test_every_wrong_member_is_named_at_once(ask, tenant):
    body = {"subject": "ins_1", "kind": "bad luck", "severity": "s9", "titel": "x"}
    problem = ask("post", body=body, status=422)
    wrong = {"/subject", "/kind", "/severity", "/title", "/titel"}
    assert {e["pointer"] for e in problem["errors"]} == wrong


def test_an_unknown_owner_is_named(ask, instance):
    problem = ask("post", f"{opened(instance).typeid}/assign/", {"owner": "mallory"}, status=422)
    assert problem["errors"] == [
        {"pointer": "/owner", "code": "unknown", "message": "Nobody of that name works here."}
    ]


def test_a_move_that_does_not_exist_is_a_conflict(ask, instance):
    problem = ask("post", f"{opened(instance).typeid}/review/", {"lessons": "x"}, status=409)
    assert problem["code"] == "conflict" and "cannot become Reviewed" in problem["detail"]


def test_what_is_not_mine_to_see_is_not_there_before_the_body_is_read(ask, tenant):
    theirs = opened(make.instance(version=make.approved(template=make.template(tenant=make.tenant("other")))))
    for name in (theirs.typeid, encode("inc", uuid7()), encode("ver", theirs.pk)):
        assert ask("get", f"{name}/", status=404)["code"] == "not_found"
        assert ask("post", f"{name}/triage/", {"wrong": 1}, status=404)["code"] == "not_found"
    assert ask("get")["results"] == []


def test_without_the_right_nothing_changes(ask, client, tenant, instance):
    incident = opened(instance)
    rita = make.user("rita", member_of=tenant)
    make.grant(rita, tenant, Right.READ_INCIDENTS)
    _, token = make.key(ApiKey.Kind.SERVICE, tenant=tenant, user=rita)
    answer = client.post(
        f"{URL}{incident.typeid}/triage/",
        {"severity": "s0", "reason": "x"},
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 403 and answer.json()["right"] == "incident_manage"
    incident.refresh_from_db()
    assert incident.state == "open"
