"""Who uses a tool, model, dataset, prompt or agent: the versions, their states, and what runs them where."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from arm.rights import Right
from registry import queries
from registry.filters import DependencyFilter
from registry.lifecycle import VersionState
from registry.models import Dependency, Thing
from registry.queries import uses
from tests import make

pytestmark = pytest.mark.django_db
API = "/api/v1/registry/uses"


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def vera(acme, client):
    vera = make.user("vera", member_of=acme)
    make.grant(vera, acme, Right.READ_DIRECTORY)
    client.force_login(vera)
    return vera


def uses_tool(version, name="pay", kind="tool"):
    Dependency.objects.create(tenant=version.tenant, version=version, kind=kind, name=name)
    return version


@pytest.fixture
def fleet(acme):
    """Two versions use the tool; one of them runs twice in prod, once in lab, and once did."""
    running, draft = uses_tool(make.approved()), uses_tool(make.version())
    prod, lab = make.environment("prod", position=2), make.environment("lab", position=1)
    for place, state in ((prod, "active"), (prod, "paused"), (lab, "active"), (lab, "retired")):
        make.instance(version=running, environment=place, state=state)
    return running, draft


def thing(name="pay"):
    return Thing.objects.get(name=name)


def test_a_thing_is_there_once_however_many_use_it_and_knows_whose_it_is(acme, fleet):
    assert Thing.objects.filter(name="pay").count() == 1
    assert {row.template for row in Dependency.objects.all()} == {version.template for version in fleet}


def test_its_page_names_versions_with_states_and_live_instances_by_environment(client, vera, fleet):
    running, draft = fleet
    page = client.get(thing().get_absolute_url())
    assert [(row.pk, row.live) for row in page.context["object_list"]] == [(draft.pk, 0), (running.pk, 3)]
    found = page.context["page"]
    assert found.states == (("draft", "Draft", 1), ("approved", "Approved", 1))
    assert found.places == (("lab", "lab", 1), ("prod", "prod", 2)) and found.live == 3


def test_what_nobody_uses_any_more_is_no_longer_listed(client, vera, fleet):
    draft = make.version()
    uses_tool(draft, "spare")
    page = thing("spare").get_absolute_url()
    assert client.get(page).status_code == 200
    Dependency.objects.filter(version=draft, name="spare").delete()  # as a draft's next genome does
    assert client.get(page).status_code == 404
    assert "spare" not in {row[1] for row in client.get(reverse("registry:uses_list")).context["rows"]}


def test_a_person_with_one_agent_counts_that_agent(client, acme, fleet):
    running, _ = fleet
    bob = make.user("bob", member_of=acme)
    make.grant(bob, running.template, Right.READ_DIRECTORY)
    client.force_login(bob)
    assert client.get(thing().get_absolute_url()).context["page"].versions == 1
    uses_tool(make.version(), "other")
    assert client.get(thing("other").get_absolute_url()).status_code == 404


def test_beyond_a_limit_a_list_says_more_and_a_page_stops_breaking_down(client, vera, fleet, monkeypatch):
    monkeypatch.setattr(uses, "USES_COUNTED", 1)
    (used,) = queries.counts_of([thing()], vera).values()
    assert used == queries.Used(2, 2)
    monkeypatch.setattr(uses, "BROKEN_DOWN", 1)
    assert not queries.uses_page(thing(), lambda rows: rows).counted
    assert "too many to count" in client.get(thing().get_absolute_url()).content.decode()


def test_the_api_lists_breaks_down_and_names_the_versions(client, vera, fleet):
    running, draft = fleet
    (row,) = client.get(f"{API}/", {"q": "pay"}).json()["results"]
    assert (row["kind"], row["name"], row["versions"], row["instances"]) == ("tool", "pay", 2, 3)
    found = client.get(row["url"]).json()
    assert found["environments"] == [{"name": "lab", "count": 1}, {"name": "prod", "count": 2}]
    assert found["states"] == [{"name": "draft", "count": 1}, {"name": "approved", "count": 1}]
    versions = client.get(f"{row['url']}versions/").json()["results"]
    assert [version["id"] for version in versions] == [draft.typeid, running.typeid]


def test_the_thing_of_another_tenant_is_not_there(client, vera):
    other = make.tenant("other")
    uses_tool(make.version(template=make.template(tenant=other)), "theirs")
    assert client.get(thing("theirs").get_absolute_url()).status_code == 404
    assert client.get(f"{API}/{thing('theirs').typeid}/").status_code == 404


def test_a_retired_version_still_counts_as_a_version_that_uses_it(client, vera, acme):
    uses_tool(make.version(state=VersionState.RETIRED), "old")
    assert client.get(thing("old").get_absolute_url()).context["page"].states == (("retired", "Retired", 1),)


def test_a_page_about_a_thing_asks_at_most_fifteen_times(client, vera, fleet):
    for address in (
        thing().get_absolute_url(),
        reverse("registry:uses_list"),
        f"{API}/",
        f"{API}/{thing().typeid}/",
    ):
        with CaptureQueriesContext(connection) as asked:
            assert client.get(address).status_code == 200
        assert len(asked) <= 15, "\n".join(query["sql"][:160] for query in asked)


# sub-agents, which things name by identifier


@pytest.fixture
def helper(acme, client):
    """An agent that three versions spawn, one of them of an agent that bob does not see."""
    helper = make.template("clerk-helper", name="Ledger helper")
    for _ in range(3):
        uses_tool(make.version(), name=helper.typeid, kind="agent")
    return helper


def test_a_sub_agent_is_found_by_its_name_and_shown_by_it(client, vera, helper, fleet):
    for asked in ("ledger", "CLERK-help", helper.typeid):
        page = client.get(reverse("registry:uses_list"), {"q": asked})
        assert [row[1:3] + row[5:] for row in page.context["rows"]] == [
            (helper.typeid, 3, "Ledger helper")
        ], asked
        (row,) = client.get(f"{API}/", {"q": asked}).json()["results"]
        assert (row["name"], row["agent"]) == (helper.typeid, "Ledger helper")
    text = page.content.decode()
    assert "Ledger helper" in text and helper.typeid in text
    one = thing(helper.typeid)
    text = client.get(one.get_absolute_url()).content.decode()
    assert "Who uses Ledger helper" in text and helper.get_absolute_url() in text
    assert client.get(f"{API}/{one.typeid}/").json()["agent"] == "Ledger helper"
    (tool,) = client.get(f"{API}/", {"q": "pay"}).json()["results"]
    assert (tool["name"], tool["agent"]) == ("pay", None)


def test_what_a_sub_agent_is_called_is_for_who_may_see_it(client, acme, helper):
    spawning = uses_tool(make.version(), name=helper.typeid, kind="agent")
    bob = make.user("bob", member_of=acme)
    make.grant(bob, spawning.template, Right.READ_DIRECTORY)
    client.force_login(bob)
    url = reverse("registry:uses_list")
    assert client.get(url, {"q": "ledger"}).context["rows"] == []
    assert [row[1::4] for row in client.get(url).context["rows"]] == [(helper.typeid, "")]
    assert client.get(f"{API}/").json()["results"][0]["agent"] is None
    assert "Ledger" not in client.get(thing(helper.typeid).get_absolute_url()).content.decode()


def test_many_agents_in_a_list_are_named_in_one_statement_and_what_is_searched_for_is_bounded(
    client, vera, helper, monkeypatch
):
    def asked(**query):
        with CaptureQueriesContext(connection) as said:
            assert client.get(reverse("registry:uses_list"), query).status_code == 200
        return len(said)

    few = asked(q="helper")
    newer = [make.template(f"helper-{n}", name=f"Helper {n}") for n in range(8)]
    for one in newer:
        uses_tool(make.version(), name=one.typeid, kind="agent")
    assert asked(q="helper") == few <= 15 + 2  # BEGIN and COMMIT of the request are savepoints here
    monkeypatch.setattr(DependencyFilter, "AGENTS", 2)
    rows = client.get(reverse("registry:uses_list"), {"q": "helper"}).context["rows"]
    assert {row[1] for row in rows} == {one.typeid for one in sorted(newer, key=lambda one: one.pk)[-2:]}


def test_the_list_asks_who_uses_what_once_for_a_page(client, vera, fleet):
    address = reverse("registry:uses_list")
    client.get(address)
    with CaptureQueriesContext(connection) as asked:
        page = client.get(address)
    assert "pay" in page.content.decode()
    looked = [
        query["sql"] for query in asked if 'EXISTS(SELECT 1 AS "a" FROM "registry_dependency"' in query["sql"]
    ]
    assert len(looked) == 1
