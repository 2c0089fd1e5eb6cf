"""The second workplace: people work there by their bindings, and nothing is written behind a service's back."""

import pytest
from django.contrib import admin
from django.urls import reverse

from arm.admin import ScopedAdmin
from arm.models import ChangeRecord, SecurityEvent
from arm.rights import Right
from arm.roles import ROLES
from registry.lifecycle import InstanceState, VersionState
from registry.models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    DeploymentSlot,
    Environment,
    Genome,
    KeyScope,
    Project,
    Prompt,
    Provider,
    RoleDefinition,
)
from tests import make

pytestmark = pytest.mark.django_db
NOUNS = [
    AgentTemplate,
    AgentVersion,
    Genome,
    Prompt,
    AgentInstance,
    KeyScope,
    Environment,
    Provider,
    Project,
    RoleDefinition,
    DeploymentSlot,
]


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def prod(acme):
    return make.environment("prod", name="Production")


@pytest.fixture
def dev(acme):
    return make.environment("dev", name="Development")


@pytest.fixture
def running(prod):
    return make.instance(name="billing-1", environment=prod)


@pytest.fixture
def elsewhere(dev):
    return make.instance(name="billing-dev-1", environment=dev)


@pytest.fixture
def gita(acme, prod, running, elsewhere, client):
    """A GRC analyst of production and of nothing else; signed in, no superuser."""
    gita = make.user("gita", member_of=acme)
    make.grant(gita, prod, *ROLES["grc_analyst"].rights)
    client.force_login(gita)
    return gita


@pytest.fixture
def olga(acme, running, elsewhere, client):
    """A fleet operator of the whole tenant; signed in."""
    olga = make.user("olga", member_of=acme)
    make.grant(olga, acme, *ROLES["fleet_operator"].rights)
    client.force_login(olga)
    return olga


def listed(model, name="changelist", *args, query=""):
    return reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_{name}", args=args) + query


def rows(answer):
    return {str(row) for row in answer.context["cl"].result_list}


def act(client, model, action, chosen, **form):
    data = {"action": action, "_selected_action": [str(row.pk) for row in chosen], **form}
    return client.post(listed(model), data, follow=True)


# who sees what


def test_an_analyst_of_one_environment_sees_exactly_its_instances(client, gita, running, elsewhere):
    page = client.get(listed(AgentInstance))
    assert rows(page) == {"billing-1"} and "billing-dev-1" not in page.content.decode()
    assert client.get(listed(AgentInstance, "change", running.pk)).status_code == 200
    hidden = client.get(listed(AgentInstance, "change", elsewhere.pk))
    assert hidden.status_code == 302, "the admin sends away from what does not exist"
    assert client.get(listed(AgentInstance, "history", elsewhere.pk)).status_code == 404


def test_filters_and_autocompletes_offer_visible_rows_only(client, gita, dev, running, elsewhere):
    page = client.get(listed(AgentInstance)).content.decode()
    assert "Production" in page and "Development" not in page
    forged = client.get(listed(AgentInstance, query=f"?environment__id__exact={dev.pk}"))
    assert "billing-dev-1" not in rows(forged)
    slots = {"app_label": "registry", "model_name": "agentinstance", "field_name": "version"}
    found = client.get(reverse("admin:autocomplete"), slots)
    assert found.json()["results"] == [], "no version is visible through a grant on an environment"


def test_an_analyst_is_offered_no_restriction_and_a_forged_one_does_nothing(client, gita, running):
    page = client.get(listed(AgentInstance)).content.decode()
    assert 'value="quarantine"' not in page and 'value="export_csv"' in page
    act(client, AgentInstance, "quarantine", [running], reason="odd", confirmed="yes")
    assert AgentInstance.objects.get(pk=running.pk).state == InstanceState.ACTIVE


@pytest.mark.parametrize("model", NOUNS)
def test_every_noun_has_a_list_and_no_way_to_delete(model, client, acme):
    alice = make.everything(make.user("alice", member_of=acme), acme)
    make.one_of_each(acme)
    client.force_login(alice)
    assert client.get(listed(model)).status_code == 200
    site = admin.site._registry[model]
    assert isinstance(site, ScopedAdmin)
    for row in model.objects.all():
        assert client.get(listed(model, "change", row.pk)).status_code == 200
        assert client.post(listed(model, "delete", row.pk), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("model", NOUNS)
def test_nothing_is_there_for_somebody_without_rights(model, client, acme):
    make.one_of_each(acme)
    client.force_login(make.user("mallory", member_of=acme))
    assert client.get(listed(model)).status_code == 403


@pytest.mark.parametrize("model", NOUNS)
def test_a_list_of_sixty_asks_the_database_little(
    model, client, acme, django_assert_max_num_queries, django_assert_num_queries
):
    alice = make.everything(make.user("alice", member_of=acme), acme)
    client.force_login(alice)
    place, at = make.environment(), make.provider()
    for _ in range(60 if model in {AgentTemplate, AgentVersion, AgentInstance, Genome} else 5):
        make.instance(environment=place, provider=at)
        make.slot(environment=place, provider=at)
    client.get(listed(model))
    with django_assert_max_num_queries(24):
        client.get(listed(model))


# who does what


def test_an_operator_quarantines_after_a_confirm_page_and_the_record_says_why(client, olga, running):
    asked = act(client, AgentInstance, "quarantine", [running])
    assert "Everything they ask for is denied" in asked.content.decode()
    assert AgentInstance.objects.get(pk=running.pk).state == InstanceState.ACTIVE
    unreasoned = act(client, AgentInstance, "quarantine", [running], confirmed="yes")
    assert "This field is required" in unreasoned.content.decode()
    act(client, AgentInstance, "quarantine", [running], confirmed="yes", reason="odd answers")
    assert AgentInstance.objects.get(pk=running.pk).state == InstanceState.QUARANTINED
    record = ChangeRecord.objects.get(verb="registry.instance.restricted")
    assert (record.actor_label, record.reason) == ("olga", "odd answers")
    history = client.get(listed(AgentInstance, "history", running.pk)).content.decode()
    assert "registry.instance.restricted" in history and "odd answers" in history


def test_a_row_that_refuses_is_named_and_the_others_are_done(client, olga, running, elsewhere):
    AgentInstance.objects.filter(pk=elsewhere.pk).update(state=InstanceState.RETIRED)
    page = act(client, AgentInstance, "pause", [running, elsewhere], confirmed="yes", reason="pause")
    text = page.content.decode()
    assert "Pause: 1 of 2 done." in text and "billing-dev-1 is Retired" in text
    assert AgentInstance.objects.get(pk=running.pk).state == InstanceState.PAUSED


def test_rows_beyond_the_persons_right_are_left_out_and_counted(client, acme, prod, running, elsewhere):
    petra = make.user("petra", member_of=acme)
    make.grant(petra, acme, Right.READ_DIRECTORY)
    make.grant(petra, prod, Right.RESTRICT_INSTANCE)
    client.force_login(petra)
    asked = act(client, AgentInstance, "pause", [running, elsewhere])
    assert "1 of your selection are left out" in asked.content.decode()
    act(client, AgentInstance, "pause", [running, elsewhere], confirmed="yes", reason="pause")
    states = dict(AgentInstance.objects.values_list("name", "state"))
    assert states == {"billing-1": "paused", "billing-dev-1": "active"}


def test_a_version_is_moved_by_a_command_and_the_gates_speak(client, acme):
    alice = make.everything(make.user("alice", member_of=acme), acme)
    client.force_login(alice)
    whole = make.version(created_by=alice)
    half = make.version(genome=make.genome(missing=["models"]))
    page = act(client, AgentVersion, "submit", [whole, half], confirmed="yes", reason="ready")
    assert "The genome lacks models." in page.content.decode()
    assert AgentVersion.objects.get(pk=whole.pk).state == VersionState.TESTING
    assert AgentVersion.objects.get(pk=half.pk).state == VersionState.DRAFT


def test_a_slot_is_bound_by_a_command(client, acme, prod):
    alice = make.everything(make.user("alice", member_of=acme), acme)
    client.force_login(alice)
    slot, version = make.slot(environment=prod), make.approved()
    wrong = act(client, DeploymentSlot, "bind", [slot], confirmed="yes", reason="go", version="ver_x")
    assert wrong.status_code == 200 and DeploymentSlot.objects.get(pk=slot.pk).current_version is None
    act(client, DeploymentSlot, "bind", [slot], confirmed="yes", reason="go", version=version.typeid)
    assert DeploymentSlot.objects.get(pk=slot.pk).current_version == version


# adding and changing go through services


def add(client, model, **form):
    inlines = {f"{name}-{part}": "0" for name in form.pop("inlines", ()) for part in FORMSET}
    return client.post(listed(model, "add"), form | inlines, follow=True)


FORMSET = ("TOTAL_FORMS", "INITIAL_FORMS")


def test_what_is_added_is_made_by_the_service_and_recorded_with_its_reason(client, acme):
    alice = make.everything(make.user("alice", member_of=acme), acme)
    client.force_login(alice)
    add(client, AgentTemplate, slug="mail", name="Mail", risk="low", tags="[]", reason="new agent")
    made = AgentTemplate.objects.get()
    assert ChangeRecord.objects.about(made).get().reason == "new agent"
    assert list(made.ownerships.values_list("user__username", flat=True)) == ["alice"]
    add(
        client,
        Environment,
        slug="qa",
        name="QA",
        risk_default="low",
        retention_days=30,
        cost_tags="{}",
        reason="r",
    )
    add(client, Provider, slug="edge", name="Edge", kind="local", heartbeat_seconds=30, reason="r")
    add(client, RoleDefinition, slug="clerk", name="Clerk", tier=2, risk="low", reason="r")
    add(
        client,
        DeploymentSlot,
        environment=Environment.objects.get().pk,
        role=RoleDefinition.objects.get().pk,
        provider=Provider.objects.get().pk,
        ordinal=1,
        reason="r",
    )
    add(
        client,
        AgentInstance,
        version=make.approved(template=made).pk,
        environment=Environment.objects.get().pk,
        provider=Provider.objects.get().pk,
        name="mail-1",
        labels="{}",
        reason="run it",
    )
    assert AgentInstance.objects.get().state == InstanceState.PROVISIONING
    verbs = {record.verb for record in ChangeRecord.objects.all()}
    assert {
        "registry.environment.created",
        "registry.provider.created",
        "registry.role.created",
        "registry.slot.created",
        "registry.instance.provisioned",
    } <= verbs


def test_without_a_reason_nothing_is_added(client, acme):
    client.force_login(make.everything(make.user("alice", member_of=acme), acme))
    page = add(client, Provider, slug="edge", name="Edge", kind="local", heartbeat_seconds=30)
    assert "This field is required" in page.content.decode() and not Provider.objects.exists()


def test_a_duplicate_is_refused_in_words(client, acme):
    client.force_login(make.everything(make.user("alice", member_of=acme), acme))
    make.provider("edge")
    page = add(client, Provider, slug="edge", name="Edge", kind="local", heartbeat_seconds=30, reason="r")
    assert "There is already a provider “edge”." in page.content.decode()
    assert Provider.objects.count() == 1


def test_a_template_is_edited_by_the_service_and_its_risk_is_not_on_the_form(client, acme):
    template = make.template("mail", name="Mail")
    client.force_login(make.everything(make.user("alice", member_of=acme), acme))
    form = {"name": "Mail sorter", "tags": '["post"]', "risk": "critical", "reason": "better name"}
    client.post(listed(AgentTemplate, "change", template.pk), form | INLINES)
    template.refresh_from_db()
    assert (template.name, template.tags, template.risk) == ("Mail sorter", ["post"], "medium")
    record = ChangeRecord.objects.get(verb="registry.template.updated")
    assert record.reason == "better name" and record.after["name"] == "Mail sorter"


INLINES = {f"{name}-{part}": "0" for name in ("ownerships", "versions") for part in FORMSET}


def test_a_viewer_reads_a_template_and_cannot_change_it(client, acme):
    template = make.template("mail", name="Mail")
    vera = make.user("vera", member_of=acme)
    make.grant(vera, acme, Right.READ_DIRECTORY)
    client.force_login(vera)
    page = client.get(listed(AgentTemplate, "change", template.pk)).content.decode()
    assert "Mail" in page and 'name="reason"' not in page
    answer = client.post(listed(AgentTemplate, "change", template.pk), {"name": "X", "reason": "r"} | INLINES)
    assert answer.status_code == 403 and AgentTemplate.objects.get().name == "Mail"


# what leaves the house


def test_an_export_holds_the_visible_rows_and_is_noted(client, gita, running, elsewhere):
    answer = act(client, AgentInstance, "export_csv", [running, elsewhere])
    text = answer.content.decode()
    assert "billing-1" in text and "billing-dev-1" not in text
    noted = SecurityEvent.objects.get(kind=SecurityEvent.Kind.EXPORTED)
    assert noted.user_id == gita.pk and noted.detail == {"rows": 1} and noted.tenant_id == running.tenant_id


def test_a_genome_is_verified_when_it_is_opened(client, acme):
    client.force_login(make.everything(make.user("alice", member_of=acme), acme))
    page = client.get(listed(Genome, "change", make.genome().pk)).content.decode()
    assert "recomputed just now" in page and "gpt-4o" in page
