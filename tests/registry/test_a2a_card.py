"""An agent card of any A2A version becomes a draft; a hostile one becomes a list of problems."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arm.errors import Invalid
from registry.genome import missing, seal, wrong
from registry.parsing import Interface, read_a2a_card
from tests.registry.genomes import json_values

SKILL = {
    "id": "route-optimizer",
    "name": "Route optimizer",
    "description": "Finds the fastest route between two places, with traffic.",
    "tags": ["maps", "routing"],
    "examples": ["Plan a drive from Lisbon to Porto without tolls."],
    "outputModes": ["application/geo+json"],
}
V1_0 = {
    "name": "GeoSpatial Route Planner",
    "description": "Plans routes and draws maps.",
    "supportedInterfaces": [
        {"url": "https://geo.example.com/a2a/v1", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
        {"url": "https://geo.example.com/a2a/grpc", "protocolBinding": "GRPC", "protocolVersion": "1.0"},
    ],
    "provider": {"organization": "Example Geo", "url": "https://geo.example.com"},
    "version": "1.2.0",
    "documentationUrl": "https://docs.example.com/geo",
    "capabilities": {"streaming": True, "pushNotifications": False, "extendedAgentCard": True},
    "securitySchemes": {
        "google": {"openIdConnectSecurityScheme": {"openIdConnectUrl": "https://id.example.com"}}
    },
    "securityRequirements": [{"schemes": {"google": {"list": ["openid"]}}}],
    "defaultInputModes": ["application/json", "text/plain"],
    "defaultOutputModes": ["application/json"],
    "skills": [SKILL, {"id": "map", "name": "Map maker", "description": "Draws a map.", "tags": []}],
    "signatures": [
        {
            "protected": "eyJhbGciOiJFUzI1NiJ9",
            "signature": "QFdkNLNszlGj3z3u0YQGt_T9LixY3qtdQpZmsTdDHDe3fXV9y",
        }
    ],
}
V0_3 = {
    "protocolVersion": "0.3.0",
    "name": "Recipe agent",
    "description": "Helps with recipes.",
    "url": "https://recipes.example.com/a2a",
    "preferredTransport": "GRPC",
    "additionalInterfaces": [{"url": "https://recipes.example.com/rest", "transport": "HTTP+JSON"}],
    "version": "0.9",
    "capabilities": {},
    "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
    "security": [{"bearer": []}],
    "defaultInputModes": ["text/plain"],
    "defaultOutputModes": ["text/plain"],
    "skills": [SKILL],
    "supportsAuthenticatedExtendedCard": True,
}
V0_2 = {
    "name": "Hello world agent",
    "url": "http://localhost:9999/",
    "version": "1.0.0",
    "capabilities": {"streaming": True},
    "authentication": {"schemes": ["public"]},
    "defaultInputModes": ["text"],
    "defaultOutputModes": ["text"],
    "skills": [{"id": "hello_world", "name": "Returns hello world"}],
}


def read(card):
    return read_a2a_card(json.dumps(card).encode())


def test_a_card_of_1_0_becomes_a_draft_with_its_skills_and_nothing_invented():
    imported = read(V1_0)
    assert imported.problems == ()
    assert (imported.name, imported.version_label) == ("GeoSpatial Route Planner", "1.2.0")
    assert imported.description == "Plans routes and draws maps."
    assert imported.genome_draft["skills"][0] == {
        "id": "route-optimizer",
        "name": "Route optimizer",
        "description": SKILL["description"],
        "tags": ["maps", "routing"],
        "input_modes": ["application/json", "text/plain"],
        "output_modes": ["application/geo+json"],
    }
    assert imported.genome_draft["skills"][1]["output_modes"] == ["application/json"]
    assert wrong(imported.genome_draft) == []
    absent = [problem["pointer"] for problem in missing(imported.genome_draft)]
    assert absent == ["/template", "/models", "/prompts", "/tools", "/provenance"]
    assert seal(imported.genome_draft).digest.startswith("sha256:")


@pytest.mark.parametrize(
    ("card", "interfaces"),
    [
        (
            V1_0,
            [
                ("https://geo.example.com/a2a/v1", "JSONRPC", "1.0"),
                ("https://geo.example.com/a2a/grpc", "GRPC", "1.0"),
            ],
        ),
        (
            V0_3,
            [
                ("https://recipes.example.com/a2a", "GRPC", "0.3.0"),
                ("https://recipes.example.com/rest", "HTTP+JSON", "0.3.0"),
            ],
        ),
        (V0_2, [("http://localhost:9999/", "JSONRPC", "0.2")]),
    ],
)
def test_addresses_are_read_in_the_shape_of_each_version(card, interfaces):
    imported = read(card)
    assert imported.problems == ()
    assert imported.interfaces == tuple(Interface(*held) for held in interfaces)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"supportedInterfaces": [{"url": "http://a.example.com", "protocolBinding": "JSONRPC"}]}, "/supportedInterfaces/0/url"),
        ({"supportedInterfaces": [{"url": "https://bob:hunter2@a.example.com", "protocolBinding": "GRPC"}]}, "/supportedInterfaces/0/url"),
        ({"supportedInterfaces": [{"url": "bob@a.example.com:443", "protocolBinding": "GRPC"}]}, "/supportedInterfaces/0/url"),
        ({"supportedInterfaces": [{"url": "a.example.com:443", "protocolBinding": "JSONRPC"}]}, "/supportedInterfaces/0/url"),
        ({"url": "file:///etc/passwd"}, "/url"),
        ({"url": "https://token@a.example.com"}, "/url"),
        ({"url": "javascript:alert(1)"}, "/url"),
        ({"url": "https://a.example.com:99999"}, "/url"),
        ({"url": "https://"}, "/url"),
        ({"url": "https://a.example.com/\n"}, "/url"),
        ({"additionalInterfaces": [{"url": "ftp://a.example.com", "transport": "JSONRPC"}]}, "/additionalInterfaces/0/url"),
        ({"securitySchemes": {"sso": {"openIdConnectSecurityScheme": {"openIdConnectUrl": "http://sso.example.com"}}}},
         "/securitySchemes/sso/openIdConnectSecurityScheme/openIdConnectUrl"),
        ({"securitySchemes": {"o": {"oauth2SecurityScheme": {"flows": {"clientCredentials": {"tokenUrl": "https://bob@t.example.com", "scopes": {"a": "b"}}}}}}},
         "/securitySchemes/o/oauth2SecurityScheme/flows/clientCredentials/tokenUrl"),
    ],
)  # fmt: skip
def test_an_address_that_is_not_https_or_names_a_user_is_refused_at_its_place(change, pointer):
    problems = read({"name": "Bad", "description": "x", "version": "1"} | change).problems
    assert [(p["pointer"], p["code"]) for p in problems] == [(pointer, "address")]
    assert "hunter2" not in problems[0]["message"]


@pytest.mark.parametrize(
    "address", ["a.example.com:443", "https://a.example.com", "localhost:50051", "http://[::1]:80"]
)
def test_grpc_may_be_reached_at_a_host_and_a_port_and_localhost_without_tls(address):
    card = {"name": "Good", "supportedInterfaces": [{"url": address, "protocolBinding": "GRPC"}]}
    assert read(card).problems == ()


def test_what_a_card_cannot_prove_or_say_is_noted():
    notes = " ".join(read(V1_0).notes)
    assert "which models, prompts and tools" in notes
    assert "extended card" in notes
    assert "https://geo.example.com/a2a/v1 (JSONRPC, A2A 1.0)" in notes
    assert "names no skills" in " ".join(read({"name": "Bare"}).notes)


def test_whatever_of_a_card_a_genome_has_no_member_for_is_named():
    skill = SKILL | {"securityRequirements": [{"schemes": {"google": {"list": ["openid"]}}}]}
    extensions = [
        {"uri": "https://ext.example.com/pay", "required": True},
        {"uri": "https://ext.example.com/log"},
    ]
    card = V1_0 | {
        "skills": [skill, {"id": "bare", "name": "Bare"}],
        "capabilities": {"extensions": extensions, "streaming": True},
        "iconUrl": "https://geo.example.com/i.png",
        "x-more": 1,
    }
    imported = read(card)
    assert imported.problems == ()
    notes = imported.notes
    assert (
        "Not taken over: the extension https://ext.example.com/pay, which callers of the agent must support."
        in notes
    )
    (left,) = [note for note in notes if note.endswith("a genome has no member for it.")]
    assert left == (
        "Not taken over: capabilities/extensions, capabilities/streaming, provider, documentationUrl, iconUrl, x-more, "
        "examples of the skill route-optimizer, securityRequirements of the skill route-optimizer; "
        "a genome has no member for it."
    )
    assert "Not described: bare. A genome must describe each skill: its name stands there." in notes
    assert not any("Not described" in note for note in read(V1_0).notes)
    many = read(
        V1_0 | {"skills": [{"id": f"s{n}", "name": "S", "description": "S.", "y": 1} for n in range(30)]}
    )
    assert "more members; a genome has no member for it." in " ".join(many.notes)


def test_a_hostile_card_gets_every_problem_with_its_place():
    imported = read(
        {
            "name": ["x"],
            "description": 7,
            "version": {},
            "url": False,
            "supportedInterfaces": [{"url": 1}, "https://x", {"url": "u", "protocolBinding": "JSONRPC"}],
            "additionalInterfaces": {"url": "x"},
            "capabilities": [],
            "defaultInputModes": "text",
            "skills": [None, {"id": "a", "name": 3, "tags": [1, "ok"]}, {"id": "a", "name": "n"}],
            "signatures": "none",
        }
    )
    assert {problem["pointer"] for problem in imported.problems} == {
        "/name",
        "/description",
        "/version",
        "/url",
        "/supportedInterfaces/0/url",
        "/supportedInterfaces/0/protocolBinding",
        "/supportedInterfaces/1",
        "/supportedInterfaces/2/url",
        "/additionalInterfaces",
        "/capabilities",
        "/defaultInputModes",
        "/skills/0",
        "/skills/1/name",
        "/skills/1/tags/0",
        "/skills/2/id",
        "/signatures",
    }


def test_a_card_with_a_secret_in_a_skill_is_refused():
    key = "sk-ant-" + "api03-aB3dE5gH7jK9mN1pQ3sT5vX7"
    imported = read(V0_2 | {"skills": [SKILL | {"description": f"Call me with {key}"}]})
    assert [(p["pointer"], p["code"]) for p in imported.problems] == [("/skills/0/description", "secret")]


def test_bytes_that_are_no_object_are_refused_whole():
    for data in (b"[]", b"{", b'{"name": "a", "name": "b"}', b"\xff"):
        with pytest.raises(Invalid):
            read_a2a_card(data)


@given(st.dictionaries(st.sampled_from([*V1_0, *V0_3, *V0_2]), json_values, max_size=6))
def test_no_card_makes_us_fall_over_and_none_without_a_name_gets_through(changes):
    imported = read(V1_0 | changes)
    assert imported.problems or (imported.name and wrong(imported.genome_draft) == [])
