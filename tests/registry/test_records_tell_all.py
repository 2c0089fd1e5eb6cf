"""Who owned an agent and would have, what a slot was bound to and what a role asked, out of the change records alone: to the
microsecond, by the clock that runs."""

from datetime import datetime, timedelta

import pytest

from arm import clock
from arm import services as core
from arm.models import ChangeRecord, Membership
from registry import queries, services
from registry.models import Ownership, SlotBinding
from registry.queries.history import Moment, bound_at, owners_at
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme(settings):
    settings.BINDING_GATES = []
    return make.tenant("acme")


@pytest.fixture
def alice(acme):
    return make.everything(make.user("alice", member_of=acme), acme)


@pytest.fixture
def bob(acme):
    return make.user("bob", member_of=acme)


@pytest.fixture
def carol(acme):
    return make.user("carol", member_of=acme)


def told(row, name, at=None):
    """The last word of this member; by `at`, where it says since when it holds."""
    found = None
    for record in ChangeRecord.objects.about(row).order_by("at", "pk"):
        if name in record.after and (at is None or datetime.fromisoformat(record.after["since"]) <= at):
            assert record.before.get(name, found or record.before.get(name)) == (
                found or record.before.get(name)
            )
            found = record.after[name]
    return found


def edges(rows):
    """Every moment at which something began or ended, and the ones just before and after."""
    moments = {moment for row in rows for moment in (row.since, row.until) if moment}
    return sorted(moment + timedelta(microseconds=n) for moment in moments for n in (-1, 0, 1))


def test_owners_and_their_line_are_what_the_records_tell_at_every_moment(acme, alice, bob, carol):
    said = {"actor": alice, "reason": "r"}
    agent = services.register_template(tenant=acme, slug="mail", name="Mail", **said)
    services.set_successors(template=agent, successors=[carol, bob], **said)
    services.set_owners(template=agent, owners=[alice, bob], **said)
    assert told(agent, "successors") == ["carol", "bob"]
    core.remove_member(member=Membership.objects.get(user=bob), **said)
    assert told(agent, "successors") == [user.username for user in queries.successors(agent)] == []
    services.set_owners(template=agent, owners=[carol], **said)
    for at in edges(Ownership.objects.filter(template=agent)):
        then = sorted(user.username for user in owners_at(Moment(at, clock.now()), agent))
        assert then == (told(agent, "owners", at) or []), at


def test_who_was_in_line_and_leaves_is_on_the_record_of_each_agent(acme, alice, bob, carol):
    said = {"actor": alice, "reason": "New job"}
    agent = services.register_template(tenant=acme, slug="mail", name="Mail", actor=alice, reason="r")
    services.set_successors(template=agent, successors=[bob, carol], actor=alice, reason="r")
    core.remove_member(member=Membership.objects.get(user=bob), **said)
    record = ChangeRecord.objects.about(agent).filter(verb="registry.template.successors_set").first()
    assert record.before == {"successors": ["bob", "carol"]} and record.reason == "New job"
    assert record.after == {"successors": ["carol"], "left": "bob"}


def test_bindings_are_what_the_records_tell_at_every_moment(acme, alice):
    said = {"actor": alice, "reason": "r"}
    slot, (one, two) = make.slot(), (make.approved() for _ in range(2))
    for version in (one, two, one):
        services.bind_slot(slot=slot, version=version, acknowledged="yes", **said)
    services.empty_slot(slot=slot, **said)
    services.bind_slot(slot=slot, version=two, **said)
    for at in edges(SlotBinding.objects.filter(slot=slot)):
        bound = bound_at(Moment(at, clock.now()), [slot.pk]).get(slot.pk)
        assert (bound.version.typeid if bound else "") == (told(slot, "version", at) or ""), at
    slot.refresh_from_db()
    for name in ("previous", "canary", "share", "generation"):
        told(slot, name)
    assert told(slot, "previous") == (slot.previous_version.typeid if slot.previous_version else "")
    assert told(slot, "generation") == slot.generation


def test_a_role_is_what_its_records_tell(acme, alice):
    said = {"actor": alice, "reason": "r"}
    role = services.create_role(tenant=acme, slug="clerk", name="Clerk", purpose="Answers", tier=1, **said)
    assert told(role, "purpose") == "Answers"
    services.update_role(role=role, purpose="Asks", tier=3, **said)
    role.refresh_from_db()
    last = ChangeRecord.objects.about(role).first()
    assert last.before == {"purpose": "Answers", "tier": 1, "revision": 1}
    for name in ("name", "purpose", "tier", "revision"):
        assert told(role, name) == getattr(role, name)
