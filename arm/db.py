"""The second wall: row-level security, append-only tables, and the three database roles.

`owner` migrates, `default` (the application) reads and writes rows of the tenants it has named, `ingest` may only
INSERT into partitions. Every statement here is core PostgreSQL 15.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from django.apps import apps
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import RunSQL
from django.db.migrations.operations.base import Operation

SETTING = "arm.tenants"
PLATFORM = "arm.platform"
"""Setting: while "on", lines of the security log that belong to no tenant are seen, too."""
NO_LIMITS: Mapping[str, str] = {}
PARTITIONS = "partitions"
"""Schema of every partition. The application role has no USAGE on it: it reads through the guarded parent."""


READS: Final = "SELECT"
"""`application_may` of a model whose rows are written by the ingest role or by functions of the database alone."""
KEEPS: Final = "SELECT, INSERT, UPDATE"
"""What goes for a model that says nothing: its rows stay."""
DELETES: Final = "SELECT, INSERT, UPDATE, DELETE"
"""`application_may` of a model whose rows end by being deleted; join tables need not say it."""
DELETING_APPS: Final = {"sessions", "django_q"}
"""Apps of others that delete their rows: sessions that ended, and what the outbox has worked off."""


@contextmanager
def tenants(
    ids: Iterable[uuid.UUID], using: str = "default", *, limits: Mapping[str, str] | None = None
) -> Iterator[None]:
    """A transaction that sees and writes only rows of these tenants. Nested, it narrows and then restores.

    `limits`: settings of PostgreSQL for this transaction, e.g. how long a statement may wait for a lock.
    """
    outermost = not connections[using].in_atomic_block
    with transaction.atomic(using=using):
        before = set_tenants(ids, using, limits=limits)
        yield
        if not outermost and not connections[using].needs_rollback:  # the end of a transaction takes it along
            _set(before, using)


def set_tenants(
    ids: Iterable[uuid.UUID], using: str = "default", *, limits: Mapping[str, str] | None = None
) -> str:
    """Name the tenants for the rest of the transaction; returns what the setting was. RuntimeError outside a
    transaction: it would leak to the next."""
    _inside(using)
    return _set("{" + ",".join(str(id) for id in ids) + "}", using, limits or {})


def _inside(using: str) -> None:
    if not connections[using].in_atomic_block:
        raise RuntimeError("Tenants are set for a transaction; there is none.")


def current(using: str = "default") -> str:
    """The setting as PostgreSQL holds it: '' or '{uuid,…}'."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT coalesce(current_setting(%s, true), '')", [SETTING])
        return str(cursor.fetchone()[0])


_BEFORE = "WITH was AS MATERIALIZED (SELECT coalesce(current_setting(%s, true), '') AS value)"


def _set(value: str, using: str, limits: Mapping[str, str] = NO_LIMITS) -> str:
    """In one statement: every request begins with it. Returns what was set before, read first."""
    settings = {SETTING: value, **limits}
    calls = ", ".join(["set_config(%s, %s, true)"] * len(settings))
    with connections[using].cursor() as cursor:
        parts = [SETTING, *(part for pair in settings.items() for part in pair)]
        cursor.execute(f"{_BEFORE} SELECT was.value, {calls} FROM was", parts)  # noqa: S608 - placeholders only
        return str(cursor.fetchone()[0])


ENTER: Final = """
WITH mine AS MATERIALIZED (SELECT CASE WHEN %(platform)s THEN arm_all_tenants() ELSE arm_tenants_of(%(user)s) END AS ids),
  current AS MATERIALIZED (
    SELECT ids, (SELECT id FROM unnest(ids) WITH ORDINALITY AS one (id, place) ORDER BY (id::text = %(wanted)s) DESC, place
                 LIMIT 1) AS id FROM mine
  )
SELECT ids, id, set_config(%(setting)s, '{' || coalesce(id::text, '') || '}', true),
  set_config(%(every)s, CASE WHEN %(platform)s THEN 'on' ELSE '' END, true)
FROM current
"""


def enter(user_id: uuid.UUID, wanted: str, *, platform: bool) -> tuple[list[uuid.UUID], uuid.UUID | None]:
    """For the rest of the transaction, see one tenant of a person's: `wanted` if it is still theirs, else their oldest.
    Returns all that are theirs, and it. In one statement: every request of a person begins with it. `platform`: an
    administrator of the installation, whose every tenant is, and who sees lines of the security log of no tenant.
    RuntimeError outside a transaction."""
    asked: dict[str, str | bool | uuid.UUID] = {
        "user": user_id,
        "wanted": wanted,
        "platform": platform,
        "setting": SETTING,
        "every": PLATFORM,
    }
    _inside("default")
    with connections["default"].cursor() as cursor:
        cursor.execute(ENTER, asked)
        mine, current, *_ = cursor.fetchone()
        return list(mine), current


def tenants_of(user_id: uuid.UUID) -> list[uuid.UUID]:
    """The tenants that a person or service account is an active member of, oldest first."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT arm_tenants_of(%s)", [user_id])
        return list(cursor.fetchone()[0])


def all_tenants() -> list[uuid.UUID]:
    """Every tenant's id: for jobs that go round all tenants, one transaction each."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT arm_all_tenants()")
        return list(cursor.fetchone()[0])


def failed_sign_ins(name: str, address: str | None, since: datetime) -> tuple[int, int]:
    """How many sign-ins with this name failed: from this address since its last success, and from anywhere."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT here, anywhere FROM arm_failed_sign_ins(%s, %s::inet, %s)", [name, address, since]
        )
        here, anywhere = cursor.fetchone()
        return int(here), int(anywhere)


# --- operations for migrations ---------------------------------------------------------------------------------

FUNCTIONS = RunSQL(
    """
    CREATE SCHEMA IF NOT EXISTS partitions;
    CREATE OR REPLACE FUNCTION arm_tenants() RETURNS uuid[] LANGUAGE sql STABLE PARALLEL SAFE AS
      $$ SELECT nullif(current_setting('arm.tenants', true), '')::uuid[] $$;
    CREATE OR REPLACE FUNCTION arm_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        RAISE EXCEPTION '% of % is refused: the table is append-only', TG_OP, TG_TABLE_NAME
          USING ERRCODE = 'restrict_violation';
      END $$;
    CREATE OR REPLACE FUNCTION arm_refuse_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        RAISE EXCEPTION '% of % is refused: these columns are frozen (%)', TG_OP, TG_TABLE_NAME, TG_ARGV[0]
          USING ERRCODE = 'restrict_violation';
      END $$;
    """,
    "DROP FUNCTION arm_refuse_frozen(); DROP FUNCTION arm_refuse(); DROP FUNCTION arm_tenants();",
)


def row_level_security(table: str, column: str = "tenant_id", *, force: bool = True) -> Operation:
    """Only rows whose `column` is among `arm.tenants` exist for a statement. Forced on the owner too, unless a
    SECURITY DEFINER function must look past the wall (tenants and memberships)."""
    forced = f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY;" if force else ""
    return RunSQL(
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; {forced}"
        f"CREATE POLICY tenant_wall ON {table} USING ({column} = ANY "
        f"(nullif(current_setting('{SETTING}', true), '')::uuid[]));",
        f"DROP POLICY tenant_wall ON {table}; ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY;"
        f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;",
    )


def append_only(table: str) -> Operation:
    """UPDATE, DELETE and TRUNCATE are refused by trigger, whoever asks."""
    return RunSQL(
        f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION arm_refuse();"
        f"CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION arm_refuse();"
        f"COMMENT ON TABLE {table} IS 'append-only';",
        f"DROP TRIGGER append_only ON {table}; DROP TRIGGER append_only_truncate ON {table};"
        f"COMMENT ON TABLE {table} IS NULL;",
    )


def frozen(table: str, columns: Iterable[str], *, when: str = "true", name: str = "frozen") -> Operation:
    """An UPDATE that changes one of `columns` is refused while `when` (over OLD and NEW) holds."""
    names = list(columns)
    changed = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in names)
    return RunSQL(
        f"CREATE TRIGGER {name} BEFORE UPDATE ON {table} FOR EACH ROW WHEN (({changed}) AND ({when})) "
        f"EXECUTE FUNCTION arm_refuse_frozen('{', '.join(names)}');",
        f"DROP TRIGGER {name} ON {table};",
    )


# --- roles and privileges --------------------------------------------------------------------------------------


def ensure_roles(owner: BaseDatabaseWrapper, logins: dict[str, str]) -> None:
    """Create or update the login roles {name: password}: neither superuser nor allowed past row security."""
    with owner.cursor() as cursor:
        for name, password in logins.items():
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name])
            verb = "ALTER" if cursor.fetchone() else "CREATE"
            cursor.execute(f"{verb} ROLE {_quoted(name)} LOGIN PASSWORD %s", [password])
            # Pages read few rows by index: compiling such a plan takes a hundred times longer than running it.
            cursor.execute(f"ALTER ROLE {_quoted(name)} SET jit = off")


def apply_privileges(owner: BaseDatabaseWrapper, *, app: str, ingest: str) -> None:
    """What each role may do, for tables that exist and for the partitions that the owner makes later.

    Deny by default: the application reads every table, writes those of models, and deletes only where the code of a
    model says so (`application_may`). One transaction: nobody holds more meanwhile.
    """
    app, ingest = _quoted(app), _quoted(ingest)
    with transaction.atomic(using=owner.alias), owner.cursor() as cursor:
        for statement in (
            f"GRANT USAGE ON SCHEMA public TO {app}, {ingest}",
            f"GRANT USAGE ON SCHEMA {PARTITIONS} TO {ingest}",
            f"REVOKE ALL ON SCHEMA {PARTITIONS} FROM {app}",
            f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {app}, {ingest}",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {app}",
            f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {app}",
            f"REVOKE ALL ON ALL TABLES IN SCHEMA {PARTITIONS} FROM {app}, {ingest}",
            f"GRANT INSERT ON ALL TABLES IN SCHEMA {PARTITIONS} TO {ingest}",
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA {PARTITIONS} GRANT INSERT ON TABLES TO {ingest}",
        ):
            cursor.execute(statement)
        cursor.execute(f"GRANT EXECUTE ON FUNCTION arm_failed_sign_ins(text, inet, timestamptz) TO {app}")
        for table, rights in _application_may().items():
            cursor.execute(f"GRANT {rights} ON {_quoted(table)} TO {app}")
        # whoever may call a trigger's function may hang it onto a table of his own, and writes with its rights then
        cursor.execute(
            "SELECT oid::regprocedure::text FROM pg_proc WHERE prorettype = 'trigger'::regtype"
            " AND pronamespace = 'public'::regnamespace AND proowner = current_user::regrole"
        )
        for (function,) in cursor.fetchall():
            cursor.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
            " AND obj_description(oid, 'pg_class') = 'append-only'"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(f"REVOKE UPDATE, DELETE ON {_quoted(table)} FROM {app}")


def _application_may() -> dict[str, str]:
    """Tables of models and what the application may do there, as a GRANT names it."""
    found: dict[str, str] = {}
    for model in apps.get_models(include_auto_created=True):
        ends = model._meta.auto_created or model._meta.app_label in DELETING_APPS
        found[model._meta.db_table] = getattr(model, "application_may", DELETES if ends else KEEPS)
    return found


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
