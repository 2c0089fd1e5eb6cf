"""An A2A agent card: the SDK of A2A verifies it and refuses a changed copy; what such a card must say is asked for first."""

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from a2a.types import AgentCard
from a2a.utils.signing import InvalidSignaturesError, create_signature_verifier
from django.test import Client
from google.protobuf.json_format import ParseDict
from jwt import PyJWK

from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import User
from arm.rights import Right
from evidence.lifecycle import ArtefactState
from evidence.models import ArtefactFile, SigningKey
from evidence.queries import keyring_of
from evidence.queries.checks import checks_of
from evidence.services.steps import take_step
from evidence.signing import agent_cards
from registry import services
from registry.models import AgentVersion, VersionEvidence
from registry.protocol.a2a import GOVERNANCE, About, Interface, agent_card
from tests import make
from tests.evidence import issuing

pytestmark = pytest.mark.django_db

HERE = Interface("https://agents.example.com/refunds")
SKILLS = [
    {
        "id": "refund", "name": "Refund", "description": "Pays money back — up to 200 €.", "tags": ["payments", "ünïcode"],
        "input_modes": ["text/plain"], "output_modes": ["application/json"],
    }
]  # fmt: skip


@pytest.fixture(autouse=True)
def _signer(settings):
    settings.KEY_ENCRYPTION_KEY = "of the signer alone"
    settings.PUBLIC_URL = "https://arm.example.org"


def version(**members: Any) -> AgentVersion:
    template = make.template("refunds", name="Refunds", description="Pays back.")
    members = {"skills": SKILLS, "x_serial": "a"} | members
    return issuing.version(
        template=template, genome=make.genome(template=template, members=members), label="2.1.0"
    )


def alice(of: AgentVersion) -> User:
    return make.everything(make.user("alice", member_of=of.tenant), of.tenant)


def published(of: AgentVersion, by: User) -> VersionEvidence:
    held = services.publish_a2a_card(version=of, interfaces=[HERE], actor=by, reason="for the partners")
    assert issuing.finish(held.artefact).state == "verified"
    return held


def served(of: AgentVersion) -> dict[str, Any]:
    """As a client without an account gets it."""
    answer = Client().get(f"/a2a/versions/{of.typeid}/agent-card.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def sdk_verifies(card: dict[str, Any]) -> None:
    """With the key that the card's own header leads to, as published."""

    def key(kid: str | None, jku: str | None) -> PyJWK:
        assert jku == "https://arm.example.org/.well-known/arm-a2a-jwks.json"
        keys = Client().get("/.well-known/arm-a2a-jwks.json").json()["keys"]
        return PyJWK(next(one for one in keys if one["kid"] == kid))

    parsed = ParseDict(card, AgentCard())
    create_signature_verifier(key, ["ES256"])(parsed)


def test_the_sdk_verifies_the_published_card_with_the_key_that_it_names() -> None:
    of = version()
    published(of, alice(of))
    card = served(of)
    sdk_verifies(card)
    assert (card["name"], card["version"], card["description"]) == ("Refunds", "2.1.0", "Pays back.")
    assert card["supportedInterfaces"] == [
        {"url": HERE.url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    ]
    assert card["skills"][0]["tags"] == ["payments", "ünïcode"]
    (extension,) = card["capabilities"]["extensions"]
    assert (extension["uri"], extension["params"]["genomeDigest"]) == (GOVERNANCE, of.genome.digest)


@pytest.mark.parametrize(
    "tamper",
    [
        lambda card: card.update(name="Refund"),
        lambda card: card["skills"][0].update(description="Pays anything."),
        lambda card: card["supportedInterfaces"][0].update(url="https://evil.example.com"),
        lambda card: card["capabilities"]["extensions"][0]["params"].update(
            genomeDigest="sha256:" + "0" * 64
        ),
        lambda card: card["signatures"][0].update(signature="A" * 86),
    ],
)
def test_the_sdk_and_our_own_verifier_refuse_a_changed_card(tamper: Callable[[dict[str, Any]], None]) -> None:
    of = version()
    person = alice(of)
    published(of, person)
    card = served(of)
    tamper(card)
    with pytest.raises(InvalidSignaturesError):
        sdk_verifies(card)
    client = Client()
    client.force_login(person)
    file = BytesIO(json.dumps(card).encode())
    file.name = "agent-card.json"
    assert "Do not rely on this file" in client.post("/evidence/verify/", {"file": file}).content.decode()


def test_nothing_in_a_card_is_empty_and_no_parameter_is_a_number() -> None:
    of = version()
    published(of, alice(of))

    def walk(value: Any) -> None:
        assert value not in ("", [], {}, None)
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(inner)

    card = served(of)
    walk(card)
    params = card["capabilities"]["extensions"][0]["params"]
    assert all(isinstance(value, str | list) for value in params.values())
    assert "required" not in card["capabilities"]["extensions"][0]


def test_everything_that_a_card_needs_and_the_version_lacks_is_named_at_once() -> None:
    skills = [{"id": "refund", "name": "Refund", "description": "", "tags": []}]
    of = version(skills=skills)
    of.template.description = ""
    of.template.save()
    with pytest.raises(Invalid) as refused:
        services.publish_a2a_card(
            version=of, interfaces=[Interface("ftp://x", "SOAP")], actor=alice(of), reason="too early"
        )
    pointers = {problem["pointer"] for problem in refused.value.extra["errors"]}
    assert pointers == {
        "/description", "/skills/0/description", "/skills/0/tags", "/supportedInterfaces/0/url",
        "/supportedInterfaces/0/protocolBinding",
    }  # fmt: skip
    assert not VersionEvidence.objects.exists()


def test_a_card_without_an_address_of_ours_or_a_right_is_refused(settings) -> None:
    of = version()
    bob = make.user("bob", member_of=of.tenant)
    make.grant(bob, of.tenant, Right.READ_DIRECTORY, Right.READ_EVIDENCE)
    with pytest.raises(NotAllowed):
        services.publish_a2a_card(version=of, interfaces=[HERE], actor=bob, reason="no right")
    settings.PUBLIC_URL = ""
    with pytest.raises(Conflict, match="ARM_PUBLIC_URL"):
        services.publish_a2a_card(version=of, interfaces=[HERE], actor=alice(of), reason="nowhere")


def test_only_a_verified_card_is_served_the_newest_one_with_its_digest_as_etag() -> None:
    of = version()
    person = alice(of)
    address = f"/a2a/versions/{of.typeid}/agent-card.json"
    assert Client().get(address).status_code == 404
    held = services.publish_a2a_card(version=of, interfaces=[HERE], actor=person, reason="first")
    take_step(artefact_id=held.pk, step=ArtefactState.SIGNED)
    assert Client().get(address).status_code == 404  # signed is not verified
    issuing.finish(held.artefact)
    first = Client().get(address)
    file = ArtefactFile.objects.get(kind="card")
    assert (first.content, first["ETag"]) == (bytes(file.content), f'"{file.digest}"')
    assert "max-age" in first["Cache-Control"]
    again = Client().get(address, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    services.publish_a2a_card(
        version=of, interfaces=[Interface("https://two.example.com")], actor=person, reason="second"
    )
    issuing.finish(VersionEvidence.objects.first().artefact)
    assert served(of)["supportedInterfaces"][0]["url"] == "https://two.example.com"
    assert Client().post(address).status_code == 405


def test_it_is_an_artefact_like_the_others_and_in_the_log() -> None:
    of = version()
    held = published(of, alice(of))
    held.artefact.refresh_from_db()
    assert set(held.artefact.times) == {"requested", "signed", "logged", "verified"}
    checks = checks_of(held.artefact)
    assert all(check.ok for check in checks)
    assert {"agent card", "payload", "inclusion"} <= {check.name for check in checks}


def test_it_is_published_from_the_page_of_the_version_and_by_the_api() -> None:
    of = version()
    client = Client()
    client.force_login(alice(of))
    form = client.get(f"/registry/versions/{of.typeid}/a2a/").content.decode()
    assert "served to whoever asks" in form
    wrong = client.post(f"/registry/versions/{of.typeid}/a2a/", {"interfaces": "a b c", "reason": "typo"})
    assert "is not an address and a binding" in wrong.content.decode()
    refused = client.post(f"/registry/versions/{of.typeid}/a2a/", {"interfaces": "ftp://x", "reason": "typo"})
    assert refused.status_code == 422
    assert "/supportedInterfaces/0/url" in refused.content.decode()
    made = client.post(
        f"/registry/versions/{of.typeid}/a2a/", {"interfaces": f"{HERE.url} JSONRPC\n", "reason": "go"}
    )
    held = VersionEvidence.objects.get()
    assert made["Location"] == held.get_absolute_url()
    issuing.finish(held.artefact)
    page = client.get(held.get_absolute_url()).content.decode()
    assert f"/a2a/versions/{of.typeid}/agent-card.json" in page
    body = {
        "kind": "a2a_card",
        "version": of.typeid,
        "reason": "by the pipeline",
        "interfaces": [{"url": HERE.url}],
    }
    answer = client.post("/api/v1/registry/evidence/", body, content_type="application/json")
    assert answer.status_code == 201, answer.content
    again = client.post("/api/v1/registry/evidence/", body, content_type="application/json")
    assert again.status_code == 409  # one is being made
    nowhere = client.post(
        "/api/v1/registry/evidence/", body | {"interfaces": []}, content_type="application/json"
    )
    assert (nowhere.status_code, nowhere.json()["errors"][0]["pointer"]) == (422, "/supportedInterfaces")


def test_a_description_of_the_version_goes_before_that_of_the_agent_and_modes_have_a_default() -> None:
    about = About("A", "", "1", "Acme", "https://a", [HERE], {})
    card, problems = agent_card(
        about, {"skills": [{"id": "x", "name": "X", "description": "d", "tags": ["t"]}]}
    )
    assert card["defaultInputModes"] == ["text/plain"]
    assert [problem["pointer"] for problem in problems] == ["/description"]


def test_a_required_member_that_is_empty_inside_is_missing() -> None:
    skill = {"id": "x", "name": "X", "description": "d", "tags": [""]}
    about = About("A", "d", "1", "Acme", "https://a", [Interface("http://[", "JSONRPC", "")], {})
    _, problems = agent_card(about, {"skills": [skill]})
    assert {problem["pointer"] for problem in problems} == {
        "/skills/0/tags", "/supportedInterfaces/0/url", "/supportedInterfaces/0/protocolVersion",
    }  # fmt: skip


def test_a_retired_version_is_published_no_more() -> None:
    of = version()
    person = alice(of)
    published(of, person)
    type(of).objects.filter(pk=of.pk).update(state="retired")
    assert Client().get(f"/a2a/versions/{of.typeid}/agent-card.json").status_code == 410
    with pytest.raises(Conflict, match="retired"):
        services.publish_a2a_card(version=of, interfaces=[HERE], actor=person, reason="too late")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: '{"supportedInterfaces":[],' + text[1:],
        lambda text: text[:-1] + ',"x":NaN}',
        lambda text: text[:-1] + ',"x":1e999}',
        lambda text: text[:-1] + ',"x":"\\ud800"}',
        lambda text: text[:-1] + ',"x":' + "[" * 5000 + "]" * 5000 + "}",
        lambda text: json.dumps(json.loads(text) | {"signatures": [{"protected": "W10", "signature": "AA"}]}),
        lambda text: json.dumps(json.loads(text) | {"signatures": 7}),
    ],
)
def test_a_card_that_others_could_read_otherwise_is_refused_and_nothing_stumbles(
    change: Callable[[str], str],
) -> None:
    of = version()
    held = published(of, alice(of))
    text = bytes(held.artefact.files.get().content).decode()
    keys = keyring_of(SigningKey.objects.all()).of("a2a")
    assert agent_cards.verify(text.encode(), keys)
    with pytest.raises(agent_cards.BadCard):
        agent_cards.verify(change(text).encode(), keys)


def test_an_agents_address_serves_the_newest_card_of_what_is_approved() -> None:
    of = version()
    person = alice(of)
    address = f"/a2a/templates/{of.template.typeid}/agent-card.json"
    assert Client().get(address).status_code == 404
    published(of, person)
    type(of).objects.filter(pk=of.pk).update(state="testing")
    assert Client().get(address).status_code == 404  # what is tested speaks for nobody but itself
    type(of).objects.filter(pk=of.pk).update(state="approved")
    first = Client().get(address)
    assert first.json()["version"] == of.label and "max-age" in first["Cache-Control"]
    assert Client().get(address, headers={"If-None-Match": first["ETag"]}).status_code == 304
    newer = make.genome(template=of.template, members={"skills": SKILLS, "x_serial": "b"})
    later = issuing.version(template=of.template, genome=newer, label="2.2.0")
    published(later, person)
    type(of).objects.filter(pk=later.pk).update(state="candidate")
    assert Client().get(address).json()["version"] == of.label  # the later one is not approved yet
    type(of).objects.filter(pk=later.pk).update(state="approved")
    assert Client().get(address).json()["version"] == later.label
    type(of).objects.filter(pk=later.pk).update(state="deprecated")
    assert Client().get(address).json()["version"] == of.label
    type(of).objects.filter(pk=of.pk).update(state="retired")
    assert Client().get(address).json()["version"] == later.label  # deprecated is better than silence
    type(of).objects.filter(pk=later.pk).update(state="retired")
    assert Client().get(address).status_code == 404


def test_the_well_known_address_answers_by_the_name_that_was_asked_and_shows_no_console_there(
    settings,
) -> None:
    of = version()
    published(of, alice(of))
    type(of).objects.filter(pk=of.pk).update(state="approved")
    well_known = "/.well-known/agent-card.json"
    assert Client().get(well_known).status_code == 404  # this installation's own name is no agent's
    settings.AGENT_HOSTS = {"agents.example.com": of.template.typeid}
    settings.ALLOWED_HOSTS = ["testserver", *settings.AGENT_HOSTS]
    assert Client().get(well_known).status_code == 404
    agents = Client(headers={"Host": "Agents.Example.com:443"})
    card = agents.get(well_known)
    assert card.json()["version"] == of.label and card["Access-Control-Allow-Origin"] == "*"
    for console in ("/", "/sign-in/", "/admin/", "/api/v1/registry/templates/", "/ready/", "/a2a/x"):
        assert agents.get(console).status_code == 404
        assert agents.get(console)["Content-Type"] == "text/plain; charset=utf-8"
    assert Client().get("/sign-in/").status_code == 200
    assert Client(headers={"Host": "elsewhere.example"}).get(well_known).status_code == 400
    assert Client(headers={"Host": "elsewhere.example"}).get("/sign-in/").status_code == 400
