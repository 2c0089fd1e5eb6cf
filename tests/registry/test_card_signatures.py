"""An imported agent card is believed by the keys that the tenant has listed, and by no others; a false one is refused."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from a2a.types import AgentCard
from a2a.utils.signing import create_agent_card_signer
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from django.test import Client
from google.protobuf.json_format import MessageToDict, ParseDict
from jwt import PyJWK

from arm.crypto import canonical
from arm.errors import Conflict, Invalid, NotAllowed, Unavailable
from arm.models import ChangeRecord, Tenant, User
from arm.rights import Right
from evidence.signing import agent_cards, keys
from registry import services
from registry.models import AgentTemplate, AgentVersion, CardKeySource
from tests import make
from tests.hostile import Hostile, hostile
from tests.registry.test_a2a_card import V1_0

pytestmark = pytest.mark.django_db

CARD = {name: value for name, value in V1_0.items() if name != "signatures"}


@pytest.fixture
def acme() -> Tenant:
    return make.tenant("acme")


@pytest.fixture
def alice(acme: Tenant) -> User:
    return make.everything(make.user("alice", member_of=acme), acme)


@pytest.fixture
def partner() -> Iterator[Hostile]:
    """A server of somebody else's that publishes keys at /good."""
    with hostile() as server:
        yield server


@pytest.fixture
def key(partner: Hostile) -> EllipticCurvePrivateKey:
    made = keys.generate("P-256")
    assert isinstance(made, EllipticCurvePrivateKey)
    public = made.public_key()
    published = {"keys": [{"kty": "RSA", "kid": "other"}, {**keys.jwk(public), "kid": keys.key_id(public)}]}
    partner.answer = lambda asked: published
    return made


def jku(server: Hostile, path: str = "/good") -> str:
    return server.url + path


def signed(card: dict[str, Any], key: EllipticCurvePrivateKey, at: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(agent_cards.sign(canonical(card), key=key, jku=at))
    return found


def trust(tenant: Tenant, actor: User, url: str) -> CardKeySource:
    return services.trust_card_keys(tenant=tenant, url=url, internal=True, actor=actor, reason="our partner")


def bring_in(tenant: Tenant, actor: User, card: dict[str, Any]) -> services.ImportedVersion:
    return services.import_agent_card(
        tenant=tenant, data=json.dumps(card).encode(), actor=actor, reason="from our partner"
    )


def test_a_card_that_a_listed_key_has_signed_is_verified_and_recorded(
    acme: Tenant, alice: User, partner: Hostile, key: EllipticCurvePrivateKey
) -> None:
    trust(acme, alice, jku(partner))
    made = bring_in(acme, alice, signed(CARD, key, jku(partner)))
    kid = keys.key_id(key.public_key())
    assert f"Signature 1 holds: it is of the key {kid} at {jku(partner)}." in made.notes
    record = ChangeRecord.objects.get(verb="registry.version.card_verified")
    assert record.target_id == made.version.pk
    assert record.after["signatures"] == [{"kid": kid, "jku": jku(partner)}]


def test_a_card_of_the_a2a_sdk_is_verified_though_it_leaves_empty_members_out_of_what_it_signs(
    acme: Tenant, alice: User, partner: Hostile, key: EllipticCurvePrivateKey
) -> None:
    private = keys.jwk(key.public_key()) | {
        "d": agent_cards._text(key.private_numbers().private_value.to_bytes(32, "big")),
        "alg": "ES256",
    }
    header = {"alg": "ES256", "typ": "JOSE", "kid": keys.key_id(key.public_key()), "jku": jku(partner)}
    signer = create_agent_card_signer(PyJWK(private), header)  # type: ignore[arg-type]
    card = MessageToDict(signer(ParseDict(CARD, AgentCard())))
    card["skills"][1]["tags"] = []  # as another server would write the same card
    trust(acme, alice, jku(partner))
    assert "Signature 1 holds" in " ".join(bring_in(acme, alice, card).notes)


@pytest.mark.parametrize(
    ("tamper", "pointer"),
    [
        (lambda card: card.update(name="Evil"), "/signatures/0/signature"),
        (lambda card: card["skills"][0].update(description="Evil"), "/signatures/0/signature"),
        (lambda card: card["signatures"][0].update(signature="A" * 86), "/signatures/0/signature"),
        (lambda card: card["signatures"][0].update(signature="AAAA"), "/signatures/0/signature"),
        (lambda card: card["signatures"][0].pop("signature"), "/signatures"),
        (lambda card: card["signatures"].append(card["signatures"][0] | {"signature": "A" * 86}),
         "/signatures/1/signature"),
    ],
)  # fmt: skip
def test_a_changed_card_is_refused_at_its_signature_and_nothing_is_stored(
    acme: Tenant,
    alice: User,
    partner: Hostile,
    key: EllipticCurvePrivateKey,
    tamper: Callable[[Any], None],
    pointer: str,
) -> None:
    trust(acme, alice, jku(partner))
    card = signed(CARD, key, jku(partner))
    tamper(card)
    with pytest.raises(Invalid) as refused:
        bring_in(acme, alice, card)
    assert [p["pointer"] for p in refused.value.errors] == [pointer]
    assert not AgentTemplate.objects.exists()


def test_a_key_that_the_listed_address_does_not_publish_is_refused(
    acme: Tenant, alice: User, partner: Hostile, key: EllipticCurvePrivateKey
) -> None:
    trust(acme, alice, jku(partner))
    other = keys.generate("P-256")
    assert isinstance(other, EllipticCurvePrivateKey)
    with pytest.raises(Invalid) as refused:
        bring_in(acme, alice, signed(CARD, other, jku(partner)))
    assert [p["pointer"] for p in refused.value.errors] == ["/signatures/0/protected"]


def test_an_address_that_is_not_listed_is_never_called_and_noted(
    acme: Tenant, alice: User, partner: Hostile, key: EllipticCurvePrivateKey
) -> None:
    made = bring_in(acme, alice, signed(CARD, key, jku(partner)))
    assert f"Signature 1 was not verified: the keys at {jku(partner)} are not on your list." in made.notes
    assert partner.heads == []
    assert not ChangeRecord.objects.filter(verb="registry.version.card_verified").exists()


def test_the_list_of_another_tenant_and_an_ended_entry_count_for_nothing(
    acme: Tenant, alice: User, partner: Hostile, key: EllipticCurvePrivateKey
) -> None:
    other = make.tenant("other")
    bob = make.everything(make.user("bob", member_of=other), other)
    trust(other, bob, jku(partner))
    source = trust(acme, alice, jku(partner))
    services.end_card_keys(source=source, actor=alice, reason="no partner any more")
    card = signed(CARD, key, jku(partner)) | {"name": "Evil"}
    assert "was not verified" in " ".join(bring_in(acme, alice, card).notes)
    assert partner.heads == []
    with pytest.raises(Conflict):
        services.end_card_keys(source=source, actor=alice, reason="again")


@pytest.mark.parametrize("path", ["/redirect", "/not-json", "/broken", "/list", "/close-early"])
def test_an_address_that_does_not_answer_leaves_nothing_stored_and_says_why(
    acme: Tenant, alice: User, partner: Hostile, key: EllipticCurvePrivateKey, path: str
) -> None:
    trust(acme, alice, jku(partner, path))
    with pytest.raises(Unavailable, match=r"cannot be had|JWK Set"):
        bring_in(acme, alice, signed(CARD, key, jku(partner, path)))
    assert not AgentVersion.objects.exists()


def test_who_may_not_make_versions_causes_no_call(
    acme: Tenant, alice: User, partner: Hostile, key: EllipticCurvePrivateKey
) -> None:
    trust(acme, alice, jku(partner))
    mallory = make.user("mallory", member_of=acme)
    with pytest.raises(NotAllowed):
        bring_in(acme, mallory, signed(CARD, key, jku(partner)))
    assert partner.heads == []


def test_a_public_entry_does_not_open_what_is_inside_the_walls(acme: Tenant, alice: User) -> None:
    services.trust_card_keys(
        tenant=acme, url="https://127.0.0.1/keys", actor=alice, reason="a mistake or an attack"
    )
    key = keys.generate("P-256")
    assert isinstance(key, EllipticCurvePrivateKey)
    with pytest.raises(Unavailable, match="loopback"):
        bring_in(acme, alice, signed(CARD, key, "https://127.0.0.1/keys"))


@pytest.mark.parametrize(
    "url", ["http://keys.example/jwks", "ftp://x", "https://", "https://a@b/c", "https://x/" + "a" * 600]
)
def test_an_address_that_nobody_should_believe_is_not_listed(acme: Tenant, alice: User, url: str) -> None:
    with pytest.raises(Invalid) as refused:
        services.trust_card_keys(tenant=acme, url=url, actor=alice, reason="no")
    assert [p["pointer"] for p in refused.value.errors] == ["/url"]


def test_an_address_is_listed_once_by_who_manages_the_tenant(acme: Tenant, alice: User) -> None:
    url = "https://keys.example/jwks.json"
    services.trust_card_keys(tenant=acme, url=url, actor=alice, reason="partner")
    with pytest.raises(services.Duplicate):
        services.trust_card_keys(tenant=acme, url=f" {url} ", actor=alice, reason="partner")
    bob = make.user("bob", member_of=acme)
    make.grant(bob, acme, *(set(Right) - {Right.MANAGE_TENANT}))
    with pytest.raises(NotAllowed):
        services.trust_card_keys(tenant=acme, url=url + "2", actor=bob, reason="mine")


def test_the_list_is_kept_by_page_and_by_the_api(acme: Tenant, alice: User) -> None:
    client = Client()
    client.force_login(alice)
    assert "Nobody" in client.get("/registry/card-keys/").content.decode()
    form = {"url": "https://keys.example/jwks.json", "reason": "partner"}
    assert client.post("/registry/card-keys/new/", form).status_code == 302
    row = CardKeySource.objects.get()
    assert row.url in client.get("/registry/card-keys/").content.decode()
    assert client.post(f"/registry/card-keys/{row.typeid}/end/", {"reason": "over"}).status_code == 302
    assert row.url not in client.get("/registry/card-keys/").content.decode()
    made = client.post("/api/v1/registry/card-keys/", form, content_type="application/json")
    assert (made.status_code, made.json()["address"]) == (201, form["url"])
    again = client.post("/api/v1/registry/card-keys/", form, content_type="application/json")
    assert (again.status_code, again.json()["existing"]) == (409, made.json())
    url = f"/api/v1/registry/card-keys/{made.json()['id']}/end/"
    assert client.post(url, {"reason": "x"}, content_type="application/json").json()["until"]


def test_a_false_card_is_refused_on_the_page_and_by_the_api(
    acme: Tenant, alice: User, partner: Hostile, key: EllipticCurvePrivateKey
) -> None:
    trust(acme, alice, jku(partner))
    card = json.dumps(signed(CARD, key, jku(partner)) | {"name": "Evil"})
    client = Client()
    client.force_login(alice)
    page = client.post("/registry/versions/import/", {"kind": "agent_card", "text": card, "reason": "x"})
    assert page.status_code == 422 and "/signatures/0/signature" in page.content.decode()
    answer = client.post("/api/v1/registry/imports/agent-card/", card, content_type="application/json")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "signature")


def test_who_may_make_versions_of_that_one_agent_still_imports_its_card(acme: Tenant, alice: User) -> None:
    template = make.template("geospatial-route-planner", name="GeoSpatial Route Planner")
    bob = make.user("bob", member_of=acme)
    make.grant(bob, template, Right.CREATE_VERSION)
    assert bring_in(acme, bob, CARD).version.template == template
