"""A file of ours that was changed is refused at a place, whatever of it was changed."""

from dataclasses import replace
from typing import Any

import pytest

from registry import genome
from registry.protocol import cyclonedx, mcp
from tests.registry.test_exchange_formats import MEASURED, PUBLISHED, about, changed, stored
from tests.registry.test_exchange_members import whole


def ours(file: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = file["_meta"][mcp.PUBLISHER][mcp.OURS]
    return found


OF_A_SERVER = [
    (lambda file: file.update(version="6.6.6"), "/version", "/version"),
    (lambda file: file.update(version="0.0.0-pin-000000000000"), "/version", "/version"),
    (lambda file: file.update(remotes=[{"type": "sse", "url": "https://evil.example.com"}]), "/remotes", "/remotes"),
    (lambda file: file.update(packages=PUBLISHED["packages"]), "/packages", "/packages"),
    (lambda file: file.update(name="com.example/evil"), "fileDigest", ""),
    (lambda file: file.update(websiteUrl="https://evil.example.com"), "fileDigest", ""),
    (lambda file: ours(file).update(genomeDigest="sha256:" + "0" * 64), "fileDigest", ""),
    (lambda file: ours(file).update(versionId="ver_other"), "fileDigest", ""),
]  # fmt: skip


@pytest.mark.parametrize(("change", "now", "before"), OF_A_SERVER)
def test_a_server_json_is_refused_wherever_it_was_changed(change: Any, now: str, before: str) -> None:
    """Also where the genome knows nothing of the server. Files of earlier releases have no digest of the whole."""
    document = stored()
    data = mcp.server_json(about(document), document, "com.example/docs")

    def refused(data: bytes) -> list[tuple[str, str]]:
        return [(p["pointer"], p["code"]) for p in mcp.read_server(changed(data, change)).problems]

    place = f"/_meta/{mcp.PUBLISHER.replace('/', '~1')}/{mcp.OURS.replace('/', '~1')}/fileDigest"
    assert refused(data) == [(place if now == "fileDigest" else now, "tampered")]
    old = changed(data, lambda file: ours(file).pop("fileDigest"))
    assert mcp.read_server(old).problems == ()
    assert refused(old) == ([(before, "tampered")] if before else [])


def test_a_server_json_whose_digests_were_taken_out_is_another_file_and_what_others_add_is_theirs() -> None:
    document = stored()
    data = mcp.server_json(about(document), document, "com.example/docs")

    def another(file: dict[str, Any]) -> None:
        file.update(name="com.example/other", version="1.0.0")
        for name in ("toolsDigest", "fileDigest"):
            del ours(file)[name]

    read = mcp.read_server(changed(data, another))
    assert (read.name, read.problems, read.known["version"]) == ("com.example/other", (), "1.0.0")
    listed = changed(
        data, lambda file: file["_meta"].update({"com.example.registry/official": {"latest": True}})
    )
    assert mcp.read_server(listed).problems == ()


def first(bom: dict[str, Any], kind: str, ref: str = "") -> dict[str, Any]:
    found: dict[str, Any] = next(
        c for c in bom["components"] if c["type"] == kind and c["bom-ref"].startswith(ref)
    )
    return found


OF_A_BOM = [
    (lambda bom: bom["metadata"]["component"]["externalReferences"][0].update(url="https://evil.example.com"),
     "/metadata/component/externalReferences"),
    (lambda bom: bom["metadata"]["component"].pop("externalReferences"), "/metadata/component"),
    (lambda bom: bom["metadata"]["component"].update(type="firmware"), "/metadata/component/type"),
    (lambda bom: bom["metadata"]["component"].update(licenses=[]), "/metadata/component/licenses"),
    (lambda bom: first(bom, "data", "prompt")["data"][0].update(name="prompt (evil)"), "/components/N/data"),
    (lambda bom: first(bom, "data", "prompt").update(name="evil"), "/components/N/name"),
    (lambda bom: first(bom, "data", "data")["data"][0].update(name="evil"), "/components/N/data"),
    (lambda bom: first(bom, "library").update(version="9"), "/components/N/version"),
    (lambda bom: first(bom, "library").update({"bom-ref": "other"}), "/components"),
    (lambda bom: first(bom, "machine-learning-model").update(externalReferences=[]), "/components/N/externalReferences"),
    (lambda bom: bom["services"].append({"bom-ref": "server:evil", "name": "evil"}), "/services/N"),
    (lambda bom: bom["dependencies"][-1]["dependsOn"].pop(), "/dependencies/N/dependsOn"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "pointer"), OF_A_BOM)
def test_a_bom_of_ours_is_refused_where_it_says_what_its_genome_does_not(change: Any, pointer: str) -> None:
    document = whole()
    data = cyclonedx.bom(replace(about(document), measured=MEASURED), document, "1.7")
    assert cyclonedx.read_bom(data).problems == ()
    read = cyclonedx.read_bom(changed(data, change))
    found = {
        ("/".join("N" if part.isdigit() else part for part in p["pointer"].split("/")), p["code"])
        for p in read.problems
    }
    assert found == {(pointer, "tampered")}


def test_of_a_bom_of_ours_the_agents_name_may_change_and_its_supplier_is_named_as_not_taken_over() -> None:
    document = whole()

    def change(bom: dict[str, Any]) -> None:
        bom["metadata"]["component"].update(name="Other", version="9")
        bom["metadata"]["supplier"]["name"] = "Mallory"
        bom["components"].append({"type": "library", "name": "langchain"})

    read = cyclonedx.read_bom(changed(cyclonedx.bom(about(document), document, "1.6"), change))
    assert (read.problems, read.name, read.version_label) == ((), "Other", "9")
    assert genome.seal(read.document).digest == genome.seal(document).digest
    assert "Not taken over: metadata › supplier." in read.notes
    assert "1 of type library" in " ".join(read.notes)
