"""A table that somebody sends is judged row by row, stores nothing before it is applied, and applies each row once."""

import csv
import gzip
import io
import zipfile
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, transaction
from django.test import Client

from arm.errors import Conflict, DomainError, Invalid, NotAllowed
from arm.models import ChangeRecord, Membership, Tenant, User
from arm.rights import Right
from registry import services
from registry.lifecycle import ImportState
from registry.models import AgentInstance, AgentTemplate, TableImport
from registry.protocol.sheet import read_sheet
from registry.tasks import wake_stalled_tables, work_off_table
from tests import make

pytestmark = pytest.mark.django_db
TEMPLATES, INSTANCES = TableImport.Kind.TEMPLATES, TableImport.Kind.INSTANCES
AGENTS = "slug,name,risk,tags,owners\na,A,high,x y,alice\nb,B,,,\n"


@pytest.fixture
def acme() -> Tenant:
    return make.tenant("acme")


@pytest.fixture
def alice(acme: Tenant) -> User:
    return make.everything(make.user("alice", member_of=acme), acme)


@pytest.fixture
def page(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def send(tenant: Tenant, actor: User, text: str | bytes, kind: TableImport.Kind = TEMPLATES) -> TableImport:
    data = text.encode() if isinstance(text, str) else text
    return services.send_table(tenant=tenant, kind=kind, file_name="t.csv", data=data, actor=actor)


def apply(table: TableImport, actor: User) -> TableImport:
    return services.apply_table(table=table, actor=actor, reason="the new agents")


# --- reading -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"slug,name,description\na,A,two\r\n",
        b"\xef\xbb\xbfslug;name;description\r\na;A;two\r\n",
        b"slug\tname\tdescription\na\tA\ttwo",
        b'"Slug","Name","Description"\n"a","A","two"\n\n',
        b"name,SLUG,description,id,Created\nA,a,two,tpl_x,2026",
    ],
)
def test_a_table_is_read_as_spreadsheets_write_it(data: bytes) -> None:
    sheet = read_sheet(data, "templates")
    (row,) = sheet.read.rows
    assert (row.slug, row.name, row.description, row.tags, sheet.lines) == ("a", "A", "two", None, [2])


def test_line_breaks_in_quotes_and_blank_lines_do_not_confuse_the_lines() -> None:
    sheet = read_sheet(b'slug,name,description\na,A,"one\ntwo; three"\n\n,,\nb,B,\nc,,\n', "templates")
    assert [row.description for row in sheet.read.rows] == ["one\ntwo; three", None]
    assert sheet.lines == [2, 6, 7]
    assert [problem["pointer"] for problem in sheet.read.problems] == ["/rows/2/name"]


def test_what_our_own_files_escape_is_read_as_it_was() -> None:
    (row,) = read_sheet(b"slug,name,tags\na,'=cmd|x,p q\n", "templates").read.rows
    assert (row.name, row.tags) == ("=cmd|x", ["p", "q"])


def zipped() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sheet.xml", b"0" * 1_000_000)
    return held.getvalue()


BAD = {
    "zip": (zipped(), "packed (ZIP"),
    "gzip": (gzip.compress(b"slug,name\na,A\n"), "packed (gzip)"),
    "utf-16": ("slug,name\na,A\n".encode("utf-16"), "UTF-16"),
    "latin-1": ("slug,name\na,Ä\n".encode("latin-1"), "Line 2 is not UTF-8"),
    "NUL": (b"slug,name\na,\0\n", "bytes that are no text"),
    "open quote": (b'slug,name\na,"A\n', "no closing quote"),
    "after quote": (b'slug,name\na,"A"x\n', "after its closing quote"),
    "huge cell": (b"slug,name\na," + b"x" * 200_000 + b"\n", "131,072 characters"),
    "no rows": (b"slug,name\n", "no rows"),
    "nothing": (b"", "“slug” is missing"),
    "unknown column": (b"slug,name,colour\na,A,red\n", "no column “colour”"),
    "column twice": (b"slug,name,name\na,A,A\n", "comes twice"),
    "no name": (b"slug\na\n", "“name” is missing"),
    "JSON": (b'[{"slug": "a"}]', "There is no column"),
}


def said(refusal: DomainError) -> str:
    errors: Any = refusal.extra.get("errors", ())
    return " ".join([refusal.message, *(problem["message"] for problem in errors)])


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_such_table_is_named_by_service_api_and_page_and_not_kept(
    case: str, acme: Tenant, alice: User, page: Client
) -> None:
    data, words = BAD[case]
    with pytest.raises(Invalid) as refused:
        send(acme, alice, data)
    assert words in said(refused.value)
    if data:
        form = {"kind": "templates", "file": SimpleUploadedFile("t.csv", data)}
        answer = page.post("/registry/imports/new/", form)
        assert answer.status_code == 422 and words in answer.content.decode()
        form = {"kind": "templates", "file": SimpleUploadedFile("t.csv", data)}
        api = page.post("/api/v1/registry/table-imports/", form)
        assert api.status_code == 422 and words in " ".join(p["message"] for p in api.json()["errors"])
    assert not TableImport.objects.exists()


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


def long_table(rows: int) -> str:
    return "slug,name\n" + "".join(f"agent-{n},Agent {n}\n" for n in range(rows))


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
        patch.setattr("registry.services.bulk.update_template", refuses)
        stopped = apply(table, alice)
    assert (stopped.state, stopped.done, stopped.problems[0]["message"]) == (
        ImportState.FAILED,
        0,
        "Not today.",
    )
    assert list(AgentTemplate.objects.values_list("name", flat=True)) == ["Old"]  # b was undone with it
    assert apply(stopped, alice).state == ImportState.APPLIED


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


def test_rights_are_asked_when_it_is_applied_not_only_when_it_is_sent(acme: Tenant) -> None:
    bob = make.user("bob", member_of=acme)
    make.grant(bob, acme, Right.READ_DIRECTORY)
    table = send(acme, bob, AGENTS.replace(",alice", ","))
    assert table.state == ImportState.REFUSED
    assert {p["code"] for p in table.problems} == {"not_allowed"}
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


def test_a_table_goes_its_way_by_the_pages(acme: Tenant, page: Client) -> None:
    assert "No table was sent yet" in page.get("/registry/imports/").content.decode()
    file = SimpleUploadedFile("agents.csv", AGENTS.encode())
    sent = page.post("/registry/imports/new/", {"kind": "templates", "file": file})
    table = TableImport.objects.get()
    assert sent["Location"] == table.get_absolute_url()
    text = page.get(table.get_absolute_url()).content.decode()
    assert "Nothing is stored yet" in text and "create" in text
    assert page.post(f"{table.get_absolute_url()}apply/", {"reason": "go"}).status_code == 302
    assert "rows are applied." in page.get(table.get_absolute_url()).content.decode()
    assert "Agents from agents.csv" in page.get("/registry/imports/").content.decode()
    again = page.post(
        "/registry/imports/new/", {"kind": "templates", "file": SimpleUploadedFile("x.csv", AGENTS.encode())}
    )
    assert again.status_code == 409 and "It is there already" in again.content.decode()


def test_a_table_goes_its_way_by_the_api(acme: Tenant, page: Client) -> None:
    url = "/api/v1/registry/table-imports/"
    sent = page.post(url, {"kind": "templates", "file": SimpleUploadedFile("t.csv", AGENTS.encode())})
    assert sent.status_code == 201 and sent.json()["counts"] == {
        "create": 2,
        "change": 0,
        "same": 0,
        "wrong": 0,
    }
    one = f"{url}{sent.json()['id']}/"
    assert page.get(one).json()["state"] == "checked"
    done = page.post(f"{one}apply/", {"reason": "go"}, content_type="application/json")
    assert done.json()["state"] == "applied"
    refused = page.post(f"{one}cancel/", {"reason": "late"}, content_type="application/json")
    assert refused.status_code == 409


def test_while_a_table_is_worked_on_its_part_renews_itself(
    acme: Tenant, alice: User, page: Client, work_off: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.services.tables.AT_ONCE", 4)
    table = send(acme, alice, long_table(10))
    whole = page.get(table.get_absolute_url()).content.decode()
    assert "Progress" in whole and "<html" in whole
    part = page.get(table.get_absolute_url(), headers={"HX-Request": "true"})
    assert "<html" not in part.content.decode() and "HX-Refresh" not in part
    work_off()
    assert page.get(table.get_absolute_url(), headers={"HX-Request": "true"})["HX-Refresh"] == "true"
