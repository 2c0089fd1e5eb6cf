"""What lists of agents, versions and instances are asked: whose they are, what they do, where; and never an oracle."""

import re

import pytest
from django.db import ProgrammingError, connection, transaction
from django.http import QueryDict
from django.urls import reverse

from arm import clock, db, listing
from arm.models import User
from arm.rights import Right
from registry import filters
from registry.models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    Genome,
    InstanceLabel,
    Ownership,
    Project,
    RoleDefinition,
    words,
)
from tests import make

pytestmark = pytest.mark.django_db

LISTS = {
    "templates": ("registry:template_list", "name"),
    "versions": ("registry:version_list", "label"),
    "instances": ("registry:instance_list", "name"),
}


@pytest.fixture(autouse=True, params=[1000, 0], ids=["by keys", "by looking"])
def few(request, monkeypatch):
    """Every question is answered both ways: few keys are named, of many the rows are looked at."""
    monkeypatch.setattr("registry.queries.narrowing.FEW", request.param)
    monkeypatch.setattr("registry.queries.doing.FEW", request.param)
    monkeypatch.setattr("registry.queries.MANY", request.param)
    monkeypatch.setattr(words, "FEW", request.param)


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def vera(acme):
    """Sees the directory of the whole tenant."""
    vera = make.user("vera", member_of=acme)
    make.grant(vera, acme, Right.READ_DIRECTORY, Right.EXPORT)
    return vera


@pytest.fixture
def asks(acme, vera, client):
    """The same question put to the page, the CSV, the endpoint and a saved view: one answer, of names."""

    def ask(noun: str, who: User | None = None, **query: object) -> set[str]:
        who = who or vera
        client.force_login(who)
        name, shown = LISTS[noun]
        page = client.get(reverse(name), query)
        assert page.status_code == 200, page
        rows = (
            [getattr(row, "template", row) for row in page.context["rows"]] if noun == "templates" else None
        )
        rows = rows or ([] if noun == "templates" else page.context["object_list"])
        found = {getattr(row, shown) for row in rows}
        api = client.get(f"/api/v1/registry/{noun}/", query)
        assert api.status_code == 200, api.content
        assert {row[shown] for row in api.json()["results"]} == found
        if who == vera:  # others may not take files away
            file = client.get(reverse(name), {**query, "format": "csv"}).content.decode()
            assert len(file.splitlines()) == 1 + len(found)
        asked = "&".join(f"{key}={value}" for key, value in query.items())
        kept, problems = listing.listings()[name].asked(listing.canonical(asked), who, acme)
        assert not problems and {getattr(row, shown) for row in kept} == found
        return found

    return ask


@pytest.fixture
def alice(acme):
    return make.user("alice", member_of=acme)


@pytest.fixture
def fleet(acme, alice):
    """Alice's risky agent `pay` works as clerk in production, in a project; nobody's `chat` works in development."""
    pay = make.template(
        "pay",
        name="pay",
        risk="high",
        tags=["money"],
        project=Project.objects.create(tenant=acme, slug="ledger", name="Ledger"),
    )
    chat = make.template("chat", name="chat", risk="low")
    Ownership.objects.create(tenant=acme, template=pay, user=alice)
    prod = make.environment("prod", production=True)
    dev = make.environment("dev")
    clerk = make.role("clerk")
    paying = make.approved(template=pay, label="pay-1")
    chatting = make.approved(template=chat, label="chat-1")
    make.version(template=chat, number=2, label="chat-2", rolled_back=True)
    make.slot(environment=prod, role=clerk, current_version=paying)
    make.instance(version=paying, environment=prod, name="payer", role=clerk, cost_center="CC7",
                  labels={"tier": "gold", "squad": "blue"})  # fmt: skip
    make.instance(version=chatting, environment=dev, name="chatter", labels={"tier": "tin"})
    return acme


def test_all_three_lists_are_asked_about_the_agent(fleet, asks):
    team = make.team("payments")
    User.objects.get(username="alice").groups.add(team.group)
    make.grant(User.objects.get(username="vera"), fleet, Right.MANAGE_TENANT)
    for query in (
        {"risk": "high"}, {"owner": "alice"}, {"tag": "Money"}, {"project": "ledger"}, {"team": "payments"},
        {"risk": "high", "owner": "alice", "tag": "money", "project": "ledger"},
    ):  # fmt: skip
        assert asks("templates", **query) == {"pay"}, query
        assert asks("versions", **query) == {"pay-1"}, query
        assert asks("instances", **query) == {"payer"}, query
    for query in ({"owner": "vera"}, {"tag": "mon"}, {"project": "none"}, {"risk": "high", "tag": "other"}):
        assert asks("templates", **query) == asks("versions", **query) == asks("instances", **query) == set()


def test_an_owner_of_before_owns_nothing(fleet, asks):
    Ownership.objects.update(until=clock.now())
    assert asks("versions", owner="alice") == asks("instances", owner="alice") == set()
    assert asks("templates", ownerless="true") == {"pay", "chat"}


def test_who_does_a_role_is_found_by_slot_by_assignment_and_by_what_it_was_given(fleet, asks):
    chat = AgentVersion.objects.get(label="chat-1")
    assert asks("templates", role="clerk") == {"pay"}
    assert asks("versions", role="clerk") == {"pay-1"}
    assert asks("instances", role="clerk") == {"payer"}
    helper = make.role("helper")
    assigned = make.role_assignment(
        role=helper, version=chat, environment=AgentInstance.objects.get(name="chatter").environment
    )
    for named in ("helper", helper.typeid):
        assert asks("templates", role=named) == {"chat"}
        assert asks("versions", role=named) == {"chat-1"}
        assert asks("instances", role=named) == {"chatter"}
    assigned.until = clock.now()
    assigned.save()
    assert asks("instances", role="helper") == asks("versions", role="helper") == set()


def test_an_assignment_elsewhere_is_not_that_of_an_instance_here(fleet, asks):
    helper, chat = make.role("helper"), AgentVersion.objects.get(label="chat-1")
    make.role_assignment(role=helper, version=chat, environment=make.environment("staging"))
    assert asks("versions", role="helper") == {"chat-1"}
    assert asks("instances", role="helper") == set()


def test_an_instance_that_is_assigned_alone_is_found_alone(fleet, asks):
    helper, one = make.role("helper"), AgentInstance.objects.get(name="chatter")
    make.instance(version=one.version, environment=one.environment, name="other")
    make.role_assignment(role=helper, version=one.version, environment=one.environment, instance=one)
    assert asks("instances", role="helper") == {"chatter"}


def test_instances_are_found_by_cost_centre_label_and_kind_of_environment(fleet, asks):
    assert asks("instances", cost_center="CC7") == {"payer"}
    assert asks("instances", label="tier") == {"payer", "chatter"}
    assert asks("instances", label="tier=gold") == {"payer"}
    assert asks("instances", label="squad") == {"payer"}
    assert asks("instances", label="tie") == asks("instances", label="tier=go") == set()
    assert asks("instances", label="=gold") == set()
    assert asks("instances", environment_kind="production") == {"payer"}
    assert asks("instances", environment_kind="other") == {"chatter"}


def test_versions_are_found_by_where_they_are_bound_and_whether_they_were_rolled_back(fleet, asks):
    assert asks("versions", environment="prod") == {"pay-1"}
    assert asks("versions", environment="dev") == set()
    assert asks("versions", rolled_back="true") == {"chat-2"}


def test_versions_are_found_by_how_complete_their_genome_is(acme, asks):
    for label, percent, missing in (("bare", 20, ["/identity"]), ("whole", 90, [])):
        version = make.version(label=label)
        stored = version.genome
        version.genome = Genome.objects.create(
            tenant=acme, template=version.template, digest=f"sha256:{percent:064}", content=bytes(stored.content),
            missing=missing, completeness=percent,
        )  # fmt: skip
        version.save()
    assert asks("versions", complete="no") == {"bare"}
    assert asks("versions", complete="yes") == {"whole"}
    assert asks("versions", completeness_from=50) == {"whole"}
    assert asks("versions", completeness_to=50) == {"bare"}
    assert asks("versions", completeness_from=10, completeness_to=95) == {"bare", "whole"}


def test_the_search_stands_first_in_every_list_that_has_one(vera, acme):
    found = 0
    for name, listed in listing.listings().items():
        kind = listed.view.filterset_class
        if "q" in kind.base_filters:
            form = kind(
                QueryDict(), queryset=listed.view.queryset.none(), request=listing.Asker(vera, acme)
            ).form
            assert next(iter(form.fields)) == "q", name
            found += 1
    assert found > 5


# no oracle


def test_what_somebody_may_not_see_of_an_agent_is_not_found_out_by_its_instances(fleet, asks):
    """Bob sees what runs in production, and no agent, role or project."""
    bob = make.user("bob", member_of=fleet)
    payer = AgentInstance.objects.get(name="payer")
    make.grant(bob, payer.environment, Right.READ_DIRECTORY)
    assert asks("instances", bob) == {"payer"}
    assert asks("instances", bob, environment_kind="production") == {"payer"}
    for query in (
        {"owner": "alice"}, {"risk": "high"}, {"tag": "money"}, {"project": "ledger"}, {"role": "clerk"},
        {"role": payer.role.typeid}, {"team": "payments"},
    ):  # fmt: skip
        assert asks("instances", bob, **query) == set(), query


def test_where_a_version_is_bound_says_nothing_to_who_does_not_see_the_slot(fleet, asks):
    """Carol sees the agent, and neither its slot nor its role."""
    carol = make.user("carol", member_of=fleet)
    pay = AgentTemplate.objects.get(slug="pay")
    make.grant(carol, pay, Right.READ_DIRECTORY)
    slot = make.slot(
        environment=make.environment("far"), current_version=AgentVersion.objects.get(label="pay-1")
    )
    assert asks("versions", carol, owner="alice") == {"pay-1"}
    assert asks("versions", carol, role="clerk") == asks("templates", carol, role="clerk") == set()
    assert asks("versions", carol, slot=slot.typeid) == set()
    assert asks("versions", slot=slot.typeid) == {"pay-1"}


def test_who_is_in_a_team_is_known_to_its_members_and_to_who_manages_the_tenant(fleet, asks, alice):
    team = make.team("payments")
    alice.groups.add(team.group)
    make.grant(alice, fleet, Right.READ_DIRECTORY)
    assert asks("templates", team="payments") == asks("instances", team="payments") == set()
    assert asks("templates", alice, team="payments") == {"pay"}
    assert asks("versions", alice, team="payments") == {"pay-1"}


def test_nobody_is_answered_nothing(fleet):
    rows = AgentInstance.objects.all()
    for query in ("owner=alice", "role=clerk", "environment_kind=production"):
        assert not filters.InstanceFilter(QueryDict(query), queryset=rows, request=None).qs.exists(), query


@pytest.mark.parametrize("query", [{"risk": "huge"}, {"environment_kind": "x"}, {"label": "x" * 402}])
def test_a_value_that_makes_no_sense_is_named(fleet, vera, client, query):
    client.force_login(vera)
    answer = client.get("/api/v1/registry/instances/", query)
    assert answer.status_code == 422, answer.content
    assert client.get(reverse("registry:instance_list")).context["object_list"]
    assert not client.get(reverse("registry:instance_list"), query).context["object_list"]


def test_an_act_on_all_that_a_filter_finds_takes_exactly_those(fleet, vera, client):
    make.grant(vera, fleet, Right.RESTRICT_INSTANCE)
    client.force_login(vera)
    body = {"action": "pause", "list": "registry:instance_list", "query": "label=tier%3Dgold&owner=alice"}
    made = client.post("/api/v1/registry/acts/", body, content_type="application/json")
    assert made.status_code == 201, made.content
    rows = client.get(f"/api/v1/registry/acts/{made.json()['id']}/rows/").json()["results"]
    assert [row["label"] for row in rows] == ["payer"]


# labels


def test_labels_are_kept_as_they_are_now_and_behind_the_wall(fleet, asks):
    payer = AgentInstance.objects.get(name="payer")
    payer.labels = {"tier": "lead"}
    payer.save(update_fields=["labels"])
    assert asks("instances", label="tier=gold") == asks("instances", label="squad") == set()
    assert asks("instances", label="tier=lead") == {"payer"}
    assert sorted(InstanceLabel.objects.values_list("label", flat=True)) == ["tier=lead", "tier=tin"]
    other = make.tenant("other")
    with db.tenants([other.pk]):
        assert not InstanceLabel.objects.exists()
    for statement in ("DELETE FROM registry_instancelabel", "UPDATE registry_instancelabel SET label = 'x'"):
        with (
            pytest.raises(ProgrammingError, match="denied"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)


# yes, no, and what is neither


def test_no_is_answered_as_no(fleet, asks):
    for no in ("false", "0"):
        assert asks("versions", production=no) == {"chat-1", "chat-2"}
        assert asks("versions", tampered=no) == {"pay-1", "chat-1", "chat-2"}
        assert asks("versions", rolled_back=no) == {"pay-1", "chat-1"}
        assert asks("templates", ownerless=no) == {"pay"}
        assert asks("instances", adopted=no) == {"payer", "chatter"}
    assert asks("versions", production="true") == {"pay-1"}
    assert asks("versions", tampered="true") == asks("instances", adopted="true") == set()


def test_roles_that_lack_nobody_are_the_others(fleet, vera, client):
    clerk = RoleDefinition.objects.get(slug="clerk")
    RoleDefinition.objects.filter(pk=clerk.pk).update(coverage=[{"environment": "prod", "least": 3}])
    make.role("helper")
    client.force_login(vera)
    for said, slugs in (("true", {"clerk"}), ("false", {"helper"}), ("", {"clerk", "helper"})):
        rows = client.get("/api/v1/registry/roles/", {"gaps": said}).json()["results"]
        assert {row["slug"] for row in rows} == slugs, said


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("registry/versions", "production"),
        ("registry/versions", "tampered"),
        ("registry/versions", "rolled_back"),
        ("registry/templates", "ownerless"),
        ("registry/instances", "adopted"),
        ("registry/roles", "gaps"),
        ("policy/bindings", "ended"),
        ("policy/routes", "standing"),
    ],
)
def test_what_is_neither_yes_nor_no_is_refused_by_name(acme, client, path, name):
    client.force_login(make.everything(make.user("judy", member_of=acme), acme))
    answer = client.get(f"/api/v1/{path}/", {name: "maybe"})
    assert answer.status_code == 422 and "true or false" in answer.content.decode()
    assert name in answer.content.decode()
    assert client.get(f"/api/v1/{path}/", {name: "false"}).status_code == 200


def test_a_box_is_ticked_by_yes_alone_and_sends_it(fleet, vera, client):
    client.force_login(vera)
    for said, ticked in (("true", True), ("1", True), ("false", False), ("maybe", False)):
        page = client.get(reverse("registry:version_list"), {"tampered": said}).content.decode()
        (box,) = re.findall(r"<input[^>]*name=\"tampered\"[^>]*>", page)
        assert 'type="checkbox"' in box and 'value="true"' in box and ("checked" in box) is ticked, said
