"""The admin as a GRC analyst works in it: no superuser, one environment, and nothing of anybody else's."""

import pytest
from django.test import Client

from arm import services as core
from arm.models import ChangeRecord
from arm.rights import Right
from telemetry import services
from telemetry.lifecycle import IncidentKind, Severity
from telemetry.models import Incident
from tests import make

pytestmark = pytest.mark.django_db
LIST = "/admin/telemetry/incident/"


@pytest.fixture
def tenant():
    return make.tenant("acme")


@pytest.fixture
def prod(tenant):
    return make.environment("prod")


@pytest.fixture
def grace(tenant, prod):
    """GRC analyst of production only."""
    admin = make.everything(make.user("judy", member_of=tenant), tenant)
    user = make.user("grace", member_of=tenant)
    core.bind(principal=user, role="grc_analyst", scope=prod, actor=admin, reason="GRC of production")
    return user


@pytest.fixture
def desk(grace):
    client = Client()
    client.force_login(grace)
    return client


def opened(subject, title):
    return services.open_incident(
        subject=subject, title=title, actor=None, kind=IncidentKind.DRIFT, severity=Severity.S2
    )


@pytest.fixture
def incident(prod):
    return opened(make.instance(environment=prod), "Drift in production")


@pytest.fixture
def elsewhere(tenant):
    return opened(make.instance(), "Drift elsewhere")


def act(desk, name, *rows, **form):
    return desk.post(
        LIST,
        {"action": name, "_selected_action": [str(row.pk) for row in rows], "confirmed": "1", **form},
        follow=True,
    )


def test_she_sees_the_incidents_of_her_environment_and_no_others(desk, incident, elsewhere):
    page = desk.get(LIST).content.decode()
    assert "Drift in production" in page and "Drift elsewhere" not in page
    assert desk.get(f"{LIST}{incident.pk}/change/").status_code == 200
    assert desk.get(f"{LIST}{elsewhere.pk}/change/").status_code != 200
    assert "Drift elsewhere" not in desk.get(f"{LIST}?q=Drift").content.decode()


def test_a_command_asks_first_then_calls_the_service_and_is_recorded(desk, incident, grace):
    confirm = desk.post(LIST, {"action": "triage", "_selected_action": [str(incident.pk)]})
    assert b"Drift in production" in confirm.content
    assert Incident.objects.get().state == "open"
    act(desk, "triage", incident, severity="s1", reason="Looked at it")
    row = Incident.objects.get()
    assert (row.state, row.owner, row.severity) == ("triaged", grace, "s1")
    record = ChangeRecord.objects.get(verb="telemetry.incident.triaged")
    assert record.actor_label == "grace" and record.reason == "Looked at it"


def test_every_step_is_a_command(desk, incident):
    act(desk, "mitigate", incident, measure="elsewhere", reason="Tool taken down")
    act(desk, "resolve", incident, root_cause="x", remediation="y")
    act(desk, "reopen", incident, reason="Back")
    act(desk, "resolve", incident, root_cause="x", remediation="z")
    act(desk, "review", incident, lessons="z")
    act(desk, "note", incident, text="Filed")
    row = Incident.objects.get()
    assert (row.state, row.remediation) == ("reviewed", "z")
    assert row.entries.filter(kind="note").get().text == "Filed"


def test_a_refusal_is_shown_and_the_instance_stays_as_it_is(desk, incident):
    page = act(desk, "mitigate", incident, measure="quarantined", reason="Stop it")
    assert "You may not restrict instance" in page.content.decode()
    incident.refresh_from_db()
    assert incident.state == "open" and incident.instance.state == "active"


def test_a_row_elsewhere_is_not_reached_by_naming_it(desk, elsewhere):
    act(desk, "triage", elsewhere, severity="s1", reason="x")
    elsewhere.refresh_from_db()
    assert elsewhere.state == "open"


def test_an_incident_is_opened_through_the_service_and_never_edited(desk, prod, incident, grace):
    instance = make.instance(environment=prod)
    form = {"subject": instance.typeid, "kind": "outage", "severity": "s1", "title": "Silent", "note": ""}
    desk.post(f"{LIST}add/", form)
    row = Incident.objects.get(kind="outage")
    assert (row.opened_by, row.instance) == (grace, instance)
    assert not row.harm
    desk.post(f"{LIST}{row.pk}/change/", {"title": "Nothing happened"})
    row.refresh_from_db()
    assert row.title == "Silent"
    assert desk.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code in (403, 302, 404)
    assert Incident.objects.filter(pk=row.pk).exists()


def test_who_speaks_for_the_version_says_harm_there_too(desk, prod, grace):
    instance = make.instance(environment=prod)
    form = {"subject": instance.typeid, "kind": "drift", "severity": "s1", "title": "Lies", "harm": "on"}
    assert "does harm wherever it runs" in desk.post(f"{LIST}add/", form).content.decode()
    assert not Incident.objects.filter(title="Lies").exists(), "Grace handles production alone"
    make.grant(grace, instance.template, Right.MANAGE_INCIDENT)
    desk.post(f"{LIST}add/", form)
    assert Incident.objects.get(title="Lies").harm


def test_the_export_holds_her_rows_only(desk, incident, elsewhere):
    page = desk.post(
        LIST, {"action": "export_csv", "_selected_action": [str(incident.pk), str(elsewhere.pk)]}
    )
    text = page.content.decode()
    assert "Drift in production" in text and "Drift elsewhere" not in text


def test_history_comes_from_change_records(desk, incident):
    assert b"telemetry.incident.opened" in desk.get(f"{LIST}{incident.pk}/history/").content


def test_who_reads_no_incidents_finds_no_such_section(tenant, incident):
    bob = make.user("bob", member_of=tenant)
    make.grant(bob, tenant, Right.READ_DIRECTORY)
    client = Client()
    client.force_login(bob)
    assert client.get(LIST).status_code == 403
