"""Kill switches: which mode stops what, and how several combine."""

from itertools import product

import pytest

from policy.engine import Action, Column, Mode, Request, is_restriction
from policy.engine import posture as postures
from tests.policy.engine_cases import ask, call, codes, decided, policy, standing, stop

START = Request(Action.RUN_START, job="job-7")
STEP = Request(Action.RUN_STEP, job="job-7")
COLUMNS = (START, STEP, call("web_search"), call("git_commit"), call("tweet"))


@pytest.mark.parametrize(
    ("mode", "start", "step", "green", "yellow", "red"),
    [
        (Mode.NORMAL, "allow", "allow", "allow", "allow", "allow"),
        (Mode.DRAINING, "deny", "allow", "allow", "allow", "allow"),
        (Mode.PAUSED, "deny", "deny", "deny", "deny", "deny"),
        (Mode.READ_ONLY, "allow", "allow", "allow", "deny", "deny"),
        (Mode.QUARANTINED, "deny", "deny", "deny", "deny", "deny"),
        (Mode.KILLED, "deny", "deny", "deny", "deny", "deny"),
    ],
)
def test_each_mode_stops_its_columns(mode, start, step, green, yellow, red):
    on = standing(postures=[stop(mode)])
    assert [decided(request, on=on) for request in COLUMNS] == [start, step, green, yellow, red]


@pytest.mark.parametrize(
    ("state", "start", "step", "green", "yellow", "red"),
    [
        ("active", "allow", "allow", "allow", "allow", "allow"),
        ("draining", "deny", "allow", "allow", "allow", "allow"),
        ("readonly", "allow", "allow", "allow", "deny", "deny"),
        *((state, *["deny"] * 5) for state in ("provisioning", "paused", "quarantined", "retired", "weird")),
    ],
)
def test_the_agents_own_state_stops_the_same_columns(state, start, step, green, yellow, red):
    on = standing(state=state)
    assert [decided(request, on=on) for request in COLUMNS] == [start, step, green, yellow, red]


def test_draining_leaves_red_tools_to_the_policy():
    on = standing(postures=[stop(Mode.DRAINING)])
    assert decided(call("tweet"), policy(tier=2), on=on) == "approve"


@pytest.mark.parametrize(("one", "other"), [*product(Mode, repeat=2)])
def test_two_postures_allow_only_what_each_of_them_allows(one, other):
    both = standing(postures=[stop(one), stop(other)])
    for request in COLUMNS:
        alone = [decided(request, on=standing(postures=[stop(mode)])) for mode in (one, other)]
        assert decided(request, on=both) == ("allow" if alone == ["allow", "allow"] else "deny")


def test_a_narrower_normal_never_lifts_a_broader_stop():
    on = standing(postures=[stop(Mode.QUARANTINED), stop(Mode.NORMAL, scope="This agent")])
    verdict = ask(call("web_search"), on=on)
    assert codes(verdict) == ["posture_quarantined"]
    assert verdict.reasons[0].sentence == "Tenant Acme is quarantined; every tool is denied."


def test_an_active_agent_below_a_paused_tenant_is_stopped_and_so_is_a_paused_agent_below_a_normal_one():
    assert decided(START, on=standing(postures=[stop(Mode.PAUSED)])) == "deny"
    assert decided(START, on=standing(state="paused", postures=[stop(Mode.NORMAL)])) == "deny"


def test_paused_and_read_only_are_labelled_by_rank_and_allow_nothing():
    modes = [Mode.PAUSED, Mode.READ_ONLY]
    assert (postures.label(modes), postures.meet(modes)) == ("ReadOnly", 0)


def test_without_any_posture_everything_is_as_the_policy_says():
    assert (postures.label([]), postures.meet([])) == ("Active", postures.EVERYTHING)


@pytest.mark.parametrize(
    ("before", "after", "restricts"),
    [
        (Mode.NORMAL, Mode.DRAINING, True),
        (Mode.NORMAL, Mode.READ_ONLY, True),
        (Mode.READ_ONLY, Mode.PAUSED, True),
        (Mode.READ_ONLY, Mode.QUARANTINED, True),
        (Mode.PAUSED, Mode.QUARANTINED, True),
        (Mode.PAUSED, Mode.READ_ONLY, False),
        (Mode.READ_ONLY, Mode.DRAINING, False),
        (Mode.DRAINING, Mode.READ_ONLY, False),
        (Mode.QUARANTINED, Mode.NORMAL, False),
        (Mode.DRAINING, Mode.NORMAL, False),
    ],
)
def test_a_move_restricts_only_if_no_column_becomes_more_permissive(before, after, restricts):
    assert is_restriction(postures.MATRIX[before], postures.MATRIX[after]) is restricts


def test_a_switch_for_one_tool_stops_that_tool_however_it_is_written():
    on = standing(postures=[stop(Mode.QUARANTINED, scope="Tool tweet", tool="tweet")])
    assert decided(call("Tweet"), on=on) == "deny"
    assert decided(call("send_email"), on=on) == "allow"
    assert decided(START, on=on) == "allow"


def test_a_switch_for_a_tool_class_stops_the_class():
    on = standing(postures=[stop(Mode.PAUSED, scope="Messaging", tool_class="messaging")])
    assert [decided(call(tool), on=on) for tool in ("tweet", "send_email", "payment")] == [
        "deny",
        "deny",
        "allow",
    ]


def test_the_desired_document_carries_the_meet():
    assert postures.desired(postures.meet([Mode.READ_ONLY])) == {
        "new_work": True,
        "side_effects": False,
        "spawn": False,
    }
    assert postures.desired(postures.EVERYTHING) == {"new_work": True, "side_effects": True, "spawn": True}
    assert not any(postures.desired(postures.meet([Mode.PAUSED])).values())


def test_every_mode_has_a_row_a_label_and_a_way_out():
    assert set(postures.MATRIX) == set(postures.EXITS) == set(postures.LABELS) == set(Mode)
    assert sum(Column) == postures.EVERYTHING
