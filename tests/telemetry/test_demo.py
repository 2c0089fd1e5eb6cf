"""The demo's incidents: every kind, severity and state, at moments of their own, with what they did."""

from datetime import timedelta

import pytest

from arm import clock
from arm.demo import Demo, hire
from arm.models import ChangeRecord
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, InstanceInterval, InstanceStatus
from telemetry import demo as telemetry_demo
from telemetry.lifecycle import IncidentKind, IncidentState, Severity
from telemetry.models import Incident, IncidentEntry
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def demo():
    tenant = make.tenant("main")
    admin = make.user("admin", member_of=tenant, is_superuser=True)
    demo = Demo(tenant=tenant, admin=admin, seed=7, days=30, now=clock.now(), quiet=True)
    hire(demo, "a good password")
    prod, local = make.environment("prod"), make.provider("local")
    make.bound(tenant)
    build = make.approved()
    for number in range(30):
        began = demo.start + timedelta(days=6 + number * 0.75)
        with clock.at(began):
            instance = make.instance(version=build, environment=prod, provider=local)
        InstanceStatus.objects.filter(pk=instance.pk).update(telemetry_at=began)
    with clock.at(demo.now - timedelta(days=1)):
        make.instance(version=build, environment=prod, provider=local, state=InstanceState.RETIRED)
    return demo


def test_it_shows_every_kind_severity_and_state_over_all_days(demo):
    telemetry_demo.build(demo)
    rows = list(Incident.objects.order_by("opened_at"))
    assert len(rows) == 20
    assert {row.kind for row in rows} == set(IncidentKind)
    assert {row.severity for row in rows} == set(Severity)
    assert {row.state for row in rows} == set(IncidentState)
    assert rows[0].opened_at < demo.start + timedelta(days=8)
    assert rows[-1].opened_at > demo.now - timedelta(days=2)
    assert any(row.recurrence_of for row in rows)
    assert not ChangeRecord.objects.filter(at__gt=demo.now).exists()


def test_what_was_stopped_is_stopped_and_what_was_resolved_works_again(demo):
    telemetry_demo.build(demo)
    stopped = {row.instance.state for row in Incident.objects.filter(state="mitigated")}
    assert stopped == {"quarantined", "read_only"}
    paused = Incident.objects.filter(state="reviewed", title__startswith="Refund proposals").get()
    assert paused.instance.state == "active"
    assert ChangeRecord.objects.filter(verb="registry.instance.released").count() >= 3


def test_a_small_demo_still_has_the_newest_and_the_oldest(demo):
    demo.scale = 0.1
    telemetry_demo.build(demo)
    assert Incident.objects.count() == 2
    assert {row.state for row in Incident.objects.all()} == {"reviewed", "open"}


def test_an_incident_says_nothing_of_its_subject_that_is_not_so(demo):
    telemetry_demo.build(demo)
    seen = set()
    for incident in Incident.objects.select_related("instance__status"):
        instance = incident.instance
        if "nobody has registered" in incident.title or "any instance of" in incident.title:
            assert incident.subject_kind in ("registry.environment", "registry.agenttemplate")
        for state in InstanceState:
            if any(f"{verb} {state.label.lower()}" in incident.title for verb in ("is", "was")):
                seen.add(state)
                spans = InstanceInterval.objects.filter(instance=instance, state=state)
                retired = state == InstanceState.RETIRED and instance.state == state
                assert retired or spans.filter(since__lt=incident.opened_at).exists(), incident.title
            if f"is {state.label.lower()}" in incident.title or incident.facts.get("wanted") == state:
                assert instance.state == state, incident.title
            if incident.facts.get("reported") == state:
                assert instance.status.state == state, incident.title
        if incident.kind == IncidentKind.ENFORCEMENT_FAILURE:
            assert instance.state == "quarantined", incident.title
    assert seen == {InstanceState.PAUSED, InstanceState.QUARANTINED, InstanceState.RETIRED}


def test_no_incident_is_older_than_what_it_is_about(demo):
    telemetry_demo.build(demo)
    for incident in Incident.objects.exclude(template=None):
        at_work = AgentInstance.objects.filter(template=incident.template, created_at__lt=incident.opened_at)
        assert at_work.exists(), incident.title
        assert incident.instance is None or at_work.filter(pk=incident.instance_id).exists()
    assert Incident.objects.filter(instance=None).count() == 2, (
        "spans of nobody's agent, and a whole agent's outage"
    )


def test_what_a_mitigation_did_is_so_as_long_as_the_incident_is_open(demo):
    telemetry_demo.build(demo)
    measures = IncidentEntry.objects.filter(kind="mitigation", incident__state="mitigated")
    assert measures.count() == 3
    for entry in measures.select_related("incident__instance"):
        instance = entry.incident.instance
        assert entry.after == f"{instance}: {instance.get_state_display()}"


def test_an_incident_is_about_an_agent_that_does_such_work(demo):
    somewhere = AgentInstance.objects.order_by("pk")[0]
    build = make.approved(template=make.template(slug="refund-desk-emea"))
    with clock.at(demo.start):
        for _ in range(20):  # more than there are incidents: the others may not use them up
            make.instance(version=build, environment=somewhere.environment, provider=somewhere.provider)
    InstanceStatus.objects.filter(instance__version=build).update(telemetry_at=demo.start)
    telemetry_demo.build(demo)
    for title in ("Refund proposals", "Personal data in a ticket"):
        assert Incident.objects.get(title__startswith=title).version == build
