"""A table on its way by the pages and the API, and how much of its file a page reads."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from arm.models import Tenant, User
from registry.models import TableImport
from registry.protocol import sheet
from registry.tasks import work_off_table
from tests.registry.sending_tables import AGENTS, long_table, send

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


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
    again = page.post(url, {"kind": "templates", "file": SimpleUploadedFile("t2.csv", AGENTS.encode())})
    assert (again.status_code, again.json()["existing"]["id"]) == (409, sent.json()["id"])
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


# --- showing -------------------------------------------------------------------------------------------------


def test_a_page_reads_the_file_as_far_as_it_shows_it_and_judges_no_row_again(
    acme: Tenant, alice: User, page: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(f'a{n},"A\n{n}"\n' for n in range(1_000))
    table = send(acme, alice, f"slug,name\n{rows}")
    work_off_table(tenant_id=acme.pk, table_id=str(table.pk))
    taken: list[int] = []

    def counted(names: Any, cells: Any, over: Any) -> Any:
        taken.append(len(taken))
        return sheet_row(names, cells, over)

    sheet_row = sheet._row
    monkeypatch.setattr(sheet, "_row", counted)
    answer = page.get(table.get_absolute_url())
    lines = answer.context["lines"]
    assert [(line.line, line.about) for line in lines] == [(2 + 2 * n, f"a{n}") for n in range(100)]
    assert answer.context["more"] and {line.outcome for line in lines} == {"create"}
    assert len(taken) == 101
    taken.clear()
    report = page.get(f"{table.get_absolute_url()}report.csv").content.decode()
    assert len(report.splitlines()) == 1_001 == len(taken) + 1


def test_of_a_table_with_mistakes_only_the_wrong_rows_are_taken_and_nothing_below_the_last(
    acme: Tenant, alice: User, page: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {3, 400}
    rows = "".join(f"a{n},A,{'odd' if n in wrong else 'high'}\n" for n in range(1_000))
    table = send(acme, alice, f"slug,name,risk\n{rows}")
    work_off_table(tenant_id=acme.pk, table_id=str(table.pk))
    read: list[int] = []
    sheet_below = sheet._below

    def counted(reader: Any) -> Any:
        for line in sheet_below(reader):
            read.append(line[0])
            yield line

    monkeypatch.setattr(sheet, "_below", counted)
    lines = page.get(table.get_absolute_url()).context["lines"]
    assert [(line.line, line.about, line.column) for line in lines] == [
        (5, "a3", "risk"),
        (402, "a400", "risk"),
    ]
    assert read[-1] == 402
