"""What leaves as CycloneDX, MCP, OASF or YAML is accepted by those who define it, and read again is the same genome."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given, settings
from jsonschema import Draft7Validator

from arm.errors import Invalid
from registry import genome
from registry.protocol import cyclonedx, mcp, oasf
from registry.protocol.common import Measured, Subject, yaml_of
from tests.registry.genomes import TEMPLATE, example, genomes, model, sha, tool
from tests.registry.mcp_schema import SERVER_SCHEMA

SPECS = {"1.6": SchemaVersion.V1_6, "1.7": SchemaVersion.V1_7}


def about(document: dict[str, Any], **changes: str) -> Subject:
    held = {
        "name": "Invoices",
        "version": "2.4.1",
        "description": "Answers invoices.",
        "organisation": "Acme",
        "version_id": "ver_01k9m2x4v8e0wbt5c7qf3hn6rd",
        "template_id": TEMPLATE,
        "digest": genome.seal(document).digest,
        "created": "2026-01-31T09:30:00.000Z",
    }
    return Subject(**(held | changes))


def stored(**changes: Any) -> dict[str, Any]:
    """A genome as it is stored."""
    return genome.normalise(example(**changes))


def full() -> dict[str, Any]:
    return stored(
        models=[
            model(digest=sha("weights"), endpoint_class="eu"),
            model("fallback", name="b", order=2),
            model("fallback", name="a", order=1, conditions=["timeout"]),
        ],
        data_sources=[{"id": "crm", "class": "restricted", "access": "read"}],
        skills=[{"id": "pay", "name": "Pay", "description": "Pays — ünïcode.", "tags": ["x"]}],
        runtime={"image": "img@" + sha("image"), "framework": "langgraph"},
        secrets=[{"name": "KEY", "ref": "env:KEY"}],
        x_team={"number": 7, "half": 0.5, "text": "“yes”", "none": None, "list": [[]]},
    )


def of_all_kinds() -> list[dict[str, Any]]:
    return [full(), stored(), stored(tools=[]), {"schema": "arm.genome/v1", "template": TEMPLATE}]


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("document", of_all_kinds(), ids=["full", "usual", "no tools", "nothing yet"])
def test_a_bom_passes_the_strict_validator_and_comes_back_as_the_same_genome(
    spec: str, document: dict[str, Any]
) -> None:
    data = cyclonedx.bom(about(document), document, spec)
    assert JsonStrictValidator(SPECS[spec]).validate_str(data.decode()) is None
    assert data == cyclonedx.bom(about(document), document, spec)
    back = cyclonedx.read_bom(data)
    assert back.problems == ()
    assert genome.seal(back.document).digest == genome.seal(document).digest
    assert (back.name, back.version_label, back.description) == ("Invoices", "2.4.1", "Answers invoices.")


@settings(max_examples=40)
@given(genomes())
def test_every_genome_survives_cyclonedx_oasf_and_yaml(document: dict[str, Any]) -> None:
    held = genome.normalise(document)
    if genome.wrong(held):
        return
    digest = genome.seal(held).digest
    data = cyclonedx.bom(about(held), held, "1.7")
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(data.decode()) is None
    bom = cyclonedx.read_bom(data)
    assert (bom.problems, genome.seal(bom.document).digest) == ((), digest)
    record = oasf.read_record(oasf.record(about(held), held))
    assert (record.problems, genome.seal(record.document).digest) == ((), digest)
    text = yaml_of(held)
    assert genome.seal(genome.read(text, media_type="application/yaml").document).digest == digest


@pytest.mark.parametrize("mark", ["\x85", "\u2028", "\u2029", "\ufeff", "\n", "\t", "\U0001f600"])
def test_text_with_breaks_of_every_kind_survives_yaml(mark: str) -> None:
    document = {"a": f"a[{mark}_: {mark}", f"b{mark}c": mark}
    assert genome.read(yaml_of(document), media_type="application/yaml").document == document


@pytest.mark.parametrize(
    "text", ["1e100", "1_000", "0o7", "0x1F", "+.inf", "-1", "1:30", ".5", "null", "yes", "", "="]
)
def test_text_that_looks_like_something_else_survives_yaml_as_text(text: str) -> None:
    document = {"a": text, "b": [text]}
    assert genome.read(yaml_of(document), media_type="application/yaml").document == document


def test_models_prompts_and_servers_stand_where_readers_of_a_bom_look_for_them() -> None:
    document = full()
    found = json.loads(cyclonedx.bom(about(document), document, "1.7"))
    agent = found["metadata"]["component"]
    assert agent["hashes"] == [{"alg": "SHA-256", "content": about(document).digest.removeprefix("sha256:")}]
    assert agent["externalReferences"] == [{"type": "vcs", "url": "https://git.example.com/agents/invoices"}]
    by_type: dict[str, list[dict[str, Any]]] = {}
    for one in found["components"]:
        by_type.setdefault(one["type"], []).append(one)
    primary = next(
        m for m in by_type["machine-learning-model"]
        if {"name": "arm:role", "value": '"primary"'} in m["properties"]
    )  # fmt: skip
    assert (primary["supplier"], primary["name"], primary["version"]) == (
        {"name": "openai"}, "gpt-4.1", "2025-04-14",
    )  # fmt: skip
    assert primary["modelCard"]["properties"] == [{"name": "arm:parameters", "value": '{"temperature":0.2}'}]
    prompt, data = by_type["data"]
    assert prompt["hashes"][0]["content"] == sha("You answer invoices.").removeprefix("sha256:")
    assert data["data"][0] == {"type": "dataset", "name": "crm", "classification": "restricted"}
    assert [one["name"] for one in found["services"]] == ["com.example/docs"]
    assert {one["name"] for one in by_type["library"]} == {"search", "pay_invoice"}
    refs = found["dependencies"][0]["dependsOn"]
    assert len(refs) == len(set(refs)) == len(found["components"]) + 1
    assert "You answer invoices." not in json.dumps(found)


def changed(data: bytes, change: Any) -> bytes:
    held = json.loads(data)
    change(held)
    return json.dumps(held).encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda bom: next(c for c in bom["components"] if c["type"] == "machine-learning-model").update(version="x"),
        lambda bom: bom["components"].pop(),
        lambda bom: bom["metadata"]["component"]["properties"].pop(0),
        lambda bom: bom["metadata"]["component"]["hashes"][0].update(content="0" * 64),
    ],
)  # fmt: skip
def test_a_bom_of_ours_that_was_changed_is_refused_at_its_digest(change: Any) -> None:
    document = full()
    back = cyclonedx.read_bom(changed(cyclonedx.bom(about(document), document, "1.6"), change))
    assert [(p["pointer"], p["code"]) for p in back.problems] == [
        ("/metadata/component/hashes/0/content", "tampered")
    ]


def test_a_changed_bom_without_the_digest_is_another_genome() -> None:
    document = full()

    def change(bom: dict[str, Any]) -> None:
        del bom["metadata"]["component"]["hashes"]
        next(c for c in bom["components"] if c["name"] == "gpt-4.1").update(version="2026-01-01")

    back = cyclonedx.read_bom(changed(cyclonedx.bom(about(document), document, "1.7"), change))
    assert back.problems == ()
    assert "2026-01-01" in {one["revision"] for one in back.document["models"]}


FOREIGN = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "metadata": {"component": {"type": "application", "name": "Chatbot", "version": "3"}},
    "components": [
        {"type": "machine-learning-model", "name": "gpt-4o", "version": "2024-08-06", "publisher": "openai"},
        {"type": "library", "name": "langchain", "version": "1"},
        {"type": "data", "name": "faq", "data": [{"type": "dataset", "classification": "public"}]},
    ],
    "services": [{"name": "search"}],
}


def test_of_a_foreign_bom_what_it_does_not_say_is_left_out_and_named() -> None:
    back = cyclonedx.read_bom(json.dumps(FOREIGN).encode())
    assert back.problems == ()
    assert back.document == {
        "schema": "arm.genome/v1",
        "models": [{"role": "primary", "provider": "openai", "name": "gpt-4o", "revision": "2024-08-06"}],
        "servers": [{"name": "search"}],
    }
    notes = " ".join(back.notes)
    for word in ("data set faq", "1 of type library", "services", "prompts, tools, provenance"):
        assert word in notes, word


def test_of_two_models_none_is_made_the_primary_one() -> None:
    two = [{**FOREIGN["components"][0], "name": name} for name in ("a", "b")]
    back = cyclonedx.read_bom(json.dumps(FOREIGN | {"components": two}).encode())
    assert "models" not in back.document
    assert "model a" in " ".join(back.notes) and "model b" in " ".join(back.notes)
    nameless = [{"type": "machine-learning-model", "name": "m"}, two[0]]
    back = cyclonedx.read_bom(json.dumps(FOREIGN | {"components": nameless}).encode())
    assert "models" not in back.document and "no supplier" in " ".join(back.notes)


@pytest.mark.parametrize(
    ("bom", "pointer"),
    [
        ({}, "/bomFormat"),
        (FOREIGN | {"specVersion": "1.2"}, "/specVersion"),
        (FOREIGN | {"metadata": {}}, "/metadata/component/name"),
        (FOREIGN | {"components": {}}, "/components"),
        (FOREIGN | {"components": [7]}, "/components/0"),
        (FOREIGN | {"components": [{"type": "data", "name": "p", "properties": [
            {"name": "arm:role", "value": "{"}]}]}, "/components/0/properties/0/value"),
        (FOREIGN | {"components": [{"type": "data", "name": "p", "properties": [
            {"name": "arm:role", "value": '1,"x":2'}]}]}, "/components/0/properties/0/value"),
        (FOREIGN | {"components": [{"type": "library", "name": "t", "properties": [
            {"name": "arm:schema_digest", "value": '"no"'}]}]}, "/components/0"),
    ],
)  # fmt: skip
def test_a_wrong_bom_is_refused_at_the_place(bom: dict[str, Any], pointer: str) -> None:
    assert pointer in {
        problem["pointer"] for problem in cyclonedx.read_bom(json.dumps(bom).encode()).problems
    }


MEASURED = (Measured("refunds", "75", "“Refunds” v1"), Measured("letters", "100", "“Letters” v2"))


@pytest.mark.parametrize("spec", SPECS)
def test_what_was_measured_stands_on_the_card_of_the_primary_model_and_changes_no_digest(spec: str) -> None:
    document = full()
    bom = cyclonedx.bom(replace(about(document), measured=MEASURED), document, spec)
    assert JsonStrictValidator(SPECS[spec]).validate_str(bom.decode()) is None
    cards = [
        one["modelCard"] for one in json.loads(bom)["components"] if one["type"] == "machine-learning-model"
    ]
    (analysis,) = [card["quantitativeAnalysis"] for card in cards if "quantitativeAnalysis" in card]
    assert analysis["performanceMetrics"][0] == {
        "type": "refunds",
        "value": "75",
        "slice": "the whole agent, by “Refunds” v1",
    }
    again = cyclonedx.read_bom(bom)
    assert (again.problems, genome.seal(again.document).digest) == ((), genome.seal(document).digest)
    assert "measured elsewhere" in " ".join(again.notes)


def test_a_record_says_what_was_measured_in_a_module_of_its_own() -> None:
    document = full()
    record = oasf.record(replace(about(document), measured=MEASURED), document)
    (found,) = [m["data"] for m in json.loads(record)["modules"] if m["name"] == "arm.example/evaluation"]
    assert found["capabilities"][1] == {"capability": "letters", "percent": "100", "by": "“Letters” v2"}
    again = oasf.read_record(record)
    assert genome.seal(again.document).digest == genome.seal(document).digest
    assert "measured elsewhere" in " ".join(again.notes)
    named = [m["name"] for m in json.loads(oasf.record(about(document), document))["modules"]]
    assert named == [oasf.MODULE, oasf.MODELS]


# --- MCP -----------------------------------------------------------------------------------------------------


def test_each_mcp_server_of_the_tools_becomes_one_document_that_the_schema_takes() -> None:
    document = stored(
        tools=[tool("search"), tool("read", server="com.example/files"), tool("x", kind="http")]
    )
    assert mcp.servers(document) == ["com.example/docs", "com.example/files"]
    for name in mcp.servers(document):
        found = json.loads(mcp.server_json(about(document), document, name))
        assert list(Draft7Validator(SERVER_SCHEMA).iter_errors(found)) == []
        assert found["name"] == name
    assert list(Draft7Validator(SERVER_SCHEMA).iter_errors(found | {"name": "docs"}))
    assert list(Draft7Validator(SERVER_SCHEMA).iter_errors({**found, "version": 7}))


WHOLE: dict[str, Any] = {
    "name": "com.example/docs", "description": "Docs.", "version": "^1.2",
    "packages": [{"registryType": "npm", "identifier": "docs", "transport": {"type": "stdio"}}],
    "remotes": [{"type": "sse", "url": "https://docs.example.com/sse", "headers": [{"name": "X-Key", "isSecret": True}]}],
    "icons": [{"src": "https://docs.example.com/i.png", "sizes": ["48x48"]}],
}  # fmt: skip
PACKAGE = WHOLE["packages"][0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "docs"}, {"name": "a/b/c"}, {"description": ""}, {"description": "x" * 101}, {"version": 7}, {"title": ""},
        {"remotes": [{"type": "sse"}]}, {"remotes": [{"type": "stdio"}]}, {"remotes": [{"type": "sse", "url": "ftp://x"}]},
        {"remotes": [{"type": "sse", "url": "https://x", "headers": [{"value": "without a name"}]}]},
        {"remotes": [{"type": "sse", "url": "https://x", "variables": {"v": {"format": "date"}}}]},
        {"packages": [PACKAGE | {"version": "latest"}]}, {"packages": [PACKAGE | {"fileSha256": "A" * 64}]},
        {"packages": [PACKAGE | {"transport": {"type": "pipe"}}]}, {"packages": [{"registryType": "npm"}]},
        {"packages": [PACKAGE | {"packageArguments": [{"type": "positional"}]}]},
        {"packages": [PACKAGE | {"runtimeArguments": [{"type": "named"}]}]},
        {"icons": [{"src": "x" * 256}]}, {"icons": [{"src": "https://x", "sizes": ["48"]}]},
        {"repository": {"url": "https://x"}}, {"_meta": {mcp.PUBLISHER: []}},
    ],
)  # fmt: skip
def test_the_restated_rules_of_mcp_refuse_what_the_published_ones_refuse(wrong: dict[str, Any]) -> None:
    """Each verdict is that of the published file, as compared (docs/registry/exchange.md)."""
    rules = Draft7Validator(SERVER_SCHEMA)
    assert rules.is_valid(WHOLE)
    assert not rules.is_valid(WHOLE | wrong)


def test_the_tools_of_a_server_come_back_and_a_changed_one_is_refused() -> None:
    document = stored()
    data = mcp.server_json(about(document), document, "com.example/docs")
    server = mcp.read_server(data)
    assert server.problems == ()
    again, notes, _ = mcp.with_tools(document, server)
    assert (genome.seal(again).digest, notes) == (genome.seal(document).digest, [])

    def change(file: dict[str, Any]) -> None:
        file["_meta"][mcp.PUBLISHER][mcp.OURS]["tools"][0]["risk"] = "GREEN"

    refused = mcp.read_server(changed(data, change))
    assert [p["code"] for p in refused.problems] == ["tampered"]


def test_a_server_whose_name_mcp_would_not_take_is_refused_at_its_tools() -> None:
    document = stored(tools=[tool("a", kind="http"), tool("b", server="docs")])
    with pytest.raises(Invalid) as refused:
        mcp.server_json(about(document), document, "docs")
    assert [p["pointer"] for p in refused.value.errors] == ["/tools/1/server"]


PUBLISHED = {
    "$schema": mcp.SCHEMA,
    "name": "io.github.acme/weather",
    "description": "Weather.",
    "version": "1.0.2",
    "packages": [
        {"registryType": "npm", "identifier": "w", "version": "1.0.2", "transport": {"type": "stdio"}}
    ],
}


def with_meta(tools: Any) -> bytes:
    return json.dumps(PUBLISHED | {"_meta": {mcp.PUBLISHER: {"tools": tools}}}).encode()


def test_tools_in_the_shape_of_mcp_are_pinned_by_what_they_say() -> None:
    one = {
        "name": "now",
        "description": "The weather now.",
        "inputSchema": {"type": "object"},
        "annotations": {"readOnlyHint": True},
    }
    server = mcp.read_server(with_meta([one]))
    assert server.problems == ()
    held, notes, _ = mcp.with_tools(
        {"tools": [tool("now", server="io.github.acme/weather", risk="RED")]}, server
    )
    (found,) = held["tools"]
    assert found["description_digest"] == sha("The weather now.")
    assert found["schema_digest"] == sha('{"type":"object"}')
    assert (found["risk"], found["side_effect"]) == (
        "RED",
        False,
    )  # the file says no risk; the genome's stays
    assert notes == []


@pytest.mark.parametrize(
    ("file", "pointer"),
    [
        (b"{}", "/name"),
        (json.dumps(PUBLISHED).encode(), f"/_meta/{mcp.PUBLISHER.replace('/', '~1')}/tools"),
        (json.dumps(PUBLISHED | {"name": "weather"}).encode(), "/name"),
        (with_meta([{"title": "x"}]), f"/_meta/{mcp.PUBLISHER.replace('/', '~1')}/tools/0/name"),
        (with_meta(["x"]), f"/_meta/{mcp.PUBLISHER.replace('/', '~1')}/tools/0"),
        (json.dumps(PUBLISHED | {"_meta": []}).encode(), "/_meta"),
    ],
)
def test_a_server_json_that_says_too_little_is_refused_at_the_place(file: bytes, pointer: str) -> None:
    assert pointer in {problem["pointer"] for problem in mcp.read_server(file).problems}


# --- OASF ----------------------------------------------------------------------------------------------------


def test_a_record_has_what_the_framework_requires_and_a_changed_one_is_refused() -> None:
    document = full()
    data = oasf.record(about(document), document)
    found = json.loads(data)
    required = {
        "name",
        "version",
        "schema_version",
        "description",
        "authors",
        "created_at",
        "skills",
        "domains",
        "locators",
    }
    assert required <= found.keys() and all(
        found[name] for name in required - {"skills", "domains", "locators"}
    )
    back = oasf.read_record(
        changed(data, lambda r: r["modules"][0]["data"]["models"][0].update(name="other"))
    )
    assert [(p["pointer"], p["code"]) for p in back.problems] == [
        ("/annotations/arm.example~1genome-digest", "tampered")
    ]  # fmt: skip
    with pytest.raises(Invalid) as refused:
        oasf.record(about(document, description=""), document)
    assert [p["pointer"] for p in refused.value.errors] == ["/description"]


def test_of_a_foreign_record_the_skills_are_taken_and_the_rest_is_named() -> None:
    record = {
        "name": "Planner", "version": "1", "schema_version": "0.8.0", "description": "Plans.", "authors": ["A"],
        "created_at": "2026-01-01T00:00:00Z", "skills": [{"id": 10201, "name": "text_completion"}], "domains": [{"id": 1}],
        "locators": [{"type": "docker_image", "url": "x"}], "modules": [{"name": "core/llm", "data": {}}],
    }  # fmt: skip
    back = oasf.read_record(json.dumps(record).encode())
    assert back.problems == ()
    assert back.document["skills"] == [
        {
            "id": "10201",
            "name": "text_completion",
            "description": "text_completion",
            "oasf": {"name": "text_completion", "id": 10201},
        }
    ]
    assert back.document.keys() == {"schema", "skills"}
    for word in ("core/llm", "locators", "domains", "models, prompts", "does not describe its skills"):
        assert word in " ".join(back.notes)
    wrong = oasf.read_record(json.dumps(record | {"skills": [{"id": 1}], "schema_version": ""}).encode())
    assert {p["pointer"] for p in wrong.problems} == {"/skills/0/name", "/schema_version"}
