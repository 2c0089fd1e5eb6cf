"""What was running when X happened: two clocks, late words, and the same answer out of the change records."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from django.db import DatabaseError, connection
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from arm import clock
from arm.errors import Conflict, DomainError, Invalid, NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right
from registry import queries, services
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, InstanceInterval, InstanceStatus, Observation
from registry.queries.history import Moment
from tests import make
from tests.registry.past import MINUTE, NOON, moved, provisioned, signed_in, state_at, told

pytestmark = pytest.mark.django_db
S = InstanceState


@pytest.fixture(autouse=True)
def _nothing_more_is_asked(settings):
    """Before an instance is active, or retired."""
    settings.ACTIVATION_GATES = settings.RETIREMENT_GATES = []


def test_each_moment_has_the_state_that_began_last(alice):
    desk = provisioned(alice)
    moved(desk, S.ACTIVE, alice, NOON + MINUTE)
    moved(desk, S.PAUSED, alice, NOON + 2 * MINUTE)
    assert state_at(desk, NOON - MINUTE) is None
    assert state_at(desk, NOON) == "provisioning"
    assert state_at(desk, NOON + MINUTE - timedelta(microseconds=1)) == "provisioning"
    assert state_at(desk, NOON + MINUTE) == "active"
    assert state_at(desk, NOON + 9 * MINUTE) == "paused"


def test_a_late_word_counts_in_the_past_from_when_it_was_told_and_changes_nothing_now(alice):
    desk = provisioned(alice)
    moved(desk, S.ACTIVE, alice, NOON + MINUTE)
    moved(desk, S.PAUSED, alice, NOON + 10 * MINUTE)
    told(desk, S.QUARANTINED, NOON + 5 * MINUTE, alice, NOON + 60 * MINUTE)
    then = NOON + 7 * MINUTE
    assert state_at(desk, then, known=NOON + 59 * MINUTE) == "active"
    assert state_at(desk, then, known=NOON + 60 * MINUTE) == "quarantined"
    assert state_at(desk, NOON + 10 * MINUTE, known=NOON + 60 * MINUTE) == "paused"
    desk.refresh_from_db()
    assert (desk.state, desk.generation) == ("paused", 3)
    record = ChangeRecord.objects.about(desk).get(verb="registry.instance.past_told")
    assert record.before["state"] == "active" and record.after["state"] == "quarantined"
    assert record.after["since"] == "2026-03-01T12:05:00.000000Z"
    rows = InstanceInterval.objects.filter(instance=desk).order_by("since")
    assert [row.until for row in rows] == [*[row.since for row in rows][1:], None]  # without a gap


def test_a_correction_of_a_late_word_is_told_for_the_same_moment_and_counts_last(alice):
    desk = provisioned(alice)
    moved(desk, S.PAUSED, alice, NOON + 10 * MINUTE)
    told(desk, S.ACTIVE, NOON + 5 * MINUTE, alice, NOON + 20 * MINUTE)
    told(desk, S.READ_ONLY, NOON + 5 * MINUTE, alice, NOON + 30 * MINUTE)
    then = NOON + 6 * MINUTE
    assert state_at(desk, then, NOON + 25 * MINUTE) == "active"
    assert state_at(desk, then, NOON + 30 * MINUTE) == "read_only"


def test_what_ran_before_arm_knew_of_it_can_be_told(alice):
    desk = provisioned(alice)
    told(desk, S.ACTIVE, NOON - 60 * MINUTE, alice, NOON + MINUTE)
    assert state_at(desk, NOON - 30 * MINUTE, known=NOON + MINUTE) == "active"
    assert state_at(desk, NOON - 30 * MINUTE, known=NOON) is None


def test_the_present_is_moved_not_told(alice):
    desk = provisioned(alice)
    moved(desk, S.ACTIVE, alice, NOON + MINUTE)
    with pytest.raises(Conflict, match="Move it instead"):
        told(desk, S.PAUSED, NOON + 2 * MINUTE, alice, NOON + 5 * MINUTE)
    with pytest.raises(Invalid, match="not come yet"):
        told(desk, S.PAUSED, NOON + 9 * MINUTE, alice, NOON + 5 * MINUTE)
    with pytest.raises(Conflict, match="known to have been Provisioning"):
        told(desk, S.PROVISIONING, NOON + MINUTE / 2, alice, NOON + 5 * MINUTE)
    with pytest.raises(Invalid, match="another agent"), clock.at(NOON + 5 * MINUTE):
        services.tell_past(
            instance=desk, state=S.ACTIVE, since=NOON, version=make.approved(), actor=alice, reason="x"
        )
    assert InstanceInterval.objects.filter(instance=desk).count() == 2


def test_who_may_not_change_the_directory_tells_no_past(alice):
    desk = provisioned(alice)
    moved(desk, S.ACTIVE, alice, NOON + MINUTE)
    bob = make.user("bob", member_of=desk.tenant)
    make.grant(bob, desk.tenant, Right.READ_DIRECTORY, Right.RESTRICT_INSTANCE)
    with pytest.raises(NotAllowed):
        told(desk, S.PAUSED, NOON, bob, NOON + 5 * MINUTE)
    mallory = make.user("mallory", member_of=desk.tenant)
    assert Client().get(f"/registry/instances/{desk.typeid}/at/").status_code == 302
    assert signed_in(mallory).get(f"/registry/instances/{desk.typeid}/at/").status_code == 404


def test_no_late_word_loosens_who_may_release(alice):
    """What is read only and then paused needs an approver; that it was “active in between” is told too late for that."""
    desk = provisioned(alice)
    moved(desk, S.ACTIVE, alice, NOON + MINUTE)
    moved(desk, S.READ_ONLY, alice, NOON + 2 * MINUTE)
    moved(desk, S.PAUSED, alice, NOON + 10 * MINUTE)
    told(desk, S.ACTIVE, NOON + 5 * MINUTE, alice, NOON + 20 * MINUTE)
    make.user("bob", member_of=desk.tenant)  # the tenant is more than one person
    dan = make.user("dan", member_of=desk.tenant)
    make.grant(dan, desk.tenant, Right.RELEASE_INSTANCE)
    with pytest.raises(services.ApprovalNeeded):
        moved(desk, S.ACTIVE, dan, NOON + 21 * MINUTE)


# rebuilt from the records

MOVES = st.tuples(st.just("move"), st.sampled_from(list(S)), st.integers(0, 90))
TOLD = st.tuples(st.just("tell"), st.sampled_from(list(S)), st.integers(-30, 300))
HISTORIES = st.lists(st.one_of(MOVES, MOVES, TOLD), min_size=2, max_size=12)
MOMENTS = st.lists(st.tuples(st.integers(-40, 800), st.integers(0, 400)), min_size=6, max_size=6)


@dataclass
class Said:
    since: datetime
    known: datetime
    number: int
    state: str


def rebuilt(instance: AgentInstance, moment: Moment) -> str | None:
    """What the change records say, and nothing else: the latest that had begun, and of two the one told last."""
    said = []
    for number, record in enumerate(ChangeRecord.objects.about(instance).order_by("at", "pk")):
        state = record.after.get("state")
        if state and record.verb.startswith("registry.instance."):
            late = record.after.get("since")
            said.append(Said(datetime.fromisoformat(late) if late else record.at, record.at, number, state))
    had_begun = [one for one in said if one.since <= moment.at and one.known <= moment.known]
    last = max(had_begun, key=lambda one: (one.since, one.known, one.number), default=None)
    return last.state if last else None


def test_the_fleet_at_any_moment_is_what_the_change_records_tell(alice):
    version, place = make.approved(), make.environment()

    @settings(max_examples=25)
    @given(HISTORIES, MOMENTS)
    def equal(history, moments):
        desk = provisioned(alice, version=version, environment=place)
        now = NOON
        for verb, state, minutes in history:
            now += MINUTE + (minutes * MINUTE if verb == "move" else MINUTE)
            try:
                if verb == "move":
                    moved(desk, state, alice, now)
                else:
                    told(desk, state, NOON + minutes * MINUTE, alice, now)
            except DomainError:
                continue  # the lifecycle knows no such move, or it is no past
        for after, later in moments:
            at = NOON + after * MINUTE
            moment = Moment(at, at + later * MINUTE)
            assert state_at(desk, moment.at, moment.known) == rebuilt(desk, moment)

    equal()


# what was reported


def test_each_change_of_what_is_reported_is_kept_by_the_database_itself(alice):
    desk = provisioned(alice)
    for minute, state in ((1, "active"), (2, "active"), (3, "paused"), (4, "")):
        InstanceStatus.objects.filter(instance=desk).update(state=state, reported_at=NOON + minute * MINUTE)
    kept = Observation.objects.filter(instance=desk).order_by("pk").values_list("state", "at", "told_at")
    assert list(kept) == [(state, NOON + m * MINUTE, NOON + m * MINUTE) for m, state in ((1, "active"), (3, "paused"), (4, ""))]  # fmt: skip
    with pytest.raises(DatabaseError, match=r"append-only|permission denied"), connection.cursor() as cursor:
        cursor.execute("DELETE FROM registry_observation")


def test_a_late_report_counts_in_history_and_does_not_undo_a_newer_one(alice):
    desk = provisioned(alice)
    with clock.at(NOON + 10 * MINUTE):
        services.heartbeat(instance=desk, state="active", generation=1, observed_at=NOON + 8 * MINUTE)
    with clock.at(NOON + 20 * MINUTE):
        services.heartbeat(instance=desk, state="paused", generation=1, observed_at=NOON + 5 * MINUTE)
    desk.status.refresh_from_db()
    assert desk.status.state == "active" and desk.status.heartbeat_at == NOON + 20 * MINUTE

    def reported(at, known):
        found = queries.history.observed_at(Moment(NOON + at * MINUTE, NOON + known * MINUTE), [desk.pk])
        return found[desk.pk].state if desk.pk in found else None

    assert reported(6, 15) is None
    assert reported(6, 20) == "paused"
    assert reported(9, 20) == "active"
    with pytest.raises(Invalid, match="not come yet"), clock.at(NOON):
        services.heartbeat(instance=desk, state="active", observed_at=NOON + 5 * MINUTE)
