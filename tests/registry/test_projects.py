"""Projects: a page each, their agents and what they cost, and how agents come there."""

import pytest
from django.urls import reverse

from arm.models import ChangeRecord
from arm.rights import Right
from registry.models import AgentTemplate, Project
from registry.protocol.rows import TemplateRow
from registry.services.bulk_templates import judge_templates
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def ledger(acme):
    return Project.objects.create(tenant=acme, slug="ledger", name="Ledger", cost_center="CC9")


@pytest.fixture
def alice(acme, client):
    """Holds every right in the tenant, and is signed in."""
    alice = make.everything(make.user("alice", member_of=acme), acme)
    client.force_login(alice)
    return alice


def test_the_list_counts_the_agents_that_the_visitor_sees(client, acme, ledger, alice):
    make.template("one", project=ledger)
    make.template("two", project=ledger)
    page = client.get(reverse("registry:project_list"))
    assert page.context["rows"] == [(ledger, 2)] and "?project=ledger" in page.content.decode()
    assert client.get(reverse("registry:project_list"), {"q": "other"}).context["rows"] == []
    file = client.get(reverse("registry:project_list"), {"format": "csv"}).content.decode()
    assert "ledger,Ledger,CC9" in file


def test_a_project_is_made_renamed_and_charged_elsewhere(client, acme, alice):
    made = client.post(
        reverse("registry:project_create"),
        {"name": "Care", "slug": "care", "cost_center": "CC1", "reason": "A new one"},
    )
    care = Project.objects.get(slug="care")
    assert made.url == care.get_absolute_url()
    client.post(
        reverse("registry:project_edit", args=[care.typeid]),
        {"name": "Customer care", "cost_center": "CC2", "reason": "As they say"},
    )
    care.refresh_from_db()
    assert (care.name, care.cost_center) == ("Customer care", "CC2")
    verbs = list(ChangeRecord.objects.about(care).values_list("verb", flat=True))
    assert verbs == ["registry.project.updated", "registry.project.created"]
    again = client.post(reverse("registry:project_create"), {"name": "Care", "slug": "care", "reason": "x"})
    assert again.status_code == 409 or "already a project" in again.content.decode()


def test_agents_are_moved_there_all_or_none(client, acme, ledger, alice):
    one, two = make.template("one"), make.template("two", cost_center="CC5")
    address = reverse("registry:project_move", args=[ledger.typeid])
    refused = client.post(address, {"agents": "one, nobody", "reason": "Theirs"})
    assert "nobody" in refused.content.decode() and AgentTemplate.objects.filter(project=ledger).count() == 0
    assert client.post(address, {"agents": "one\ntwo", "reason": "Theirs"}).status_code == 302
    page = client.get(ledger.get_absolute_url())
    assert [row.template for row in page.context["page"].agents] == [one, two]
    two.refresh_from_db()
    assert two.cost_center == "CC5"
    record = ChangeRecord.objects.about(one).first()
    assert (record.before, record.after) == ({"project": None}, {"project": "ledger"})


def test_who_may_not_describe_one_of_the_agents_moves_none(client, acme, ledger):
    bob = make.user("bob", member_of=acme)
    make.grant(bob, acme, Right.READ_DIRECTORY)
    mine, other = make.template("mine"), make.template("other")
    make.grant(bob, mine, Right.CREATE_VERSION)
    client.force_login(bob)
    answer = client.post(
        reverse("registry:project_move", args=[ledger.typeid]), {"agents": "mine other", "reason": "x"}
    )
    assert answer.status_code == 403 and str(other) in answer.content.decode()
    assert not AgentTemplate.objects.filter(project=ledger).exists()
    edit = client.get(reverse("registry:project_edit", args=[ledger.typeid]))
    assert edit.status_code == 403 and client.get(reverse("registry:project_create")).status_code == 403


def test_somebody_of_one_agent_sees_no_project_and_does_not_take_it_away_by_describing_the_agent(
    client, acme, ledger
):
    carol = make.user("carol", member_of=acme)
    one = make.template("one", project=ledger, name="One")
    make.grant(carol, one, Right.READ_DIRECTORY, Right.CREATE_VERSION)
    client.force_login(carol)
    assert client.get(ledger.get_absolute_url()).status_code == 404
    assert client.get(reverse("registry:project_list")).context["rows"] == []
    form = reverse("registry:template_edit", args=[one.typeid])
    assert "project" not in client.get(form).context["form"].fields
    client.post(form, {"name": "Uno", "reason": "Its name"})
    one.refresh_from_db()
    assert (one.name, one.project) == ("Uno", ledger)


def test_an_agents_project_is_chosen_where_it_is_described(client, acme, ledger, alice):
    one = make.template("one", name="One")
    form = reverse("registry:template_edit", args=[one.typeid])
    client.post(form, {"name": "One", "project": "ledger", "reason": "Theirs"})
    one.refresh_from_db()
    assert one.project == ledger
    assert client.get(form).context["form"].initial["project"] == "ledger"
    assert ledger.get_absolute_url() in client.get(one.get_absolute_url()).content.decode()
    client.post(form, {"name": "One", "project": "", "reason": "No longer"})
    one.refresh_from_db()
    assert one.project is None


def test_the_page_says_what_its_agents_cost_and_leads_to_their_entries(client, acme, ledger, alice):
    running = make.instance(version=make.approved(template=make.template("one", project=ledger)))
    make.entry(running, amount="2.50")
    make.entry(make.instance(), amount="7.00")
    page = client.get(ledger.get_absolute_url()).content.decode()
    assert "2.50" in page and "9.50" not in page and "7.00" not in page
    rows = client.get(reverse("costs:ledger"), {"project": ledger.typeid}).context["object_list"]
    assert [row.instance_id for row in rows] == [running.pk]
    assert not client.get(reverse("costs:ledger"), {"project": "prj_x"}).context["object_list"]


def test_agents_are_moved_by_the_api_too_and_each_wrong_one_is_pointed_at(client, acme, ledger, alice):
    one, two = make.template("one"), make.template("two")
    url = f"/api/v1/registry/projects/{ledger.typeid}/agents/"
    stranger = "tpl_00000000000000000000000000"
    wrong = client.post(
        url, {"agents": [one.typeid, stranger], "reason": "Theirs"}, content_type="application/json"
    )
    assert wrong.status_code == 422 and wrong.json()["errors"][0]["pointer"] == "/agents/1"
    assert not AgentTemplate.objects.filter(project=ledger).exists()
    done = client.post(
        url, {"agents": [one.typeid, two.typeid], "reason": "Theirs"}, content_type="application/json"
    )
    assert done.status_code == 200 and done.json()["slug"] == "ledger", done.content
    assert set(AgentTemplate.objects.filter(project=ledger)) == {one, two}


@pytest.fixture
def carol(acme, ledger, client):
    """Works on one agent, takes its list away, and sees no project."""
    carol = make.user("carol", member_of=acme)
    one = make.template("one", project=ledger, name="One")
    make.grant(carol, one, Right.READ_DIRECTORY, Right.CREATE_VERSION, Right.EXPORT)
    client.force_login(carol)
    return carol


def test_who_sees_no_project_reads_its_name_nowhere(client, ledger, carol):
    one = AgentTemplate.objects.get(slug="one")
    page = client.get(one.get_absolute_url()).content.decode()
    assert ledger.get_absolute_url() not in page and "Ledger" not in page
    assert "ledger" not in client.get(reverse("registry:template_list"), {"format": "csv"}).content.decode()
    api = "/api/v1/registry/templates/"
    assert client.get(f"{api}{one.typeid}/").json()["project"] is None
    assert [row["project"] for row in client.get(api).json()["results"]] == [None]
    put = client.patch(f"{api}{one.typeid}/", {"name": "Uno", "reason": "r"}, "application/json")
    assert put.json()["project"] is None


def test_who_sees_the_project_reads_it_in_file_and_api(client, ledger, alice):
    one = make.template("one", project=ledger)
    file = client.get(reverse("registry:template_list"), {"format": "csv"}).content.decode()
    assert ",ledger," in file
    api = "/api/v1/registry/templates/"
    assert client.get(f"{api}{one.typeid}/").json()["project"] == "ledger"
    new = {"slug": "two", "name": "Two", "project": "ledger", "reason": "r"}
    assert client.post(api, new, "application/json").json()["project"] == "ledger"


@pytest.mark.parametrize("project", [None, "ledger"])
def test_the_file_of_who_sees_no_project_comes_back_and_leaves_the_agent_there(acme, ledger, carol, project):
    row = TemplateRow(at=0, slug="one", name="One", project=project)
    judged = judge_templates(acme, [row], carol, update=True)
    assert (judged.outcomes, judged.problems) == ({0: "same"}, [])
    renamed = judge_templates(
        acme, [TemplateRow(at=0, slug="one", name="Uno", project=project)], carol, update=True
    )
    assert [values for _, values, _ in renamed.update] == [{"name": "Uno"}]


def test_a_project_that_one_does_not_see_is_none_to_name_for_another_agent(acme, ledger, carol):
    Project.objects.create(tenant=acme, slug="secret", name="Secret")
    judged = judge_templates(
        acme, [TemplateRow(at=0, slug="one", name="One", project="secret")], carol, update=True
    )
    assert [(p["pointer"], p["code"]) for p in judged.problems] == [("/rows/0/project", "unknown")]
