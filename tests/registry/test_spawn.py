"""Instances start others as far as the genomes above them allow, and it is written what a child has from its parent."""

import pytest
from django.db import DatabaseError, transaction
from django.urls import reverse

from arm import clock
from arm.errors import Invalid, NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right
from registry import queries, services
from registry.lifecycle import InstanceState, VersionState
from registry.models import AgentInstance, SpawnTerm
from registry.queries import spawn as drawn
from registry.services import SpawnRefused
from tests import make
from tests.registry.genomes import example
from tests.registry.past import MINUTE, NOON

pytestmark = pytest.mark.django_db
API = "/api/v1/registry/instances"


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def alice(acme, client):
    alice = make.everything(make.user("alice", member_of=acme), acme)
    client.force_login(alice)
    return alice


@pytest.fixture
def worker(alice):
    """What is started."""
    return build(make.template("worker", name="Worker"), alice)


def build(template, actor, **members):
    return services.create_version(
        template=template, genome=example(template=template.typeid, **members), actor=actor, reason="first"
    )


def boss(alice, worker, **spawn):
    """An active instance whose genome lets it start workers."""
    template = make.template(f"boss-{len(spawn)}-{AgentInstance.objects.count()}", name="Boss")
    rules = {"allowed": True, "child_templates": [worker.template.typeid]} | spawn
    return make.instance(
        version=build(template, alice, spawn=rules),
        name="boss",
        cost_center="CC-7",
        state=InstanceState.ACTIVE,
    )


def spawn(parent, version, actor, **more):
    return services.spawn_instance(
        parent=parent, version=version, name="child", actor=actor, reason="more work", **more
    )


def codes(refused):
    return [(problem["pointer"], problem["code"]) for problem in refused.value.extra["errors"]]


def test_a_child_stands_below_its_parent_and_has_its_place_and_cost_centre(alice, worker):
    parent = boss(alice, worker, max_children=2, max_depth=1)
    child = spawn(parent, worker, alice)
    assert (child.parent, child.depth, child.state) == (parent, 1, InstanceState.PROVISIONING)
    assert (child.environment, child.provider, child.cost_center) == (
        parent.environment,
        parent.provider,
        "CC-7",
    )
    terms = {term.kind: (term.origin, term.value) for term in SpawnTerm.objects.filter(instance=child)}
    assert terms["environment"] == ("inherited", parent.environment.slug)
    assert terms["cost_center"] == ("inherited", "CC-7")
    assert terms["policy"][0] == "granted"  # another agent's rules bind it
    assert terms["budget"] == ("granted", "2.50 EUR per run")
    record = ChangeRecord.objects.get(verb="registry.instance.spawned")
    assert (
        record.after["parent"] == parent.typeid and record.after["terms"]["provider"]["origin"] == "inherited"
    )


def test_a_person_grants_another_place_and_that_is_written(alice, worker):
    parent, place = boss(alice, worker), make.environment("lab")
    child = spawn(parent, worker, alice, environment=place, cost_center="CC-9")
    terms = {term.kind: term.origin for term in SpawnTerm.objects.filter(instance=child)}
    assert child.environment == place
    assert {name for name, origin in terms.items() if origin == "granted"} >= {"environment", "cost_center"}
    assert terms["provider"] == "inherited"


def test_who_may_provision_the_child_alone_uses_up_no_number_of_its_parent(alice, worker, acme):
    parent = boss(alice, worker)
    mallory = make.user("mallory", member_of=acme)
    make.grant(mallory, worker.template, Right.PROVISION_INSTANCE)
    make.grant(mallory, acme, Right.READ_DIRECTORY)
    with pytest.raises(NotAllowed):
        spawn(parent, worker, mallory)
    assert not parent.children.exists()


def test_everything_that_stands_in_the_way_is_named_at_once(alice, worker):
    parent = boss(alice, worker, max_children=1, max_depth=0)
    other = make.version(state=VersionState.RETIRED)
    make.instance(version=worker, parent=parent)
    AgentInstance.objects.filter(pk=parent.pk).update(state=InstanceState.PAUSED)
    with pytest.raises(SpawnRefused) as refused:
        spawn(parent, other, alice)
    assert codes(refused) == [
        ("", "parent_state"),
        ("/version", "version_state"),
        ("/version", "template"),
        ("", "children"),
        ("", "depth"),
    ]
    assert not SpawnTerm.objects.exists()


def test_so_many_are_started_in_an_hour_whatever_became_of_them(alice, worker):
    parent = boss(alice, worker, max_per_hour=2)
    with clock.at(NOON):
        AgentInstance.objects.filter(pk=spawn(parent, worker, alice).pk).update(state=InstanceState.RETIRED)
    with clock.at(NOON + 30 * MINUTE):
        spawn(parent, worker, alice)
    with clock.at(NOON + 59 * MINUTE), pytest.raises(SpawnRefused) as refused:
        spawn(parent, worker, alice)
    assert codes(refused) == [("", "rate")]
    with clock.at(NOON + 60 * MINUTE):
        spawn(parent, worker, alice)
    with clock.at(NOON + 61 * MINUTE), pytest.raises(SpawnRefused):
        spawn(parent, worker, alice)


def test_a_person_grants_a_child_one_of_the_roles_that_the_genome_lists(alice, worker):
    parent, clerk, judge = boss(alice, worker, child_roles=["clerk"]), make.role("clerk"), make.role("judge")
    child = spawn(parent, worker, alice, role=clerk)
    assert child.role == clerk
    term = SpawnTerm.objects.get(instance=child, kind=SpawnTerm.Kind.ROLE)
    assert (term.origin, term.value) == ("granted", "clerk")
    with pytest.raises(SpawnRefused) as refused:
        spawn(parent, worker, alice, role=judge)
    assert codes(refused) == [("/role", "role")]
    assert spawn(parent, worker, alice).role is None  # it does no job


def test_a_copy_of_its_parent_has_its_role_where_children_may_and_else_none(alice, worker):
    parent, judge = boss(alice, worker), make.role("judge")
    for roles, expected in ((["judge"], judge), (["clerk"], None), ([], None), (None, judge)):
        rules = {"allowed": True} | ({} if roles is None else {"child_roles": roles})
        own = build(parent.template, alice, spawn=rules)
        AgentInstance.objects.filter(pk=parent.pk).update(role=judge, version=own)
        assert spawn(AgentInstance.objects.get(pk=parent.pk), own, alice).role == expected


def test_an_empty_list_of_roles_lets_no_child_have_one(alice, worker):
    parent = boss(alice, worker, child_roles=[])
    assert parent.version.genome.document()["spawn"]["child_roles"] == []
    with pytest.raises(SpawnRefused) as refused:
        spawn(parent, worker, alice, role=make.role("clerk"))
    assert codes(refused) == [("/role", "role")]
    assert "without a role" in str(refused.value)


def test_the_roles_of_everybody_above_hold_for_whoever_is_below(alice, worker):
    judge = make.role("judge")
    middle = build(
        make.template("middle"), alice, spawn={"allowed": True, "child_templates": [worker.template.typeid]}
    )
    top = boss(alice, middle, child_roles=["clerk"])
    between = make.instance(version=middle, parent=top, depth=1, state=InstanceState.ACTIVE)
    with pytest.raises(SpawnRefused) as refused:
        spawn(between, worker, alice, role=judge)
    assert codes(refused) == [("/role", "role")]
    assert str(top) in str(refused.value)


def test_a_child_is_assigned_no_role_afterwards_that_its_line_may_not_have(alice, worker):
    parent, judge = boss(alice, worker, child_roles=["clerk"]), make.role("judge")
    child = spawn(parent, worker, alice)
    given = {"environment": child.environment, "actor": alice, "reason": "promoted"}
    with pytest.raises(Invalid) as refused:
        services.assign_role(role=judge, instance=child, **given)
    assert codes(refused) == [("/role", "spawn")]
    assert "clerk" in str(refused.value.extra["errors"])


def test_a_role_is_granted_by_who_may_promote_there(acme, alice, worker):
    parent, clerk = boss(alice, worker), make.role("clerk")
    bob = make.user("bob", member_of=acme)
    make.grant(bob, acme, Right.READ_DIRECTORY, Right.PROVISION_INSTANCE)
    with pytest.raises(NotAllowed):
        spawn(parent, worker, bob, role=clerk)
    make.grant(bob, acme, Right.PROMOTE_RELEASE)
    assert spawn(parent, worker, bob, role=clerk).role == clerk


def test_every_row_that_is_not_there_is_named_at_once_and_the_answer_tells_the_role(client, alice, worker):
    parent, clerk = boss(alice, worker), make.role("clerk")
    wrong = ask(client, parent, version=worker.typeid, environment="no", provider="no", role="no")
    assert [one["pointer"] for one in wrong.json()["errors"]] == ["/environment", "/provider", "/role"]
    made = ask(client, parent, version=worker.typeid, role="clerk").json()
    assert made["role"] == clerk.typeid
    tree = client.get(f"{API}/{parent.typeid}/spawn-tree/").json()
    assert [node["role"] for node in tree["nodes"]] == [None, clerk.typeid]


def test_an_instance_grants_its_child_no_role(client, alice, worker):
    client.logout()
    parent = boss(alice, worker)
    clerk = make.role("clerk")
    token = make.workload_token(parent)
    refused = ask(client, parent, token, version=worker.typeid, role="clerk")
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/role")
    with pytest.raises(SpawnRefused) as said:
        spawn(parent, worker, None, role=clerk)
    assert codes(said) == [("/role", "granted")]


def test_page_and_api_say_how_many_were_started_and_take_a_role(client, alice, worker):
    parent = boss(alice, worker, max_children=5, max_per_hour=3, child_roles=["clerk"])
    make.role("clerk")
    made = ask(client, parent, version=worker.typeid, role="clerk")
    assert made.status_code == 201
    assert ask(client, parent, version=worker.typeid, role="nobody").json()["errors"][0]["pointer"] == "/role"
    nodes = client.get(f"{API}/{parent.typeid}/spawn-tree/").json()["nodes"]
    assert [(node["lately"], node["hourly"]) for node in nodes] == [(1, 3), (0, None)]
    url = reverse("registry:instance_spawn", args=[parent.typeid])
    client.post(url, {"version": worker.typeid, "name": "second", "reason": "more", "role": "clerk"})
    assert [child.role.slug for child in AgentInstance.objects.filter(parent=parent)] == ["clerk", "clerk"]
    page = client.get(reverse("registry:spawn_tree", args=[parent.typeid])).content.decode()
    assert "2 of 5" in page and "2 of 3 in the last hour" in page


def test_a_genome_that_is_silent_lets_nobody_start_anybody(alice, worker):
    parent = make.instance(version=worker)
    with pytest.raises(SpawnRefused) as refused:
        spawn(parent, worker, alice)
    assert codes(refused) == [("", "not_allowed")]


def test_without_a_list_an_agent_starts_copies_of_itself_only(alice, worker):
    template = make.template("copier", name="Copier")
    version = build(template, alice, spawn={"allowed": True})
    parent = make.instance(version=version)
    assert spawn(parent, version, alice).template == template
    with pytest.raises(SpawnRefused) as refused:
        spawn(parent, worker, alice)
    assert codes(refused) == [("/version", "template")]


def test_the_depth_of_every_ancestor_counts(alice, worker):
    template = make.template("copier", name="Copier")
    version = build(template, alice, spawn={"allowed": True, "max_depth": 2})
    top = make.instance(version=version)
    below = top
    for depth in (1, 2):
        below = spawn(below, version, alice)
        assert below.depth == depth
        AgentInstance.objects.filter(pk=below.pk).update(state=InstanceState.ACTIVE)
    shown = {row.instance.depth: row.deepest for row in queries.spawn_tree(top, alice).rows}
    assert shown == {0: 2, 1: 1, 2: 0}
    with pytest.raises(SpawnRefused, match="2 generations below it; this would be number 3") as refused:
        spawn(below, version, alice)
    assert codes(refused) == [("", "depth")]


def test_a_retired_child_makes_room(alice, worker):
    parent = boss(alice, worker, max_children=1)
    child = spawn(parent, worker, alice)
    with pytest.raises(SpawnRefused):
        spawn(parent, worker, alice)
    AgentInstance.objects.filter(pk=child.pk).update(state=InstanceState.RETIRED)
    assert spawn(parent, worker, alice).depth == 1


def test_a_stranger_starts_nothing_and_another_tenants_version_is_refused(acme, alice, worker):
    parent = boss(alice, worker)
    with pytest.raises(NotAllowed):
        spawn(parent, worker, make.user("mallory", member_of=acme))
    theirs = make.version(template=make.template(tenant=make.tenant("other")))
    with pytest.raises(Invalid):
        spawn(parent, theirs, make.everything(alice, theirs.tenant))


def test_the_database_keeps_who_started_whom(alice, worker):
    child = spawn(boss(alice, worker), worker, alice)
    with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
        AgentInstance.objects.filter(pk=child.pk).update(parent=None)
    with pytest.raises(DatabaseError), transaction.atomic():
        SpawnTerm.objects.filter(instance=child).update(origin="granted")


# the interfaces


def ask(client, parent, token=None, **body):
    headers = {"authorization": f"Bearer {token}"} if token else {}
    asked = {"name": "child", "reason": "more work"} | body
    return client.post(f"{API}/{parent.typeid}/spawn/", asked, "application/json", headers=headers)


def test_an_instance_starts_a_child_with_its_own_token(client, alice, worker):
    client.logout()
    parent = boss(alice, worker, max_children=1)
    token = make.workload_token(parent)
    made = ask(client, parent, token, version=worker.typeid)
    assert made.status_code == 201, made.content
    assert (made.json()["parent"], made.json()["depth"]) == (parent.typeid, 1)
    record = ChangeRecord.objects.get(verb="registry.instance.spawned")
    assert (record.actor_id, record.after["asked_by"]) == (None, parent.typeid)
    again = ask(client, parent, token, version=worker.typeid)
    assert (again.status_code, again.json()["code"]) == (409, "spawn_refused")
    assert again.json()["errors"][0]["code"] == "children"


def test_a_token_speaks_for_its_own_instance_and_grants_nothing(client, alice, worker):
    client.logout()
    parent, other = boss(alice, worker), boss(alice, worker, max_children=5)
    token = make.workload_token(parent)
    assert ask(client, other, token, version=worker.typeid).status_code == 404
    granted = ask(client, parent, token, version=worker.typeid, environment="prod", cost_center="CC-1")
    assert granted.status_code == 422 and granted.json()["errors"][0]["pointer"] == "/environment"
    granted = ask(client, parent, token, version=worker.typeid, cost_center="CC-1")
    assert granted.json()["errors"][0]["pointer"] == "/cost_center"
    assert ask(client, parent, "armw_nonsense", version=worker.typeid).status_code == 401
    assert not AgentInstance.objects.filter(parent=parent).exists()


def test_a_person_starts_one_over_the_api_and_sees_the_tree(client, alice, worker):
    parent = boss(alice, worker, max_children=3, max_depth=1)
    made = ask(client, parent, version=worker.typeid)
    assert made.status_code == 201
    tree = client.get(f"{API}/{made.json()['id']}/spawn-tree/").json()
    assert [(node["name"], node["living"], node["most"], node["depth"]) for node in tree["nodes"]] == [
        ("boss", 1, 3, 0),
        ("child", 0, None, 1),
    ]
    assert {term["kind"] for term in tree["terms"]} == set(SpawnTerm.Kind.values)


def test_the_page_shows_depth_and_quota_and_the_form_starts_one(client, alice, worker):
    parent = boss(alice, worker, max_children=3, max_depth=1)
    url = reverse("registry:instance_spawn", args=[parent.typeid])
    answer = client.post(url, {"version": worker.typeid, "name": "child", "reason": "more"})
    child = AgentInstance.objects.get(parent=parent)
    assert answer["Location"] == child.get_absolute_url() and child.environment == parent.environment
    page = client.get(reverse("registry:spawn_tree", args=[child.typeid])).content.decode()
    assert "1 of 3" in page and "at most 1" in page and "inherited" in page
    assert page.count('class="graph-line"') == 1
    refused = client.post(reverse("registry:instance_spawn", args=[child.typeid]), {
        "version": worker.typeid, "name": "x", "reason": "more"})  # fmt: skip
    assert refused.status_code == 409 and "does not let it start others" in refused.content.decode()


def test_what_one_may_not_see_of_a_tree_is_counted_only(acme, alice, worker):
    parent = boss(alice, worker)
    child = spawn(parent, worker, alice)
    vera = make.user("vera", member_of=acme)
    make.grant(vera, worker.template, Right.READ_DIRECTORY)
    tree = queries.spawn_tree(child, vera)
    assert [row.instance for row in tree.rows] == [child] and tree.hidden == 1


def test_who_sees_few_of_many_children_is_shown_those_and_told_how_many_more(
    acme, alice, worker, client, monkeypatch
):
    monkeypatch.setattr(drawn, "MOST", 3)
    parent = boss(alice, worker)
    theirs = make.approved()
    for number in range(6):  # Vera sees the last ones only
        make.instance(version=worker, parent=parent, depth=1, name=f"hidden-{number}")
    mine = [make.instance(version=theirs, parent=parent, depth=1, name=f"mine-{n}") for n in range(3)]
    vera = make.user("vera", member_of=acme)
    make.grant(vera, theirs.template, Right.READ_DIRECTORY)
    make.grant(vera, parent.template, Right.READ_DIRECTORY)
    tree = queries.spawn_tree(parent, vera)
    assert [row.instance.name for row in tree.rows] == [parent.name, "mine-0", "mine-1"]
    assert (tree.more, tree.cut, tree.hidden) == (1, True, 6)
    client.force_login(vera)
    url = reverse("registry:spawn_tree", args=[parent.typeid])
    assert "and 1 more is below" in client.get(url).content.decode()
    answer = client.get(f"/api/v1/registry/instances/{parent.typeid}/spawn-tree/").json()
    assert (len(answer["nodes"]), answer["more"], answer["cut"], answer["hidden"]) == (3, 1, True, 6)
    monkeypatch.setattr(drawn, "MOST", 4)
    whole = queries.spawn_tree(parent, vera)
    assert [row.instance for row in whole.rows] == [parent, *mine] and not whole.cut and whole.hidden == 6
    assert queries.spawn_tree(mine[0], vera).hidden == 0
