"""Only people with an open account who are members answer for an agent, by whichever door they are named; and what
somebody let through ends when they go."""

import json
import re
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from arm import clock
from arm import services as core
from arm.errors import Invalid
from arm.models import ChangeRecord, Membership, User
from registry import gates, queries, services
from registry.models import Ownership, TableImport
from registry.protocol.rows import read_templates
from tests import make

pytestmark = pytest.mark.django_db

WHY = {
    "mallory": "There is no such member: mallory.",
    "carol": "The account of carol is closed.",
    "robot": "robot is a machine; people answer for agents.",
    "dave": "There is no such member: dave.",
}


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def judy(acme, client):
    judy = make.everything(make.user("judy", member_of=acme), acme)
    client.force_login(judy)
    return judy


@pytest.fixture
def bob(acme):
    return make.user("bob", member_of=acme)


@pytest.fixture
def others(acme):
    """Mallory works elsewhere, Carol's account is closed, the robot is a machine, Dave has left."""
    found = {
        "mallory": make.user("mallory", member_of=make.tenant("other")),
        "carol": make.user("carol", member_of=acme, is_active=False),
        "robot": make.user("robot", member_of=acme, kind=User.Kind.SERVICE),
        "dave": make.user("dave", member_of=acme),
    }
    Membership.objects.filter(user=found["dave"]).update(active=False)
    return found


@pytest.fixture
def agent(acme, judy):
    return services.register_template(tenant=acme, slug="mail", name="Mail", actor=judy, reason="r")


def owners(agent):
    return [user.username for user in queries.owners(agent)]


def named(refused):
    return {problem["pointer"]: problem["message"] for problem in refused.value.errors}


@pytest.mark.parametrize("member", ["owners", "successors"])
def test_each_who_cannot_answer_for_an_agent_is_named_at_their_place(agent, judy, bob, others, member):
    act = {"owners": services.set_owners, "successors": services.set_successors}[member]
    with pytest.raises(Invalid) as refused:
        act(template=agent, actor=judy, reason="r", **{member: [bob, *others.values()]})
    assert named(refused) == {f"/{member}/{n}": said for n, said in enumerate(WHY.values(), 1)}
    assert owners(agent) == ["judy"] and not queries.successors(agent)


def test_an_administrator_of_the_platform_who_is_no_member_owns_nothing(acme, agent, judy):
    root = make.user("root", is_superuser=True)
    with pytest.raises(Invalid):
        services.set_owners(template=agent, owners=[root], actor=judy, reason="r")
    with pytest.raises(Invalid) as refused:
        services.register_template(tenant=acme, slug="x", name="X", actor=root, reason="r")
    said = {"/owners": "Name who answers for it. There is no such member: root."}
    assert named(refused) == said
    made = services.register_template(tenant=acme, slug="x", name="X", owners=[judy], actor=root, reason="r")
    assert owners(made) == ["judy"]


def test_an_owner_whose_account_was_closed_stays_until_the_owners_change_and_is_then_named(
    agent, judy, bob, others
):
    Ownership.objects.create(tenant=agent.tenant, template=agent, user=others["carol"])
    services.set_owners(template=agent, owners=[judy, others["carol"]], actor=judy, reason="the same")
    with pytest.raises(Invalid) as refused:
        services.set_owners(template=agent, owners=[bob, others["carol"]], actor=judy, reason="r")
    assert named(refused) == {"/owners/1": WHY["carol"]}
    services.set_owners(template=agent, owners=[bob], actor=judy, reason="r")
    assert owners(agent) == ["bob"]


@pytest.mark.parametrize("who", WHY)
def test_an_act_on_many_is_refused_before_it_is_previewed(client, agent, others, who):
    asked = {"action": "set_owners", "rows": [agent.typeid], "owners": ["judy", who]}
    answer = client.post("/api/v1/registry/acts/", json.dumps(asked), content_type="application/json")
    assert answer.status_code == 422
    assert [(p["pointer"], p["message"]) for p in answer.json()["errors"]] == [("/owners/1", WHY[who])]


def test_an_act_that_was_previewed_leaves_out_who_has_gone_meanwhile(acme, agent, judy, bob):
    run = services.preview_bulk(
        tenant=acme, action="set_owners", targets=[agent.pk], params={"owners": ["bob"]}, actor=judy
    )
    core.remove_member(member=Membership.objects.get(user=bob), actor=judy, reason="New job")
    services.apply_bulk(run=run, actor=judy, reason="his now")
    row = run.rows.get()
    assert row.outcome == "refused" and "There is no such member: bob." in row.outcome_says
    assert owners(agent) == ["judy"]


@pytest.mark.parametrize("who", WHY)
def test_api_and_page_refuse_by_name(client, agent, others, who):
    url = f"/api/v1/registry/templates/{agent.typeid}"
    for path, member, method in (
        ("owners", "owners", client.post),
        ("successors", "successors", client.put),
    ):
        body = {member: [who], "reason": "r"}
        answer = method(f"{url}/{path}/", json.dumps(body), content_type="application/json")
        assert answer.status_code == 422
        assert [(p["pointer"], p["message"]) for p in answer.json()["errors"]] == [(f"/{member}/0", WHY[who])]
    typed = {"successors": who, "reason": "r"}
    page = client.post(reverse("registry:template_successors", args=[agent.typeid]), typed)
    assert page.status_code == 422 and WHY[who] in page.content.decode()
    typed = {"owners": [who], "reason": "r"}
    page = client.post(reverse("registry:template_owners", args=[agent.typeid]), typed)
    assert page.status_code == 422 and who in page.content.decode()
    assert owners(agent) == ["judy"]


def test_tables_and_many_at_once_refuse_by_name(acme, agent, judy, others):
    for number, (who, said) in enumerate(WHY.items()):
        data = f"slug,name,owners\nmail,Mail,{who}\nnew-{number},New,{who}\n".encode()
        table = services.send_table(
            tenant=acme, kind=TableImport.Kind.TEMPLATES, file_name=f"{who}.csv", data=data, actor=judy
        )
        assert [(p["pointer"], p["message"]) for p in table.problems] == [
            ("/rows/0/owners", said),
            ("/rows/1/owners", said),
        ]
    rows = read_templates([{"slug": f"n{n}", "name": "N", "owners": [who]} for n, who in enumerate(WHY)]).rows
    with pytest.raises(Invalid) as refused:
        services.register_templates(tenant=acme, rows=rows, actor=judy, reason="r")
    assert named(refused) == {f"/rows/{n}/owners": said for n, said in enumerate(WHY.values())}


@pytest.mark.parametrize("who", WHY)
def test_a_directory_of_files_is_refused_by_name(acme, judy, others, tmp_path, who):
    (tmp_path / "x.json").write_text(
        json.dumps({"kind": "template", "slug": "a", "name": "A", "owners": [who]})
    )
    with pytest.raises(CommandError, match=re.escape(f"x.json#/owners: {WHY[who]}")):
        call_command("registry", "apply", str(tmp_path), "--tenant", "acme", "--as", "judy", "--reason", "r")


# what somebody let through


@pytest.fixture
def granted(acme, bob):
    make.everything(bob, acme)
    slot = make.slot(environment=make.environment("prod", position=1), role=make.role("clerk"))
    until = clock.now() + timedelta(days=3)
    version = make.approved()
    return [
        services.grant_exception(
            slot=slot, version=version, gate=gates.CHANNEL_ORDER, until=until, actor=bob, reason="It burns"
        )
        for _ in range(2)
    ]


def standing(exception):
    exception.refresh_from_db()
    return exception.standing


def test_exceptions_end_with_who_granted_them_unless_they_were_used(client, judy, bob, granted):
    open_, used = granted
    used.used_at, used.used_by_label = clock.now(), "judy"
    used.save(update_fields=["used_at", "used_by_label"])
    member = Membership.objects.get(user=bob)
    page = client.get(reverse("member_remove", args=[member.typeid])).content.decode()
    assert page.count(f"Exception: {open_}") == 1, "the one that is not used"
    core.remove_member(member=member, actor=judy, reason="New job")
    assert (standing(open_), standing(used)) == ("withdrawn", "used")
    record = ChangeRecord.objects.get(verb="registry.exception.withdrawn")
    assert (record.target_id, record.actor_id, record.reason) == (open_.pk, judy.pk, "New job")


def test_they_end_when_the_account_is_closed_and_stay_so_when_it_is_opened_again(acme, bob, granted):
    root = make.user("root", is_superuser=True)
    core.close_account(user=bob, actor=root, reason="lost laptop")
    assert [standing(one) for one in granted] == ["withdrawn", "withdrawn"]
    core.reopen_account(user=bob, actor=root, reason="found")
    assert [standing(one) for one in granted] == ["withdrawn", "withdrawn"]
