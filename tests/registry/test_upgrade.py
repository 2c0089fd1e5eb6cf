"""Whoever has a fleet takes a new version of ARM, and finds it as it was: with what the new tables are filled from."""

import os
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections

from arm.ids import uuid7
from tests.conftest import _drop, _switch

BEFORE = (("arm", "0006"), ("registry", "0008"), ("evaluation", "0002"))
FILLED = {
    "boolean": False,
    "integer": 0,
    "smallint": 0,
    "jsonb": "[]",
    "timestamp with time zone": "2026-01-01T00:00Z",
}
"""What a column is given that the test says nothing of and that must not be null; text is empty."""


def insert(cursor: Any, table: str, **said: Any) -> None:
    """A row as it was possible then, which no model of now describes."""
    cursor.execute(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = %s AND is_nullable = 'NO' AND column_default IS NULL",
        [table],
    )
    row = {name: FILLED.get(kind, "") for name, kind in cursor.fetchall()} | said
    places = ", ".join(["%s"] * len(row))
    cursor.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", list(row.values()))


def fleet(cursor: Any, ids: dict[str, UUID]) -> None:
    tenant = {"tenant_id": ids["tenant"]}
    insert(cursor, "arm_tenant", id=ids["tenant"], slug="acme", key_mode="managed")
    insert(cursor, "registry_agenttemplate", id=ids["agent"], slug="desk", risk="medium", **tenant)
    insert(cursor, "registry_genome", id=ids["genome"], template_id=ids["agent"], content=b"{}", **tenant)
    build = {"template_id": ids["agent"], "genome_id": ids["genome"], "number": 1, "state": "approved"}
    insert(cursor, "registry_agentversion", id=ids["version"], **build, **tenant)
    used = {"version_id": ids["version"], "kind": "tool", "name": "search", "detail": "{}"}
    insert(cursor, "registry_dependency", id=uuid7(), **used, **tenant)
    insert(cursor, "registry_environment", id=ids["place"], slug="prod", risk_default="medium", **tenant)
    insert(cursor, "registry_provider", id=ids["at"], slug="local", kind="local", **tenant)
    runs = {"version_id": ids["version"], "template_id": ids["agent"], "state": "active", "generation": 1}
    there = {"environment_id": ids["place"], "provider_id": ids["at"], "labels": '{"tier": "gold"}'}
    insert(
        cursor, "registry_agentinstance", id=ids["instance"], name="desk-prod-7", **runs, **there, **tenant
    )


def excepted(cursor: Any, ids: dict[str, UUID]) -> None:
    """An exception from the verified card that nobody has used, and one that somebody has."""
    tenant = {"tenant_id": ids["tenant"]}
    insert(cursor, "arm_user", id=ids["person"], username="erin", is_active=True)
    insert(
        cursor, "registry_roledefinition", id=ids["role"], slug="clerk", risk="medium", revision=1, **tenant
    )
    where = {"environment_id": ids["place"], "role_id": ids["role"], "provider_id": ids["at"]}
    insert(cursor, "registry_deploymentslot", id=ids["slot"], ordinal=1, **where, **tenant)
    about = {"slot_id": ids["slot"], "version_id": ids["version"], "granted_by_id": ids["person"]}
    until = {"until": "2026-02-01T00:00Z", "gate": "evidence verified"}
    insert(cursor, "registry_releaseexception", id=uuid7(), **about, **until, **tenant)
    used = {"used_at": "2026-01-02T00:00Z"}
    insert(cursor, "registry_releaseexception", id=uuid7(), **about, **until, **used, **tenant)


def judged(cursor: Any, ids: dict[str, UUID]) -> None:
    """A card of the version, packs of it from before and after its rollback, and incidents about it and an instance, of
    a person and of a rule."""
    tenant, card = {"tenant_id": ids["tenant"]}, uuid7()
    subject = {"subject_kind": "registry.agentversion", "subject_id": ids["version"]}
    insert(cursor, "evidence_artefact", id=card, kind="agent_card", state="requested", **subject, **tenant)
    about = {"version_id": ids["version"], "artefact_id": card, "kind": "agent_card"}
    insert(cursor, "registry_versionevidence", id=card, **about, **tenant)
    other, build = uuid7(), {"template_id": ids["agent"], "genome_id": ids["genome"], "number": 2}
    insert(cursor, "registry_agentversion", id=other, **build, state="approved", **tenant)
    went = {"slot_id": ids["slot"], "from_version_id": ids["version"], "to_version_id": other}
    moment = {"at": "2026-01-02T00:00Z", "change_id": uuid7()}
    insert(cursor, "registry_rollback", id=uuid7(), **went, **moment, **tenant)
    for day, version in ((1, ids["version"]), (3, ids["version"]), (3, other)):
        pack, done = uuid7(), {"state": "verified", "state_since": f"2026-01-0{day}T00:00Z"}
        about = {"subject_kind": "registry.agentversion", "subject_id": version}
        insert(cursor, "evidence_artefact", id=pack, kind="audit_pack", **done, **about, **tenant)
        held = {"version_id": version, "artefact_id": pack, "kind": "audit_pack"}
        insert(cursor, "registry_versionevidence", id=pack, **held, **tenant)
    for kind, person in (
        ("data_leak", ids["person"]),
        ("quality_regression", None),
        ("drift", ids["person"]),
    ):
        said = {"kind": kind, "opened_by_id": person, "state": "open", "version_id": ids["version"]}
        of = subject if kind != "drift" else {"subject_kind": "registry.agentinstance", "subject_id": uuid7()}
        insert(cursor, "telemetry_incident", id=uuid7(), severity="s1", **said, **of, **tenant)


def went_back(cursor: Any, ids: dict[str, UUID]) -> None:
    """A slot that was rolled back once, then returned by the abort of a rollout of one step, and is left with a version
    that ends."""
    tenant, reason, bad = {"tenant_id": ids["tenant"]}, "It lies", uuid7()
    build = {"template_id": ids["agent"], "genome_id": ids["genome"], "number": 9, "state": "deprecated"}
    insert(cursor, "registry_agentversion", id=bad, **build, **tenant)
    where = {"environment_id": ids["place"], "role_id": ids["role"], "version_id": bad}
    made = {"id": uuid7(), "created_by_id": ids["person"], "strategy": "all", "state": "aborted"}
    asked = {"gates": '["errors"]', "limits": '{"errors": 3.5}'}
    insert(cursor, "registry_rollout", **made, **where, **asked, **tenant)
    step = {"rollout_id": made["id"], "number": 1, "percent": 100, "batch": 1, "bake_seconds": 60}
    insert(cursor, "registry_rolloutstep", id=uuid7(), state="stopped", facts="[]", **step, **tenant)
    back = {"from_version_id": bad, "to_version_id": ids["version"], "change_id": uuid7(), "reason": reason}
    at = {"at": "2026-01-03T00:00Z", "slot_id": ids["slot"]}
    insert(cursor, "registry_rollback", id=uuid7(), **back, **at, **tenant)
    rows = [(ids["version"], None), (bad, None), (ids["version"], None)]
    rows += [(bad, made["id"]), (ids["version"], made["id"]), (bad, None)]
    for day, (version, rollout) in enumerate(rows, 1):
        since, until = f"2026-01-0{day}T00:00:01Z", f"2026-01-0{day + 1}T00:00:01Z" if day < 6 else None
        held = {
            "version_id": version,
            "rollout_id": rollout,
            "since": since,
            "until": until,
            "reason": reason,
        }
        insert(cursor, "registry_slotbinding", id=uuid7(), slot_id=ids["slot"], **held, **tenant)
    cursor.execute("UPDATE registry_deploymentslot SET current_version_id = %s", [bad])


def sent(cursor: Any, ids: dict[str, UUID]) -> None:
    """One file that was sent three times at once, and once more later on: it had been cancelled by then."""
    file = {"tenant_id": ids["tenant"], "created_by_id": ids["person"], "kind": "templates", "digest": "x"}
    for name, state, done in (("a", "checked", 0), ("b", "applying", 1), ("c", "checking", 2)):
        now = {"file_name": name, "state": state, "done": done}
        insert(cursor, "registry_tableimport", id=uuid7(), content=b"x", total=3, **now, **file)
    over = {"file_name": "d", "state": "cancelled", "total": 3, "content": b"x"}
    insert(cursor, "registry_tableimport", id=uuid7(), **over, **file)


@pytest.fixture
def empty(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """A database without a table, behind the owner's alias."""
    name = f"armtest_{os.getpid()}_upgrade"
    with django_db_blocker.unblock():
        home = connections["owner"].settings_dict["NAME"]
        with connections["owner"].cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        _switch("owner", name)
        try:
            yield
        finally:
            _switch("owner", home)
            _drop(name)
            connections["owner"].close()


def test_a_fleet_of_before_is_found_by_what_it_uses_and_by_its_words(empty: None) -> None:
    for app, migration in BEFORE:
        call_command("migrate", app, migration, database="owner", verbosity=0)
    names = ("tenant", "agent", "genome", "version", "place", "at", "instance", "person", "role", "slot")
    ids = {name: uuid7() for name in names}
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT set_config('arm.tenants', %s, false)", [f"{{{ids['tenant']}}}"])
        fleet(cursor, ids)
        cursor.execute("SELECT set_config('arm.tenants', '', false)")
    call_command("migrate", "registry", "0015", database="owner", verbosity=0)
    call_command("migrate", "telemetry", "0008", database="owner", verbosity=0)
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT set_config('arm.tenants', %s, false)", [f"{{{ids['tenant']}}}"])
        excepted(cursor, ids)
        judged(cursor, ids)
        went_back(cursor, ids)
        sent(cursor, ids)
        cursor.execute("SELECT set_config('arm.tenants', '', false)")
    call_command("migrate", database="owner", verbosity=0)
    with connections["owner"].cursor() as cursor:
        for table in (
            "registry_dependency",
            "registry_thing",
            "registry_instanceword",
            "registry_instancelabel",
            "registry_livecount",
            "registry_agentinstance",
            "registry_releaseexception",
            "registry_versionevidence",
            "registry_agentversion",
            "registry_slotbinding",
            "registry_deploymentslot",
            "registry_rollback",
            "registry_rollout",
            "registry_rolloutstep",
            "registry_tableimport",
            "telemetry_incident",
        ):
            cursor.execute("SELECT relforcerowsecurity FROM pg_class WHERE oid = %s::regclass", [table])
            assert cursor.fetchone() == (True,), table
            cursor.execute(f"SELECT count(*) FROM {table}")
            assert cursor.fetchone() == (0,), f"{table} stands behind the wall"
        cursor.execute("SELECT set_config('arm.tenants', %s, false)", [f"{{{ids['tenant']}}}"])
        cursor.execute("SELECT template_id FROM registry_dependency")
        assert cursor.fetchall() == [(ids["agent"],)]
        cursor.execute("SELECT kind, name FROM registry_thing")
        assert cursor.fetchall() == [("tool", "search")]
        cursor.execute(
            "SELECT used_at IS NULL, withdrawn_at IS NULL FROM registry_releaseexception ORDER BY 1"
        )
        assert cursor.fetchall() == [(False, True), (True, False)], "what nobody has used ends"
        cursor.execute("SELECT kind, template_id FROM registry_versionevidence ORDER BY id")
        scopes = [("agent_card", ids["agent"]), ("audit_pack", ids["agent"]), *[("audit_pack", None)] * 2]
        assert cursor.fetchall() == scopes, "of the agent, unless a pack tells of a rollback"
        cursor.execute("SELECT gates, limits, bake_seconds FROM registry_rolloutstep")
        assert cursor.fetchall() == [('["errors"]', '{"errors": 3.5}', 60)], (
            "what its rollout was planned with"
        )
        cursor.execute("SELECT kind, harm, vouched FROM telemetry_incident ORDER BY kind")
        heard = [("data_leak", True, "s1"), ("drift", False, ""), ("quality_regression", False, "s1")]
        assert cursor.fetchall() == heard, "of one instance a person does not speak for the version"
        cursor.execute(
            "SELECT tgenabled FROM pg_trigger WHERE tgrelid = 'registry_versionevidence'::regclass AND tgname = 'append_only'"
        )
        assert cursor.fetchone() == ("O",), "append-only again"
        cursor.execute("SELECT returned FROM registry_slotbinding ORDER BY since")
        assert [row[0] for row in cursor.fetchall()] == [False, False, True, False, True, False]
        cursor.execute(
            "SELECT rebind_by > now() + interval '13 days' FROM registry_agentversion WHERE number IN (1, 9) ORDER BY number"
        )
        assert cursor.fetchall() == [(None,), (True,)], "what a slot still binds has a due date"
        cursor.execute("SELECT number, repeats FROM registry_agentversion ORDER BY number")
        assert cursor.fetchall() == [(1, False), (2, True), (9, True)], "the first has the genome"
        cursor.execute(
            "SELECT file_name, state, finished_at IS NULL FROM registry_tableimport ORDER BY file_name"
        )
        over = [("a", "cancelled", False), ("b", "applying", True), ("c", "cancelled", False)]
        assert cursor.fetchall() == [*over, ("d", "cancelled", True)], "one goes on: the farthest"
        cursor.execute("SELECT word FROM registry_instanceword ORDER BY word")
        assert cursor.fetchall() == [("7",), ("desk",), ("prod",)]
        cursor.execute("SELECT label, instance_id FROM registry_instancelabel")
        assert cursor.fetchall() == [("tier=gold", ids["instance"])]
        cursor.execute(
            "SELECT version_id, environment_id, state FROM registry_agentinstance WHERE state <> 'retired'"
        )
        ((version, place, _),) = cursor.fetchall()
        cursor.execute("SELECT version_id, places, counts, live FROM registry_livecount")
        there = [(version, [place], [1], 1)]
        assert cursor.fetchall() == there, "counted from the first day"
    call_command("migrate", "registry", "0037", database="owner", verbosity=0)
    with psycopg.connect(**connections["owner"].get_connection_params()) as reader:
        reader.execute("SELECT count(*) FROM registry_agentinstance")  # and looks on: its transaction is open
        with connections["owner"].cursor() as cursor:
            cursor.execute("SET lock_timeout = '5s'")
        call_command("migrate", "registry", database="owner", verbosity=0)
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT version_id, places, counts, live FROM registry_livecount")
        assert cursor.fetchall() == there, "counted while somebody reads"
