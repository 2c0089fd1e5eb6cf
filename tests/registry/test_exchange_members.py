"""What a genome knows of servers, and which classes its skills are of, stands where each format has a member for it, and
comes back from there."""

import json
from typing import Any

import pytest
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from packageurl import PackageURL

from registry import genome, parsing
from registry.genome import SCHEMA
from registry.protocol import a2a, carried, cyclonedx, mcp, oasf
from registry.protocol.common import yaml_of
from registry.protocol.purl import purl
from tests.registry.genomes import example, prompt, sha, tool
from tests.registry.mcp_schema import SERVER_SCHEMA
from tests.registry.test_exchange_formats import SPECS, about, changed

CLASS = {"name": "natural_language_processing/natural_language_generation/text_completion", "id": 10201}
NPM = {
    "registry_type": "npm",
    "identifier": "@acme/docs",
    "version": "1.2.0",
    "digest": sha("docs.tgz"),
    "transport": "stdio",
}
IMAGE = {
    "registry_type": "oci",
    "identifier": "ghcr.io/acme/docs:1.2@" + sha("image"),
    "transport": "streamable-http",
    "url": "https://docs.example.com/mcp",
}
DOCS = {
    "name": "com.example/docs",
    "version": "1.2.0",
    "supplier": {"name": "Acme", "url": "https://acme.example.com"},
    "packages": [NPM, IMAGE],
    "remotes": [
        {"url": "https://docs.example.com/mcp", "type": "streamable-http"},
        {"url": "https://docs.example.com/grpc", "type": "grpc"},
    ],
    "authenticated": True,
    "trust_boundary": False,
    "data": [{"flow": "outbound", "class": "confidential"}],
}
WHOLE: dict[str, Any] = {
    "servers": [DOCS, {"name": "com.example/unused"}],
    "data_sources": [{"id": "crm", "class": "restricted", "access": "read"}],
    "skills": [{"id": "pay", "name": "Pay", "description": "Pays.", "tags": ["x"], "oasf": CLASS}],
    "runtime": {"image": "ghcr.io/acme/agent@" + sha("agent"), "framework": "langgraph"},
    "memory": {"kind": "vector", "retention_s": 60, "redacts": ["email", "phone"], "sensitivity": "internal"},
    "behavior": {"autonomy_tier_max": 2, "risk_tolerance": "low", "escalation_profile": "to the owner"},
    "identity": {"persona": "A clerk."},
    "spawn": {
        "allowed": True,
        "max_depth": 2,
        "max_children": 3,
        "max_per_hour": 6,
        "child_roles": ["clerk", "scribe"],
    },
    "evaluations": [{name: value for name, value in prompt().items() if name != "role"}],
    "secrets": [{"name": "KEY", "ref": "env:KEY"}],
    "security": {"schemes": [{"name": "key", "kind": "api_key", "location": "header", "parameter": "X-Key"}]},
    "x_team": {"n": 1},
}


def whole(**changes: Any) -> dict[str, Any]:
    """A genome with every member that there is, as it is stored."""
    return genome.normalise(example(**(WHOLE | changes)))


def test_the_example_has_every_member_and_nothing_wrong() -> None:
    assert genome.wrong(whole()) == []
    assert set(SCHEMA["properties"]) <= set(whole())


def test_a_genome_without_the_new_members_has_the_digest_that_it_had() -> None:
    """Computed with the schema of before: what is absent changes no digest, and neither does what is empty."""
    before = "sha256:96c33e3a931c3516585daf0a1ee19c67526ead15cd115630a683666f7b150c72"
    assert genome.seal(example()).digest == before
    assert genome.seal(example(servers=[])).digest == before


@pytest.mark.parametrize("spec", SPECS)
def test_packages_are_components_with_package_urls_and_servers_say_who_may_call_them(spec: str) -> None:
    document = whole()
    data = cyclonedx.bom(about(document), document, spec)
    assert JsonStrictValidator(SPECS[spec]).validate_str(data.decode()) is None
    found = json.loads(data)
    held = {one["purl"]: one for one in found["components"] if "purl" in one}
    npm = held["pkg:npm/%40acme/docs@1.2.0"]
    assert npm["hashes"] == [{"alg": "SHA-256", "content": sha("docs.tgz").removeprefix("sha256:")}]
    docs = next(one for one in found["services"] if one["name"] == "com.example/docs")
    assert docs["provider"] == {"name": "Acme", "url": ["https://acme.example.com"]}
    assert (docs["authenticated"], docs["x-trust-boundary"]) == (True, False)
    assert docs["data"] == [{"flow": "outbound", "classification": "confidential"}]
    assert set(docs["endpoints"]) == {one["url"] for one in DOCS["remotes"]}  # type: ignore[attr-defined]
    assert {"ref": docs["bom-ref"], "dependsOn": [one["bom-ref"] for one in held.values()]} in found[
        "dependencies"
    ]
    back = cyclonedx.read_bom(data)
    assert (back.problems, genome.seal(back.document).digest) == ((), genome.seal(document).digest)


@pytest.mark.parametrize(
    "package",
    [
        NPM, IMAGE,
        {"registry_type": "npm", "identifier": "Docs", "version": "1.0.0-rc.1+b", "transport": "stdio"},
        {"registry_type": "pypi", "identifier": "Acme_Docs", "version": "2.0", "transport": "stdio"},
        {"registry_type": "nuget", "identifier": "Acme.Docs", "version": "2.0", "transport": "stdio",
         "registry_base_url": "https://nuget.example.com/v3/index.json"},
        {"registry_type": "oci", "identifier": "docs", "version": "1.2", "digest": sha("image"), "transport": "stdio"},
        {"registry_type": "oci", "identifier": "localhost:5000/a/docs", "version": sha("i"), "transport": "stdio"},
        {"registry_type": "mcpb", "identifier": "https://example.com/a b/docs.mcpb", "version": "1", "digest": sha("b"),
         "transport": "stdio"},
    ],
)  # fmt: skip
def test_package_urls_are_as_the_library_of_their_specification_writes_them(package: dict[str, Any]) -> None:
    assert genome.wrong(example(servers=[{"name": "s", "packages": [package]}])) == []
    assert PackageURL.from_string(purl(package)).to_string() == purl(package)


def test_an_image_is_named_by_its_digest_and_where_it_lies() -> None:
    found = PackageURL.from_string(purl(IMAGE))
    assert (found.type, found.name, found.version) == ("oci", "docs", sha("image"))
    assert found.qualifiers == {"repository_url": "ghcr.io/acme/docs", "tag": "1.2"}


def of(name: str, bom: dict[str, Any]) -> Any:
    return next(one for one in bom["services"] if one["name"] == name)


@pytest.mark.parametrize(
    "change",
    [
        lambda bom: next(c for c in bom["components"] if "purl" in c).update(purl="pkg:npm/evil@1"),
        lambda bom: next(c for c in bom["components"] if "purl" in c).update(version="9.9.9"),
        lambda bom: next(c for c in bom["components"] if "purl" in c)["hashes"][0].update(content="0" * 64),
        lambda bom: of("com.example/docs", bom)["endpoints"].pop(),
        lambda bom: of("com.example/docs", bom)["endpoints"].insert(0, "https://evil.example.com"),
        lambda bom: of("com.example/docs", bom)["endpoints"].reverse(),
        lambda bom: of("com.example/docs", bom).update(authenticated=False),
        lambda bom: of("com.example/docs", bom).update({"x-trust-boundary": True}),
        lambda bom: of("com.example/docs", bom)["data"][0].update(classification="public"),
        lambda bom: of("com.example/docs", bom)["provider"].update(name="Mallory"),
        lambda bom: bom["services"].remove(of("com.example/unused", bom)),
    ],
)  # fmt: skip
def test_a_bom_whose_servers_or_packages_were_changed_is_refused(change: Any) -> None:
    document = whole()
    back = cyclonedx.read_bom(changed(cyclonedx.bom(about(document), document, "1.7"), change))
    assert {problem["code"] for problem in back.problems} == {"tampered"}


def test_of_a_foreign_bom_the_services_are_taken_as_far_as_a_genome_can_say_them() -> None:
    bom = {
        "bomFormat": "CycloneDX", "specVersion": "1.6",
        "metadata": {"component": {"type": "application", "name": "Chatbot"}},
        "services": [
            {"name": "search", "version": "2", "endpoints": ["https://s.example.com/q", "amqp://queue"], "authenticated": True,
             "x-trust-boundary": True, "provider": {"name": "Searchers", "url": ["https://s.example.com"]},
             "data": [{"flow": "outbound", "classification": "public"}, {"flow": "inbound", "classification": "PII"}]},
            {"name": "search"},
        ],
    }  # fmt: skip
    back = cyclonedx.read_bom(json.dumps(bom).encode())
    assert back.problems == ()
    assert back.document["servers"] == [
        {
            "name": "search", "version": "2", "supplier": {"name": "Searchers", "url": "https://s.example.com"},
            "remotes": [{"url": "https://s.example.com/q"}], "authenticated": True, "trust_boundary": True,
            "data": [{"flow": "outbound", "class": "public"}],
        }
    ]  # fmt: skip
    for word in ("amqp://queue", "PII", "Another service"):
        assert word in " ".join(back.notes)
    wrong = cyclonedx.read_bom(
        json.dumps(bom | {"services": [{"name": "s", "authenticated": "yes"}]}).encode()
    )
    assert [problem["pointer"] for problem in wrong.problems] == ["/services/0/authenticated"]


# --- MCP -----------------------------------------------------------------------------------------------------


def test_a_server_json_says_version_packages_and_remotes_and_they_come_back() -> None:
    document = whole()
    data = mcp.server_json(about(document), document, "com.example/docs")
    found = json.loads(data)
    assert list(Draft7Validator(SERVER_SCHEMA).iter_errors(found)) == []
    assert found["version"] == "1.2.0"
    assert found["packages"][0] == {
        "registryType": "npm", "identifier": "@acme/docs", "version": "1.2.0",
        "fileSha256": sha("docs.tgz").removeprefix("sha256:"), "transport": {"type": "stdio"},
    }  # fmt: skip
    assert found["remotes"] == [{"type": "streamable-http", "url": "https://docs.example.com/mcp"}]
    server = mcp.read_server(data)
    assert server.problems == ()
    again, notes, _ = mcp.with_tools(document, server)
    assert (genome.seal(again).digest, notes) == (genome.seal(document).digest, [])
    fresh, _, _ = mcp.with_tools({"schema": genome.NAME}, server)
    assert genome.normalise(fresh)["servers"] == [
        one for one in document["servers"] if one["name"] == server.name
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file["packages"][0].update(identifier="@evil/docs"),
        lambda file: file["packages"][0].update(fileSha256="0" * 64),
        lambda file: file["packages"].pop(),
        lambda file: file["remotes"][0].update(url="https://evil.example.com"),
        lambda file: file.update(version="6.6.6"),
        lambda file: file["_meta"][mcp.PUBLISHER][mcp.OURS]["server"].update(authenticated=False),
    ],
)  # fmt: skip
def test_a_server_json_whose_packages_or_remotes_were_changed_is_refused(change: Any) -> None:
    document = whole()
    back = mcp.read_server(changed(mcp.server_json(about(document), document, "com.example/docs"), change))
    assert [problem["code"] for problem in back.problems] == ["tampered"]


def test_of_a_foreign_server_json_what_a_genome_cannot_say_is_named() -> None:
    file = {
        "name": "io.github.acme/weather", "description": "Weather.", "version": "1.0.2",
        "packages": [
            {"registryType": "npm", "identifier": "w", "version": "1.0.2", "transport": {"type": "stdio"},
             "environmentVariables": [{"name": "API_KEY", "isSecret": True}]}
        ],
        "remotes": [{"type": "sse", "url": "https://w.example.com/sse", "headers": [{"name": "X-Key"}]}],
        "_meta": {mcp.PUBLISHER: {"tools": [{"name": "now", "description": "Now.", "inputSchema": {}}]}},
    }  # fmt: skip
    server = mcp.read_server(json.dumps(file).encode())
    assert server.problems == ()
    assert server.known == {
        "name": "io.github.acme/weather", "version": "1.0.2",
        "packages": [{"registry_type": "npm", "identifier": "w", "version": "1.0.2", "transport": "stdio"}],
        "remotes": [{"url": "https://w.example.com/sse", "type": "sse"}],
    }  # fmt: skip
    assert "environmentVariables of the package w" in server.notes[0]
    assert "headers of the remote https://w.example.com/sse" in server.notes[0]


# --- OASF ----------------------------------------------------------------------------------------------------


def test_a_record_says_classes_of_skills_models_source_and_image() -> None:
    document = whole()
    data = oasf.record(about(document), document)
    found = json.loads(data)
    assert found["skills"] == [CLASS]
    assert found["authors"] == ["Acme"]
    assert found["locators"] == [
        {"type": "source_code", "url": "https://git.example.com/agents/invoices"},
        {"type": "docker_image", "url": "ghcr.io/acme/agent@" + sha("agent"), "digest": sha("agent")},
    ]
    (models,) = [one["data"]["models"] for one in found["modules"] if one["name"] == oasf.MODELS]
    assert {"provider": "openai", "model": "gpt-4.1@2025-04-14"} in models
    back = oasf.read_record(data)
    assert (back.problems, genome.seal(back.document).digest) == ((), genome.seal(document).digest)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        (lambda record: record["skills"][0].update(name="evil"), "/skills"),
        (lambda record: record["locators"][0].update(url="https://evil.example.com"), "/locators"),
        (lambda record: record["modules"][1]["data"]["models"].pop(), "/modules/1"),
    ],
)
def test_a_record_that_says_something_else_than_its_genome_is_refused(change: Any, pointer: str) -> None:
    document = whole()
    back = oasf.read_record(changed(oasf.record(about(document), document), change))
    assert [(problem["pointer"], problem["code"]) for problem in back.problems] == [(pointer, "tampered")]


def test_a_record_of_an_earlier_release_which_said_none_of_it_is_still_read() -> None:
    document = whole()

    def as_before(record: dict[str, Any]) -> None:
        record.update(skills=[], locators=[], modules=record["modules"][:1])

    back = oasf.read_record(changed(oasf.record(about(document), document), as_before))
    assert (back.problems, genome.seal(back.document).digest) == ((), genome.seal(document).digest)


def test_of_a_foreign_record_the_classes_the_only_model_and_a_pinned_image_are_taken() -> None:
    record = {
        "name": "Planner", "version": "1", "schema_version": "0.8.0", "description": "Plans.", "authors": ["Ann"],
        "skills": [CLASS], "locators": [{"type": "docker_image", "url": "ghcr.io/a/b", "digest": sha("b")},
                                        {"type": "docker_image", "url": "ghcr.io/a/c:latest"}],
        "modules": [{"name": "core/llm/model", "data": {"models": [{"model": "m@2025-01-01", "provider": "p"}]}}],
    }  # fmt: skip
    back = oasf.read_record(json.dumps(record).encode())
    assert back.problems == ()
    assert back.document["skills"][0]["oasf"] == CLASS
    assert back.document["models"] == [
        {"role": "primary", "provider": "p", "name": "m", "revision": "2025-01-01"}
    ]
    assert back.document["runtime"] == {"image": "ghcr.io/a/b@" + sha("b")}
    assert "ghcr.io/a/c:latest" in " ".join(back.notes) and "Ann" in " ".join(back.notes)


# --- what is lost --------------------------------------------------------------------------------------------


def there_and_back(format: str, document: dict[str, Any]) -> dict[str, Any]:
    match format:
        case "genome":
            return genome.read(genome.seal(document).bytes, media_type="application/json").document
        case "genome-yaml":
            return genome.read(yaml_of(document), media_type="application/yaml").document
        case "cyclonedx-1.6" | "cyclonedx-1.7":
            return cyclonedx.read_bom(cyclonedx.bom(about(document), document, format[-3:])).document
        case "oasf":
            return oasf.read_record(oasf.record(about(document), document)).document
        case "mcp-server":
            file = mcp.read_server(mcp.server_json(about(document), document, "com.example/docs"))
            return mcp.with_tools({"schema": genome.NAME}, file)[0]
        case _:
            said = a2a.About(
                "A",
                "b",
                "1",
                "Acme",
                "https://acme.example.com",
                [a2a.Interface("https://a.example.com")],
                {},
            )
            card, problems = a2a.agent_card(said, document)
            assert problems == []
            return parsing.read_a2a_card(json.dumps(card).encode()).genome_draft


@pytest.mark.parametrize("format", carried.LOST)
def test_the_list_names_exactly_what_is_lost_in_each_kind_of_file(format: str) -> None:
    document = genome.normalise(example(**WHOLE))
    back = genome.normalise(there_and_back(format, document))
    lost = {name for name in document if name not in back and name not in ("template",)}
    lost |= {"skills.oasf"} if "skills" in back and "oasf" not in back["skills"][0] else set()
    named = {name for name in carried.LOST[format] if not name.startswith(("provenance.", "other servers"))}
    assert {"x_…" if name == "x_team" else name for name in lost} == named
    kept = [name for name in back if name not in ("skills", "servers", "tools")]
    assert {name: back[name] for name in kept} == {name: document[name] for name in kept}
    assert "built_at" not in json.dumps(back)


words = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8)
plain = st.from_regex(r"https://[a-z]{1,8}\.example\.com(/[a-z0-9._~-]{0,6}){0,2}", fullmatch=True)
any_address = st.text("a.é\U00010348{}%[]@:/?#|", min_size=1, max_size=6).map("https://{}".format)
addresses = plain | any_address
package_s = st.fixed_dictionaries(
    {
        "registry_type": st.sampled_from(["npm", "pypi", "oci", "nuget", "mcpb"]),
        "identifier": words,
        "transport": st.just("stdio"),
    },
    optional={"version": st.from_regex(r"[0-9]\.[0-9]{1,3}", fullmatch=True), "digest": words.map(sha)},
)
server_s = st.fixed_dictionaries(
    {"name": words},
    optional={
        "version": words,
        "supplier": st.fixed_dictionaries({"name": words}, optional={"url": addresses}),
        "packages": st.lists(package_s, max_size=3),
        "remotes": st.lists(st.fixed_dictionaries({"url": addresses}, optional={"type": st.sampled_from(["sse", "http"])}), max_size=3),
        "authenticated": st.booleans(),
        "trust_boundary": st.booleans(),
    },
)  # fmt: skip


@settings(max_examples=60)
@given(st.lists(server_s, max_size=3, unique_by=lambda one: one["name"]))
def test_any_servers_survive_cyclonedx_and_oasf(servers: list[dict[str, Any]]) -> None:
    document = genome.normalise(example(servers=servers, tools=[tool("a", server=words_of(servers))]))
    if genome.wrong(document):
        return
    digest = genome.seal(document).digest
    data = cyclonedx.bom(about(document), document, "1.7")
    assert JsonStrictValidator(SPECS["1.7"]).validate_str(data.decode()) is None
    back = cyclonedx.read_bom(data)
    assert (back.problems, genome.seal(back.document).digest) == ((), digest)
    record = oasf.read_record(oasf.record(about(document), document))
    assert (record.problems, genome.seal(record.document).digest) == ((), digest)


@pytest.mark.parametrize("spec", SPECS)
def test_addresses_that_are_no_iris_stand_in_properties_and_come_back(spec: str) -> None:
    odd = ["https://{tenant}.example.com/mcp", "https://[::1/x", "https://e.com/100%", "http://e.com/a|b"]
    fine = ["https://é.example.com/ü?a=b&c=d#e", "http://localhost:8080/mcp?x=%20"]
    for url in (*odd, *fine):
        remotes = [{"url": "https://a.com", "type": "sse"}, {"url": url, "type": "http"}, {"url": url}]
        server = {"name": "docs", "supplier": {"name": "Acme", "url": url}, "remotes": remotes}
        document = genome.normalise(example(servers=[server], tools=[tool("a", server="docs")]))
        assert genome.wrong(document) == []
        data = cyclonedx.bom(about(document), document, spec)
        assert JsonStrictValidator(SPECS[spec]).validate_str(data.decode()) is None
        (service,) = json.loads(data)["services"]
        assert service["endpoints"] == (
            ["https://a.com"] if url in odd else sorted(["https://a.com", url, url])
        )
        assert service["provider"].get("url") == (None if url in odd else [url])
        back = cyclonedx.read_bom(data)
        assert (back.problems, genome.seal(back.document).digest) == ((), genome.seal(document).digest)


def words_of(servers: list[dict[str, Any]]) -> str:
    return servers[0]["name"] if servers else "com.example/docs"


@pytest.mark.parametrize(
    ("package", "at", "code"),
    [
        ({"version": "latest"}, "version", "floating"),
        ({"version": "^1.2"}, "version", "floating"),
        ({"url": "https://x.example.com"}, "url", "contradiction"),
        ({"transport": "sse"}, "url", "required"),
        ({"digest": "0" * 64}, "digest", "pattern"),
        ({"transport": "pipe"}, "transport", "enum"),
        ({"arguments": ["--all"]}, "arguments", "unknown"),
    ],
)
def test_a_package_that_pins_nothing_or_contradicts_itself_is_refused_at_its_place(
    package: dict[str, Any], at: str, code: str
) -> None:
    held = {"registry_type": "npm", "identifier": "docs", "version": "1.0.0", "transport": "stdio"} | package
    problems = genome.wrong(example(servers=[{"name": "s", "packages": [held]}]))
    found = [(problem["pointer"], problem["code"]) for problem in problems]
    assert found == [(f"/servers/0/packages/0/{at}", code)]


def test_a_server_twice_is_refused_and_one_without_pinned_tools_is_flagged() -> None:
    twice = genome.wrong(example(servers=[{"name": "s"}, {"name": "s"}]))
    assert [problem["code"] for problem in twice] == ["duplicate"]
    flags = genome.risk_flags(example(servers=[{"name": "com.example/docs"}, {"name": "com.example/other"}]))
    assert [flag.message for flag in flags if flag.code == "unpinned_server"] == [
        "The server com.example/other is named, but none of its tools is pinned."
    ]
