"""An owner who leaves is succeeded in order; an agent that nobody answers for is flagged."""

import pytest
from django.urls import reverse

from arm import services as core
from arm.errors import Invalid, NotAllowed
from arm.models import ChangeRecord, Membership
from registry import queries, services
from registry.models import AgentTemplate, Ownership, Successor
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def judy(acme):
    """Administers."""
    return make.everything(make.user("judy", member_of=acme), acme)


@pytest.fixture
def people(acme):
    return {name: make.user(name, member_of=acme) for name in ("alice", "bob", "carol")}


@pytest.fixture
def agent(acme, judy, people):
    """Alice owns it; Bob would succeed, then Carol."""
    agent = services.register_template(
        tenant=acme, slug="refunds", name="Refunds", owners=[people["alice"]], actor=judy, reason="r"
    )
    return succeeded_by(agent, judy, people["bob"], people["carol"])


def succeeded_by(agent, judy, *people):
    return services.set_successors(template=agent, successors=list(people), actor=judy, reason="In case")


def leaves(person, judy):
    core.remove_member(member=Membership.objects.get(user=person), actor=judy, reason="New job")


def owners(agent):
    return [user.username for user in queries.owners(agent)]


def line(agent):
    return [user.username for user in queries.successors(agent)]


def test_the_first_successor_takes_the_place_of_who_leaves(agent, people, judy):
    leaves(people["alice"], judy)
    assert (owners(agent), line(agent)) == (["bob"], ["carol"])
    ended = Ownership.objects.get(user=people["alice"])
    assert ended.until is not None
    record = ChangeRecord.objects.get(verb="registry.template.succeeded")
    assert record.before == {"owners": ["alice"], "successors": ["bob", "carol"]}
    assert (record.after["owners"], record.after["successors"]) == (["bob"], ["carol"])
    assert (record.after["heir"], record.after["left"], record.reason) == ("bob", "alice", "New job")
    assert record.actor_id == judy.pk


def test_who_succeeds_is_succeeded_in_turn_until_nobody_is_left(agent, people, judy):
    for name, then in (("alice", ["bob"]), ("bob", ["carol"]), ("carol", [])):
        leaves(people[name], judy)
        assert owners(agent) == then
        assert queries.is_ownerless(agent) is (not then)
    assert ChangeRecord.objects.get(verb="registry.template.orphaned").after["left"] == "carol"


def test_a_successor_who_has_left_or_whose_account_is_closed_is_passed_over(agent, people, judy):
    people["bob"].is_active = False
    people["bob"].save(update_fields=["is_active"])
    leaves(people["alice"], judy)
    assert owners(agent) == ["carol"]


def test_who_leaves_succeeds_nobody_any_more(agent, people, judy):
    leaves(people["bob"], judy)
    assert line(agent) == ["carol"] and owners(agent) == ["alice"]


def test_another_owner_stays_and_does_not_succeed_themselves(agent, people, judy):
    services.set_owners(
        template=agent, owners=[people["alice"], people["bob"]], actor=judy, reason="Together"
    )
    leaves(people["alice"], judy)
    assert sorted(owners(agent)) == ["bob", "carol"]


def test_other_tenants_keep_their_owners(agent, people, judy):
    other = make.tenant("other")
    Membership.objects.create(tenant=other, user=people["alice"])
    theirs = make.template(tenant=other)
    Ownership.objects.create(tenant=other, template=theirs, user=people["alice"])
    core.remove_member(
        member=Membership.objects.get(user=people["alice"], tenant=agent.tenant), actor=judy, reason="r"
    )
    assert owners(theirs) == ["alice"]


def test_a_refused_leaving_ends_no_ownership(agent, people, acme):
    mallory = make.user("mallory", member_of=acme)
    with pytest.raises(NotAllowed):
        leaves(people["alice"], mallory)
    assert owners(agent) == ["alice"]


def test_successors_are_people_who_work_here_each_once(agent, people, judy):
    stranger = make.user("stranger", member_of=make.tenant("other"))
    with pytest.raises(Invalid) as refused:
        succeeded_by(agent, judy, people["bob"], people["bob"], stranger)
    assert [problem["pointer"] for problem in refused.value.errors] == ["/successors/1", "/successors/2"]
    assert line(agent) == ["bob", "carol"]


def test_the_line_is_changed_on_the_record_and_its_past_stays(agent, people, judy):
    succeeded_by(agent, judy, people["carol"])
    record = ChangeRecord.objects.filter(verb="registry.template.successors_set").first()
    assert (record.before, record.after) == ({"successors": ["bob", "carol"]}, {"successors": ["carol"]})
    assert Successor.objects.filter(template=agent).count() == 3
    succeeded_by(agent, judy, people["carol"])
    assert ChangeRecord.objects.filter(verb="registry.template.successors_set").count() == 2


def test_naming_successors_takes_the_right_to_manage_the_directory(agent, people):
    with pytest.raises(NotAllowed):
        succeeded_by(agent, people["alice"], people["bob"])


# where it shows


def test_the_fleet_page_counts_agents_that_nobody_answers_for_and_leads_to_them(client, agent, people, judy):
    client.force_login(judy)
    assert "Agents without an owner" not in client.get(reverse("home")).content.decode()
    orphan = make.template("orphan")
    page = client.get(reverse("home")).content.decode()
    assert "Agents without an owner" in page and f"{reverse('registry:template_list')}?ownerless=true" in page
    listed = client.get(reverse("registry:template_list"), {"ownerless": "true"})
    assert list(listed.context["object_list"]) == [orphan]
    found = client.get("/api/v1/registry/templates/", {"ownerless": "true"}).json()["results"]
    assert [row["slug"] for row in found] == ["orphan"]
    assert "Nobody answers for this agent" in client.get(orphan.get_absolute_url()).content.decode()


def test_who_is_about_to_remove_somebody_is_told_what_passes_to_whom(client, agent, people, judy):
    Ownership.objects.create(tenant=agent.tenant, template=make.template("bare"), user=people["alice"])
    client.force_login(judy)
    member = Membership.objects.get(user=people["alice"])
    page = client.get(reverse("member_remove", args=[member.typeid])).content.decode()
    assert "Owner of Refunds: bob succeeds" in page
    assert "Owner of bare: nobody answers for it then" in page
    assert owners(agent) == ["alice"], "looking changes nothing"


def test_the_page_names_successors_in_order(client, agent, people, judy):
    client.force_login(judy)
    form = reverse("registry:template_successors", args=[agent.typeid])
    assert client.get(form).context["form"]["successors"].value() == "bob\ncarol"
    client.post(form, {"successors": "carol\nbob", "reason": "r"})
    assert line(agent) == ["carol", "bob"]
    assert "carol, then bob" in client.get(agent.get_absolute_url()).content.decode()
    wrong = client.post(form, {"successors": "nobody", "reason": "r"}).content.decode()
    assert "There is no such member: nobody." in wrong


def test_a_machine_reads_and_sets_the_line(client, agent, judy):
    client.force_login(judy)
    at = f"/api/v1/registry/templates/{agent.typeid}/successors/"
    assert client.get(at).json() == {"successors": ["bob", "carol"], "ownerless": False}
    put = client.put(at, {"successors": ["carol"], "reason": "r"}, content_type="application/json")
    assert put.json()["successors"] == ["carol"]
    wrong = client.put(at, {"successors": ["x"], "reason": "r"}, content_type="application/json")
    assert wrong.json()["errors"][0]["pointer"] == "/successors/0"


def test_a_closed_account_answers_for_nothing(agent, people):
    people["alice"].is_active = False
    people["alice"].save(update_fields=["is_active"])
    assert queries.is_ownerless(agent)
    assert not queries.ownerless(AgentTemplate.objects.none()).exists()
