"""The demo's incidents: every kind, severity and state, at moments of their own, with what they did."""

from datetime import timedelta

import pytest

from arm import clock
from arm.demo import Demo, hire
from arm.models import ChangeRecord
from registry.models import InstanceStatus
from telemetry import demo as telemetry_demo
from telemetry.lifecycle import IncidentKind, IncidentState, Severity
from telemetry.models import Incident
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
        began = demo.start + timedelta(days=number)
        with clock.at(began):
            instance = make.instance(version=build, environment=prod, provider=local)
        InstanceStatus.objects.filter(pk=instance.pk).update(telemetry_at=began)
    return demo


def test_it_shows_every_kind_severity_and_state_over_all_days(demo):
    telemetry_demo.build(demo)
    rows = list(Incident.objects.order_by("opened_at"))
    assert len(rows) == 20
    assert {row.kind for row in rows} == set(IncidentKind)
    assert {row.severity for row in rows} == set(Severity)
    assert {row.state for row in rows} == set(IncidentState)
    assert rows[0].opened_at < demo.start + timedelta(days=2)
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
