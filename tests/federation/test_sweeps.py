"""The schedule looks after every tenant: late proofs, stops that ended by time, and what has expired."""

from datetime import timedelta

import pytest

from arm import clock
from federation import tasks
from federation.models import AccessToken, Assertion, Snapshot
from registry.lifecycle import InstanceState
from registry.services import restrict_instance
from telemetry.models import Incident
from tests import make

from .provider import Adapter, federated, people

pytestmark = pytest.mark.django_db


@pytest.fixture
def cloud() -> Adapter:
    tenant = make.tenant("acme")
    made = Adapter(federated(tenant=tenant), *people(tenant))
    version = make.approved(template=make.template(tenant=tenant))
    made.one = make.instance(provider=made.provider, version=version)
    return made.connected()


def test_one_turn_of_the_schedule_opens_the_incident_of_a_late_proof(cloud, work_off):
    restrict_instance(instance=cloud.one, to=InstanceState.PAUSED, actor=cloud.inviter, reason="Stop.")
    work_off()
    with clock.at(clock.now() + timedelta(minutes=2)):
        tasks.look_everywhere()
        assert work_off() >= 1
    make.in_sight_of([cloud.provider.tenant])
    assert Incident.objects.get().kind == "enforcement_failure"


def test_what_has_expired_is_deleted_and_what_is_young_stays(cloud):
    cloud.inventory([])
    tenant = cloud.provider.tenant_id
    tasks.look_after(tenant_id=tenant)
    assert (Assertion.objects.count(), AccessToken.objects.count(), Snapshot.objects.count()) == (1, 1, 1)
    with clock.at(clock.now() + timedelta(days=8)):
        tasks.look_after(tenant_id=tenant)
    assert (
        not Assertion.objects.exists() and not AccessToken.objects.exists() and not Snapshot.objects.exists()
    )
