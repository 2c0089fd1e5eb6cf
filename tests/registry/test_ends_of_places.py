"""Places end: a slot is emptied or closed, a provider changes and closes, and a tenant allows some providers only."""

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse

from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import ChangeRecord
from registry import queries, services
from registry.gates import GateRefused
from registry.lifecycle import InstanceState as S
from registry.models import DeploymentSlot, DirectoryRules, Provider
from registry.protocol.rows import InstanceRow, read_instances
from tests import make
from tests.registry.releasing import bound, running, started, states

pytestmark = pytest.mark.django_db
API = "/api/v1/registry"


@pytest.fixture(autouse=True)
def gates(settings):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound", "registry.gates.open_places.PlaceOpen"]
    settings.ACTIVATION_GATES = ["registry.gates.VersionMayRun", "registry.gates.open_places.PlaceOpen"]


@pytest.fixture
def cloud(tenant):
    return make.provider("cloud", name="Cloud")


@pytest.fixture
def slot(cloud, rita, old):
    place = make.environment("dev", position=1, production=False)
    return bound(
        make.slot(environment=place, role=make.role("clerk", name="Clerk"), provider=cloud), old, actor=rita
    )


def provision(slot, version, actor, **kw):
    return services.provision_instance(
        version=version, environment=slot.environment, provider=slot.provider, name="n", actor=actor, reason="r", **kw
    )  # fmt: skip


# slots


def test_an_emptied_slot_drains_withdraws_and_leaves_what_is_stopped(slot, rita, old):
    running(slot, old, 2)
    running(slot, old, 1, state=S.PAUSED)
    running(slot, old, 1, state=S.PROVISIONING)
    seen = queries.emptying(slot)
    assert (seen.drains, seen.withdrawn, seen.left, seen.rollout) == (2, 1, 1, None)
    emptied = services.empty_slot(slot=slot, actor=rita, reason="No work")
    assert emptied.current_version is None and states(slot, old) == [
        "draining",
        "draining",
        "paused",
        "retired",
    ]
    assert not slot.bindings.filter(until=None).exists() and slot.bindings.count() == 1, "its history stays"
    record = ChangeRecord.objects.get(verb="registry.slot.emptied")
    assert (record.before["version"], record.after["drained"]) == (old.typeid, 2)
    assert (record.after["withdrawn"], record.after["left"]) == (1, 1)
    with pytest.raises(Conflict, match="is empty"):
        services.empty_slot(slot=slot, actor=rita, reason="again")
    assert bound(slot, old, actor=rita).current_version == old


def test_what_works_on_until_it_is_replaced_drains_with_it(slot, rita, old, new, settings):
    settings.HEALTH_FACTS = []
    running(slot, old, 1)
    started(slot, new, rita, drain="replaced", health_gates=[], acknowledged="yes")
    with pytest.raises(Conflict, match="held by a rollout"):
        services.empty_slot(slot=slot, actor=rita, reason="r")
    assert queries.emptying(slot).rollout is not None
    rollout = slot.rollouts.get(held=True).rollout
    services.abort_rollout(rollout=rollout, actor=rita, reason="r")
    services.empty_slot(slot=slot, actor=rita, reason="r")
    assert not slot.handovers.filter(ended_at=None).exists()
    assert not slot.instances.filter(state__in=[S.ACTIVE, S.PROVISIONING]).exists()


def test_a_closed_slot_reads_closed_on_the_board_of_channels(client, slot, rita):
    client.force_login(rita)
    board = reverse("registry:channel_board")
    assert ">closed</a>" not in client.get(board).content.decode()
    services.empty_slot(slot=slot, actor=rita, reason="The desk is gone", close=True)
    assert ">closed</a>" in client.get(board).content.decode()


def test_a_closed_slot_takes_no_version_and_the_database_holds_it_empty(slot, rita, old):
    closed = services.empty_slot(slot=slot, actor=rita, reason="The desk is gone", close=True)
    assert closed.closed_at is not None and ChangeRecord.objects.filter(verb="registry.slot.closed").exists()
    with pytest.raises(GateRefused, match="was closed on"):
        bound(slot, old, actor=rita)
    with pytest.raises(Conflict, match="is closed already"):
        services.empty_slot(slot=slot, actor=rita, reason="again", close=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        DeploymentSlot.objects.filter(pk=slot.pk).update(current_version=old)


def test_nothing_new_begins_in_a_closed_slot_one_by_one_or_by_rows(tenant, slot, alice, rita, old):
    closed = services.empty_slot(slot=slot, actor=rita, reason="The desk is gone", close=True)
    with pytest.raises(Conflict, match="was closed on"):
        services.provision_instance(
            version=old, environment=closed.environment, provider=closed.provider, slot=closed, name="n", actor=alice,
            reason="r",
        )  # fmt: skip
    row = InstanceRow(0, old.pk, closed.environment.slug, "cloud", "n", slot=closed.pk)
    with pytest.raises(Invalid) as refused:
        services.provision_instances(tenant=tenant, rows=[row], actor=alice, reason="r")
    assert [(one["pointer"], one["code"]) for one in refused.value.errors] == [("/rows/0/slot", "closed")]
    assert not closed.instances.exists()


def test_a_fleet_operator_empties_no_slot(slot, dan):
    with pytest.raises(NotAllowed):
        services.empty_slot(slot=slot, actor=dan, reason="r")


# providers


def test_a_provider_changes_with_before_and_after(cloud, alice):
    changed = services.update_provider(
        provider=cloud, actor=alice, reason="moved", name="Sky", region="eu-1", terms="DPA 7"
    )
    assert (changed.name, changed.region, changed.terms) == ("Sky", "eu-1", "DPA 7")
    record = ChangeRecord.objects.get(verb="registry.provider.updated")
    assert (record.before["name"], record.after["region"]) == ("Cloud", "eu-1")
    services.update_provider(provider=changed, actor=alice, reason="same", name="Sky")
    assert ChangeRecord.objects.filter(verb="registry.provider.updated").count() == 1
    for wrong in ({"name": " "}, {"slug": "x"}, {"heartbeat_seconds": 1}):
        with pytest.raises(Invalid):
            services.update_provider(provider=cloud, actor=alice, reason="r", **wrong)


def test_a_provider_closes_when_nothing_is_left_there(slot, cloud, alice, old):
    (one,) = running(slot, old, 1)
    with pytest.raises(Conflict, match="1 slot there with a version and 1 live instance"):
        services.close_provider(provider=cloud, actor=alice, reason="r")
    services.empty_slot(slot=slot, actor=alice, reason="r")
    services.move_instance(instance=one, to=S.RETIRED, actor=alice, reason="r")
    closed = services.close_provider(provider=cloud, actor=alice, reason="The contract ends")
    assert closed.closed_at is not None
    with pytest.raises(Conflict, match="nothing new begins there"):
        provision(slot, old, alice)
    with pytest.raises(Conflict, match="nothing new begins there"):
        services.create_slot(
            environment=slot.environment, role=slot.role, provider=cloud, actor=alice, reason="r"
        )
    with pytest.raises(GateRefused, match="nothing new begins there"):
        bound(slot, old, actor=alice)
    services.reopen_provider(provider=closed, actor=alice, reason="It goes on")
    assert provision(slot, old, alice).state == S.PROVISIONING


def test_what_is_at_a_provider_that_is_not_allowed_is_refused_by_its_name(tenant, slot, cloud, alice, old):
    make.provider("home")
    waiting, (paused,) = provision(slot, old, alice), running(slot, old, 1, state=S.PAUSED)
    services.allow_providers(tenant=tenant, providers=["home"], actor=alice, reason="policy")
    said = "Cloud is not among the providers that are allowed here: home"
    with pytest.raises(Conflict, match=said):
        provision(slot, old, alice)
    row = {"version": old.typeid, "environment": "dev", "provider": "cloud", "name": "x"}
    with pytest.raises(Invalid) as refused:
        services.provision_instances(tenant=tenant, rows=read_instances([row]).rows, actor=alice, reason="r")
    assert [problem["pointer"] for problem in refused.value.extra["errors"]] == ["/rows/0/provider"]
    with pytest.raises(GateRefused, match=said):
        services.move_instance(instance=waiting, to=S.ACTIVE, actor=alice, reason="r")
    with pytest.raises(GateRefused, match=said):
        bound(slot, make.approved(), actor=alice)
    assert services.move_instance(instance=paused, to=S.ACTIVE, actor=alice, reason="r").state == S.ACTIVE
    assert [lack.slot for lack in queries.lacks_of(slot.environment, alice).slots] == [slot]
    services.allow_providers(tenant=tenant, providers=[], actor=alice, reason="all")
    assert provision(slot, old, alice).state == S.PROVISIONING
    with pytest.raises(Invalid, match="not changed"):
        services.allow_providers(tenant=tenant, providers=["odd"], actor=alice, reason="r")


# pages and API


def test_pages_change_close_allow_and_empty(client, tenant, slot, cloud, alice, old):
    running(slot, old, 1)
    client.force_login(alice)

    def post(page, /, *args, **body):
        return client.post(reverse(f"registry:{page}", args=args), {"reason": "r", **body}).status_code

    page = client.get(reverse("registry:slot_empty", args=[slot.typeid])).content.decode()
    assert "1 at work" in page and "then to nothing" in page
    assert post("provider_close", cloud.typeid) == 409
    assert ">Closed<" not in client.get(slot.get_absolute_url()).content.decode()
    assert post("slot_empty", slot.typeid, close="on") == 302
    assert ">Closed<" in client.get(slot.get_absolute_url()).content.decode()
    assert "eu-1" not in client.get(cloud.get_absolute_url()).content.decode()
    edit = {"name": "Sky", "region": "eu-1", "terms": "", "description": "", "heartbeat_seconds": 60}
    assert post("provider_edit", cloud.typeid, **edit) == 302
    assert "eu-1" in client.get(cloud.get_absolute_url()).content.decode()
    assert post("providers_allowed", providers=["cloud"]) == 302
    assert DirectoryRules.objects.providers_of(tenant.pk) == {"cloud"}
    slot.instances.update(state=S.RETIRED, leaving=False)
    assert post("provider_close", cloud.typeid) == 302 and Provider.objects.get(pk=cloud.pk).closed_at
    assert post("provider_reopen", cloud.typeid) == 302


def test_the_api_does_the_same(client, tenant, slot, cloud, alice, old):
    client.force_login(alice)
    kind = {"content_type": "application/json"}
    where, there = f"{API}/providers/{cloud.typeid}/", f"{API}/slots/{slot.typeid}/"
    changed = client.patch(where, {"reason": "r", "region": "eu-1"}, **kind).json()
    assert changed["region"] == "eu-1" and changed["closed_at"] is None
    refused = client.post(f"{where}close/", {"reason": "r"}, **kind)
    assert refused.status_code == 409 and refused.json()["slots"] == 1
    assert client.get(f"{there}empty-preview/").json() == {
        "drains": 0,
        "withdrawn": 0,
        "left": 0,
        "held": False,
    }
    emptied = client.post(f"{there}empty/", {"reason": "r", "close": True}, **kind).json()
    assert emptied["current_version"] is None and emptied["closed_at"]
    assert client.post(f"{where}close/", {"reason": "r"}, **kind).json()["closed_at"]
    assert client.post(f"{where}reopen/", {"reason": "r"}, **kind).json()["closed_at"] is None
    rules = client.patch(f"{API}/rules/", {"reason": "r", "providers": ["cloud"]}, **kind).json()
    assert rules["providers"] == ["cloud"]
    mallory = make.user("mallory", member_of=tenant)
    client.force_login(mallory)
    assert client.patch(where, {"reason": "r", "region": "x"}, **kind).status_code == 404
