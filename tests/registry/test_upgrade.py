"""Whoever has a fleet takes a new version of ARM, and finds it as it was: with what the new tables are filled from."""

import os
from collections.abc import Iterator
from typing import Any
from uuid import UUID

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
    there = {"environment_id": ids["place"], "provider_id": ids["at"], "labels": "{}"}
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
    """A card of the version, and an incident about it that a person has opened and one of a rule."""
    tenant, card = {"tenant_id": ids["tenant"]}, uuid7()
    subject = {"subject_kind": "registry.agentversion", "subject_id": ids["version"]}
    insert(cursor, "evidence_artefact", id=card, kind="agent_card", state="requested", **subject, **tenant)
    about = {"version_id": ids["version"], "artefact_id": card, "kind": "agent_card"}
    insert(cursor, "registry_versionevidence", id=card, **about, **tenant)
    for kind, person in (("data_leak", ids["person"]), ("quality_regression", None)):
        said = {"kind": kind, "opened_by_id": person, "state": "open", "version_id": ids["version"]}
        insert(cursor, "telemetry_incident", id=uuid7(), **said, **subject, **tenant)


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
        cursor.execute("SELECT set_config('arm.tenants', '', false)")
    call_command("migrate", database="owner", verbosity=0)
    with connections["owner"].cursor() as cursor:
        for table in (
            "registry_dependency",
            "registry_thing",
            "registry_instanceword",
            "registry_agentinstance",
            "registry_releaseexception",
            "registry_versionevidence",
            "registry_agentversion",
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
        cursor.execute("SELECT template_id FROM registry_versionevidence")
        assert cursor.fetchall() == [(ids["agent"],)], "a card keeps the scope of its agent"
        cursor.execute("SELECT kind, harm FROM telemetry_incident ORDER BY kind")
        assert cursor.fetchall() == [("data_leak", True), ("quality_regression", False)]
        cursor.execute(
            "SELECT tgenabled FROM pg_trigger WHERE tgrelid = 'registry_versionevidence'::regclass AND tgname = 'append_only'"
        )
        assert cursor.fetchone() == ("O",), "append-only again"
        cursor.execute("SELECT word FROM registry_instanceword ORDER BY word")
        assert cursor.fetchall() == [("7",), ("desk",), ("prod",)]
