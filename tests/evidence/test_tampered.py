"""Who owns the database can pass every trigger; the log then says where. And two signers are as good as one."""

from concurrent.futures import ThreadPoolExecutor
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django_q.models import OrmQ

from arm import changes, db
from arm.crypto import canonical, digest
from arm.ids import uuid7
from arm.models import ChangeRecord, Tenant
from evidence import services, tasks
from evidence.lifecycle import ArtefactState
from evidence.models import Artefact, Checkpoint, Leaf, SigningKey
from evidence.queries import findings
from evidence.services.steps import take_step
from tests import make
from tests.evidence import issuing

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture(autouse=True)
def _signer(settings):
    settings.KEY_ENCRYPTION_KEY = "of the signer alone"


def logged(count: int) -> Tenant:
    """A tenant of its own with so many records, sealed."""
    tenant = make.tenant(f"t{uuid7().hex[-12:]}")
    with db.tenants([tenant.pk]):
        for n in range(count):
            changes.record(None, "test.thing.made", tenant, reason=f"number {n}")
        services.seal_log(tenant=tenant)
    return tenant


def as_the_owner(tenant: Tenant, statement: str, table: str) -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT set_config('arm.tenants', %s, false)", [f"{{{tenant.pk}}}"])
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(statement, [tenant.pk])
        assert cursor.rowcount > 0
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


@pytest.mark.parametrize(
    ("table", "statement", "where", "what"),
    [
        ("arm_changerecord", "UPDATE {} SET reason = 'another' WHERE tenant_id = %s AND reason = 'number 3'",
         "leaf 3", "not what it was"),
        ("arm_changerecord", "DELETE FROM {} WHERE tenant_id = %s AND reason = 'number 3'", "leaf 3", "is gone"),
        ("evidence_leaf", "DELETE FROM {} WHERE tenant_id = %s AND seq = 3", "leaf 3", "is missing"),
        ("evidence_leaf", "UPDATE {} SET body = replace(body, '\"v\":1', '\"v\":2') WHERE tenant_id = %s AND seq = 3",
         "leaf 3", "hash is not that of its text"),
        ("evidence_checkpoint", "UPDATE {} SET note = overlay(note PLACING '5' FROM strpos(note, chr(10)) + 1) WHERE tenant_id = %s",
         "checkpoint 6", "does not fit"),
        ("evidence_leaf", "DELETE FROM {} WHERE tenant_id = %s AND seq = 5", "checkpoint 6", "only 5 leaves"),
    ],
)  # fmt: skip
def test_what_was_changed_behind_our_back_is_found(table: str, statement: str, where: str, what: str) -> None:
    tenant = logged(6)
    as_the_owner(tenant, statement.format(table), table)
    with db.tenants([tenant.pk]):
        found = list(findings(tenant))
    assert any(one.where == where and what in one.what for one in found), found


@pytest.mark.parametrize(
    ("statement", "where", "what"),
    [
        ("UPDATE evidence_artefactfile SET content = content || ' '::bytea WHERE tenant_id = %s AND kind = 'envelope'",
         "leaf", "not what it was"),
        ("DELETE FROM evidence_artefactfile WHERE tenant_id = %s AND kind = 'envelope'", "leaf", "is gone"),
    ],
)  # fmt: skip
def test_a_signed_document_that_was_changed_behind_our_back_is_found(
    statement: str, where: str, what: str
) -> None:
    tenant = logged(1)
    with db.tenants([tenant.pk]):
        version = make.approved(template=make.template(tenant=tenant))
        issuing.finish(make.card(version).artefact)
        assert not list(findings(tenant))
    as_the_owner(tenant, statement, "evidence_artefactfile")
    with db.tenants([tenant.pk]):
        found = list(findings(tenant))
    assert any(one.where.startswith(where) and what in one.what for one in found), found


def test_a_card_whose_stored_statement_was_exchanged_is_never_verified() -> None:
    tenant = logged(1)
    with db.tenants([tenant.pk]):
        version = make.approved(template=make.template(tenant=tenant))
        held = make.card(version)
        for step in ("signed", "rendered", "pdf_signed"):
            take_step(artefact_id=held.pk, step=ArtefactState(step))
    as_the_owner(
        tenant, "UPDATE evidence_artefactfile SET content = replace(convert_from(content, 'UTF8'), 'eyJ', 'eyI')::bytea "
        "WHERE tenant_id = %s AND kind = 'envelope'", "evidence_artefactfile",
    )  # fmt: skip
    with db.tenants([tenant.pk]):
        artefact = issuing.finish(Artefact.objects.get(pk=held.pk))
    assert (artefact.state, artefact.shown_state) == ("logged", "failed")
    assert "/signatures/0/sig: It is not what key" in artefact.problem


def test_a_record_and_its_leaf_rewritten_together_do_not_fit_the_signed_root() -> None:
    tenant = logged(6)
    with db.tenants([tenant.pk]):
        record = ChangeRecord.objects.get(tenant=tenant, reason="number 3")
        record.reason = "another"
        new = digest(canonical(record.body()))
    as_the_owner(tenant, f"UPDATE arm_changerecord SET reason = 'another', digest = '{new}' "
                 "WHERE tenant_id = %s AND reason = 'number 3'", "arm_changerecord")  # fmt: skip
    forged = f"regexp_replace(body, '[0-9a-f]{{64}}', '{new[7:]}')"
    as_the_owner(tenant, f"UPDATE evidence_leaf SET body = {forged}, hash = sha256('\\x00'::bytea || "
                 f"convert_to({forged}, 'UTF8')) WHERE tenant_id = %s AND seq = 3", "evidence_leaf")  # fmt: skip
    with db.tenants([tenant.pk]):
        found = [(one.where, one.what) for one in findings(tenant)]
    assert found == [("checkpoint 6", "Its root is not that of the leaves before it.")]


def test_signers_that_run_at_the_same_time_give_every_record_one_leaf_and_the_tenant_one_key() -> None:
    tenant = make.tenant(f"t{uuid7().hex[-12:]}")
    with db.tenants([tenant.pk]):
        for n in range(60):
            changes.record(None, "test.thing.made", tenant, reason=f"number {n}")

    def seal(_: int) -> None:
        try:
            for _ in range(4):
                with db.tenants([tenant.pk]):
                    services.sequence(tenant=tenant, limit=7)
            run(tenant)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(seal, range(4)))
    run(tenant)
    with db.tenants([tenant.pk]):
        assert list(findings(tenant)) == []
        assert SigningKey.objects.filter(tenant=tenant).count() == 1
        assert [row.seq for row in Leaf.objects.filter(tenant=tenant).order_by("seq")] == list(range(61))
        assert Checkpoint.objects.filter(tenant=tenant).first().size == 61


def run(tenant: Tenant) -> None:
    """The signer's task, as its cluster calls it."""
    with db.tenants([tenant.pk]):
        tasks.seal_log(tenant_id=tenant.pk)


def test_the_worker_asks_the_signer_once_for_each_log_that_waits_and_not_when_it_is_away(queued) -> None:
    OrmQ.objects.all().delete()
    for tenant_id in db.all_tenants():
        with db.tenants([tenant_id]):
            services.seal_log(tenant=Tenant.objects.get(pk=tenant_id))
            services.seal_log(tenant=Tenant.objects.get(pk=tenant_id))
    assert tasks.tend_logs() == "0 logs"
    tenant = make.tenant(f"t{uuid7().hex[-12:]}")
    with db.tenants([tenant.pk]):
        changes.record(None, "test.thing.made", tenant)
    assert tasks.tend_logs() == "1 logs"
    assert (queued(), OrmQ.objects.get().key) == (["evidence.tasks.seal_log"], "signer")
    for _ in range(tasks.WAITING + 5):
        tasks.tend_logs()
    assert OrmQ.objects.count() == tasks.WAITING
    OrmQ.objects.all().delete()


def test_the_command_says_what_it_checked_and_fails_where_something_does_not_fit() -> None:
    tenant, said = logged(5), StringIO()
    call_command("verify_log", tenant=tenant.slug, stdout=said)
    assert said.getvalue() == f"{tenant.slug}: 5 leaves, 0 findings\n"
    as_the_owner(tenant, "DELETE FROM evidence_leaf WHERE tenant_id = %s AND seq = 2", "evidence_leaf")
    with pytest.raises(CommandError, match="1 findings"):
        call_command("verify_log", tenant=tenant.slug, stdout=said)
    assert f"{tenant.slug}: leaf 2: It is missing: the next one is 3.\n" in said.getvalue()
    with pytest.raises(CommandError, match="no tenant “nobody”"):
        call_command("verify_log", tenant="nobody")
