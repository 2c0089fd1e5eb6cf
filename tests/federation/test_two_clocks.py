"""What a provider reports was so since it saw it, where its clock is plausible; ARM was told when it heard."""

from datetime import datetime, timedelta

import pytest

from arm import clock
from federation.protocol.documents import moment
from federation.services import reports
from registry.models import InstanceStatus, Observation
from registry.queries.history import Moment, observed_at
from tests.federation.provider import item, settled

pytestmark = pytest.mark.django_db


class Cloud:
    """A provider with one instance at work; `at(n)` is n minutes after that was said, to the millisecond of its protocol."""

    def __init__(self) -> None:
        self.adapter = settled()
        self.one = self.adapter.one
        self.start = clock.now().replace(microsecond=0) + timedelta(seconds=1)

    def at(self, minutes: int) -> datetime:
        return self.start + timedelta(minutes=minutes)

    def says(self, state: str, seq: int, *, seen: int, heard: int) -> Observation:
        """The adapter says in minute `heard` what it saw in minute `seen`; the newest observation there is then."""
        with clock.at(self.at(heard)):
            said = item(
                self.one.typeid, self.one.version.typeid, state, 1, seq, id=self.one.typeid,
                observed_at=moment(self.at(seen)),
            )  # fmt: skip
            taken = [reports.Said.of(said)]
            assert reports.take(client=self.adapter.client, said=taken, epoch=9, now=clock.now()) == []
        return Observation.objects.filter(instance=self.one).order_by("-pk")[0]


@pytest.fixture
def cloud():
    return Cloud()


def test_a_report_is_true_since_the_provider_saw_it_and_told_when_arm_heard(cloud):
    kept = cloud.says("Unknown", 1, seen=5, heard=20)
    assert (kept.state, kept.at, kept.told_at) == ("", cloud.at(5), cloud.at(20))

    def reported(at: int, known: int) -> str:
        return observed_at(Moment(cloud.at(at), cloud.at(known)), [cloud.one.pk])[cloud.one.pk].state

    assert reported(10, 19) == "active"
    assert reported(10, 20) == ""
    assert reported(4, 20) == "active"


@pytest.mark.parametrize(
    ("seen", "heard"),
    [
        (30, 20),  # to come
        (-5, 20),  # before the instance was
        (1, 26 * 60),  # longer ago than anybody is believed
    ],
)
def test_a_moment_that_cannot_be_is_replaced_by_arms_own(cloud, seen, heard):
    kept = cloud.says("Unknown", 1, seen=seen, heard=heard)
    assert (kept.state, kept.at, kept.told_at) == ("", cloud.at(heard), cloud.at(heard))


def test_words_stay_in_the_order_that_they_were_said_in_whatever_the_clock_says(cloud):
    cloud.says("Unknown", 1, seen=10, heard=11)
    kept = cloud.says("Active", 2, seen=5, heard=12)
    assert (kept.state, kept.at) == ("active", cloud.at(12))


def test_a_state_that_is_said_again_has_not_begun_again(cloud):
    cloud.says("Unknown", 1, seen=10, heard=11)
    before = Observation.objects.count()
    cloud.says("Unknown", 2, seen=15, heard=16)
    assert Observation.objects.count() == before
    assert InstanceStatus.objects.get(instance=cloud.one).observed_at == cloud.at(10)


def test_a_word_that_comes_after_a_later_one_counts_in_the_history_alone_and_once(cloud):
    cloud.says("Unknown", 1, seen=10, heard=11)
    cloud.says("Active", 3, seen=20, heard=21)
    for heard in (22, 23):
        cloud.says("Unknown", 2, seen=15, heard=heard)
    now = InstanceStatus.objects.get(instance=cloud.one)
    assert (now.state, now.reported_at) == ("active", cloud.at(21))
    late = Observation.objects.get(instance=cloud.one, at=cloud.at(15))
    assert (late.state, late.told_at) == ("", cloud.at(22))


def test_what_was_said_again_since_ends_the_late_word_in_the_history(cloud):
    cloud.says("Active", 1, seen=10, heard=11)
    cloud.says("Active", 3, seen=20, heard=21)  # no change, no row
    cloud.says("Unknown", 2, seen=15, heard=22)

    def reported(at: int) -> str:
        return observed_at(Moment(cloud.at(at), cloud.at(30)), [cloud.one.pk])[cloud.one.pk].state

    assert [reported(at) for at in (14, 16, 25)] == ["active", "", "active"]


def test_a_late_word_that_it_was_held_back_is_not_kept_without_a_proof(cloud):
    cloud.says("Active", 3, seen=20, heard=21)
    before = Observation.objects.count()
    cloud.says("Quarantined", 2, seen=15, heard=22)
    assert Observation.objects.count() == before
