"""What only committed work shows: nothing is locked, and no transaction is open, while an agent thinks."""

import psycopg
import pytest
from django.db import connection, connections

from arm import db
from evaluation import services, tasks
from evaluation.models import Run
from tests import make
from tests.hostile import hostile


@pytest.fixture
def tenant(committed):
    return make.tenant("steps")


def test_while_an_agent_thinks_its_run_is_free_and_what_was_found_so_far_is_kept(tenant):
    seen = []

    def answer(asked):
        """In the server's thread, while the worker waits: another session looks at the run and takes it."""
        parameters = connections["default"].get_connection_params()
        plain = {
            name: parameters[name]
            for name in ("host", "port", "dbname", "user", "password")
            if name in parameters
        }
        with psycopg.connect(**plain) as other:
            other.execute("SELECT set_config('arm.tenants', %s, true)", ["{" + str(tenant.pk) + "}"])
            row = other.execute("SELECT state, done FROM evaluation_run FOR UPDATE NOWAIT").fetchone()
            idle = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE %s"
            )
            seen.append((row, other.execute(idle, ["idle in transaction%"]).fetchone()))
        return {"output": "hello"}

    alice = make.everything(make.user("alice-steps", member_of=tenant), tenant)
    version = make.version(template=make.template("steps", tenant=tenant))
    cases = [
        {"name": name, "input": 1, "scorers": [{"scorer": "contains", "field": "/output", "text": "hello"}]}
        for name in "ab"
    ]
    suite = make.suite(document=make.suite_document(*cases), tenant=tenant)
    with hostile() as agent:
        agent.answer = answer
        make.endpoint(version.template, f"{agent.url}/good")
        with db.tenants([tenant.pk]):
            services.allow_host(tenant=tenant, entry="127.0.0.1", actor=alice, reason="x")
            run = services.start_run(version=version, suite=suite, actor=alice, reason="x")
        assert not connection.in_atomic_block
        assert tasks.work_off(tenant_id=tenant.pk, run_id=str(run.pk)) == 2
    assert seen == [(("running", 0), (0,)), (("running", 1), (0,))]
    with db.tenants([tenant.pk]):
        assert Run.objects.get().state == "passed"
