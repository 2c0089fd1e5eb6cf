"""What rollouts, rollbacks, spawning, handovers, approvals, draining and retirement leave of a fleet is found again at any
moment, against the change records alone: in one long history with all of it, and in random ones."""

import os
from collections import Counter
from random import Random
from typing import Any

import pytest
from django.db import transaction

from arm import clock
from arm.errors import DomainError
from tests.registry.histories import MINUTE, NOON
from tests.registry.histories_of_releases import Nothing, Releases
from tests.registry.releasing import Told as Health
from tests.registry.told_of_releases import instants, moment, present_told, told

pytestmark = pytest.mark.django_db
EXAMPLES = int(os.environ.get("ARM_FUZZ", "3"))
SEED = int(os.environ.get("ARM_FUZZ_SEED", "20261128"))
ACTS, MOMENTS = 40, 8
"""Of each history: how many acts are done, however many are refused, and at how many moments it is asked."""
OFTEN = ("begin", "roll", "step", "look", "back", "spawn", "climb", "approve", "move", "tell", "retire")
NOW_AND_THEN = (
    "place", "bind", "empty", "halt", "resume", "abort", "settle", "hurry", "withdraw", "deprecate", "assign", "unassign",
    "own", "cap", "uncap", "rules", "hold", "unhold", "stop", "lift",
)  # fmt: skip
THEN = {
    "roll": ("begin", "step", "look", "halt", "abort"),
    "step": ("begin", "step", "look"),
    "halt": ("resume", "abort", "back"),
    "look": ("step", "resume", "begin"),
    "climb": ("climb", "approve"),
    "approve": ("approve", "withdraw"),
    "withdraw": ("climb", "approve"),
    "back": ("begin", "settle", "hurry"),
    "move": ("retire", "tell"),
}
"""What is likely to follow an act, about the same things."""
SURE = {"begin", "roll", "step", "back", "spawn", "climb", "approve", "move", "tell", "retire", "abort"}


@pytest.fixture(autouse=True)
def _facts(settings: Any) -> None:
    settings.HEALTH_FACTS = ["tests.registry.releasing.Told"]
    settings.BINDING_GATES = [*settings.BINDING_GATES, "policy.plugins.SlotHasPolicy"]


def lived(fleet: Releases, chance: Random, acts: Counter[str]) -> None:
    """A history of its own: what there is none of, what a gate refuses and what is so already is not done."""
    now, verbs, done, last, which = NOON, OFTEN * 2 + NOW_AND_THEN, 0, "", 0
    while done < ACTS:
        if last in THEN and chance.random() < 0.7:
            verb = chance.choice(THEN[last])
        else:
            verb, which = chance.choice(verbs), chance.randrange(10)
        choice = chance.randrange(10)
        now += chance.randrange(1, 20) * MINUTE
        try:
            with clock.at(now), transaction.atomic():
                fleet.do(verb, which, choice, chance.randrange(-30, 200))
        except (DomainError, Nothing):
            continue
        acts[verb] += 1
        done, last = done + 1, verb
    with clock.at(now + MINUTE):
        present_told(fleet)


def test_random_histories_of_releases_are_what_the_change_records_tell() -> None:
    """Each by a seed of its own, which its failure names: ARM_FUZZ_SEED repeats it, ARM_FUZZ asks more of them."""
    acts: Counter[str] = Counter()
    fleet = Releases()
    for number in range(SEED, SEED + EXAMPLES):
        chance, Health.said = Random(number), {}
        with transaction.atomic():
            try:
                lived(fleet, chance, acts)
                there = instants()
                told(fleet, [moment(there, chance) for _ in range(MOMENTS)])
            except Exception as problem:
                problem.add_note(f"This was the history of ARM_FUZZ_SEED={number}.")
                raise
            transaction.set_rollback(True)
    assert EXAMPLES < 3 or acts.keys() >= SURE
