"""How callers sign in: the same in a genome and in an A2A card, both ways, and nothing of it that readers hash otherwise."""

import json
from typing import Any

import pytest
from a2a.types import AgentCard
from a2a.utils.signing import InvalidSignaturesError
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import given
from hypothesis import strategies as st

from arm.errors import Invalid
from registry import services
from registry.genome import check, normalise, seal, wrong
from registry.parsing import read_a2a_card
from registry.protocol.a2a import About, Interface, agent_card
from tests.registry.genomes import example
from tests.registry.test_a2a_export import HERE, _signer, alice, published, sdk_verifies, served, version

__all__ = ["_signer"]

SCOPES = [{"name": "pay", "description": "Pay invoices."}, {"name": "read", "description": "Read them."}]
SECURITY: dict[str, Any] = {
    "schemes": [
        {"name": "cert", "kind": "mutual_tls", "description": "By our own authority."},
        {"name": "device", "kind": "oauth2", "flows": [
            {"kind": "device_code", "device_authorization_url": "https://id.example.com/device",
             "token_url": "https://id.example.com/token", "scopes": SCOPES}]},
        {"name": "key", "kind": "api_key", "location": "header", "parameter": "X-API-Key", "description": "Ask for one."},
        {"name": "oauth", "kind": "oauth2", "metadata_url": "https://id.example.com/.well-known/oauth", "flows": [
            {"kind": "authorization_code", "authorization_url": "https://id.example.com/auth",
             "token_url": "https://id.example.com/token", "refresh_url": "https://id.example.com/refresh",
             "pkce_required": True, "scopes": SCOPES}]},
        {"name": "oidc", "kind": "openid_connect", "openid_connect_url": "https://id.example.com/.well-known/openid"},
        {"name": "token", "kind": "http", "scheme": "Bearer", "bearer_format": "JWT"},
    ],
    "requirements": [
        {"all_of": [{"scheme": "cert"}, {"scheme": "oauth", "scopes": ["pay", "read"]}]},
        {"all_of": [{"scheme": "key"}]},
        {"all_of": [{"scheme": "oidc", "scopes": ["openid"]}]},
    ],
}  # fmt: skip
SKILL = {"id": "pay", "name": "Pay", "description": "Pays.", "tags": ["money"]}
ABOUT = About(
    "Invoices", "Pays.", "1", "Acme", "https://acme.example.com", [Interface("https://a.example.com")], {}
)


def card_of(security: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    card, problems = agent_card(ABOUT, normalise(example(skills=[SKILL], security=security)))
    return card, [(problem["pointer"], problem["code"]) for problem in problems]


def read(card: dict[str, Any]) -> Any:
    return read_a2a_card(json.dumps(card).encode())


def test_every_kind_of_scheme_is_said_in_the_terms_of_a2a_and_its_sdk_knows_each_member() -> None:
    card, problems = card_of(SECURITY)
    assert problems == []
    assert MessageToDict(ParseDict(card, AgentCard())) == card
    assert card["securitySchemes"]["key"] == {
        "apiKeySecurityScheme": {"location": "header", "name": "X-API-Key", "description": "Ask for one."}
    }
    assert card["securitySchemes"]["oauth"]["oauth2SecurityScheme"]["flows"]["authorizationCode"][
        "scopes"
    ] == {
        "pay": "Pay invoices.",
        "read": "Read them.",
    }
    assert card["securityRequirements"] == [
        {"schemes": {"cert": {"list": ["authenticated"]}, "oauth": {"list": ["pay", "read"]}}},
        {"schemes": {"key": {"list": ["authenticated"]}}},
        {"schemes": {"oidc": {"list": ["openid"]}}},
    ]


def test_what_an_exported_card_says_of_it_comes_back_the_same() -> None:
    imported = read(card_of(SECURITY)[0])
    assert (imported.problems, wrong(imported.genome_draft)) == ((), [])
    assert normalise(imported.genome_draft)["security"] == normalise({"security": SECURITY})["security"]


words = st.text(st.characters(categories=("Ll", "Lu", "Nd", "Zs")), min_size=1, max_size=8).filter(str.strip)
urls = st.sampled_from(["https://id.example.com/a", "https://id.example.com/b", "http://localhost:9/c"])
names = st.from_regex(r"[A-Za-z0-9._-]{1,6}", fullmatch=True)
scopes = st.lists(
    st.builds(lambda n, d: {"name": n, "description": d}, names, words),
    min_size=1,
    max_size=3,
    unique_by=lambda s: s["name"],
)


@st.composite
def securities(draw: st.DrawFn) -> dict[str, Any]:
    """Any `security` that a card can say."""
    schemes = []
    for name in draw(st.lists(names, min_size=1, max_size=5, unique=True)):
        kind = draw(st.sampled_from(["api_key", "http", "oauth2", "openid_connect", "mutual_tls"]))
        one: dict[str, Any] = {"name": name, "kind": kind}
        if kind == "mutual_tls" or draw(st.booleans()):
            one["description"] = draw(words)
        if kind == "api_key":
            one |= {
                "location": draw(st.sampled_from(["header", "query", "cookie"])),
                "parameter": draw(words),
            }
        elif kind == "http":
            one |= {"scheme": draw(words)}
        elif kind == "openid_connect":
            one |= {"openid_connect_url": draw(urls)}
        elif kind == "oauth2":
            one["flows"] = [{"kind": "client_credentials", "token_url": draw(urls), "scopes": draw(scopes)}]
        schemes.append(one)
    asked = st.lists(st.sampled_from(schemes), min_size=1, max_size=3, unique_by=lambda s: s["name"])
    return {
        "schemes": schemes,
        "requirements": [
            {"all_of": [
                {"scheme": one["name"]} | ({"scopes": draw(st.lists(names, min_size=1, max_size=2, unique=True))}
                                           if one["kind"] in ("oauth2", "openid_connect") else {})
                for one in some]}
            for some in draw(st.lists(asked, max_size=3))
        ],
    }  # fmt: skip


@given(securities())
def test_whatever_a_card_can_say_of_it_comes_back_with_the_same_digest(security: dict[str, Any]) -> None:
    assert check(example(security=security), required_profiles=()) == []
    card, problems = card_of(security)
    assert problems == []
    again = read(MessageToDict(ParseDict(card, AgentCard())))
    assert again.problems == ()
    assert (
        seal(again.genome_draft | {"skills": []}).digest
        == seal({"schema": "arm.genome/v1", "security": security}).digest
    )


@pytest.mark.django_db
def test_the_sdk_verifies_a_published_card_with_it_and_refuses_one_whose_requirements_were_taken_out() -> (
    None
):
    of = version(security=SECURITY)
    published(of, alice(of))
    card = served(of)
    sdk_verifies(card)
    assert len(card["securitySchemes"]) == 6

    def tampered(**changes: Any) -> dict[str, Any]:
        return {name: value for name, value in (card | changes).items() if value is not None}

    for copy in (
        tampered(securityRequirements=None),
        tampered(securityRequirements=card["securityRequirements"][:1]),
        tampered(
            securitySchemes=card["securitySchemes"]
            | {"oidc": {"httpAuthSecurityScheme": {"scheme": "Basic"}}}
        ),
    ):
        with pytest.raises(InvalidSignaturesError):
            sdk_verifies(copy)


@pytest.mark.django_db
def test_what_a_card_would_say_empty_is_refused_at_its_place_before_anything_is_signed() -> None:
    flow = {"kind": "client_credentials", "token_url": "https://id.example.com/t"}
    of = version(
        security={
            "schemes": [
                {"name": "cert", "kind": "mutual_tls"},
                {"name": "o", "kind": "oauth2", "flows": [flow | {"scopes": [{"name": "pay"}]}]},
                {"name": "p", "kind": "oauth2", "flows": [flow, {"kind": "password", "token_url": "https://id.example.com/t"}]},
                {"name": "oidc", "kind": "openid_connect", "openid_connect_url": "https://id.example.com"},
            ],
            "requirements": [{"all_of": [{"scheme": "oidc"}]}],
        }
    )  # fmt: skip
    with pytest.raises(Invalid) as refused:
        services.publish_a2a_card(version=of, interfaces=[HERE], actor=alice(of), reason="too early")
    assert {(p["pointer"], p["code"]) for p in refused.value.errors} == {
        ("/securitySchemes/cert/mtlsSecurityScheme/description", "required"),
        ("/securitySchemes/o/oauth2SecurityScheme/flows/clientCredentials/scopes/pay", "required"),
        ("/securitySchemes/p/oauth2SecurityScheme/flows", "maxItems"),
        ("/securitySchemes/p/oauth2SecurityScheme/flows/clientCredentials/scopes", "required"),
        ("/securityRequirements/0/schemes/oidc/list", "required"),
    }


def test_a_card_before_1_0_says_it_in_the_terms_of_openapi() -> None:
    flows = {"authorizationCode": {
        "authorizationUrl": "https://id.example.com/a", "tokenUrl": "https://id.example.com/t", "scopes": {"pay": "Pay."}}}  # fmt: skip
    imported = read(
        {
            "name": "Old", "protocolVersion": "0.3.0",
            "securitySchemes": {
                "k": {"type": "apiKey", "in": "cookie", "name": "sid"}, "h": {"type": "http", "scheme": "bearer"},
                "o": {"type": "oauth2", "flows": flows}, "c": {"type": "openIdConnect", "openIdConnectUrl": "https://id"},
                "m": {"type": "mutualTLS"},
            },
            "security": [{"k": []}, {"o": ["pay"], "m": []}],
        }
    )  # fmt: skip
    assert imported.problems == ()
    held = normalise(imported.genome_draft)["security"]
    assert [(one["name"], one["kind"]) for one in held["schemes"]] == [
        ("c", "openid_connect"), ("h", "http"), ("k", "api_key"), ("m", "mutual_tls"), ("o", "oauth2"),
    ]  # fmt: skip
    assert held["schemes"][2] == {"name": "k", "kind": "api_key", "location": "cookie", "parameter": "sid"}
    assert held["requirements"] == [
        {"all_of": [{"scheme": "k"}]},
        {"all_of": [{"scheme": "m"}, {"scheme": "o", "scopes": ["pay"]}]},
    ]


@pytest.mark.parametrize("security", [[{}], [{"k": []}, {}]])
def test_a_card_before_1_0_may_leave_signing_in_to_its_callers_which_a_note_says(security: list[Any]) -> None:
    schemes = {"k": {"type": "apiKey", "in": "header", "name": "X"}}
    imported = read(
        {"name": "Old", "protocolVersion": "0.3.0", "securitySchemes": schemes, "security": security}
    )
    assert imported.problems == ()
    assert imported.genome_draft["security"].keys() == {"schemes"}  # a requirement would say that they must
    assert "lets callers in who do not sign in" in " ".join(imported.notes)
    assert "sign in" not in " ".join(
        read({"name": "Old", "securitySchemes": schemes, "security": [{"k": []}]}).notes
    )


KEY = {"apiKeySecurityScheme": {"location": "header", "name": "X"}}


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"securitySchemes": []}, "/securitySchemes"),
        ({"securitySchemes": {"a": 7}}, "/securitySchemes/a"),
        ({"securitySchemes": {"a": {}}}, "/securitySchemes/a"),
        ({"securitySchemes": {"a": KEY | {"mtlsSecurityScheme": {}}}}, "/securitySchemes/a"),
        ({"securitySchemes": {"a b": KEY}}, "/securitySchemes/a b"),
        ({"securitySchemes": {"a": {"type": "magic"}}}, "/securitySchemes/a/type"),
        ({"securitySchemes": {"a": {"apiKeySecurityScheme": {"name": "X"}}}}, "/securitySchemes/a/apiKeySecurityScheme/location"),
        ({"securitySchemes": {"a": {"apiKeySecurityScheme": {"name": "X", "location": "body"}}}}, "/securitySchemes/a"),
        ({"securitySchemes": {"a": {"httpAuthSecurityScheme": {"scheme": 1}}}}, "/securitySchemes/a/httpAuthSecurityScheme/scheme"),
        ({"securitySchemes": {"a": {"oauth2SecurityScheme": {}}}}, "/securitySchemes/a/oauth2SecurityScheme/flows"),
        ({"securitySchemes": {"a": {"oauth2SecurityScheme": {"flows": {"magic": {}}}}}}, "/securitySchemes/a/oauth2SecurityScheme/flows/magic"),
        ({"securitySchemes": {"a": {"oauth2SecurityScheme": {"flows": {
            "clientCredentials": {"tokenUrl": "https://t"}, "magic": {}}}}}}, "/securitySchemes/a/oauth2SecurityScheme/flows/magic"),
        ({"securitySchemes": {"a": {"oauth2SecurityScheme": {"flows": {"deviceCode": {"tokenUrl": "https://t"}}}}}},
         "/securitySchemes/a/oauth2SecurityScheme/flows/deviceCode/deviceAuthorizationUrl"),
        ({"securitySchemes": {"a": {"openIdConnectSecurityScheme": {"openIdConnectUrl": "javascript:x"}}}},
         "/securitySchemes/a/openIdConnectSecurityScheme/openIdConnectUrl"),
        ({"securityRequirements": [{"schemes": {"b": {"list": []}}}]}, "/securityRequirements/0/schemes/b"),
        ({"securitySchemes": {"a": KEY}, "securityRequirements": [{}]}, "/securityRequirements/0"),
        ({"securitySchemes": {"a": KEY}, "securityRequirements": [{"schemes": {"a": 1}}]}, "/securityRequirements/0/schemes/a"),
        ({"securitySchemes": {"a": KEY}, "security": [{"a": "x"}]}, "/security/0/a"),
    ],
)  # fmt: skip
def test_a_card_that_says_it_wrongly_is_refused_at_the_place(members: dict[str, Any], place: str) -> None:
    assert [problem["pointer"] for problem in read({"name": "A"} | members).problems] == [place]


def test_a_secret_in_a_scheme_is_refused_wherever_it_stands_and_never_repeated() -> None:
    key = "sk-ant-" + "api03-aB3dE5gH7jK9mN1pQ3sT5vX7"
    scheme = {
        "apiKeySecurityScheme": KEY["apiKeySecurityScheme"] | {"description": f"Use {key}", "x-value": key}
    }
    imported = read({"name": "A", "securitySchemes": {"a": scheme}})
    at = "/securitySchemes/a/apiKeySecurityScheme"
    assert [(p["pointer"], p["code"]) for p in imported.problems] == [
        (f"{at}/description", "secret"),
        (f"{at}/x-value", "secret"),
    ]
    assert key not in json.dumps([imported.problems, imported.notes])


@pytest.mark.parametrize(
    ("security", "place", "code"),
    [
        ({"schemes": [{"name": "a", "kind": "api_key", "location": "header"}]}, "/security/schemes/0/parameter", "required"),
        ({"schemes": [{"name": "a", "kind": "http", "scheme": "Basic", "location": "header"}]}, "/security/schemes/0/location", "unknown"),
        ({"schemes": [{"name": "a", "kind": "mutual_tls"}, {"name": "a", "kind": "mutual_tls"}]}, "/security/schemes/1/name", "duplicate"),
        ({"schemes": [{"name": "a", "kind": "mutual_tls", "value": "x"}]}, "/security/schemes/0/value", "unknown"),
        ({"schemes": [{"name": "a", "kind": "oauth2", "flows": [{"kind": "password"}]}]}, "/security/schemes/0/flows/0/token_url", "required"),
        ({"requirements": [{"all_of": [{"scheme": "b"}]}]}, "/security/requirements/0/all_of/0/scheme", "unknown"),
        ({"requirements": [{"all_of": []}]}, "/security/requirements/0/all_of", "required"),
    ],
)  # fmt: skip
def test_a_genome_that_says_it_wrongly_is_refused_at_the_place(
    security: dict[str, Any], place: str, code: str
) -> None:
    assert (place, code) in {(p["pointer"], p["code"]) for p in wrong(example(security=security))}
