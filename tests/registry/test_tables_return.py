"""The CSV of the lists of agents and of instances comes back as a table: sent as it is, it changes nothing and says so."""

import csv
import io
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, transaction
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from arm.models import ChangeRecord, Membership, Tenant, User
from arm.rights import Right
from arm.views.base import _cell
from registry import services
from registry.lifecycle import ImportState
from registry.models import AgentInstance, AgentTemplate, TableImport
from registry.protocol.sheet import labels_cell, list_cell, read_sheet
from tests import make

pytestmark = pytest.mark.django_db
LISTS = {"templates": "/registry/templates/", "instances": "/registry/instances/"}


@pytest.fixture
def page(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
def fleet(tenant: Tenant, alice: User) -> list[AgentInstance]:
    """What a spreadsheet would run, or take apart, in every cell that people may write."""
    project = services.create_project(tenant=tenant, slug="care", name="Care", actor=alice, reason="r")
    invoices = make.template(
        "invoices", name="=HYPERLINK(1)", description='+1, "two"\nthree', tags=["=x", "a b", "c,d"], project=project,
        cost_center="@CC", intended_use="'=kept", out_of_scope="-none", risk="high",
    )  # fmt: skip
    make.template("letters", name="Letters")
    services.set_owners(template=invoices, owners=[alice], actor=alice, reason="hers")
    slot = make.slot(
        environment=make.environment("dev"), role=make.role("clerk"), provider=make.provider("local")
    )
    version = make.approved(template=invoices)
    odd = {"team": "red, blue", "=sum": "a=b;c", " edge": "x "}
    return [
        make.instance(version=version, environment=slot.environment, provider=slot.provider, **more)
        for more in (
            {"name": "=1+1", "labels": odd, "cost_center": "-7", "slot": slot, "role": slot.role},
            {"name": "'=quoted", "labels": {"team": "red", "site": "eu"}},
            {"name": "plain", "role": slot.role, "state": "retired"},
        )
    ]


def exported(page: Client, kind: str) -> bytes:
    answer = page.get(f"{LISTS[kind]}?format=csv")
    assert answer.status_code == 200 and answer["Content-Type"].startswith("text/csv")
    return answer.content


def rows_of(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


def everything() -> list[Any]:
    kept: Any = (AgentTemplate.objects.order_by("pk").values(), AgentInstance.objects.order_by("pk").values())
    return [list(rows) for rows in kept]


@pytest.mark.parametrize("kind", LISTS)
def test_the_csv_of_a_list_comes_back_by_page_and_changes_nothing(
    kind: str, fleet: list[AgentInstance], page: Client
) -> None:
    before, data = everything(), exported(page, kind)
    records = ChangeRecord.objects.exclude(verb__startswith="registry.table").count()
    file = SimpleUploadedFile("list.csv", data)
    sent = page.post("/registry/imports/new/", {"kind": kind, "file": file})
    assert sent.status_code == 302, sent.content.decode()
    table = TableImport.objects.get()
    assert (table.state, table.plan) == (ImportState.CHECKED, "s" * len(rows_of(data)))
    text = page.get(table.get_absolute_url()).content.decode()
    assert "Nothing would change" in text and ">unchanged<" in text
    over = {
        "templates": ["id", "created"],
        "instances": ["agent", "wanted", "wanted since", "reported", "heartbeat"],
    }
    assert table.passed_over == over[kind]
    assert "Not read" in text and all(f"<code>{name}</code>" in text for name in over[kind])
    assert page.post(f"{table.get_absolute_url()}apply/", {"reason": "go"}).status_code == 302
    table.refresh_from_db()
    assert table.state == ImportState.APPLIED and everything() == before
    assert ChangeRecord.objects.exclude(verb__startswith="registry.table").count() == records


@pytest.mark.parametrize("kind", LISTS)
def test_the_csv_of_a_list_comes_back_by_the_api_and_changes_nothing(
    kind: str, fleet: list[AgentInstance], page: Client
) -> None:
    before, data = everything(), exported(page, kind)
    url = "/api/v1/registry/table-imports/"
    sent = page.post(url, {"kind": kind, "file": SimpleUploadedFile("list.csv", data)})
    assert sent.status_code == 201, sent.content
    count = len(rows_of(data))
    assert count >= 2
    assert sent.json()["counts"] == {"create": 0, "change": 0, "same": count, "wrong": 0}
    assert "wanted" in sent.json()["passed_over"] or kind == "templates"
    reason = {"reason": "go"}
    done = page.post(f"{url}{sent.json()['id']}/apply/", reason, content_type="application/json")
    assert done.json()["state"] == "applied" and everything() == before


def test_cells_that_a_spreadsheet_would_run_are_escaped_and_come_back_as_they_were(
    fleet: list[AgentInstance], page: Client
) -> None:
    names = {row["name"] for row in rows_of(exported(page, "instances"))}
    assert {"'=1+1", "''=quoted", "plain"} >= names >= {"'=1+1", "''=quoted"}
    cells = [cell for row in rows_of(exported(page, "templates")) for cell in row.values()]
    assert not [cell for cell in cells if cell[:1] in tuple("=+-@\t\r")]
    (row,) = [
        r for r in read_sheet(exported(page, "templates"), "templates").read.rows if r.slug == "invoices"
    ]
    assert (row.name, row.intended_use, row.cost_center) == ("=HYPERLINK(1)", "'=kept", "@CC")
    assert list(row.tags) == ["=x", "a b", "c,d"]


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("'=+-@,;| "), max_size=12)


@settings(max_examples=200)
@given(
    TEXT,
    st.dictionaries(TEXT.filter(lambda name: name.strip() and "=" not in name), TEXT, max_size=4),
    st.lists(TEXT.filter(str.strip), max_size=4),
)
def test_whatever_a_cell_holds_is_read_back(name: str, labels: dict[str, str], tags: list[str]) -> None:
    held = io.StringIO(newline="")
    header = ["version", "environment", "provider", "name", "labels"]
    cells = [_cell(cell) for cell in ("a@1", "dev", "local", f"x{name}"[1:] or "x", labels_cell(labels))]
    csv.writer(held).writerows([header, cells])
    (row,) = read_sheet(held.getvalue().encode(), "instances").read.rows or [None]
    if row is not None:
        assert (row.name, dict(row.labels)) == ((name or "x").strip(), labels)
    else:
        assert not name.strip()  # a name that is blank is none
    held = io.StringIO(newline="")
    csv.writer(held).writerows([["slug", "name", "tags"], ["a", "A", _cell(list_cell(tags))]])
    (agent,) = read_sheet(held.getvalue().encode(), "templates").read.rows
    assert list(agent.tags or ()) == [tag.strip() for tag in tags]


def send(tenant: Tenant, actor: User, data: str, kind: str = "instances") -> TableImport:
    return services.send_table(
        tenant=tenant, kind=TableImport.Kind(kind), file_name="t.csv", data=data.encode(), actor=actor
    )


def test_a_row_that_says_otherwise_than_its_instance_is_wrong_at_every_such_column(
    tenant: Tenant, alice: User, fleet: list[AgentInstance]
) -> None:
    one = fleet[1]
    other = make.approved(template=one.template)
    header = "id,version,environment,provider,name,role,slot,cost_center,labels"
    said = f"{one.typeid},invoices@{other.number},dev,local,renamed,clerk,1,CC-9,team=blue"
    wrong = send(tenant, alice, f"{header}\n{said}\n")
    assert (wrong.state, wrong.plan) == (ImportState.REFUSED, "!")
    columns = ("version", "name", "role", "cost_center", "slot", "labels")
    assert [(p["pointer"], p["code"]) for p in wrong.problems] == [
        (f"/rows/0/{name}", "changed") for name in columns
    ]
    assert "no table changes an instance that is there" in wrong.problems[0]["message"]
    assert f"{one} has invoices@1" in wrong.problems[0]["message"]


def test_a_table_holds_what_is_there_beside_what_is_new(
    tenant: Tenant, alice: User, fleet: list[AgentInstance], page: Client
) -> None:
    data = exported(page, "instances").decode()
    columns = data.splitlines()[0].split(",")
    new = {"name": "another", "version": "invoices@1", "environment": "dev", "provider": "local"}
    data += ",".join(new.get(name, "") for name in columns) + "\r\n"
    table = send(tenant, alice, data)
    assert sorted(table.plan) == ["c", *"s" * (table.total - 1)]
    services.apply_table(table=table, actor=alice, reason="one more")
    assert AgentInstance.objects.count() == len(fleet) + 1


def test_an_instance_comes_once_and_only_to_who_may_see_it(
    tenant: Tenant, alice: User, fleet: list[AgentInstance]
) -> None:
    header = "id,version,environment,provider,name"
    row = f"{fleet[1].typeid},invoices@1,dev,local,''=quoted"
    twice = send(tenant, alice, f"{header}\n{row}\n{row}\n")
    assert [(p["pointer"], p["code"]) for p in twice.problems] == [("/rows/1/id", "duplicate")]
    elsewhere = make.tenant("umbrella")
    mallory = make.everything(make.user("mallory", member_of=elsewhere), elsewhere)
    theirs = send(elsewhere, mallory, f"{header}\n{row}\n")
    assert [(p["pointer"], p["code"]) for p in theirs.problems] == [("/rows/0/id", "unknown")]
    no_id = send(tenant, alice, f"{header}\n{row.replace('ins_', 'slt_')}\n")
    assert [(p["pointer"], p["code"]) for p in no_id.problems] == [("/rows/0/id", "pattern")]


def test_an_owner_who_has_left_does_not_make_the_list_wrong_and_is_not_made_one_anew(
    tenant: Tenant, alice: User, fleet: list[AgentInstance], page: Client
) -> None:
    bob = make.user("bob", member_of=tenant)
    agent = AgentTemplate.objects.get(slug="letters")
    services.set_owners(template=agent, owners=[bob], actor=alice, reason="his")
    data = exported(page, "templates").decode()
    Membership.objects.filter(user=bob).update(active=False)
    assert set(send(tenant, alice, data, "templates").plan) == {"s"}
    changed = send(tenant, alice, "slug,name,owners\nletters,Letters,bob alice\n", "templates")
    assert [(p["pointer"], p["code"]) for p in changed.problems] == [("/rows/0/owners", "unknown")]


def test_what_was_not_read_is_kept_with_the_table(tenant: Tenant, alice: User) -> None:
    table = send(tenant, alice, "slug,name,created\na,A,2026\n", "templates")
    assert table.passed_over == ["created"]
    with pytest.raises(DatabaseError), transaction.atomic():
        TableImport.objects.filter(pk=table.pk).update(passed_over=[])


def test_the_api_of_rows_takes_no_instance_that_is_there(page: Client, fleet: list[AgentInstance]) -> None:
    row = {
        "id": fleet[1].typeid,
        "version": "invoices@1",
        "environment": "dev",
        "provider": "local",
        "name": "x",
    }
    body = {"rows": [row], "reason": "r"}
    answer = page.post("/api/v1/registry/bulk/instances/", body, content_type="application/json")
    assert answer.status_code == 422 and answer.json()["errors"][0]["pointer"] == "/rows/0/id"


def test_who_may_not_export_takes_no_list_away(tenant: Tenant, fleet: list[AgentInstance]) -> None:
    bob, client = make.user("bob", member_of=tenant), Client()
    make.grant(bob, tenant, Right.READ_DIRECTORY)
    client.force_login(bob)
    assert client.get(f"{LISTS['instances']}?format=csv").status_code == 403
