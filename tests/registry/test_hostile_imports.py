"""Files of somebody who means harm: each is refused with a pointer in bounded time, and nothing of it is stored."""

import io
import json
import time
import zipfile
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from arm.errors import DomainError
from registry.models import AgentTemplate, AgentVersion, Genome, TableImport
from registry.protocol import cyclonedx, mcp, oasf
from tests import make

pytestmark = pytest.mark.django_db
SECONDS = 10.0
BOM = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "metadata": {"component": {"type": "application", "name": "x"}},
}
CARD = {"name": "x", "description": "x", "version": "1", "skills": [], "url": "https://a.example.com"}
RECORD = {"name": "x", "version": "1", "schema_version": "0.8.0", "description": "x"}
SERVER = {"name": "com.example/x", "description": "x", "version": "1"}


@pytest.fixture
def alice(client: Client) -> Client:
    acme = make.tenant("acme")
    client.force_login(make.everything(make.user("alice", member_of=acme), acme))
    client.raise_request_exception = False
    return client


def zipped(size: int = 50_000_000) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("genome.json", b" " * size)
    return held.getvalue()


def bomb() -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    return "\n".join(lines).encode()


def deep(name: str, times: int = 100_000) -> bytes:
    return b'{"%s": %s%s}' % (name.encode(), b"[" * times, b"]" * times)


def sized(base: dict[str, Any], member: str, item: Any, count: int) -> bytes:
    return json.dumps(base | {member: [item] * count}).encode()


def text(base: dict[str, Any], inner: str) -> bytes:
    return json.dumps(base)[:-1].encode() + b", " + inner.encode("utf-8", "surrogatepass") + b"}"


FILES: list[tuple[str, str, bytes]] = [
    *((kind, "application/json", data) for kind in ("genome", "cyclonedx", "oasf", "mcp-server", "agent-card") for data in (
        b"", b"[]", b"null", b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b'{"a": NaN}', b'{"a": 1e999}', b'{"a": 9007199254740993}',
        b'{"a": 1, "a": 2}', b'{"a": "\\ud800"}', b'{"a": "\\u0000"}', b"{" * 100_000, deep("x"), zipped(), b"\x00" * 1000,
        b'{"a": ' + b"9" * 100_000 + b"}",
    )),
    *(("genome", "application/yaml", data) for data in (
        bomb(), b"a: !!python/object/apply:os.system [ls]", b"a: !!binary aGk=", b"a: &x 1\nb: *x", b"<<: *x", b"a: 1\na: 2", b"? [1]\n: 2",
        b"- " * 100_000, b"a: " + b"{" * 50_000, b"a: 1\n---\nb: 2", b"a: .nan", b"%YAML 9.9\n---\na: 1", b"a: \x00", b"\t- a: 1",
    )),
    ("cyclonedx", "application/json", sized(BOM, "components", {"type": "library", "name": "x"}, 10_001)),
    ("cyclonedx", "application/json", sized(BOM, "services", {"name": "x"}, 10_001)),
    ("cyclonedx", "application/json", json.dumps(BOM | {"services": [{"name": 7, "endpoints": {}, "data": "x", "provider": []}]}).encode()),
    ("cyclonedx", "application/json", json.dumps(BOM | {"components": [{"type": [], "name": {}, "purl": {}, "properties": {}}]}).encode()),
    ("cyclonedx", "application/json", json.dumps(BOM | {"components": [
        {"type": "application", "name": "p", "properties": [{"name": "arm:package_of", "value": "[[]]"}]}]}).encode()),
    ("cyclonedx", "application/json", json.dumps({"payloadType": "x"}).encode()),
    ("cyclonedx", "application/json", json.dumps({"payloadType": "x", "payload": "!", "signatures": [{"sig": "x"}]}).encode()),
    ("cyclonedx", "application/json", json.dumps({"payloadType": [], "payload": {}, "signatures": "x"}).encode()),
    ("oasf", "application/json", sized(RECORD, "skills", {"name": "x"}, 10_001)),
    ("oasf", "application/json", json.dumps(RECORD | {"skills": "x", "modules": [7], "locators": [[]], "annotations": 1}).encode()),
    ("oasf", "application/json", json.dumps(RECORD | {"modules": [{"name": oasf.MODELS, "data": {"models": [{"model": {}}, 7]}}]}).encode()),
    ("oasf", "application/json", json.dumps(RECORD | {"modules": [{"name": oasf.MODULE, "data": {"models": 7, "runtime": [], "provenance": "x"}}],
                                                      "annotations": {oasf.DIGEST: "sha256:0"}}).encode()),
    ("oasf", "application/json", json.dumps(RECORD | {"modules": [{"name": oasf.MODULE, "data": {"skills": [7], "models": [{}], "servers": 1}}]}).encode()),
    ("mcp-server", "application/json", json.dumps(SERVER | {"packages": "x", "remotes": [7], "_meta": 7}).encode()),
    ("mcp-server", "application/json", json.dumps(SERVER | {"_meta": {mcp.PUBLISHER: {mcp.OURS: {
        "tools": [{"name": "t"}], "server": {"packages": 7, "others": {}, "data": "x"}, "serverDigest": 7}}}}).encode()),
    ("mcp-server", "application/json", sized(SERVER, "packages", {"registryType": "npm"}, 10_001)),
    ("agent-card", "application/json", sized(CARD, "skills", {"id": "x", "name": "x", "description": "x", "tags": []}, 10_001)),
    ("agent-card", "application/json", json.dumps(CARD | {"signatures": [{"protected": 7}], "securitySchemes": [], "capabilities": "x"}).encode()),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(FILES)))
def test_a_hostile_file_is_refused_with_a_pointer_soon_and_nothing_is_stored(
    alice: Client, number: int
) -> None:
    kind, media_type, data = FILES[number]
    version = make.version(template=make.template("base"))
    before = (AgentVersion.objects.count(), Genome.objects.count(), AgentTemplate.objects.count())
    more = f"&version={version.typeid}" if kind == "mcp-server" else "&name=x" if kind == "genome" else ""
    began = time.thread_time()
    answer = alice.post(f"/api/v1/registry/imports/{kind}/?reason=x{more}", data, content_type=media_type)
    assert time.thread_time() - began < SECONDS
    assert answer.status_code in (413, 415, 422), (kind, data[:80], answer.status_code, answer.content[:500])
    if answer.status_code == 422:
        assert answer.json()["errors"] and all("pointer" in one for one in answer.json()["errors"])
    after = (AgentVersion.objects.count(), Genome.objects.count(), AgentTemplate.objects.count())
    assert after == before


TABLES = {
    "nothing": b"",
    "utf-16": "slug,name\na,A\n".encode("utf-16"),
    "utf-32": "slug,name\na,A\n".encode("utf-32"),
    "NUL": b"slug,name\na\x00,A\n",
    "not text": b"\xff\xfe\x00\x01" * 100,
    "latin": "slug,name\na,Müller\n".encode("latin-1"),
    "a million rows": b"slug,name\n" + b"a,A\n" * 1_000_000,
    "an open quote": b'slug,name\na,"A\n' + b"b,B\n" * 10_000,
    "a long cell": b"slug,name\na," + b"x" * 2_000_000 + b"\n",
    "many columns": b",".join([b"c"] * 100_000) + b"\n",
    "two heads alike": b"slug,slug,name\na,b,A\n",
    "no head": b"\n\n\n",
    "an archive": zipped(1_000_000),
    "surrogates": b"slug,name\na,\xed\xa0\x80\n",
    "a formula": b"slug,name\n=cmd|' /C calc'!A0,A\n",
}


@pytest.mark.parametrize("name", TABLES)
def test_a_hostile_table_is_refused_or_its_rows_are_and_nothing_is_stored(alice: Client, name: str) -> None:
    began = time.thread_time()
    file = SimpleUploadedFile("t.csv", TABLES[name])
    answer = alice.post("/api/v1/registry/table-imports/", {"kind": "templates", "file": file})
    assert time.thread_time() - began < SECONDS
    if answer.status_code == 201:
        assert answer.json()["counts"]["wrong"] or answer.json()["state"] in ("refused", "wrong"), (
            answer.json()
        )
    else:
        assert answer.status_code in (413, 422), (answer.status_code, answer.content[:300])
        assert answer.json().get("errors") or answer.status_code == 413
    assert not AgentTemplate.objects.exists()


def test_a_byte_order_mark_before_a_table_is_what_spreadsheets_write(alice: Client) -> None:
    file = SimpleUploadedFile("t.csv", b'\xef\xbb\xbfslug,name\na,"A, ""quoted"""\n')
    answer = alice.post("/api/v1/registry/table-imports/", {"kind": "templates", "file": file})
    assert answer.status_code == 201, answer.content
    assert (answer.json()["state"], answer.json()["counts"]["create"]) == ("checked", 1)
    assert TableImport.objects.exists()


@pytest.mark.parametrize("read", [cyclonedx.read_bom, oasf.read_record, mcp.read_server])
@pytest.mark.parametrize("value", [None, True, 7, 0.5, "x", [], [[]], [7], {}, {"a": {}}])
def test_whatever_a_member_holds_a_reader_names_it_or_passes_over_it(read: Any, value: Any) -> None:
    """Every member of each format in turn, at the top and one below, with a value of every kind."""
    names = (
        "name", "version", "description", "schema_version", "skills", "domains", "locators", "modules", "annotations", "authors",
        "bomFormat", "specVersion", "metadata", "components", "services", "packages", "remotes", "_meta", "signature",
    )  # fmt: skip
    for base in (BOM, RECORD, SERVER):
        for name in names:
            for document in (
                base | {name: value},
                base | {name: [{name: value, "name": value, "type": value, "data": value}]},
            ):
                try:
                    read(json.dumps(document).encode())
                except DomainError:
                    continue
