"""Policy documents in words, and what differs between two of them (no database)."""

import pytest

from policy.engine import SCHEMA, compile_envelope
from policy.engine.wording import differences, sections, span

FULL = {
    "schema": SCHEMA,
    "tier": 3,
    "tools": [
        {"match": {"tool": "*"}, "effect": "allow"},
        {"match": {"class": "deploy", "risk": "red"}, "effect": "approve"},
        {"match": {"tool": "rm_rf"}, "effect": "deny", "reason": "Never."},
        {"match": {"action": "run_start"}, "effect": "approve"},
    ],
    "approvals": [
        {
            "match": {"risk": "red"},
            "quorum": 2,
            "roles": ["approver", "auditor"],
            "ttl_s": 5400,
            "escalate_after_s": 1200,
            "escalate_to": "tenant_admin",
        }
    ],
    "limits": [
        {"per": "day", "unit": "calls", "max": 50_000, "on_breach": "throttle"},
        {"per": "month", "unit": "money", "max": "12.50", "currency": "EUR", "on_breach": "pause"},
    ],
    "loops": [{"rule": "repeat", "window_s": 60, "max": 5, "on_breach": "quarantine"}],
    "spawn": {"allowed": True, "max_children": 3, "max_ttl_s": 7200, "roles": ["helper", "tester"]},
    "data": [{"class": "internal", "access": "write"}],
    "network": [{"host": "*.example.com", "ports": [443, 8443]}],
    "paths": [{"path": ".", "access": "read"}],
    "commands": [{"argv": ["git", "**"]}],
    "mode": "observe",
}


def said(document, title):
    (section,) = [each for each in sections(document) if each.title == title]
    return [line.sentence for line in section.lines]


def test_the_document_that_is_worded_here_compiles():
    compile_envelope(FULL)


@pytest.mark.parametrize(
    ("title", "sentences"),
    [
        (
            "Tier",
            [
                (
                    "At most tier 3 (delegated): green tools are allowed, yellow tools are allowed, "
                    "red tools ask a person unless a rule names them."
                )
            ],
        ),
        (
            "Tools",
            [
                "Allow every tool.",
                "Ask a person about deploy tools and red tools.",
                "Deny tool “rm_rf”.",
                "Ask a person about the action run start.",
            ],
        ),
        (
            "Approvals",
            [
                (
                    "Red tools: 2 approvers, each of them approver and auditor, must agree within 90 min; "
                    "after 20 min tenant_admin may decide too."
                )
            ],
        ),
        (
            "Limits",
            [
                "At most 50,000 calls per day; beyond that it has to wait.",
                "At most 12.50 EUR per month; beyond that the agent is paused.",
            ],
        ),
        ("Loops", ["The same call at most 5 times in 1 min; beyond that the agent is quarantined."]),
        (
            "Spawning",
            [
                "It may start other agents.",
                "At most 3 at a time.",
                "Each lives at most 2 h.",
                "Only as helper and tester.",
            ],
        ),
        ("Data", ["Read and write internal data."]),
        ("Network", ["*.example.com, port 443 or 8443."]),
        ("Paths", ["Read below the working directory."]),
        ("Commands", ["git **"]),
        ("Mode", ["Observe: decide and record, and let it pass."]),
    ],
)
def test_every_part_is_said_in_sentences(title, sentences):
    assert said(FULL, title) == sentences


def test_what_is_missing_is_said_to_allow_nothing():
    bare = {"schema": SCHEMA, "tier": 0, "tools": []}
    nothing = {part.title: part.nothing for part in sections(bare) if not part.lines}
    assert nothing["Network"] == "No host may be reached." and nothing["Tools"].endswith("denied.")


def test_each_rule_knows_where_it_stands():
    assert [line.pointer for part in sections(FULL) if part.title == "Tools" for line in part.lines] == [
        f"/tools/{number}" for number in range(4)
    ]


def test_a_difference_names_what_is_gone_and_what_is_new():
    newer = FULL | {"tier": 2, "limits": FULL["limits"][:1]}
    found = [(each.section, each.added) for each in differences(FULL, newer)]
    assert found == [("Tier", False), ("Tier", True), ("Limits", False)]


def test_moving_a_rule_or_saying_the_default_is_no_difference():
    turned = FULL | {"tools": FULL["tools"][::-1]}
    assert differences(FULL, turned) == ()
    enforcing = {key: value for key, value in FULL.items() if key != "mode"}
    assert differences(enforcing, enforcing | {"mode": "enforce"}) == ()


def test_a_changed_reason_is_a_difference():
    newer = FULL | {
        "tools": [*FULL["tools"][:2], FULL["tools"][2] | {"reason": "Not ever."}, FULL["tools"][3]]
    }
    assert [each.line.reason for each in differences(FULL, newer)] == ["Never.", "Not ever."]


@pytest.mark.parametrize(
    ("seconds", "words"), [(61, "61 s"), (60, "1 min"), (5400, "90 min"), (7200, "2 h"), (86_400, "1 d")]
)
def test_spans_are_whole_units(seconds, words):
    assert span(seconds) == words
