"""A version that was rolled back before anybody approved it: it runs nowhere anew, and climbs no further."""

from datetime import timedelta

import pytest

from arm import clock
from arm.errors import Conflict, Invalid
from arm.models import ChangeRecord
from registry import services
from registry.gates import CHANNEL_ORDER, GateRefused
from registry.lifecycle import VersionState
from registry.protocol import rows
from telemetry.models import Incident
from tests import make
from tests.registry.releasing import bound, running, states

pytestmark = pytest.mark.django_db


@pytest.fixture
def rita(tenant):
    return make.everything(make.user("rita", member_of=tenant), tenant)


@pytest.fixture(autouse=True)
def gates(settings):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound", "registry.plugins.ChannelOrder"]
    settings.PROMOTION_GATES = [
        "registry.gates.standing.NotRolledBack",
        "registry.gates.retirement.NoLiveInstance",
    ]


@pytest.fixture
def dev(tenant):
    return make.environment("dev", position=1, risk_default="low")


@pytest.fixture
def old(tenant):
    return make.approved()


def tried(old, state="testing"):
    return make.version(template=old.template, state=state)


def rolled_back(dev, old, version, rita):
    slot = bound(make.slot(environment=dev), old, version, actor=rita)
    services.roll_back_slot(slot=slot, actor=rita, reason="It lies", drain="at_once")
    version.refresh_from_db()
    slot.refresh_from_db()
    return slot


@pytest.mark.parametrize(("state", "to"), [("testing", "candidate"), ("candidate", "approved")])
def test_it_climbs_no_further(dev, old, rita, state, to):
    version = tried(old, state)
    rolled_back(dev, old, version, rita)
    assert (version.state, version.rolled_back) == (state, True)
    with pytest.raises(GateRefused, match="was rolled back: it climbs no further"):
        services.move_version(version=version, to=VersionState(to), actor=rita, reason="up")


def test_a_draft_of_it_is_not_tested_again(dev, old, rita):
    version = tried(old)
    rolled_back(dev, old, version, rita)
    services.move_version(version=version, to=VersionState.DRAFT, actor=rita, reason="back")
    with pytest.raises(GateRefused, match="climbs no further"):
        services.move_version(version=version, to=VersionState.TESTING, actor=rita, reason="up")


def test_no_exception_lets_it_in_again(dev, old, rita, tenant):
    version = tried(old)
    slot = rolled_back(dev, old, version, rita)
    erin = make.hired("erin", "approver", tenant)
    services.grant_exception(
        slot=slot, version=version, gate=CHANNEL_ORDER, until=clock.now() + timedelta(days=1), actor=erin, reason="r"
    )  # fmt: skip
    with pytest.raises(GateRefused, match="was rolled back and runs nowhere anew"):
        services.bind_slot(slot=slot, version=version, actor=rita, reason="again")


def test_nothing_new_is_provisioned_from_it(dev, old, rita):
    version = tried(old)
    slot = rolled_back(dev, old, version, rita)
    place = {"environment": dev, "provider": slot.provider, "name": "late"}
    with pytest.raises(Conflict, match="is rolled back; nothing new is provisioned"):
        services.provision_instance(version=version, actor=rita, reason="x", **place)
    row = {"version": version.typeid, "environment": dev.slug, "provider": slot.provider.slug, "name": "late"}
    with pytest.raises(Invalid) as refused:
        read = rows.read_instances([row])
        services.provision_instances(tenant=dev.tenant, rows=read.rows, actor=rita, reason="x")
    assert "rolled back" in str(refused.value.extra["errors"])


def test_another_slot_that_keeps_it_has_a_due_date_and_nothing_of_it_drains(dev, old, rita):
    version = tried(old)
    other = bound(make.slot(environment=dev), old, version, actor=rita)
    running(other, version, 2)
    rolled_back(dev, old, version, rita)
    assert states(other, version) == ["active"] * 2
    assert version.rebind_by is not None
    record = ChangeRecord.objects.get(verb="registry.version.rolled_back")
    assert record.after["rebind_by"] == clock.exactly(version.rebind_by)
    later = clock.now() + timedelta(days=30)
    services.set_rebind_date(version=version, by=later, actor=rita, reason="freeze")
    with clock.at(later + timedelta(minutes=1)):
        assert services.tell_overdue(tenant_id=dev.tenant_id) == 1
    assert str(other) in str(Incident.objects.latest("opened_at").facts["slots"])


def test_what_another_slot_leaves_of_it_is_drained(dev, old, rita):
    version = tried(old)
    other = bound(make.slot(environment=dev), old, version, actor=rita)
    running(other, version, 1)
    rolled_back(dev, old, version, rita)
    bound(other, old, actor=rita)
    assert services.drain_left(slots=type(other).objects.filter(pk=other.pk)) == 1
    assert states(other, version) == ["draining"]
    assert other.instances.get(version=version).leaving, "ARM retires it by itself"


def test_it_can_only_be_withdrawn(dev, old, rita):
    version = tried(old, "candidate")
    rolled_back(dev, old, version, rita)
    moved = services.move_version(version=version, to=VersionState.RETIRED, actor=rita, reason="done")
    assert moved.state == VersionState.RETIRED


def test_its_page_and_its_row_say_so(client, dev, old, rita):
    version = tried(old)
    other = bound(make.slot(environment=dev), old, version, actor=rita)
    rolled_back(dev, old, version, rita)
    client.force_login(rita)
    page = client.get(version.get_absolute_url()).content.decode()
    assert "Rolled back before it was approved" in page and "climbs no further" in page
    assert "Slots that still bind it" in page and str(other) in page and "To be rebound by" in page
    assert "/registry/instances/new/" not in page
    row = client.get(f"/api/v1/registry/versions/{version.typeid}/").json()
    assert (row["state"], row["rolled_back"]) == ("testing", True) and row["rebind_by"]
    answer = client.post(
        f"/api/v1/registry/versions/{version.typeid}/move/",
        {"to": "candidate", "reason": "up"},
        content_type="application/json",
    )
    assert answer.status_code == 409 and "climbs no further" in answer.json()["detail"]
