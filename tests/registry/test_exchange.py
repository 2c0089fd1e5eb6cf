"""Versions leave as files and come back as Drafts: by service, API and page; what is bad is refused and stores nothing."""

import gzip
import io
import json
import zipfile
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from arm.errors import DomainError, Invalid, NotAllowed
from arm.models import ApiKey, SecurityEvent, Tenant, User
from arm.rights import Right
from registry import genome, services
from registry.models import AgentTemplate, AgentVersion, Genome
from registry.services import Format
from tests import make
from tests.registry.genomes import example, model, tool

pytestmark = pytest.mark.django_db
API = "/api/v1/registry/"


@pytest.fixture
def acme() -> Tenant:
    return make.tenant("acme", name="Acme")


@pytest.fixture
def alice(acme: Tenant) -> User:
    return make.everything(make.user("alice", member_of=acme), acme)


@pytest.fixture
def mallory(acme: Tenant) -> User:
    return make.user("mallory", member_of=acme)


@pytest.fixture
def page(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def version(by: User, **members: Any) -> AgentVersion:
    template = AgentTemplate.objects.first() or make.template(
        "invoices", name="Invoices", description="Pays them."
    )
    document = example(template=template.typeid, **members)
    return services.create_version(template=template, genome=document, label="2.4.1", actor=by, reason="new")


def export(of: AgentVersion, by: User, format: Format, **more: Any) -> bytes:
    return services.export_version(version=of, format=format, actor=by, **more).content


IMPORTS: dict[Format, Any] = {
    Format.CYCLONEDX_16: services.import_bom,
    Format.CYCLONEDX_17: services.import_bom,
    Format.OASF: services.import_record,
}


def bring_in(format: Format, **kw: Any) -> services.ImportedVersion:
    if format in IMPORTS:
        return IMPORTS[format](**kw, reason="back")
    media_type = "application/yaml" if format is Format.YAML else "application/json"
    return services.import_genome(**kw, media_type=media_type, reason="back")


WHOLE = [format for format in Format if format is not Format.MCP]


@pytest.mark.parametrize("format", WHOLE)
def test_what_was_exported_is_found_again_by_its_digest(acme: Tenant, alice: User, format: Format) -> None:
    of = version(alice)
    data = export(of, alice, format)
    assert data == export(of, alice, format)
    with pytest.raises(services.Duplicate) as held:
        bring_in(format, tenant=acme, data=data, actor=alice)
    assert held.value.existing == of


@pytest.mark.parametrize("format", WHOLE[2:])
def test_another_installation_makes_an_agent_of_the_same_name_and_says_that_the_digest_is_another(
    acme: Tenant, alice: User, format: Format
) -> None:
    of = version(alice)
    data = export(of, alice, format)
    other = make.tenant("other")
    bob = make.everything(make.user("bob", member_of=other), other)
    made = bring_in(format, tenant=other, data=data, actor=bob)
    assert made.new_template and made.version.template.name == "Invoices"
    assert made.version.label == "2.4.1" and made.version.genome.complete
    assert "its digest is another" in " ".join(made.notes)
    document = json.loads(bytes(made.version.genome.content)) | {"template": of.template.typeid}
    assert genome.seal(document).digest == of.genome.digest


@pytest.mark.parametrize("format", WHOLE[2:])
def test_a_file_goes_to_no_agent_of_another_name_that_has_its_short_name(
    acme: Tenant, alice: User, format: Format
) -> None:
    data = export(version(alice), alice, format)
    other = make.tenant("other")
    bob = make.everything(make.user("bob", member_of=other), other)
    held = make.template("invoices", name="Invoices?", tenant=other)
    made = bring_in(format, tenant=other, data=data, actor=bob)
    assert made.new_template and made.version.template.slug == "invoices-2"
    assert not held.versions.exists()
    assert "Another agent has the short name “invoices”" in " ".join(made.notes)


def test_the_genome_leaves_as_the_exact_bytes_that_its_digest_is_of(alice: User) -> None:
    of = version(alice)
    file = services.export_version(version=of, format=Format.GENOME, actor=alice)
    assert file.content == bytes(Genome.objects.get().content)
    assert file.digest == of.genome.digest


def test_an_export_is_in_the_security_log_once_for_each_file_that_leaves(alice: User) -> None:
    of = version(alice)
    file = services.export_version(version=of, format=Format.CYCLONEDX_17, actor=alice)
    services.export_version(version=of, format=Format.CYCLONEDX_17, actor=alice, held=file.digest)
    line = SecurityEvent.objects.get(kind=SecurityEvent.Kind.EXPORTED)
    assert line.detail == {"version": of.typeid, "digest": file.digest}
    assert "cyclonedx-1.7" in line.label and line.user_id == alice.pk


def test_who_may_not_read_may_not_export(alice: User, mallory: User) -> None:
    of = version(alice)
    with pytest.raises(NotAllowed):
        export(of, mallory, Format.OASF)
    assert not SecurityEvent.objects.filter(kind=SecurityEvent.Kind.EXPORTED).exists()


def test_the_endpoint_answers_with_the_digest_as_etag_and_304_for_who_has_it(
    page: Client, alice: User
) -> None:
    of = version(alice)
    url = f"{API}versions/{of.typeid}/export/"
    for format in Format:
        first = page.get(url, {"format": format})
        assert first.status_code == 200, first.content
        assert first["ETag"].startswith('"sha256:') and "attachment" in first["Content-Disposition"]
        again = page.get(url, {"format": format}, headers={"If-None-Match": first["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
    wrong = page.get(url, {"format": "spdx"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/format")
    server = page.get(url, {"format": "mcp-server", "server": "x"})
    assert (server.status_code, server.json()["servers"]) == (422, ["com.example/docs"])


def test_a_stranger_gets_404_for_an_export(mallory: User, alice: User) -> None:
    of = version(alice)
    client = Client()
    client.force_login(mallory)
    assert client.get(f"{API}versions/{of.typeid}/export/?format=oasf").status_code == 404
    assert client.get(f"/registry/versions/{of.typeid}/export/?format=oasf").status_code == 404


def test_the_versions_page_links_every_format_and_says_what_keeps_one_from_being_made(
    page: Client, alice: User
) -> None:
    of = version(alice, tools=[tool("a"), tool("b", server="files")])
    text = page.get(of.get_absolute_url()).content.decode()
    for wanted in ("format=cyclonedx-1.6", "format=oasf", "server=com.example%2Fdocs", "server=files"):
        assert wanted in text, wanted
    url = f"/registry/versions/{of.typeid}/export/"
    file = page.get(url, {"format": "cyclonedx-1.7"})
    assert file.status_code == 200 and file.json()["specVersion"] == "1.7"
    refused = page.get(url, {"format": "mcp-server", "server": "files"}, follow=True)
    assert "“files” is not such a name" in refused.content.decode()
    assert page.get(url, {"format": "spdx"}).status_code == 404


def test_a_tampered_genome_is_not_exported(alice: User) -> None:
    of = version(alice)
    broken = make.genome(template=of.template)
    AgentVersion.objects.filter(pk=of.pk).update(genome=broken)
    of.refresh_from_db()
    of.genome.digest = "sha256:" + "0" * 64
    with pytest.raises(services.Tampered):
        export(of, alice, Format.OASF)


# --- MCP -----------------------------------------------------------------------------------------------------


def test_a_server_json_changes_the_tools_of_a_new_draft_and_leaves_the_version_as_it_is(
    acme: Tenant, alice: User
) -> None:
    of = version(alice)
    data = export(of, alice, Format.MCP)
    with pytest.raises(services.Duplicate):
        services.import_server(tenant=acme, data=data, base=of, actor=alice, reason="the same")
    later = version(alice, tools=[tool("search", risk="RED")], x_note="later")
    made = services.import_server(tenant=acme, data=data, base=later, actor=alice, reason="update").version
    tools = {one["name"]: one for one in json.loads(bytes(made.genome.content))["tools"]}
    assert (tools.keys(), tools["search"]["risk"]) == ({"search", "pay_invoice"}, "GREEN")
    assert [edge.parent for edge in made.parents.all()] == [later]
    assert made.number == 3


def test_a_server_json_alone_is_a_first_draft_and_needs_a_version_or_an_agent(
    acme: Tenant, alice: User
) -> None:
    of = version(alice)
    data = export(of, alice, Format.MCP)
    other = make.template("mail")
    made = services.import_server(tenant=acme, data=data, template=other, actor=alice, reason="tools first")
    assert set(made.version.genome.missing) == {"models", "prompts", "provenance"}
    with pytest.raises(Invalid) as refused:
        services.import_server(tenant=acme, data=data, actor=alice, reason="of what?")
    assert [p["pointer"] for p in refused.value.errors] == ["/version"]


def test_a_new_tool_whose_risk_nobody_says_is_refused_in_the_file(acme: Tenant, alice: User) -> None:
    of = version(alice)
    tools = [{"name": "now", "description": "Now.", "inputSchema": {}}]
    meta = {"io.modelcontextprotocol.registry/publisher-provided": {"tools": tools}}
    file = {"name": "io.github.acme/w", "description": "W.", "version": "1", "_meta": meta}
    with pytest.raises(Invalid) as refused:
        services.import_server(
            tenant=acme, data=json.dumps(file).encode(), base=of, actor=alice, reason="no risk"
        )
    (problem,) = refused.value.errors
    assert problem["pointer"].endswith("/tools/0") and "required" in problem["message"]


# --- bad input -----------------------------------------------------------------------------------------------


def zipped(size: int) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("genome.json", b" " * size)
    return held.getvalue()


BAD: dict[str, tuple[bytes, str, int]] = {
    "beyond 2^53": (b'{"name": "x", "a": [9007199254740993]}', "/a/0", 422),
    "duplicate": (b'{"name": "x", "a": {"b": 1, "b": 2}}', "/a/b", 422),
    "NaN": (b'{"name": "x", "a": NaN}', "/a", 422),
    "infinity": (b'{"name": "x", "a": 1e999}', "/a", 422),
    "lone surrogate": (b'{"name": "x", "a": "\\ud800"}', "/a", 422),
    "not UTF-8": (b'{"name": "\xff"}', "", 422),
    "not JSON": (b"{", "", 422),
    "no object": (b"[]", "", 422),
    "deep": (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "", 422),
    "zip bomb": (zipped(5_000_000), "", 422),
    "gzip bomb": (gzip.compress(b" " * 5_000_000), "", 422),
}
PATHS = ("genome", "agent-card", "cyclonedx", "oasf", "mcp-server")
KINDS = ("genome", "agent_card", "cyclonedx", "oasf", "mcp_server")


@pytest.mark.parametrize("case", BAD)
def test_bad_bytes_are_refused_with_a_pointer_by_every_import_and_nothing_is_stored(
    case: str, page: Client, acme: Tenant, alice: User
) -> None:
    data, pointer, status = BAD[case]
    _, token = make.key(ApiKey.Kind.SERVICE, tenant=acme, user=alice)
    for path in PATHS:
        answer = page.post(
            f"{API}imports/{path}/",
            data,
            content_type="application/json",
            headers={"authorization": f"Bearer {token}"},
        )
        assert answer.status_code == status, (path, answer.content[:300])
        if status == 422:
            pointers = [problem["pointer"] for problem in answer.json()["errors"]]
            assert pointers[0].startswith(pointer), (path, pointers)
    for call in (
        services.import_bom,
        services.import_record,
        services.import_agent_card,
        services.import_server,
    ):
        with pytest.raises(DomainError):
            call(tenant=acme, data=data, actor=alice, reason="bad")
    assert not AgentVersion.objects.exists() and not AgentTemplate.objects.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_says_what_is_bad_about_a_file_and_keeps_the_form(
    kind: str, page: Client, acme: Tenant
) -> None:
    for case in ("duplicate", "zip bomb", "lone surrogate"):
        data, pointer, _ = BAD[case]
        form = {"kind": kind, "file": SimpleUploadedFile("file.json", data), "reason": "the bad one"}
        refused = page.post("/registry/versions/import/", form)
        text = refused.content.decode()
        assert refused.status_code == 422 and "the bad one" in text
        assert (pointer or "is packed") in text
    assert not AgentVersion.objects.exists()


def test_a_bom_of_a_hundred_thousand_components_is_one_problem(page: Client, alice: User) -> None:
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "metadata": {"component": {"name": "Many", "type": "application"}},
        "components": [{"type": "library", "name": "x"}] * 100_000,
    }
    answer = page.post(f"{API}imports/cyclonedx/", json.dumps(bom), content_type="application/json")
    assert [(p["pointer"], p["code"]) for p in answer.json()["errors"]] == [("/components", "maxItems")]
    assert not AgentVersion.objects.exists()


def test_a_bom_and_a_server_json_are_imported_by_page_and_by_the_api(page: Client, alice: User) -> None:
    of = version(alice, models=[model()])
    bom = json.loads(export(of, alice, Format.CYCLONEDX_17))
    del bom["metadata"]["component"]["hashes"]
    bom["metadata"]["component"] |= {"name": "Copy", "properties": []}
    sent = page.post(f"{API}imports/cyclonedx/", json.dumps(bom), content_type="application/json")
    assert sent.status_code == 201 and sent.json()["new_template"]
    assert "provenance" in " ".join(sent.json()["notes"])
    upload = SimpleUploadedFile("server.json", export(of, alice, Format.MCP))
    base = AgentVersion.objects.get(template__name="Copy")
    form = {"kind": "mcp_server", "file": upload, "version": base.typeid, "reason": "tools"}
    made = page.post("/registry/versions/import/", form)
    assert made.status_code == 302 or "exactly this genome" in made.content.decode()
    sent = page.post(
        f"{API}imports/mcp-server/?version={base.typeid}",
        export(of, alice, Format.MCP),
        content_type="application/json",
    )
    assert sent.status_code == 409 and sent.json()["existing"]["id"] == base.typeid


def test_who_may_not_make_versions_imports_nothing(acme: Tenant, mallory: User) -> None:
    make.grant(mallory, acme, Right.READ_DIRECTORY)
    file = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "metadata": {"component": {"name": "X", "type": "application"}},
    }
    with pytest.raises(NotAllowed):
        services.import_bom(tenant=acme, data=json.dumps(file).encode(), actor=mallory, reason="mine")
    assert not AgentTemplate.objects.exists()
