"""Many changes of one act are recorded as singly made ones are."""

import pytest
from django.db import connection

from arm import changes
from arm.changes import Change
from arm.crypto import canonical, digest
from arm.models import ChangeRecord
from tests import make

pytestmark = pytest.mark.django_db


def test_many_changes_of_one_act_are_one_record_each_returned_in_their_order():
    alice, tenant = make.user("alice"), make.tenant()
    things = [make.template(tenant=tenant, name=f"Agent {n}") for n in range(3)]
    made = [Change(thing, {"n": None}, {"n": n}, [f"inc_{n}"]) for n, thing in enumerate(things)]
    written = changes.record_all(alice, "test.thing.made", made, reason="all three")
    by_key = ChangeRecord.objects.filter(verb="test.thing.made").in_bulk()
    kept = [by_key.pop(row.pk) for row in written]
    assert not by_key
    assert [row.target_id for row in kept] == [thing.pk for thing in things]
    assert [(row.before, row.after, row.links) for row in kept] == [
        ({"n": None}, {"n": n}, [f"inc_{n}"]) for n in range(3)
    ]
    for row in kept:
        assert row.digest == digest(canonical(row.body()))
        assert (row.actor_id, row.reason) == (alice.pk, "all three")


def test_a_thousand_changes_take_no_more_statements_than_three(django_assert_max_num_queries):
    template = make.template()
    with django_assert_max_num_queries(3):
        assert len(changes.record_all(None, "test.thing.made", [Change(template)] * 1_000)) == 1_000


@pytest.mark.django_db(transaction=True)
def test_nothing_is_recorded_outside_a_transaction():
    assert not connection.in_atomic_block
    with pytest.raises(RuntimeError):
        changes.record_all(None, "test.thing.made", [])
