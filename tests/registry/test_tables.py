"""A table that somebody sends is judged row by row, stores nothing before it is applied, and applies each row once."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, transaction
from django.test import Client

from arm import changes
from arm.errors import Conflict, NotAllowed
from arm.grants import grant_models
from arm.models import ChangeRecord, Membership, Tenant, User
from arm.rights import Right
from registry import services
from registry.lifecycle import ImportState
from registry.models import AgentInstance, AgentTemplate, TableImport
from registry.protocol.sheet import read_sheet
from registry.tasks import wake_stalled_tables, work_off_table
from tests import make
from tests.registry.sending_tables import AGENTS, INSTANCES, TEMPLATES, apply, long_table, send

pytestmark = pytest.mark.django_db
ROW = "version,environment,provider,name\na@1,dev,local,x\n"


@pytest.fixture
def page(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


# --- judging and applying ------------------------------------------------------------------------------------


def test_a_table_is_judged_at_once_and_stores_nothing_before_it_is_applied(acme: Tenant, alice: User) -> None:
    make.template("b", name="B")
    table = send(acme, alice, AGENTS)
    assert (table.state, table.plan, table.bad, table.total) == (ImportState.CHECKED, "cs", 0, 2)
    assert AgentTemplate.objects.count() == 1
    done = apply(table, alice)
    assert (done.state, done.done) == (ImportState.APPLIED, 2)
    made = AgentTemplate.objects.get(slug="a")
    assert (made.risk, made.tags, made.ownerships.get().user) == ("high", ["x", "y"], alice)
    record = ChangeRecord.objects.get(verb="registry.template.registered")
    assert (record.target_id, record.actor_id, record.reason) == (made.pk, alice.pk, "the new agents")


def test_instances_come_from_a_table_too(acme: Tenant, alice: User) -> None:
    make.approved(template=make.template("invoices"))
    make.environment("dev")
    make.provider("local")
    text = 'version;environment;provider;name;labels\ninvoices@1;dev;local;i-1;"team=red, site=eu"\n'
    apply(send(acme, alice, text, INSTANCES), alice)
    assert AgentInstance.objects.get().labels == {"team": "red", "site": "eu"}
    assert ChangeRecord.objects.filter(verb="registry.instance.provisioned").count() == 1


def test_a_table_names_the_slots_of_its_instances(acme: Tenant, alice: User) -> None:
    make.approved(template=make.template("invoices"))
    slot = make.slot(
        environment=make.environment("dev"), role=make.role("clerk"), provider=make.provider("local")
    )
    text = "version,environment,provider,name,role,slot\ninvoices@1,dev,local,i-1,clerk,1\n"
    apply(send(acme, alice, f"{text}invoices@1,dev,local,i-2,,{slot.typeid}\n", INSTANCES), alice)
    assert [one.slot for one in AgentInstance.objects.all()] == [slot, slot]
    wrong = send(acme, alice, text.replace(",1\n", ",2\n"), INSTANCES)
    assert [(p["pointer"], p["code"]) for p in wrong.problems] == [("/rows/0/slot", "unknown")]


def test_the_records_of_rows_that_a_worker_applies_say_what_their_sender_came_with(
    acme: Tenant, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.services.tables.AT_ONCE", 2)
    monkeypatch.setattr("registry.services.tables._enqueue", lambda table: None)
    sent = send(acme, alice, "slug,name\na,A\nb,B\nc,C\n")
    work_off_table(tenant_id=acme.pk, table_id=str(sent.pk))
    sent.refresh_from_db()
    token = changes.credential.set("key_of_alice")
    try:
        apply(sent, alice)
    finally:
        changes.credential.reset(token)
    work_off_table(tenant_id=acme.pk, table_id=str(sent.pk))
    records = ChangeRecord.objects.filter(verb="registry.template.registered")
    assert [record.credential for record in records] == ["key_of_alice"] * 3
    assert changes.credential.get() == ""


def test_every_mistake_is_named_with_its_row_and_column_and_nothing_can_be_applied(
    acme: Tenant, alice: User, page: Client
) -> None:
    table = send(acme, alice, "slug,name,risk,owners\na,A,,\nb,,none,\nc,C,,nobody\nd,D\na,A,,\n")
    assert (table.state, table.plan, table.bad) == (ImportState.REFUSED, "c!!!!", 4)
    assert {p["pointer"] for p in table.problems} == {
        "/rows/1/name", "/rows/1/risk", "/rows/2/owners", "/rows/3", "/rows/4/slug",
    }  # fmt: skip
    with pytest.raises(Conflict):
        apply(table, alice)
    text = page.get(table.get_absolute_url()).content.decode()
    assert "There is no such member: nobody." in text and "Apply" not in text.partition("<main")[2]
    report = list(
        csv.DictReader(io.StringIO(page.get(f"{table.get_absolute_url()}report.csv").content.decode()))
    )
    assert [(line["line"], line["column"]) for line in report] == [
        ("3", "name"), ("3", "risk"), ("4", "owners"), ("5", ""), ("6", "slug"),
    ]  # fmt: skip
    assert not AgentTemplate.objects.exists()


def test_a_long_table_is_judged_and_applied_in_the_background_and_each_row_once(
    acme: Tenant, alice: User, work_off: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.services.tables.AT_ONCE", 4)
    table = send(acme, alice, long_table(10))
    assert (table.state, table.done, table.plan) == (ImportState.CHECKING, 0, "")
    work_off()
    table.refresh_from_db()
    assert (table.state, table.plan) == (ImportState.CHECKED, "c" * 10)
    table = apply(table, alice)
    assert (table.state, table.done) == (ImportState.APPLYING, 0)
    work_off()
    table.refresh_from_db()
    assert (table.state, table.done) == (ImportState.APPLIED, 10)
    assert AgentTemplate.objects.count() == 10
    assert work_off_table(tenant_id=acme.pk, table_id=str(table.pk)) == 0  # the queue may say it twice
    assert ChangeRecord.objects.filter(verb="registry.template.registered").count() == 10


def test_after_a_killed_worker_the_next_one_goes_on_behind_what_is_stored(
    acme: Tenant, alice: User, queued: Any, work_off: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.services.tables.AT_ONCE", 4)
    table = send(acme, alice, long_table(10))
    work_off()
    table.refresh_from_db()
    table = apply(table, alice)
    sheet = read_sheet(bytes(table.content), table.kind)
    first = services.next_step(table)
    assert first is not None
    second = services.take_table_step(table_id=table.pk, sheet=sheet, step=first)
    assert second is not None and AgentTemplate.objects.count() == 4  # and here the worker is killed

    def killed(*args: Any, **kw: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), transaction.atomic(), monkeypatch.context() as patch:
        patch.setattr("registry.services.tables.next_step", lambda t: second if t.done == 4 else killed())
        services.take_table_step(table_id=table.pk, sheet=sheet, step=second)
    assert AgentTemplate.objects.count() == 4  # what it had begun is undone with it
    assert services.take_table_step(table_id=table.pk, sheet=sheet, step=first) is None  # taken already
    from_queue = len(queued())
    assert wake_stalled_tables(tenant_id=acme.pk) == 0
    monkeypatch.setattr("registry.services.tables.STALLED", timedelta(0))
    assert wake_stalled_tables(tenant_id=acme.pk) == 1 and len(queued()) == from_queue + 1
    work_off()
    table.refresh_from_db()
    assert (table.state, AgentTemplate.objects.count()) == (ImportState.APPLIED, 10)
    assert ChangeRecord.objects.filter(verb="registry.template.registered").count() == 10


def test_what_has_become_wrong_meanwhile_stops_the_table_and_it_goes_on_once_that_is_mended(
    acme: Tenant, alice: User
) -> None:
    bob = make.user("bob", member_of=acme)
    table = send(acme, alice, "slug,name,owners\na,A,bob\n")
    membership = bob.memberships.get()
    Membership.objects.filter(pk=membership.pk).update(active=False)
    stopped = apply(table, alice)
    assert (stopped.state, stopped.done) == (ImportState.FAILED, 0)
    assert [p["pointer"] for p in stopped.problems] == ["/rows/0/owners"]
    assert not AgentTemplate.objects.exists()
    Membership.objects.filter(pk=membership.pk).update(active=True)
    assert apply(stopped, alice).state == ImportState.APPLIED


def test_what_a_service_refuses_stops_the_table_instead_of_being_tried_for_ever(
    acme: Tenant, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.template("a", name="Old")
    table = send(acme, alice, "slug,name\na,A\nb,B\n")

    def refuses(**kw: Any) -> None:
        raise Conflict("Not today.")

    with monkeypatch.context() as patch:
        patch.setattr("registry.services.bulk_templates.update_template", refuses)
        stopped = apply(table, alice)
    assert (stopped.state, stopped.done, stopped.problems[0]["message"]) == (
        ImportState.FAILED,
        0,
        "Not today.",
    )
    assert list(AgentTemplate.objects.values_list("name", flat=True)) == ["Old"]  # b was undone with it
    assert apply(stopped, alice).state == ImportState.APPLIED


BAD_LABELS = (
    '{"team":"red","team":"blue"}', '{"a":"\\u0000"}', '{"a":"\\ud800"}', "team=red, team=blue, =x", "=x",
    '{"":"x"}', '{"a":1}', '{"a":"b"', "{]", "no pair",
)  # fmt: skip
BAD_WORDS = (r'["\u0000"]', r'["\ud800"]', '["a", ""]', "[1]", '[{"a":1,"a":2}]', '["a"')


def one_row(**cells: str) -> bytes:
    held = io.StringIO(newline="")
    csv.writer(held).writerows([list(cells), list(cells.values())])
    return held.getvalue().encode()


@pytest.mark.parametrize(
    ("kind", "column", "cell"),
    [("instances", "labels", cell) for cell in BAD_LABELS]
    + [("templates", column, cell) for column in ("tags", "owners") for cell in BAD_WORDS],
)
def test_a_cell_that_says_what_no_request_may_is_refused_at_its_place(
    acme: Tenant, alice: User, page: Client, kind: str, column: str, cell: str
) -> None:
    if kind == "instances":
        make.version(template=make.template("invoices")), make.environment("dev"), make.provider("local")
        cells = {"version": "invoices@1", "environment": "dev", "provider": "local", "name": "i"}
    else:
        cells = {"slug": "a", "name": "A"}
    data = one_row(**cells, **{column: cell})
    api = "/api/v1/registry/table-imports/"
    sent = page.post(api, {"kind": kind, "file": SimpleUploadedFile("t.csv", data)})
    assert (sent.status_code, sent.json()["state"]) == (201, "refused")
    table = TableImport.objects.get()
    assert [problem["pointer"] for problem in table.problems] == [f"/rows/0/{column}"]
    shown = page.get(table.get_absolute_url()).content.decode()
    assert column in shown and "Apply" not in shown.partition("<main")[2]
    by_page = page.post("/registry/imports/new/", {"kind": kind, "file": SimpleUploadedFile("t.csv", data)})
    assert by_page.status_code == 302
    assert [one.state for one in TableImport.objects.all()] == [ImportState.REFUSED] * 2
    assert not AgentInstance.objects.exists() and not AgentTemplate.objects.filter(slug="a").exists()


def test_an_empty_list_in_a_cell_is_no_tag() -> None:
    (row,) = read_sheet(one_row(slug="a", name="A", tags="[]"), "templates").read.rows
    assert row.tags == []


@pytest.mark.parametrize("door", ["judge_templates", "store_templates"])
def test_what_nobody_has_foreseen_ends_a_long_table_with_words(
    acme: Tenant, alice: User, work_off: Any, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    monkeypatch.setattr("registry.services.tables.AT_ONCE", 4)

    def breaks(*args: Any, **kw: Any) -> None:
        with transaction.atomic():
            AgentTemplate.objects.create(tenant=acme, slug="half", name="\0")

    table = send(acme, alice, long_table(6))
    if door == "store_templates":
        work_off()
        table.refresh_from_db()
        table = apply(table, alice)
    with monkeypatch.context() as patch:
        patch.setattr(f"registry.services.tables.{door}", breaks)
        work_off()
    table.refresh_from_db()
    over = ImportState.REFUSED if door == "judge_templates" else ImportState.FAILED
    assert table.state == over and table.problems[0]["pointer"] == "/rows/0"
    assert "nothing of them is stored" in table.problems[0]["message"]
    monkeypatch.setattr("registry.services.tables.STALLED", timedelta(0))
    assert wake_stalled_tables(tenant_id=acme.pk) == 0 and not AgentTemplate.objects.exists()
    if over == ImportState.FAILED:  # mended, it goes on where it has stopped
        table = apply(table, alice)
        work_off()
        table.refresh_from_db()
        assert table.state == ImportState.APPLIED


def test_a_table_that_is_cancelled_on_its_way_goes_no_further(
    acme: Tenant, alice: User, work_off: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.services.tables.AT_ONCE", 4)
    table = send(acme, alice, long_table(10))
    work_off()
    table.refresh_from_db()
    table = apply(table, alice)
    sheet = read_sheet(bytes(table.content), table.kind)
    step = services.next_step(table)
    assert step is not None
    following = services.take_table_step(table_id=table.pk, sheet=sheet, step=step)
    assert following is not None
    services.cancel_table(table=table, actor=alice, reason="the wrong file")
    assert services.take_table_step(table_id=table.pk, sheet=sheet, step=following) is None
    work_off()
    table.refresh_from_db()
    assert (table.state, table.done, AgentTemplate.objects.count()) == (ImportState.CANCELLED, 4, 4)


def test_rights_are_asked_when_it_is_sent_when_it_is_judged_and_when_it_is_applied(acme: Tenant) -> None:
    bob = make.user("bob", member_of=acme)
    make.grant(bob, acme, Right.READ_DIRECTORY)
    for text, kind in ((AGENTS, TEMPLATES), (long_table(600), TEMPLATES), (ROW, INSTANCES)):
        with pytest.raises(NotAllowed, match="nowhere here"):
            send(acme, bob, text, kind)
    assert not TableImport.objects.exists()
    own = make.template("own", name="Own")
    make.grant(bob, own, Right.CREATE_VERSION)
    table = send(acme, bob, AGENTS.replace(",alice", ","))
    assert table.state == ImportState.REFUSED
    assert {p["code"] for p in table.problems} == {"not_allowed"}
    ready = send(acme, bob, "slug,name\nown,Mine\n")
    for grants in (one for one in grant_models() if hasattr(one, "user")):
        grants.objects.filter(user=bob, permission__codename=Right.CREATE_VERSION.value).delete()
    with pytest.raises(NotAllowed, match="nowhere here"):
        apply(ready, bob)
    own.refresh_from_db()
    ready.refresh_from_db()
    assert (own.name, ready.state) == ("Own", ImportState.CHECKED)
    mallory = make.user("mallory", member_of=acme)
    with pytest.raises(NotAllowed):
        send(acme, mallory, AGENTS)


def test_only_who_sent_a_table_applies_it_and_who_manages_the_directory_may_cancel_it(
    acme: Tenant, alice: User
) -> None:
    bob = make.user("bob", member_of=acme)
    make.grant(bob, acme, Right.READ_DIRECTORY, Right.CREATE_VERSION)
    table = send(acme, alice, AGENTS)
    with pytest.raises(NotAllowed, match="alice has sent this table"):
        apply(table, bob)
    with pytest.raises(NotAllowed):
        services.cancel_table(table=table, actor=bob, reason="mine")
    done = services.cancel_table(table=table, actor=alice, reason="a mistake")
    assert done.state == ImportState.CANCELLED
    with pytest.raises(Conflict):
        apply(done, alice)


def test_the_very_file_is_not_applied_twice(acme: Tenant, alice: User) -> None:
    table = apply(send(acme, alice, AGENTS), alice)
    with pytest.raises(services.Duplicate) as held:
        send(acme, alice, AGENTS)
    assert held.value.existing == table
    again = send(acme, alice, AGENTS.replace("A,high", "A,low"))
    assert again.plan == "us"


def test_what_was_sent_cannot_be_exchanged_afterwards(acme: Tenant, alice: User) -> None:
    table = send(acme, alice, AGENTS)
    with pytest.raises(DatabaseError), transaction.atomic():
        TableImport.objects.filter(pk=table.pk).update(content=b"slug,name\nevil,Evil\n")
