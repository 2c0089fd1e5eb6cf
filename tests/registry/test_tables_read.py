"""A table is read as spreadsheets write it, and what is no table is named and not kept."""

import gzip
import io
import zipfile
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from arm.errors import DomainError, Invalid
from arm.models import Tenant, User
from registry.models import TableImport
from registry.protocol.sheet import read_sheet
from tests.registry.sending_tables import send

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


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
