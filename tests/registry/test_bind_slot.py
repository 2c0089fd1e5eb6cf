"""A slot is bound to what may run there; what it was bound to stays known."""

import pytest
from django.test import Client

from arm.errors import Invalid, NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right, Risk
from registry import services
from registry.gates import GateRefused
from registry.lifecycle import VersionState
from registry.models import SlotBinding
from tests import make
from tests.registry.releasing import running

pytestmark = pytest.mark.django_db


@pytest.fixture
def rita(tenant):
    user = make.user("rita", member_of=tenant)
    make.grant(user, tenant, Right.PROMOTE_RELEASE, Right.MANAGE_DIRECTORY)
    return user


@pytest.fixture
def slot(tenant):
    return make.slot(environment=make.environment("prod", name="Production"))


def bind(slot, version, actor):
    return services.bind_slot(slot=slot, version=version, actor=actor, reason="go")


def test_a_rebound_slot_knows_what_it_was_bound_to(slot, rita):
    first, second = make.approved(), make.approved()
    bind(slot, first, rita)
    rebound = bind(slot, second, rita)
    assert (rebound.current_version, rebound.previous_version, rebound.generation) == (second, first, 2)
    history = SlotBinding.objects.filter(slot=slot).order_by("since").values_list("version", "until")
    assert [(version, until is None) for version, until in history] == [(first.pk, False), (second.pk, True)]
    record = ChangeRecord.objects.filter(verb="registry.slot.bound").first()
    assert (record.before["version"], record.after["version"]) == (first.typeid, second.typeid)


def test_binding_what_is_bound_changes_nothing(slot, rita):
    version = make.approved()
    bind(slot, version, rita)
    with pytest.raises(services.Duplicate):
        bind(slot, version, rita)
    slot.refresh_from_db()
    assert (slot.generation, slot.previous_version) == (1, None)


@pytest.mark.parametrize("state", [state for state in VersionState if state != VersionState.APPROVED])
def test_production_takes_approved_versions_only(slot, rita, state):
    with pytest.raises(GateRefused):
        bind(slot, make.version(state=state), rita)
    slot.refresh_from_db()
    assert slot.current_version is None and not SlotBinding.objects.exists()


def test_elsewhere_a_risky_agent_still_needs_approval(rita):
    place = make.slot(environment=make.environment("dev"))
    ordinary = make.version(state=VersionState.TESTING)
    risky = make.version(state=VersionState.TESTING, template=make.template(risk=Risk.CRITICAL))
    with pytest.raises(GateRefused, match="critical risk"):
        bind(place, risky, rita)
    assert bind(place, ordinary, rita).current_version == ordinary


def test_the_right_must_reach_the_slot(slot, tenant):
    mallory = make.user("mallory", member_of=tenant)
    make.grant(mallory, make.environment("dev"), Right.PROMOTE_RELEASE)
    with pytest.raises(NotAllowed):
        bind(slot, make.approved(), mallory)


def test_slots_are_numbered_within_their_place(tenant, rita):
    place, role, at = make.environment("dev"), make.role("clerk"), make.provider()

    def create(**more):
        return services.create_slot(environment=place, role=role, provider=at, actor=rita, reason="r", **more)

    assert [create().ordinal, create().ordinal] == [1, 2]
    with pytest.raises(services.Duplicate):
        create(ordinal=2)


def test_a_slot_joins_things_of_one_tenant(tenant, rita):
    place, role = make.environment("dev"), make.role("clerk")
    foreign = make.provider(tenant=make.tenant("other"))
    with pytest.raises(Invalid, match="another tenant"):
        services.create_slot(environment=place, role=role, provider=foreign, actor=rita, reason="r")


def test_a_role_is_defined_once(tenant, rita):
    role = services.create_role(tenant=tenant, slug="clerk", name="Clerk", tier=3, actor=rita, reason="r")
    with pytest.raises(services.Duplicate) as refused:
        services.create_role(tenant=tenant, slug="clerk", name="Clerk", actor=rita, reason="r")
    assert refused.value.existing == role


def test_a_binding_moves_no_instance_and_page_and_api_say_how_many_are_left(slot, rita, tenant):
    first, second = make.approved(), make.approved()
    bind(slot, first, rita)
    kept = running(slot, first, 2)
    make.grant(rita, tenant, Right.READ_DIRECTORY)
    client = Client()
    client.force_login(rita)
    sent = {"version": second.typeid, "reason": "go"}
    page = client.post(f"{slot.get_absolute_url()}bind/", sent, follow=True).content.decode()
    assert "2 instances are left on another version: they finish their runs and start none." in page
    assert [one.state for one in type(kept[0]).objects.filter(slot=slot)] == ["active", "active"]
    address = f"/api/v1/registry/slots/{slot.typeid}/bind/"
    third = make.approved()
    answer = client.post(address, {"version": third.typeid, "reason": "go"}, content_type="application/json")
    assert answer.json()["instances_left"] == 2, answer.json()
    back = client.post(address, {"version": first.typeid, "reason": "go"}, content_type="application/json")
    assert back.json()["instances_left"] == 0, "they run what it is bound to again"
