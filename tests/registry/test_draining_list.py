"""What drains across the fleet: each with the very words of its page, asked at once, and seen by who may see it."""

from datetime import timedelta

import pytest
from django.urls import reverse

from arm import clock, plugged
from arm.rights import Right
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, InstanceStatus, Provider
from registry.queries import instance_page
from tests import make

pytestmark = pytest.mark.django_db
S = InstanceState


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def vera(acme, client):
    vera = make.user("vera", member_of=acme)
    make.grant(vera, acme, Right.READ_DIRECTORY, Right.EXPORT)
    client.force_login(vera)
    return vera


@pytest.fixture
def fleet(acme):
    """Some that drain, each for another reason, and one that does not."""
    long_ago = clock.now() - timedelta(hours=2)
    made = {
        name: make.instance(name=name, state=S.DRAINING, leaving=True, state_since=long_ago)
        for name in ("ready", "busy", "talking", "unheard", "parent")
    }
    make.instance(name="child", parent=made["parent"], depth=1)
    made["looked at"] = make.instance(name="looked at", state=S.DRAINING, state_since=long_ago)
    made["just"] = make.instance(name="just", state=S.DRAINING, leaving=True)
    federated = make.provider(kind=Provider.Kind.FEDERATED)
    made["silent"] = make.instance(
        name="silent", state=S.DRAINING, leaving=True, state_since=long_ago, provider=federated
    )
    make.instance(name="active")
    quiet = InstanceStatus.objects.filter(instance__name__in=["ready", "busy", "just", "silent", "parent"])
    quiet.update(telemetry_at=long_ago)
    InstanceStatus.objects.filter(instance__name="talking").update(
        telemetry_at=clock.now(), heartbeat_at=clock.now()
    )
    make.job(acme, "j-1", made["busy"])
    return made


WORDS = {
    "ready": "Nothing any more",
    "busy": "1 jobs without an outcome in flight",
    "talking": "it may still be at work",
    "unheard": "Nothing was ever heard of what it does",
    "just": "less than 15 minutes",
    "parent": "1 instance that it has started lives",
    "looked at": "stays until somebody retires it",
    "silent": "has not reported since that it drains",
}


def test_each_says_what_its_own_page_says(client, vera, fleet):
    page = client.get(reverse("registry:draining_list"))
    rows = {row.instance.name: row for row in page.context["rows"]}
    assert rows.keys() == fleet.keys()
    for name, words in WORDS.items():
        assert words in rows[name].said and words in page.content.decode(), name
        own = instance_page(AgentInstance.objects.for_list().get(name=name), vera).waits_for
        assert rows[name].waits_for == own, name
    found = client.get("/api/v1/registry/draining/").json()["results"]
    assert {row["name"]: [one["reason"] for one in row["waits_for"]] for row in found} == {
        name: [verdict.reason for verdict in row.waits_for] for name, row in rows.items()
    }
    file = client.get(reverse("registry:draining_list"), {"format": "csv"}).content.decode()
    assert len(file.splitlines()) == 1 + len(fleet) and "it may still be at work" in file


SAVEPOINT = (
    2  # the test's own transaction turns the request's BEGIN and COMMIT into two statements that are counted
)


@pytest.fixture
def everybody_asked(settings):
    """The ports as they are plugged."""
    settings.WORK_IN_FLIGHT, settings.DRAINED_GATES = plugged.WORK_IN_FLIGHT, plugged.DRAINED_GATES


def test_any_number_of_rows_asks_the_database_at_most_fifteen_times(
    client, vera, fleet, everybody_asked, django_assert_max_num_queries
):
    addresses = (reverse("registry:draining_list"), "/api/v1/registry/draining/")
    for more in (0, 30):
        for number in range(more):
            make.instance(name=f"more-{number}", state=S.DRAINING, leaving=True)
        for address in addresses:
            client.get(address)
            with django_assert_max_num_queries(15 + SAVEPOINT):
                client.get(address)


def test_a_list_says_the_same_of_jobs_as_each_page_does(client, vera, fleet, acme, everybody_asked):
    """Those of the last hour, and those of the day before it: asked at once for a list, and of each alone."""
    make.job(acme, "j-2", fleet["ready"], last_seen_at=clock.now() - timedelta(hours=3))
    rows = {row.instance.name: row for row in client.get(reverse("registry:draining_list")).context["rows"]}
    for name, instance in fleet.items():
        own = instance_page(AgentInstance.objects.for_list().get(pk=instance.pk), vera).waits_for
        assert rows[name].waits_for == own, name
    assert "in the last day" in rows["ready"].said and "jobs without an outcome" not in rows["ready"].said
    assert "in the last day" in rows["busy"].said and "jobs without an outcome" in rows["busy"].said


def test_they_are_filtered_like_instances_and_by_how_long_they_drain(client, vera, fleet):
    def names(**query):
        found = client.get("/api/v1/registry/draining/", query)
        assert found.status_code == 200, found.content
        shown = client.get(reverse("registry:draining_list"), query).context["object_list"]
        assert {row["name"] for row in found.json()["results"]} == {row.name for row in shown}
        return {row.name for row in shown}

    assert names(drained_for="hour") == fleet.keys() - {"just"}
    assert names(drained_for="day") == set()
    assert names(provider=fleet["silent"].provider.slug) == {"silent"}
    assert names(template=fleet["busy"].template.typeid) == {"busy"}
    assert client.get("/api/v1/registry/draining/", {"state": "active"}).status_code == 422


def test_one_sees_what_drains_of_what_one_may_see(client, acme, fleet):
    bob = make.user("bob", member_of=acme)
    make.grant(bob, fleet["busy"].template, Right.READ_DIRECTORY)
    client.force_login(bob)
    assert [row.instance for row in client.get(reverse("registry:draining_list")).context["rows"]] == [
        fleet["busy"]
    ]
    assert [row["name"] for row in client.get("/api/v1/registry/draining/").json()["results"]] == ["busy"]


def test_the_fleet_page_leads_there_while_something_drains(client, vera, acme):
    assert (
        reverse("registry:draining_list") + '"' not in client.get("/").content.decode().partition("<main")[2]
    )
    make.instance(name="leaving", state=S.DRAINING)
    page = client.get("/").content.decode().partition("<main")[2]
    assert reverse("registry:draining_list") in page and "leaving" in page
