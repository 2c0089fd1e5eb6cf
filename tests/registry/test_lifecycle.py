"""The tables of states, held against the rules they stand for."""

from itertools import pairwise, product

import pytest

from registry.lifecycle import (
    ALLOWS,
    INSTANCE_MOVES,
    VERSION_MOVES,
    InstanceState,
    Move,
    Release,
    VersionState,
    instance_move,
    release_needs,
    version_track,
)

S, V = InstanceState, VersionState


def test_every_state_has_its_moves_and_retired_has_none():
    assert set(VERSION_MOVES) == set(V) and set(INSTANCE_MOVES) == set(S) == set(ALLOWS)
    assert VERSION_MOVES[V.RETIRED] == {} and INSTANCE_MOVES[S.RETIRED] == frozenset()


@pytest.mark.parametrize(
    ("state", "left", "phases"),
    [
        (V.DRAFT, "", "now next later later later later"),
        (V.CANDIDATE, "", "done done now next later later"),
        (V.APPROVED, "", "done done done now later later"),
        (V.DEPRECATED, "", "done done done done now next"),
        (V.RETIRED, V.DEPRECATED, "done done done done done now"),
        (V.RETIRED, V.TESTING, "done done skipped skipped skipped now"),
        (V.RETIRED, "", "done skipped skipped skipped skipped now"),
    ],
)
def test_the_track_of_a_version_says_what_is_behind_it_and_claims_nothing_that_was_not_reached(
    state, left, phases
):
    assert [step for step, _ in version_track(state, left)] == list(V)
    assert " ".join(phase.value for _, phase in version_track(state, left)) == phases


def test_no_version_is_approved_without_having_been_a_candidate():
    assert [state for state, moves in VERSION_MOVES.items() if V.APPROVED in moves] == [V.CANDIDATE]


def test_every_version_can_still_be_retired():
    reached = {V.RETIRED}
    while more := {state for state, moves in VERSION_MOVES.items() if moves.keys() & reached} - reached:
        reached |= more
    assert reached == set(V)


@pytest.mark.parametrize(
    ("was", "to", "kind"),
    [
        (S.PROVISIONING, S.ACTIVE, Move.ACTIVATION),
        (S.ACTIVE, S.PAUSED, Move.RESTRICTION),
        (S.ACTIVE, S.READ_ONLY, Move.RESTRICTION),
        (S.ACTIVE, S.DRAINING, Move.RESTRICTION),
        (S.PAUSED, S.QUARANTINED, Move.RESTRICTION),
        (S.READ_ONLY, S.PAUSED, Move.RESTRICTION),
        (S.PAUSED, S.READ_ONLY, Move.RELEASE),
        (S.PAUSED, S.DRAINING, Move.RELEASE),
        (S.READ_ONLY, S.DRAINING, Move.RELEASE),
        (S.DRAINING, S.READ_ONLY, Move.RELEASE),
        (S.QUARANTINED, S.READ_ONLY, Move.RELEASE),
        (S.QUARANTINED, S.PAUSED, None),
        (S.ACTIVE, S.RETIRED, None),
        (S.DRAINING, S.RETIRED, Move.RETIREMENT),
        (S.RETIRED, S.ACTIVE, None),
        (S.ACTIVE, S.ACTIVE, None),
    ],
)
def test_the_kind_of_a_move_follows_from_what_the_states_allow(was, to, kind):
    assert instance_move(was, to) is kind


def test_a_chain_of_restrictions_never_makes_anything_more_permissive():
    def permits(state):
        return {
            name
            for name in ("new_work", "continue_work", "green", "yellow", "red")
            if getattr(ALLOWS[state], name)
        }

    chains = [(a, b, c) for a, b, c in product(S, repeat=3)]
    checked = 0
    for chain in chains:
        if all(instance_move(was, to) is Move.RESTRICTION for was, to in pairwise(chain)):
            checked += 1
            assert permits(chain[0]) >= permits(chain[1]) >= permits(chain[2])
    assert checked > 5


def test_the_strictest_stop_decides_who_may_lift_it():
    assert release_needs([S.PAUSED]) is Release.OPERATOR
    assert release_needs([S.PAUSED, S.READ_ONLY, S.ACTIVE]) is Release.APPROVER
    assert release_needs([S.PAUSED, S.QUARANTINED, S.ACTIVE]) is Release.TWO_APPROVERS
