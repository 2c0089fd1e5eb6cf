"""Labels that no list could be asked for are refused by every door that makes an instance."""

import pytest

from arm import ids
from arm.ids import uuid7
from registry.lifecycle import InstanceState
from registry.models import AgentInstance
from registry.protocol.sheet import read_sheet
from tests import make

pytestmark = pytest.mark.django_db
API = "/api/v1/registry/instances/"

WRONG = [
    ({"": "x"}, "required"),
    ({" ": "x"}, "required"),
    ({"a=b": "x"}, "pattern"),
    ({"k" * 201: "x"}, "maxLength"),
    ({f"k{n}": "x" for n in range(51)}, "maxLength"),
    ({"a\x00": "x"}, "text"),
]


@pytest.fixture
def olga(client):
    acme = make.tenant("acme")
    client.force_login(make.everything(make.user("olga", member_of=acme), acme))


@pytest.mark.parametrize("labels, code", WRONG)
def test_they_are_refused_where_one_is_provisioned(client, olga, labels, code):
    version, place, host = make.approved(), make.environment("dev"), make.provider("cloud")
    asked = {"version": version.typeid, "environment": place.slug, "provider": host.slug, "name": "desk"}
    answer = client.post(API, asked | {"labels": labels, "reason": "new"}, "application/json")
    assert answer.status_code == 422
    assert (answer.json()["errors"][0]["pointer"], answer.json()["errors"][0]["code"]) == ("/labels", code)
    assert not AgentInstance.objects.exists()


@pytest.mark.parametrize("labels, code", WRONG)
def test_they_are_refused_where_one_is_spawned(client, olga, labels, code):
    agent = make.template("boss")
    held = make.genome(template=agent, members={"spawn": {"allowed": True}})
    boss = make.instance(version=make.approved(template=agent, genome=held), state=InstanceState.ACTIVE)
    asked = {"version": boss.version.typeid, "name": "child", "labels": labels, "reason": "more"}
    answer = client.post(f"{API}{boss.typeid}/spawn/", asked, "application/json")
    assert answer.status_code == 422
    assert (answer.json()["errors"][0]["pointer"], answer.json()["errors"][0]["code"]) == ("/labels", code)
    assert AgentInstance.objects.get() == boss


def test_others_are_kept_and_found(client, olga):
    version, place, host = make.approved(), make.environment("dev"), make.provider("cloud")
    asked = {"version": version.typeid, "environment": place.slug, "provider": host.slug, "name": "desk"}
    made = client.post(
        API, asked | {"labels": {"squad": "s=1", "k" * 200: "v" * 200}, "reason": "new"}, "application/json"
    ).json()
    for label in ("squad", "squad=s=1", f"{'k' * 200}={'v' * 200}"):
        found = client.get(API, {"label": label}).json()["results"]
        assert [one["id"] for one in found] == [made["id"]]


def test_a_table_makes_none_so_named_but_takes_back_one_that_stands():
    text = 'id,version,environment,provider,name,labels\r\n{},a@1,dev,local,desk,"{{""a=b"": ""x""}}"\r\n'
    (wrong,) = read_sheet(text.format("").encode(), "instances").read.problems
    assert (wrong["pointer"], wrong["code"]) == ("/rows/0/labels", "pattern")
    (row,) = read_sheet(text.format(ids.encode("ins", uuid7())).encode(), "instances").read.rows
    assert row.labels == {"a=b": "x"}
