"""A real database per worker with the three real roles, and the fixtures that every test may use."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("ARM_ROLE_PREFIX", "armtest")  # a `./run` beside the tests keeps its own logins
os.environ.setdefault("ARM_PRODUCTION", "0")
os.environ.setdefault("ARM_LOG_LEVEL", "WARNING")

import psycopg
import pytest
from django.db import DatabaseError, connections
from django_q.models import OrmQ
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis

from arm.grants import grant_models, scope_models
from arm.management.commands.prepare import prepare
from tests import make
from tests.keeping import keep_connections
from tests.measuring import pytest_sessionstart, unwatched  # noqa: F401 - the first is a hook

ROOT = Path(__file__).parent.parent
# A busy machine makes slow inputs and slow examples; what they say about the code is the same.
hypothesis.register_profile("arm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis.load_profile("arm")
keep_connections()


def _fingerprint() -> str:
    """Of every migration and what prepares a database: a template database is good for as long as this holds."""
    seen = hashlib.sha256(os.environ["ARM_ROLE_PREFIX"].encode())  # its roles hold the privileges
    more = (
        ROOT / "arm/db.py",
        ROOT / "arm/grants.py",
        ROOT / "arm/keys.py",
        ROOT / "arm/settings.py",
        ROOT / "arm/plugged.py",
        Path(__file__),
    )
    for path in sorted(
        [*ROOT.glob("*/migrations/*.py"), *ROOT.glob("*/models*/**/*.py"), *ROOT.glob("*/models.py"), *more]
    ):
        seen.update(path.read_bytes())
    return seen.hexdigest()[:12]


WRITE_AS_OWNER = """
CREATE FUNCTION tests_write(statement text) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE made bigint;
BEGIN
  IF statement ~ ' RETURNING ' THEN EXECUTE statement INTO made; ELSE EXECUTE statement; END IF;
  RETURN made;
END $$
"""
"""In databases of tests alone, for `make.as_the_owner`: rows that the application may only read."""
TEMPLATE = f"armtest_template_{_fingerprint()}"
"""Of the code as this run began: an edit meanwhile is the next run's."""


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Bytes may hold random ids or the time: named by their argument, so that all workers collect the same tests."""
    return argname if isinstance(val, bytes) else None


LONGEST = (
    "tests/processes/",
    "tests/test_architecture.py",
    "tests/test_api_fuzzed.py",
    "tests/policy/test_demo.py",
    "tests/arm/test_demo.py",
    "tests/browser/",
)
"""Files that take minutes are begun first: whoever begins one last works on it while the others have finished."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(
        key=lambda item: next(
            (n for n, name in enumerate(LONGEST) if item.nodeid.startswith(name)), len(LONGEST)
        )
    )


_watch: list[psycopg.Connection[Any]] = []
"""This worker's own look at its database, from outside of every test's transaction."""


@pytest.fixture(scope="module", autouse=True)
def _leaves_nothing() -> Iterator[None]:
    """What a test commits outside of `committed` is another test's riddle: it is named where it happens."""
    yield
    if _watch:
        left = _watch[0].execute("SELECT slug FROM arm_tenant").fetchall()
        assert not left, f"a test here has left the tenants {left}: it must ask for `committed`"


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """Migrate a template database once per fingerprint, then copy it for this worker."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "solo")
    mine = f"armtest_{os.getpid()}_{worker}"
    with django_db_blocker.unblock():
        owner = connections["owner"]
        home = owner.settings_dict["NAME"]
        # The lock has a session of its own: switching databases below closes Django's.
        lock = psycopg.connect(**owner.get_connection_params(), autocommit=True)
        lock.execute("SELECT pg_advisory_lock(7265702)")
        # Held until this run ends: another run, of other code, drops the templates that nobody holds.
        lock.execute("SELECT pg_advisory_lock_shared(7265703, hashtext(%s))", [TEMPLATE])
        with owner.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [TEMPLATE])
            fresh = cursor.fetchone() is None
            if fresh:
                cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE 'armtest\\_template\\_%'")
                for (stale,) in cursor.fetchall():
                    if _nobody_holds(stale, cursor):
                        cursor.execute(f"DROP DATABASE {stale} WITH (FORCE)")
                cursor.execute(f"CREATE DATABASE {TEMPLATE}_making")
        if fresh:
            _switch("owner", f"{TEMPLATE}_making")
            with unwatched():
                prepare("owner", verbosity=0)
            with connections["owner"].cursor() as cursor:
                cursor.execute(WRITE_AS_OWNER)
            _switch("owner", home)
            with connections["owner"].cursor() as cursor:
                cursor.execute(f"ALTER DATABASE {TEMPLATE}_making RENAME TO {TEMPLATE}")
        with connections["owner"].cursor() as cursor:
            _copy(mine, cursor)
        lock.execute("SELECT pg_advisory_unlock(7265702)")
        for alias in ("owner", "default", "ingest"):
            _switch(alias, mine)
        _watch.append(psycopg.connect(**connections["owner"].get_connection_params(), autocommit=True))
    yield
    lock.close()
    _watch.pop().close()
    with django_db_blocker.unblock():
        for alias in ("owner", "default", "ingest"):
            _switch(alias, home)
        _drop(mine)
        for connection in connections.all():
            connection.close()


def _nobody_holds(template: str, cursor: Any) -> bool:
    cursor.execute("SELECT pg_try_advisory_xact_lock(7265703, hashtext(%s))", [template])
    return bool(cursor.fetchone()[0])


def _copy(name: str, cursor: Any) -> None:
    """By the pages through the log, or by the files and a checkpoint: quick where that waits for no disk."""
    cursor.execute("SHOW fsync")
    strategy = "WAL_LOG" if cursor.fetchone()[0] == "on" else "FILE_COPY"
    cursor.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY {strategy}")


def _switch(alias: str, name: str) -> None:
    connections[alias].close()
    connections[alias].settings_dict["NAME"] = name
    connections.settings[alias]["NAME"] = name


def _drop(name: str, patience: float = 20) -> None:
    """A server's last threads and the autovacuum are not the owner's to end: they are waited for."""
    until = time.monotonic() + patience
    while True:
        try:
            with connections["owner"].cursor() as cursor:
                cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
            return
        except DatabaseError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


@pytest.fixture(scope="module")
def _own_database(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    name = f"armtest_{os.getpid()}_{os.environ.get('PYTEST_XDIST_WORKER', 'solo')}_committed"
    with django_db_blocker.unblock():
        home = connections["owner"].settings_dict["NAME"]
        with connections["owner"].cursor() as cursor:
            _copy(name, cursor)
        for alias in ("owner", "default", "ingest"):
            _switch(alias, name)
    yield
    with django_db_blocker.unblock():
        for alias in ("owner", "default", "ingest"):
            _switch(alias, home)
        _drop(name)
        connections["owner"].close()


@pytest.fixture
def committed(_own_database: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """For tests whose work must commit, so that other connections, threads and processes see it.

    Instead of the `django_db` mark: the module gets a database of its own, thrown away at its end (append-only
    tables refuse to be emptied). Tests keep apart by making tenants and people of their own names.
    """
    with django_db_blocker.unblock():
        yield
        for connection in connections.all():
            connection.close()


@pytest.fixture(autouse=True)
def _fresh_caches() -> Iterator[None]:
    make.forget()
    grant_models.cache_clear()
    scope_models.cache_clear()
    yield


@pytest.fixture
def queued() -> Callable[[], list[str]]:
    """The dotted paths that the outbox holds, in order."""
    return lambda: [row.task["kwargs"].get("path", row.task["func"]) for row in OrmQ.objects.order_by("pk")]


@pytest.fixture
def work_off(queued: Callable[[], list[str]]) -> Callable[[], int]:
    """Run what the outbox holds, as the worker would, and empty it. Returns how many tasks ran."""

    def run() -> int:
        done = 0
        while row := OrmQ.objects.order_by("pk").first():
            task = row.task
            row.delete()
            call = task["func"]
            db_path, _, name = call.rpartition(".")
            module = __import__(db_path, fromlist=[name])
            getattr(module, name)(*task.get("args", ()), **task.get("kwargs", {}))
            done += 1
        return done

    return run
