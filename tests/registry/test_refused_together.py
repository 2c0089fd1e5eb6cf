"""A refusal about several slots names what each of them lacks, at once, and changes none."""

import pytest
from django.test import Client
from django.urls import reverse

from arm.errors import Conflict
from registry import services
from registry.gates import GateRefused, Verdict
from registry.models import Rollback
from tests import make
from tests.registry.releasing import bound, planned

pytestmark = pytest.mark.django_db


class Lacks:
    """What the slot of this ordinal lacks."""

    name = "policy bound"  # one that a rollback needs, too

    def check(self, slot, version):
        return Verdict(self.name, slot.ordinal == 3, f"Number {slot.ordinal} lacks its papers.")


@pytest.fixture
def slots(tenant, rita, old, new, settings):
    """Three, bound to `old` and then `new`; the first two lack something from now on."""
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound"]
    place, role = make.environment("prod", name="Production", position=1), make.role("clerk")
    provider = make.provider()
    made = [
        bound(make.slot(environment=place, role=role, provider=provider, ordinal=n), old, new, actor=rita)
        for n in (1, 2, 3)
    ]
    settings.BINDING_GATES = ["tests.registry.test_refused_together.Lacks"]
    return made


def test_a_rollout_of_several_slots_is_refused_for_all_that_each_lacks_at_once(slots, rita, new):
    third = make.approved(template=new.template)
    rollout = planned(slots, third, rita)
    with pytest.raises(GateRefused) as refused:
        services.start_rollout(rollout=rollout, actor=rita, reason="now")
    told = [(gate["slot"], gate["reason"]) for gate in refused.value.extra["gates"]]
    assert told == [
        (slots[0].typeid, "Number 1 lacks its papers."), (slots[1].typeid, "Number 2 lacks its papers."),
    ]  # fmt: skip
    assert str(slots[0]) in str(refused.value) and str(slots[1]) in str(refused.value)
    rollout.refresh_from_db()
    assert rollout.state == "planned" and not rollout.slots.filter(held=True).exists()


def test_the_page_names_the_slot_of_each_thing_that_is_missing(slots, rita, new):
    rollout = planned(slots, make.approved(template=new.template), rita)
    client = Client()
    client.force_login(rita)
    page = client.post(
        reverse("registry:rollout_start", args=[rollout.typeid]), {"reason": "now"}
    ).content.decode()
    assert f"{slots[0]}: Number 1 lacks its papers." in page
    assert f"{slots[1]}: Number 2 lacks its papers." in page


def test_slots_that_go_back_together_are_refused_for_all_that_each_lacks_at_once(slots, dan):
    with pytest.raises(GateRefused) as refused:
        services.roll_back_slot(slot=slots[0], also=slots[1:], actor=dan, reason="Slow")
    assert [gate["slot"] for gate in refused.value.extra["gates"]] == [slots[0].typeid, slots[1].typeid]
    assert not Rollback.objects.exists()


def test_slots_that_cannot_go_back_are_all_named(slots, rita, dan, new, settings):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound"]
    place = slots[0].environment
    others = [
        bound(make.slot(environment=place, role=make.role(name)), new, actor=rita) for name in ("cook", "cop")
    ]
    with pytest.raises(Conflict) as refused:
        services.roll_back_slot(slot=slots[0], also=others, actor=dan, reason="Slow")
    assert all(f"{one} has no previous version" in str(refused.value) for one in others)
