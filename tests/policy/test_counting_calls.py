"""Loop counters: what one process counts, and what it hears of the others."""

from uuid import uuid4

import pytest

from policy.engine import Loop, LoopKey
from policy.gateway import counters
from policy.gateway.counters import Calls, told
from policy.gateway.record import NOTICE_CALLS
from tests.policy.engine_cases import policy

NOW = 1_000_000.0
A, B, C = ("sha256:" + letter * 64 for letter in "abc")


@pytest.fixture
def agent():
    return uuid4()


def counted(calls, agent, rule, actions, window=60, step=1.0):
    under = policy(loops=[{"rule": rule, "window_s": window, "max": 1, "on_breach": "deny"}])
    key, last = LoopKey(Loop(rule), window), 0
    for number, action in enumerate(actions):
        last = calls.count(agent, under, action, NOW + number * step)[key].value
    return last


@pytest.mark.parametrize(
    ("rule", "actions", "count"),
    [
        ("repeat", [A], 1),
        ("repeat", [A, B, A, C, A], 3),
        ("repeat", [A, A, B], 1),
        ("thrash", [A, B, C, A], 4),
        ("ping_pong", [A, B, A, B], 2),
        ("ping_pong", [A, B, A, B, A, B], 3),
        ("ping_pong", [A, A, A, A], 0),
        ("ping_pong", [A, B, C, A, B, C], 1),
        ("ping_pong", [C, C, A, B, A, B], 2),
    ],
)
def test_each_rule_counts_its_pattern(agent, rule, actions, count):
    assert counted(Calls(), agent, rule, actions) == count


def test_what_is_older_than_the_window_does_not_count(agent):
    assert counted(Calls(), agent, "repeat", [A] * 10, window=5, step=2.0) == 3


def test_each_agent_counts_for_itself(agent):
    calls = Calls()
    counted(calls, agent, "repeat", [A, A, A])
    assert counted(calls, uuid4(), "repeat", [A]) == 1


def test_a_process_counts_what_the_others_tell_and_not_what_it_told_itself(agent):
    calls = Calls()
    notice = " ".join(told(agent, A, NOW - 1) for _ in range(3))
    calls.hear(f"another {notice}")
    calls.hear(f"{counters.HOLDER} {notice}")
    assert counted(calls, agent, "repeat", [A]) == 4


def test_a_notice_of_as_many_calls_as_one_carries_fits(agent):
    payload = " ".join([counters.HOLDER, *[told(agent, A, NOW * 1000)] * NOTICE_CALLS])
    assert len(payload) < 8000


def test_the_memory_is_bounded_and_idle_agents_are_forgotten(agent, monkeypatch):
    monkeypatch.setattr(counters, "CALLS_KEPT", 100)
    calls = Calls()
    counted(calls, agent, "repeat", [A, B] * 200, step=0.001)
    assert len(calls._agents[agent].times) <= 100
    calls.tidy(NOW + counters.LONGEST_WINDOW + 10)
    assert not calls._agents
