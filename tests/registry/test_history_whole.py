"""Everything that the fleet at a moment answers, against what the change records tell and nothing else."""

from collections import Counter
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from arm import clock
from arm.errors import DomainError
from registry.queries.history import Moment
from tests.registry.histories import MINUTE, NOON, Fleet, told

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_gates(settings: Any) -> None:
    settings.ACTIVATION_GATES = settings.RETIREMENT_GATES = settings.BINDING_GATES = []
    settings.ROLE_GATES = []


VERBS = (
    "move",
    "move",
    "tell",
    "tell",
    "bind",
    "assign",
    "unassign",
    "own",
    "cap",
    "uncap",
    "rules",
    "hold",
    "unhold",
    "stop",
    "lift",
)
ACTS = st.tuples(st.sampled_from(VERBS), st.integers(0, 1), st.integers(0, 9), st.integers(-30, 200))
HISTORIES = st.lists(st.tuples(ACTS, st.integers(1, 40)), min_size=8, max_size=20)
MOMENTS = st.lists(st.tuples(st.integers(-40, 400), st.integers(0, 300)), min_size=3, max_size=3)


def test_all_that_the_fleet_at_a_moment_answers_is_what_the_change_records_tell() -> None:
    acts: Counter[str] = Counter()

    fleet = Fleet()

    @settings(max_examples=10, deadline=None)
    @given(HISTORIES, MOMENTS)
    def equal(history: list[Any], moments: list[Any]) -> None:
        with transaction.atomic():
            now = NOON
            for (verb, which, choice, minutes), later in history:
                now += later * MINUTE
                try:
                    with clock.at(now), transaction.atomic():
                        fleet.do(verb, which, choice, minutes)
                    acts[verb] += 1
                except DomainError:
                    continue  # no such move, no such past, or it is so already
            for after, later in moments:
                at = NOON + after * MINUTE
                told(fleet, Moment(at, at + later * MINUTE), fleet.alice)
            transaction.set_rollback(True)

    equal()
    assert acts.keys() == set(VERBS)  # none of them was refused every time


def test_the_page_and_the_api_name_the_roles_and_the_cap_of_that_moment() -> None:
    fleet = Fleet()
    row = fleet.rows[0]
    for minutes, verb in ((10, "assign"), (20, "cap"), (60, "uncap")):
        with clock.at(NOON + minutes * MINUTE):
            fleet.do(verb, 0, 1, 2)
    client = Client()
    client.force_login(fleet.alice)
    at = f"at={clock.exactly(NOON + 30 * MINUTE)}"
    page = client.get(f"/registry/instances/{row.typeid}/at/?{at}").content.decode()
    assert f"{fleet.roles[0]}</a> (itself)" in page and "2 USD a day" in page
    told = client.get(f"/api/v1/registry/instances/{row.typeid}/at/?{at}").json()
    assert told["roles"] == ["clerk"]
    late = client.get(
        f"/registry/instances/{row.typeid}/at/?at={clock.exactly(NOON + 61 * MINUTE)}"
    ).content.decode()
    assert "It had no cap." in late and "2 USD a day" not in late
    early = client.get(
        f"/api/v1/registry/instances/{row.typeid}/at/?at={clock.exactly(NOON + MINUTE)}"
    ).json()
    assert early["roles"] == []
