"""Rows that are inserted together are stored as rows that are inserted singly, or none of them is."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, DataError, IntegrityError, connection, transaction

from arm import clock, inserting
from arm.inserting import BATCH, insert_all
from arm.models import ChangeRecord
from registry.lifecycle import InstanceState
from registry.models import (
    AgentInstance,
    AgentTemplate,
    InstanceInterval,
    InstanceLabel,
    InstanceStatus,
    InstanceWord,
    Ownership,
)
from tests import make

pytestmark = pytest.mark.django_db

HARD = "Ünicode 🦜 \u2028 'quoted' \"twice\" 100 % %s \\ back\\u0041slash \n\t\x01 {1,NULL}"


def record(tenant, **kw: Any) -> ChangeRecord:
    said: dict[str, Any] = {
        "at": datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC),
        "verb": "test.thing.made",
        "target_kind": "test.thing",
        "target_id": uuid4(),
        "target_label": "A thing",
        "digest": f"sha256:{0:064}",
    }
    return ChangeRecord(tenant_id=tenant.pk, **said | kw)


def values(row: ChangeRecord) -> dict[str, Any]:
    return {f.attname: getattr(row, f.attname) for f in row._meta.concrete_fields if f.name != "recorded_at"}


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"reason": HARD, "target_label": HARD},
        {"before": {HARD: [HARD, None, True, 1, 0.1, -2.5e-9, 2**53 - 1, {}, []]}, "links": [HARD]},
        {"actor_id": uuid4(), "after": {"nested": {"deeper": [[1], {"": ""}]}}},
        {"at": datetime(1999, 12, 31, 23, 59, 59, 1, UTC)},
    ],
)
def test_a_row_is_stored_as_by_itself(said):
    tenant = make.tenant()
    singly, together = record(tenant, **said), record(tenant, **said)
    singly.save(force_insert=True)
    insert_all([together])
    assert not together._state.adding
    one, other = (values(ChangeRecord.objects.get(pk=row.pk)) for row in (singly, together))
    for both in (one, other):
        del both["id"], both["target_id"]
    assert one == other
    assert ChangeRecord.objects.get(pk=together.pk).recorded_at == together.recorded_at


def agent(beside: AgentInstance, n: int) -> AgentTemplate:
    return AgentTemplate(
        tenant=beside.tenant, slug=f"agent-of-many-{n}", name=HARD[:60].strip(), tags=["a", 'b"c', "ü"]
    )


def owner(beside: AgentInstance, n: int) -> Ownership:
    return Ownership(tenant=beside.tenant, template=beside.template, user=make.user(), since=clock.now())


def instance(beside: AgentInstance, n: int) -> AgentInstance:
    return AgentInstance(
        tenant=beside.tenant, template=beside.template, version=beside.version, environment=beside.environment,
        provider=beside.provider, name=HARD[:60].strip(), labels={"team": HARD[:40]}, state=InstanceState.PROVISIONING,
        parent=beside, depth=1,
    )  # fmt: skip


def status(beside: AgentInstance, n: int) -> InstanceStatus:
    made = instance(beside, n)
    made.save(force_insert=True)
    return InstanceStatus(
        instance=made, tenant=beside.tenant, state="active", generation=3, heartbeat_at=clock.now()
    )


def interval(beside: AgentInstance, n: int) -> InstanceInterval:
    began = datetime(2026, 1, n, tzinfo=UTC)
    return InstanceInterval(
        tenant=beside.tenant, instance=beside, version=beside.version, state=beside.state, since=began,
        until=clock.now(), known_from=clock.now(),
    )  # fmt: skip


@pytest.mark.parametrize("made", [agent, owner, instance, status, interval])
def test_whatever_comes_in_many_is_stored_as_by_itself(made):
    beside = make.instance()
    singly, together = made(beside, 1), made(beside, 2)
    singly.save(force_insert=True)
    insert_all([together])
    for row in (singly, together):
        stored = type(row).objects.get(pk=row.pk)
        assert {name: was for name, was in values(stored).items() if was != values(row)[name]} == {}
    assert not together._state.adding


def test_more_than_go_at_once_are_stored_whole():
    tenant = make.tenant()
    rows = [record(tenant, after={"n": n}) for n in range(BATCH + 2)]
    assert insert_all(rows) == rows
    stored = ChangeRecord.objects.filter(verb="test.thing.made").in_bulk()
    assert [stored[row.pk].after["n"] for row in rows] == list(range(BATCH + 2))


def test_none_are_none(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert insert_all([]) == []


@pytest.mark.parametrize(
    ("wrong", "raised"),
    [
        ({"reason": "a\0b"}, DataError),
        ({"verb": "x" * 81}, DataError),
        ({"target_id": None}, IntegrityError),
        ({"after": {"n": float("nan")}}, ValueError),
        ({"after": {"n": {1, 2}}}, TypeError),
        ({"after": {"n": "\ud83d\ude00"}}, UnicodeEncodeError),
    ],
)
def test_one_that_cannot_be_stored_keeps_all_others_out(wrong, raised):
    tenant = make.tenant()
    with pytest.raises(raised), transaction.atomic():
        insert_all([*(record(tenant) for _ in range(BATCH)), record(tenant, **wrong)])
    assert not ChangeRecord.objects.filter(verb="test.thing.made").exists()


def test_nothing_is_inserted_behind_another_tenants_wall():
    here, there = make.tenant(), make.tenant(slug="globex")
    make.in_sight_of([here])
    with pytest.raises(DatabaseError, match="row-level security"), transaction.atomic():
        insert_all([record(here), record(there)])


def made_at_once() -> list[AgentInstance]:
    """Three of one version: the last one's parent is the first of all."""
    parent = make.instance(name="Parent")
    rows = [
        AgentInstance(
            tenant_id=parent.tenant_id, name=name, version=parent.version, template_id=parent.template_id,
            environment_id=parent.environment_id, provider_id=parent.provider_id, labels=labels,
            state=InstanceState.PROVISIONING, parent=above, depth=1 if above else 0,
        )
        for name, labels, above in (
            ("Invoice-reader 1", {"team": "ap", "tier": "1"}, None),
            ("invoice READER 2", {}, None),
            ("Ünder", {"team": "ap"}, parent),
        )
    ]  # fmt: skip
    insert_all(rows)
    return rows


def test_each_new_instance_is_found_by_its_words_and_labels():
    first, second, third = made_at_once()
    found = InstanceWord.objects.filter(instance__in=[first, second, third])
    assert set(found.values_list("instance_id", "word")) == {
        (first.pk, "invoice"), (first.pk, "reader"), (first.pk, "1"),
        (second.pk, "invoice"), (second.pk, "reader"), (second.pk, "2"),
        (third.pk, "ünder"),
    }  # fmt: skip
    labels = InstanceLabel.objects.filter(instance__in=[first, second, third])
    assert sorted(labels.values_list("instance_id", "label")) == sorted(
        [(first.pk, "team=ap"), (first.pk, "tier=1"), (third.pk, "team=ap")]
    )


def test_deciders_hear_of_each_new_instance_and_of_its_parent():
    rows = made_at_once()
    with connection.cursor() as cursor:
        cursor.execute("SELECT instance_id FROM policy_touch WHERE xid = pg_current_xact_id()")
        heard = Counter(key for (key,) in cursor.fetchall())
    assert {heard[row.pk] for row in rows} == {1}
    assert heard[rows[-1].parent_id] == 2, "of itself when it was made, and of its child"


def test_records_wait_for_their_leaves_in_the_order_of_their_writing(monkeypatch):
    monkeypatch.setattr(inserting, "BATCH", 20)
    tenant = make.tenant()
    rows = [record(tenant) for _ in range(50)]
    insert_all(rows)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT subject_id FROM evidence_pendingleaf WHERE subject_id = ANY(%s) ORDER BY id",
            [[row.pk for row in rows]],
        )
        assert [key for (key,) in cursor.fetchall()] == [row.pk for row in rows]


def test_a_second_current_interval_is_refused():
    row, now = make.instance(), clock.now()
    again = InstanceInterval(
        tenant_id=row.tenant_id,
        instance=row,
        state=row.state,
        version_id=row.version_id,
        since=now,
        known_from=now,
    )
    with pytest.raises(IntegrityError, match="one_current_interval"), transaction.atomic():
        insert_all([again])
