"""The console's pages of the directory: who sees what, what the buttons do, what a refusal says."""

import json
from datetime import timedelta

import pytest
import yaml
from django.urls import reverse

from arm import clock
from arm.models import ChangeRecord
from arm.rights import Right
from registry import services
from registry.lifecycle import InstanceState, VersionState
from registry.models import AgentInstance, AgentTemplate, AgentVersion, Genome, InstanceStatus
from tests import make
from tests.registry.genomes import example, tool

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(tenant, client):
    """Holds every right, without being a superuser; she is signed in."""
    user = make.everything(make.user("alice", member_of=tenant), tenant)
    client.force_login(user)
    return user


@pytest.fixture
def vera(tenant):
    """Sees the directory and does nothing there."""
    user = make.user("vera", member_of=tenant)
    make.grant(user, tenant, Right.READ_DIRECTORY)
    return user


@pytest.fixture
def fleet(tenant, alice):
    """One agent with two versions, an instance of the newer one, a slot bound to it."""
    template = services.register_template(
        tenant=tenant, slug="invoices", name="Invoices", tags=["finance"], actor=alice, reason="start"
    )
    first = services.create_version(
        template=template, genome=example(template=template.typeid), actor=alice, reason="first"
    )
    second = services.create_version(
        template=template,
        genome=example(template=template.typeid, tools=[tool("search", risk="YELLOW")]),
        actor=alice,
        reason="fewer tools",
        parents=[first],
        label="2.0",
    )
    AgentVersion.objects.filter(pk=second.pk).update(state=VersionState.APPROVED)
    second.refresh_from_db()
    prod, local = make.environment("prod", name="Production"), make.provider("local", name="Local")
    slot = services.create_slot(
        environment=prod, role=make.role("clerk"), provider=local, actor=alice, reason="s"
    )
    services.bind_slot(slot=slot, version=second, actor=alice, reason="go")
    instance = services.provision_instance(
        version=second,
        environment=prod,
        provider=local,
        slot=slot,
        name="invoices-1",
        actor=alice,
        reason="run",
    )
    return {
        "tpl": template,
        "ver": second,
        "first": first,
        "ins": instance,
        "env": prod,
        "prov": local,
        "slt": slot,
    }


LISTS = [
    "template_list",
    "version_list",
    "instance_list",
    "slot_list",
    "role_list",
    "environment_list",
    "provider_list",
]
DETAILS = [
    ("template_detail", "tpl"),
    ("version_detail", "ver"),
    ("version_diff", "ver"),
    ("instance_detail", "ins"),
    ("slot_detail", "slt"),
    ("environment_detail", "env"),
    ("provider_detail", "prov"),
]


def url(name, row=None, query=""):
    return reverse(f"registry:{name}", args=[row.typeid] if row else []) + query


@pytest.mark.parametrize("name", LISTS)
def test_a_list_shows_what_is_there_and_is_friendly_when_empty(name, client, alice, fleet, tenant):
    assert client.get(url(name)).status_code == 200
    empty = make.everything(make.user("eve", member_of=make.tenant("empty")), make.tenant("other"))
    client.force_login(empty)
    assert client.get(url(name)).status_code == 200


@pytest.mark.parametrize(("name", "kind"), DETAILS)
def test_a_detail_page_is_there_for_a_viewer_without_buttons_and_gone_for_a_stranger(
    name, kind, client, fleet, vera, tenant
):
    client.force_login(vera)
    page = client.get(url(name, fleet[kind]))
    assert page.status_code == 200
    assert b"button-primary" not in page.content and b"button-danger" not in page.content
    client.force_login(make.user("nobody", member_of=tenant))
    assert client.get(url(name, fleet[kind])).status_code == 404


VERBS = [
    ("template_edit", "tpl"),
    ("template_risk", "tpl"),
    ("template_owners", "tpl"),
    ("version_move", "ver"),
    ("version_genome", "ver"),
    ("instance_move", "ins"),
    ("instance_release", "ins"),
    ("slot_bind", "slt"),
    ("template_create", ""),
    ("version_import", ""),
    ("instance_provision", ""),
    ("slot_create", ""),
    ("role_create", ""),
    ("environment_create", ""),
    ("provider_create", ""),
]


@pytest.mark.parametrize(("name", "kind"), VERBS)
def test_a_verb_has_a_form_for_who_may_and_403_for_a_viewer(name, kind, client, alice, fleet, vera):
    address = url(name, fleet[kind] if kind else None)
    page = client.get(address)
    assert page.status_code == 200 and b'name="reason"' in page.content
    client.force_login(vera)
    assert client.get(address).status_code == client.post(address, {"reason": "x"}).status_code == 403


@pytest.mark.parametrize(("name", "kind"), VERBS)
def test_an_empty_form_comes_back_with_its_errors(name, kind, client, alice, fleet):
    before = ChangeRecord.objects.count()
    page = client.post(url(name, fleet[kind] if kind else None), {})
    assert page.status_code == 422 and b"This field is required" in page.content
    assert ChangeRecord.objects.count() == before


# the Agent Card


def test_the_agent_card_verifies_the_digest_and_shows_what_it_is_made_of(client, alice, fleet):
    page = client.get(url("version_detail", fleet["ver"])).content.decode()
    assert fleet["ver"].genome.digest in page and "just now" in page
    assert "openai gpt-4.1 (2025-04-14)" in page and "Tool pay_invoice removed" in page
    assert "Tool search, Risk: GREEN → YELLOW" in page
    assert "invoices-1" in page


def test_a_tampered_genome_is_shown_as_one(client, alice, fleet, settings):
    settings.INCIDENTS = "tests.registry.test_versions.Incidents"
    held = fleet["ver"].genome
    tampered = Genome.objects.create(
        tenant=held.tenant,
        template=held.template,
        digest="sha256:" + "0" * 64,
        content=bytes(held.content).replace(b"YELLOW", b"GREEN"),
    )
    version = make.version(template=fleet["tpl"], genome=tampered, number=9)
    page = client.get(url("version_detail", version)).content.decode()
    assert (
        "is not the one that was sealed" in page
        and "Tampered" in page
        and "just now" not in page.split("Digest")[0]
    )


def test_the_way_to_the_next_state_names_what_is_missing(client, alice, tenant):
    template = make.template("half")
    draft = services.create_version(
        template=template, genome={"schema": "arm.genome/v1"}, actor=alice, reason="begun"
    )
    page = client.get(url("version_detail", draft)).content.decode()
    assert "The genome lacks models, prompts, tools, provenance." in page
    refused = client.post(url("version_move", draft), {"to": "testing", "reason": "try"})
    assert refused.status_code == 409 and b"The genome lacks models" in refused.content


def test_a_version_is_moved_from_the_page(client, alice, fleet):
    answer = client.post(url("version_move", fleet["first"]), {"to": "testing", "reason": "ready"})
    assert answer.status_code == 302 and answer["Location"] == fleet["first"].get_absolute_url()
    assert AgentVersion.objects.get(pk=fleet["first"].pk).state == VersionState.TESTING


def test_versions_are_compared_with_any_other_of_mine(client, alice, fleet):
    page = client.get(url("version_diff", fleet["first"], f"?with={fleet['ver'].typeid}")).content.decode()
    assert "Tool pay_invoice added" in page
    for asked in ("nonsense", make.version(template=make.template(tenant=make.tenant("other"))).typeid):
        assert client.get(url("version_diff", fleet["first"], f"?with={asked}")).status_code == 404


# import


def upload(client, text, **more):
    data = {"kind": "genome", "text": text, "reason": "from git", "name": "", "label": "", "template": ""}
    return client.post(url("version_import"), data | more, follow=True)


def test_a_yaml_genome_pasted_for_a_new_agent_becomes_a_draft(client, alice, tenant):
    page = upload(
        client, yaml.safe_dump(example(template=None, models=None)), name="Mail sorter", label="0.1"
    )
    made = AgentVersion.objects.get()
    assert (made.template.name, made.label, made.state) == ("Mail sorter", "0.1", "draft")
    assert "Still missing before it can be tested: models." in page.content.decode()


def test_a_wrong_genome_lists_every_member_and_stores_nothing(client, alice, tenant):
    text = json.dumps(example(template=None, tools=[tool(risk="red")], colour=1))
    page = upload(client, text, name="Mail sorter")
    assert page.status_code == 422
    assert "/tools/0/risk: Must be one of GREEN, YELLOW, RED." in page.content.decode()
    assert "/colour: No such member" in page.content.decode()
    assert not AgentTemplate.objects.exists()


def test_an_agent_card_file_is_imported(client, alice, tenant, tmp_path):
    card = tmp_path / "agent-card.json"
    card.write_text(json.dumps({"name": "Router", "version": "3", "skills": []}))
    with card.open("rb") as file:
        client.post(url("version_import"), {"kind": "agent_card", "file": file, "reason": "found"})
    assert AgentVersion.objects.get().template.slug == "router"


def test_importing_the_same_again_leads_to_what_is_there(client, alice, fleet):
    document = json.loads(bytes(fleet["ver"].genome.content))
    page = upload(client, json.dumps(document))
    assert page.status_code == 409 and fleet["ver"].get_absolute_url() in page.content.decode()


def test_file_and_text_are_one_or_the_other(client, alice, tenant):
    assert "one of the two" in upload(client, "").content.decode()


def test_a_template_that_is_not_mine_cannot_be_imported_into(client, alice, tenant):
    foreign = make.template(tenant=make.tenant("other"))
    page = upload(client, json.dumps(example(template=None)), template=foreign.typeid)
    assert "There is no such row" in page.content.decode()


# instances


def test_an_instance_page_says_what_is_missing_and_how_old_its_word_is(client, alice, fleet):
    page = client.get(url("instance_detail", fleet["ins"])).content.decode()
    assert "No linked telemetry of it has arrived yet." in page and "never" in page


def test_a_silent_instance_is_never_drawn_healthy(client, alice, fleet):
    AgentInstance.objects.filter(pk=fleet["ins"].pk).update(state=InstanceState.ACTIVE)
    long_ago = clock.now() - timedelta(hours=1)
    InstanceStatus.objects.filter(instance=fleet["ins"]).update(state="active", heartbeat_at=long_ago)
    for address in (url("instance_detail", fleet["ins"]), url("instance_list")):
        page = client.get(address).content.decode()
        assert "Unknown" in page and "wanted Active" in page
    assert b"invoices-1" in client.get(url("instance_list", query="?heartbeat=late")).content
    assert b"invoices-1" not in client.get(url("instance_list", query="?heartbeat=fresh")).content


def test_quarantine_is_one_page_with_its_reach_and_one_click(client, tenant, fleet):
    operator = make.user("olga", member_of=tenant)
    make.grant(operator, tenant, Right.READ_DIRECTORY, Right.RESTRICT_INSTANCE)
    client.force_login(operator)
    AgentInstance.objects.filter(pk=fleet["ins"].pk).update(state=InstanceState.ACTIVE)
    assert b"Quarantine" in client.get(url("instance_detail", fleet["ins"])).content
    asked = client.get(url("instance_move", fleet["ins"], "?to=quarantined")).content.decode()
    assert "Everything it asks for is denied" in asked
    client.post(url("instance_move", fleet["ins"]), {"to": "quarantined", "reason": "odd"})
    assert AgentInstance.objects.get().state == InstanceState.QUARANTINED
    back = client.post(url("instance_move", fleet["ins"]), {"to": "active", "reason": "fine"})
    assert back.status_code == 403


def test_a_release_that_needs_others_says_so_and_offers_to_ask(client, alice, fleet, tenant, vera):
    AgentInstance.objects.filter(pk=fleet["ins"].pk).update(state=InstanceState.ACTIVE)
    client.post(url("instance_move", fleet["ins"]), {"to": "read_only", "reason": "odd"})
    page = client.post(url("instance_move", fleet["ins"]), {"to": "active", "reason": "fine"})
    assert page.status_code == 409
    assert "Ask for the release" in page.content.decode()


def test_an_instance_is_provisioned_from_the_form(client, alice, fleet):
    data = {
        "version": fleet["ver"].typeid,
        "environment": "prod",
        "provider": "local",
        "name": "invoices-2",
        "role": "",
        "cost_center": "",
        "reason": "more work",
    }
    answer = client.post(url("instance_provision"), data)
    made = AgentInstance.objects.get(name="invoices-2")
    assert answer["Location"] == made.get_absolute_url() and made.state == InstanceState.PROVISIONING


# lists


def shown(client, name, query):
    page = client.get(url(name, query=query))
    assert page.status_code == 200
    return [row.name if hasattr(row, "name") else str(row) for row in page.context["object_list"]]


def test_filters_find_by_text_identifier_state_place_and_use(client, alice, fleet):
    make.template("mail", name="Mail")
    make.instance(name="other", state=InstanceState.PAUSED)
    assert shown(client, "template_list", "?q=invo") == ["Invoices"]
    assert shown(client, "template_list", "?tag=finance") == ["Invoices"]
    assert shown(client, "template_list", "?owner=alice") == ["Invoices"]
    assert shown(client, "version_list", f"?q={fleet['ver'].typeid}") == ["Invoices v2"]
    assert shown(client, "version_list", "?uses=pay_invoice") == ["Invoices v1"]
    assert shown(client, "version_list", "?state=draft") == ["Invoices v1"]
    assert shown(client, "version_list", f"?digest={fleet['first'].genome.digest}") == ["Invoices v1"]
    assert shown(client, "instance_list", "?environment=prod") == ["invoices-1"]
    assert shown(client, "instance_list", "?state=paused&state=active") == ["other"]
    assert shown(client, "instance_list", f"?slot={fleet['slt'].typeid}") == ["invoices-1"]
    assert shown(client, "instance_list", "?template=nonsense") == []
    assert shown(client, "instance_list", "?state=happy") == []


def test_csv_is_what_the_list_shows(client, alice, fleet):
    make.template("evil", name="=1+1")
    answer = client.get(url("template_list", query="?format=csv"))
    lines = answer.content.decode().splitlines()
    assert answer["Content-Type"].startswith("text/csv")
    assert lines[0].startswith("id,name,slug") and len(lines) == 3
    assert any("'=1+1" in line for line in lines)
    assert (
        len(client.get(url("template_list", query="?format=csv&q=invo")).content.decode().splitlines()) == 2
    )


def test_a_grant_on_one_agent_shows_that_agent_alone(client, alice, fleet, tenant):
    other = make.version(template=make.template("secret-agent"))
    make.instance(version=other, name="hidden")
    bob = make.user("bob", member_of=tenant)
    make.grant(bob, fleet["tpl"], Right.READ_DIRECTORY)
    client.force_login(bob)
    assert shown(client, "template_list", "") == ["Invoices"]
    assert shown(client, "instance_list", "") == ["invoices-1"]
    assert client.get(other.get_absolute_url()).status_code == 404
