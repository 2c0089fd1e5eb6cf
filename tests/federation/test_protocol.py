"""The protocol as pure functions: which event moves a command where, what is wanted, digests, schemas and vectors."""

import json
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwcrypto import jwk, jws

from evidence.signing import dsse, keys
from federation.protocol import states
from federation.protocol.commands import OPEN, TERMINAL, CommandEvent, CommandState, after
from federation.protocol.documents import CHANGED, fleet_digest
from federation.protocol.reading import fitting
from federation.protocol.schemas import SCHEMAS, written
from federation.protocol.states import RunState
from policy.engine import Mode
from registry.lifecycle import InstanceState

ROOT = Path(__file__).parent.parent.parent
S, E = CommandState, CommandEvent


def test_a_terminal_state_never_changes():
    for state, event in product(TERMINAL, CommandEvent):
        assert after(state, event) is state


@pytest.mark.parametrize(
    ("state", "event", "to"),
    [
        (S.AVAILABLE, E.DELIVER, S.DELIVERED),
        (S.AVAILABLE, E.ACK, S.AVAILABLE),  # nobody acknowledges what was not handed out
        (S.AVAILABLE, E.ATTEST, S.ENFORCED),
        (S.DELIVERED, E.DELIVER, S.DELIVERED),
        (S.DELIVERED, E.ACK, S.ACKED),
        (S.DELIVERED, E.ERR, S.REJECTED),
        (S.DELIVERED, E.ATTEST, S.ENFORCED),
        (S.ACKED, E.APPLY, S.APPLYING),
        (S.ACKED, E.DELIVER, S.ACKED),
        (S.APPLYING, E.ATTEST, S.ENFORCED),
        (S.APPLYING, E.FAIL, S.FAILED),
        (S.APPLYING, E.ERR, S.APPLYING),
    ],
)
def test_each_event_moves_a_command_where_the_table_says(state, event, to):
    assert after(state, event) is to


@given(st.lists(st.sampled_from(CommandEvent)))
def test_whatever_comes_in_whatever_order_a_command_ends_at_most_once(events):
    state, ended = S.AVAILABLE, 0
    for event in events:
        moved = after(state, event)
        ended += moved in TERMINAL and state in OPEN
        assert state not in TERMINAL or moved is state
        state = moved
    assert ended <= 1


@pytest.mark.parametrize(
    ("state", "modes", "word", "new_work", "effects"),
    [
        (InstanceState.ACTIVE, [], RunState.ACTIVE, True, True),
        (InstanceState.PROVISIONING, [], RunState.PAUSED, False, False),
        (InstanceState.ACTIVE, [Mode.DRAINING], RunState.DRAINING, False, True),
        (InstanceState.READ_ONLY, [Mode.DRAINING], RunState.READ_ONLY, False, False),
        (InstanceState.DRAINING, [Mode.READ_ONLY], RunState.READ_ONLY, False, False),
        (InstanceState.QUARANTINED, [Mode.PAUSED], RunState.QUARANTINED, False, False),
        (InstanceState.ACTIVE, [Mode.KILLED], RunState.QUARANTINED, False, False),
        (InstanceState.RETIRED, [], RunState.RETIRED, False, False),
    ],
)
def test_the_severest_is_wanted_and_only_what_all_allow(state, modes, word, new_work, effects):
    found, allow = states.wanted(state, modes)
    assert (found, allow["new_work"], allow["side_effects"]) == (word, new_work, effects)


@given(
    st.sampled_from(InstanceState),
    st.lists(st.sampled_from([m for m in Mode if m != Mode.NORMAL]), max_size=3),
)
def test_another_stop_never_allows_more(state, modes):
    before, after_ = states.wanted(state, []), states.wanted(state, modes)
    assert after_[0].severity >= before[0].severity
    assert all(before[1][name] or not allowed for name, allowed in after_[1].items())


def test_that_it_works_is_believed_and_that_it_is_held_back_only_when_proven():
    assert states.credible("Active", "")
    assert states.credible("Quarantined", "Quarantined")
    assert not states.credible("Quarantined", "")
    assert not states.credible("Paused", "Quarantined")


def test_the_order_of_the_fleet_does_not_change_its_digest_and_any_change_does():
    lines = [("ins_b", "ver_1", "Active", 1), ("ins_a", "ver_1", "Paused", 2)]
    assert fleet_digest(lines) == fleet_digest(reversed(lines))
    assert fleet_digest(lines) != fleet_digest([lines[0], ("ins_a", "ver_1", "Paused", 3)])


# --- the documents beside docs/federation-protocol.md


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_the_published_schema_is_the_one_that_is_used(name):
    """`python -m federation.protocol.schemas docs/schemas/federation` writes them anew."""
    assert (ROOT / f"docs/schemas/federation/{name}.json").read_text() == written(name)


VECTORS = json.loads((ROOT / "docs/schemas/federation/vectors.json").read_text())


def test_the_vectors_of_the_fleet_digest_hold():
    assert len(VECTORS["fleet_digest"]) >= 3
    for vector in VECTORS["fleet_digest"]:
        lines = [
            (one["id"], one["version_id"], one["state"], one["generation"]) for one in vector["instances"]
        ]
        assert fleet_digest(lines) == vector["digest"], vector["name"]


def test_the_vectors_of_messages_fit_their_schemas():
    seen = set()
    for vector in VECTORS["messages"]:
        fitting(vector["message"], vector["schema"])
        seen.add(vector["schema"])
    assert seen == set(SCHEMAS), "every schema has an example"


def test_the_signed_vectors_are_verified_by_other_readers():
    event = VECTORS["secevent"]
    read = jws.JWS()
    read.deserialize(event["jws"], jwk.JWK(**event["key"]))
    assert json.loads(read.payload) == event["claims"]
    fitting(event["claims"]["events"][CHANGED], "desired-state-changed")
    proof = VECTORS["attestation"]
    statement = dsse.verify(
        json.dumps(proof["envelope"]).encode(), {proof["kid"]: keys.from_jwk(proof["key"])}
    )
    assert list(statement.subjects.values()) == [event["claims"]["events"][CHANGED]["desired_sha256"]]
    fitting(statement.predicate, "enforcement")
