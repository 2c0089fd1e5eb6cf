"""What an environment would refuse is asked of all slots of a page at once, and says of each what its own gates say."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from arm import clock, plugged
from registry import gates, queries, services
from registry.gates.placed import why_not_around
from registry.models import DeploymentSlot, Provider
from tests import make
from tests.registry.releasing import bound, planned, running, started

pytestmark = pytest.mark.django_db
MOST = 15


@pytest.fixture
def alice(tenant):
    return make.everything(make.user("alice", member_of=tenant), tenant)


@pytest.fixture
def channels(tenant, settings):
    """The environment before production, and production; nothing is asked while the test sets the scene."""
    settings.BINDING_GATES = []
    return make.environment("staging"), make.environment("prod", name="Production", production=True)


@pytest.fixture
def asked(settings):
    """Every gate is asked as it is plugged."""

    def ask():
        settings.BINDING_GATES, settings.ROLE_GATES = plugged.BINDING_GATES, plugged.ROLE_GATES
        settings.CAPABILITIES, settings.CERTIFICATIONS = plugged.CAPABILITIES, plugged.CERTIFICATIONS

    return ask


def stands(place, role, version, **kw):
    """A slot of the environment that has the version, whatever its gates say."""
    slot = make.slot(environment=place, role=role, **kw)
    DeploymentSlot.objects.filter(pk=slot.pk).update(current_version=version)
    return slot


def statements(call):
    call()
    with CaptureQueriesContext(connection) as seen:
        call()
    return len(seen)


def demanding(name):
    return make.role(name, capabilities=[{"name": "refunds", "least": 80}], certifications=["gdpr"])


def test_twenty_five_slots_ask_no_more_than_one(alice, channels, asked):
    _, prod = channels
    stands(prod, demanding("clerk-0"), make.approved(template=make.template()))
    asked()
    one = statements(lambda: queries.lacks_of(prod, alice))
    for n in range(1, 25):
        stands(prod, demanding(f"clerk-{n}"), make.approved(template=make.template()))
    found = queries.lacks_of(prod, alice)
    assert len(found.slots) == 25 and all(len(lack.reasons) >= 3 for lack in found.slots)
    many = statements(lambda: queries.lacks_of(prod, alice))
    assert many == one and many <= MOST, (one, many)


def test_nor_does_a_preview_of_other_rules(alice, channels, asked):
    place, _ = channels
    stands(place, demanding("clerk-0"), make.version(state="testing", template=make.template()))
    asked()
    one = statements(lambda: queries.change_preview(place, alice, production=True))
    for n in range(1, 25):
        stands(place, demanding(f"clerk-{n}"), make.version(state="testing", template=make.template()))
    assert len(queries.change_preview(place, alice, production=True).slots) == 25
    assert statements(lambda: queries.change_preview(place, alice, production=True)) == one <= 2 * MOST


def test_nor_do_twenty_five_versions_beside_the_slots(alice, channels):
    _, prod = channels

    def beside():
        make.instance(version=make.approved(template=make.template()), environment=prod, state="active")

    beside()
    one = statements(lambda: queries.lacks_of(prod, alice))
    for _ in range(24):
        beside()
    assert len(queries.lacks_of(prod, alice).beside) == 25
    assert statements(lambda: queries.lacks_of(prod, alice)) == one <= MOST


def test_each_slot_is_told_what_its_own_gates_say(alice, rita, channels, asked, tenant):
    staging, prod = channels
    names = ("proven", "never", "bakes", "taken back", "kept", "closed at its provider", "rolled back")
    roles = {name: make.role(name.replace(" ", "-"), name=name) for name in names}
    versions = {name: make.approved(template=make.template(name=name)) for name in names}
    before = {name: make.slot(environment=staging, role=roles[name]) for name in names}
    bound(before["proven"], versions["proven"], actor=rita)
    bound(before["closed at its provider"], versions["closed at its provider"], actor=rita)
    for name in ("bakes", "taken back"):
        bound(before[name], make.approved(), actor=rita)
    started(before["bakes"], versions["bakes"], rita)
    for name in ("taken back", "kept"):
        services.abort_rollout(rollout=started(before[name], versions[name], rita), actor=rita, reason="no")
    versions["rolled back"].rolled_back = True
    versions["rolled back"].save(update_fields=["rolled_back"])
    far = make.provider(name="Far")
    slots = {
        name: stands(
            prod, roles[name], versions[name], **({"provider": far} if name.startswith("closed") else {})
        )
        for name in names
    }
    Provider.objects.filter(pk=far.pk).update(closed_at=clock.now())
    asked()
    found = {lack.slot.pk: lack.reasons for lack in queries.lacks_of(prod, alice).slots}
    said = {name: " ".join(found[slot.pk]) for name, slot in slots.items()}
    for name, words in {
        "never": "was never bound for never",
        "bakes": "is still baking",
        "taken back": "was taken back",
        "kept": "nobody has bound it anew",
        "closed at its provider": "nothing new begins there",
        "rolled back": "was rolled back",
    }.items():
        assert words in said[name], name
        assert words not in said["proven"], name
    for slot in DeploymentSlot.objects.filter(pk__in=found):
        alone = gates.for_binding(slot, slot.current_version)
        assert found[slot.pk] == tuple(one.reason for one in alone if not one.passed), slot.role


def test_each_version_beside_the_slots_is_told_what_it_alone_is_told(alice, rita, channels):
    staging, prod = channels
    role = make.role("clerk")
    came, never = make.approved(template=make.template()), make.approved(template=make.template())
    bound(make.slot(environment=staging, role=role), came, actor=rita)
    bound(make.slot(environment=make.environment("dev", position=0), role=role), never, actor=rita)
    fleet = make.approved(template=make.template())
    for version in (came, never, fleet):
        make.instance(version=version, environment=prod, state="active")
    found = {lack.version: lack.reasons for lack in queries.lacks_of(prod, alice).beside}
    assert found.keys() == {never, fleet}
    for version, reasons in found.items():
        assert reasons == (why_not_around(version, prod),)
    assert why_not_around(came, prod) == ""
    assert queries.change_preview(prod, alice, production=False).none


# the page of a planned rollout asks the same gates


@pytest.fixture
def fleet(channels, client, rita, old):
    """Production has as many slots of a demanding role as are asked for, each bound to the version before."""
    _, prod = channels
    role = demanding("clerk")
    client.force_login(rita)
    return lambda number: [stands(prod, role, old) for _ in range(number)]


def asked_for(client, page, rollout):
    """What the page of a rollout says before it starts, and how many statements it took to say it."""
    address = reverse(f"registry:rollout_{page}", args=[rollout.typeid])
    took = statements(lambda: client.get(address))
    return client.get(address).context["page"].verdicts, took


@pytest.mark.parametrize("page", ["detail", "start"])
def test_the_page_of_a_planned_rollout_asks_no_more_for_thirty_slots_than_for_three(
    client, rita, new, fleet, asked, page
):
    slots = fleet(30)
    few, many, ended = planned(slots[:3], new, rita), planned(slots, new, rita), planned(slots, new, rita)
    services.abort_rollout(rollout=ended, actor=rita, reason="no")
    asked()
    verdicts, least = asked_for(client, page, few)
    assert len(verdicts) == 1 + 3 * len(plugged.BINDING_GATES)
    verdicts, most = asked_for(client, page, many)
    assert len(verdicts) == 1 + 30 * len(plugged.BINDING_GATES)
    assert most == least, (least, most)
    nothing, rest = asked_for(client, page, ended)
    assert not nothing and most - rest <= MOST, (most, rest)


def test_each_slot_of_a_planned_rollout_is_told_what_its_own_gates_say(rita, old, new, fleet, asked, tenant):
    slots = fleet(4)
    *_, closed, excepted = slots
    DeploymentSlot.objects.filter(pk=closed.pk).update(current_version=None, closed_at=clock.now())
    services.grant_exception(
        slot=excepted, version=new, gate=gates.CHANNEL_ORDER, until=clock.now() + timedelta(hours=1),
        actor=make.hired("erin", "approver", tenant), reason="The channel before is being rebuilt",
    )  # fmt: skip
    rollout = planned(slots, new, rita)
    asked()
    found = queries.rollout_page(rollout, rita).verdicts
    covered = " An exception covers it."
    for slot in DeploymentSlot.objects.filter(pk__in=[one.pk for one in slots]):
        told = {one.gate: one for about, one in found if about == slot}
        alone = {one.gate: one for one in gates.for_binding(slot, new)}
        assert told.keys() == alone.keys()
        for gate, one in alone.items():
            passes = slot == excepted and gate == gates.CHANNEL_ORDER
            assert told[gate].reason == one.reason + (covered if passes else ""), (slot, gate)
            assert told[gate].passed is (one.passed or passes)
        assert not alone[gates.CHANNEL_ORDER].passed


def test_before_it_starts_the_instances_of_what_each_slot_is_bound_to_are_counted(
    client, rita, old, new, fleet
):
    one, two, empty = fleet(3)
    DeploymentSlot.objects.filter(pk=empty.pk).update(current_version=None)
    for slot, version, number in ((one, old, 2), (two, old, 3), (two, new, 4), (empty, old, 1)):
        running(slot, version, number)
    running(one, old, 1, state="retired")
    page = client.get(reverse("registry:rollout_start", args=[planned([one, two, empty], new, rita).typeid]))
    (shown,) = [one["value"] for one in page.context["numbers"] if one["label"] == "Instances there now"]
    assert shown == 2 + 3
