"""The demo's agents keep reporting through the public endpoints, and leave no key behind."""

from datetime import timedelta
from random import Random
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from arm import clock
from arm.models import ApiKey, Membership, User
from costs.demo import NAME, Pulse
from costs.demo.pulse import SILENT_ONE_IN, is_silent
from costs.demo.sending import runner, strays
from costs.models import LedgerEntry
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, InstanceStatus
from telemetry.lifecycle import IncidentKind
from telemetry.models import Event, QuarantinedEvent
from telemetry.services import partitions
from tests import make
from tests.telemetry.sending import forget, send

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture(autouse=True)
def _forget(committed):
    forget()
    yield
    forget()


def post(path, token, body, media):
    """The endpoints as the gateway and the web process mount them, without a network between."""
    if path.startswith("/otlp/"):
        return send(body, token, media=media).status
    headers = {"Authorization": f"Bearer {token}"}
    return Client().post(path, body, content_type=media, headers=headers).status_code


@pytest.fixture
def fleet():
    """Thirty-nine instances that were last heard a day ago; one of them is quarantined, two stay silent on purpose."""
    tenant = make.tenant()
    make.user(member_of=tenant, is_superuser=True)
    place, provider, version = make.environment("prod"), make.provider("local"), make.approved()
    for number in range(1, 41):
        state = InstanceState.QUARANTINED if number == 3 else InstanceState.ACTIVE
        make.instance(
            id=UUID(int=(tenant.pk.int >> 8 << 8) // SILENT_ONE_IN * SILENT_ONE_IN + number),
            version=version,
            environment=place,
            provider=provider,
            state=state,
        )
    InstanceStatus.objects.filter(tenant=tenant).update(heartbeat_at=clock.now() - timedelta(days=1))
    partitions.ensure(partitions.coming_days())
    return tenant


@pytest.fixture
def pulse(fleet):
    made = Pulse(tenant_id=fleet.pk, post=post)
    made.start()
    yield made
    made.stop()


def heard_just_now():
    since = clock.now() - timedelta(minutes=1)
    return set(InstanceStatus.objects.filter(heartbeat_at__gte=since).values_list("instance", flat=True))


def test_whoever_is_not_silent_on_purpose_is_heard_and_the_numbers_move(pulse):
    told = pulse.round()
    everyone = list(AgentInstance.objects.all())
    silent = {one.pk for one in everyone if is_silent(one)}
    assert 0 < len(silent) <= 3
    assert heard_just_now() == {one.pk for one in everyone} - silent
    assert (told.refused, told.beats) == (0, len(everyone) - len(silent))
    first = Event.objects.count()
    assert first == told.spans > 0
    for _ in range(3):
        pulse.round()
    assert Event.objects.count() > first and LedgerEntry.objects.exists()
    assert not QuarantinedEvent.objects.exists()
    assert not Event.objects.filter(instance__in=silent).exists()


def test_who_is_stopped_says_so_and_works_no_more(pulse):
    for _ in range(4):
        pulse.round()
    stopped = AgentInstance.objects.select_related("status").get(state=InstanceState.QUARANTINED)
    assert (stopped.status.state, stopped.status.generation) == ("quarantined", stopped.generation)
    assert not Event.objects.filter(instance=stopped).exists()


def test_who_is_known_not_to_follow_goes_on_saying_what_it_said(pulse):
    stopped = AgentInstance.objects.get(state=InstanceState.QUARANTINED)
    InstanceStatus.objects.filter(pk=stopped.pk).update(state="active", generation=0)
    make.incident(stopped, kind=IncidentKind.ENFORCEMENT_FAILURE)
    pulse.round()
    status = InstanceStatus.objects.get(pk=stopped.pk)
    assert (status.state, status.generation) == ("active", 0)
    assert status.heartbeat_at > clock.now() - timedelta(minutes=1)
    assert not Event.objects.filter(instance=stopped).exists()


@pytest.mark.parametrize("wide", ["environment", "template", "tenant", "provider"])
def test_a_stop_of_anything_above_ends_the_work_at_once_and_the_beats_go_on(pulse, fleet, wide):
    pulse.round()
    before = Event.objects.count()
    instance = AgentInstance.objects.filter(state=InstanceState.ACTIVE)[0]
    make.posture(fleet if wide == "tenant" else getattr(instance, wide))
    pulse.due.clear()
    told = pulse.round()
    assert (told.spans, told.refused) == (0, 0) and told.beats > 0
    assert Event.objects.count() == before > 0


def test_jobs_that_nobody_can_place_are_set_apart_each_with_its_reason(fleet):
    runners = []
    for instance in AgentInstance.objects.select_related("version", "environment", "provider")[:4]:
        token = make.ingest_token(instance.environment, instance.provider)
        runners.append(runner(instance, token, {}))
    for token, body in strays(Random(7), runners, clock.now(), 8):
        assert send(body, token).status == 200
    held = QuarantinedEvent.objects.values_list("reason", flat=True)
    assert set(held) == {"unknown_instance", "no_version", "clock", "no_instance"}
    assert not Event.objects.exists()


def test_a_heartbeat_is_sent_twice_within_the_time_a_provider_allows(pulse):
    pulse.round()
    assert pulse.round().beats == 0
    later = clock.now() + timedelta(seconds=31)
    with clock.at(later):
        assert pulse.round().beats == len(pulse.fleet)


def test_a_stop_ends_the_round_within_a_request(pulse):
    asked = iter([False, False, True])
    told = pulse.round(stopped=lambda: next(asked))
    assert (told.beats, told.spans) == (2, 0)


def test_the_end_leaves_no_key_that_opens_anything(fleet):
    pulse = Pulse(tenant_id=fleet.pk, post=post)
    pulse.start()
    token = pulse.token
    assert ApiKey.objects.filter(name=NAME, revoked_at=None).count() == 2
    pulse.stop()
    assert not ApiKey.objects.filter(name=NAME, revoked_at=None).exists()
    path = f"/api/v1/registry/instances/{AgentInstance.objects.all()[0].typeid}/heartbeat/"
    assert post(path, token, b"{}", "application/json") == 401


def test_one_that_was_killed_is_tidied_up_by_the_next_and_there_is_one_account_only(fleet):
    killed = Pulse(tenant_id=fleet.pk, post=post)
    killed.start()
    following = Pulse(tenant_id=fleet.pk, post=post)
    following.start()
    assert ApiKey.objects.filter(name=NAME, revoked_at=None).count() == 2
    assert Membership.objects.filter(tenant=fleet, user__kind=User.Kind.SERVICE).count() == 1
    assert following.round().refused == 0
    following.stop()


def test_it_is_refused_under_production_checks_and_without_a_demo(fleet, settings):
    with pytest.raises(CommandError, match="no demo to keep alive"):
        call_command("demo_pulse", tenant=fleet.slug)
    settings.CLOCK_MAY_BE_SET = False
    with pytest.raises(CommandError, match="production checks"):
        call_command("demo_pulse")
    assert not ApiKey.objects.exists()
