"""A version's BOM leaves signed: an in-toto statement of the tenant's key that others verify, refused when it was changed."""

import base64
import copy
import json
from typing import Any

import pytest
from cyclonedx.validation.json import JsonStrictValidator
from django.test import Client
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import ApiKey
from evidence.lifecycle import ArtefactState
from evidence.models import SigningKey
from evidence.signing import dsse
from evidence.signing.keys import from_jwk
from registry import services
from registry.models import AgentVersion, VersionEvidence
from registry.services.exchange import import_bom
from tests import make
from tests.evidence import issuing
from tests.registry.genomes import example
from tests.registry.test_exchange_formats import SPECS

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _signer(settings: Any) -> None:
    settings.KEY_ENCRYPTION_KEY = "of the signer alone"  # this process is the signer as well


def people() -> tuple[AgentVersion, Any, Any]:
    refunds = make.template("refunds", name="Refunds")
    acme = refunds.tenant
    alice = make.everything(make.user("alice", member_of=acme), acme)
    version = services.create_version(
        template=refunds, genome=example(template=None), actor=alice, reason="x"
    )
    return version, alice, make.user("mallory", member_of=acme)


def made(spec: str = "1.7") -> tuple[VersionEvidence, bytes, Any]:
    version, alice, _ = people()
    held = services.sign_bom(version=version, actor=alice, reason="for the customer", spec=spec)
    issuing.seal(version.tenant)
    artefact = issuing.finish(held.artefact)
    assert (artefact.state, artefact.problem) == (ArtefactState.VERIFIED, "")
    return held, bytes(artefact.files.get(kind="envelope").content), alice


def their_key() -> SSlibKey:
    key = SigningKey.objects.get(purpose="evidence")
    return SSlibKey.from_crypto(from_jwk(key.jwk), keyid=key.kid)


@pytest.mark.parametrize("spec", SPECS)
def test_securesystemslib_verifies_the_signed_bom_and_refuses_a_changed_one(spec: str) -> None:
    held, data, _ = made(spec)
    envelope = json.loads(data)
    Envelope.from_dict(copy.deepcopy(envelope)).verify([their_key()], 1)
    said = json.loads(base64.b64decode(envelope["payload"]))
    assert said["predicateType"] == "https://cyclonedx.org/bom"
    (subject,) = said["subject"]
    assert subject["digest"]["sha256"] == held.version.genome.digest.removeprefix("sha256:")
    assert JsonStrictValidator(SPECS[spec]).validate_str(json.dumps(said["predicate"])) is None
    said["predicate"]["metadata"]["component"]["name"] = "Evil"
    envelope["payload"] = base64.b64encode(json.dumps(said).encode()).decode()
    with pytest.raises(VerificationError):
        Envelope.from_dict(envelope).verify([their_key()], 1)
    with pytest.raises(dsse.BadEnvelope):
        dsse.verify(
            json.dumps(envelope).encode(),
            {their_key().keyid: from_jwk(SigningKey.objects.get(purpose="evidence").jwk)},
        )


def test_a_stranger_signs_none_and_an_incomplete_genome_or_another_specification_is_refused() -> None:
    version, alice, mallory = people()
    with pytest.raises(NotAllowed):
        services.sign_bom(version=version, actor=mallory, reason="x")
    with pytest.raises(Invalid) as wrong:
        services.sign_bom(version=version, actor=alice, reason="x", spec="1.5")
    assert [problem["pointer"] for problem in wrong.value.errors] == ["/spec"]
    draft = services.create_version(
        template=version.template, genome={"schema": "arm.genome/v1"}, actor=alice, reason="x"
    )
    with pytest.raises(Conflict, match="lacks models"):
        services.sign_bom(version=draft, actor=alice, reason="x")
    assert not VersionEvidence.objects.exists()


def test_the_api_signs_and_hands_out_and_the_page_offers_it() -> None:
    version, alice, _ = people()
    key = make.key(ApiKey.Kind.SERVICE, tenant=version.tenant, user=alice)[1]
    client = Client(headers={"Authorization": f"Bearer {key}"})
    body = {"kind": "bom", "version": version.typeid, "spec": "1.6", "reason": "for the customer"}
    answer = client.post("/api/v1/registry/evidence/", body, content_type="application/json")
    assert answer.status_code == 201, answer.content
    held = VersionEvidence.objects.get()
    issuing.seal(version.tenant)
    issuing.finish(held.artefact)
    file = client.get(f"{answer.json()['url']}files/envelope/")
    assert (file.status_code, file["Content-Type"]) == (200, dsse.MEDIA_TYPE)
    assert (
        json.loads(base64.b64decode(json.loads(file.content)["payload"]))["predicate"]["specVersion"] == "1.6"
    )
    wrong = client.post("/api/v1/registry/evidence/", body | {"spec": "2"}, content_type="application/json")
    assert [error["pointer"] for error in wrong.json()["errors"]] == ["/spec"]
    browser = Client()
    browser.force_login(alice)
    assert f"{version.get_absolute_url()}bom/" in browser.get(version.get_absolute_url()).content.decode()
    sent = browser.post(f"{version.get_absolute_url()}bom/", {"spec": "1.7", "reason": "again"})
    assert sent.status_code == 302 and VersionEvidence.objects.count() == 2


def test_a_signed_bom_comes_back_as_the_same_genome_and_says_who_signed_it() -> None:
    held, data, alice = made()
    other = make.template("other", tenant=held.tenant)
    imported = import_bom(tenant=held.tenant, data=data, actor=alice, reason="x", template=other)
    before, after = (
        services.read_genome(genome=held.version.genome),
        services.read_genome(genome=imported.version.genome),
    )
    assert before.document.keys() == after.document.keys()
    assert before.document["models"] == after.document["models"]
    assert any("Signed by the key" in note for note in imported.notes)


@pytest.mark.parametrize("change", ["payload", "type", "predicate", "signature"])
def test_a_signed_bom_that_was_changed_is_refused_and_nothing_is_stored(change: str) -> None:
    held, data, alice = made()
    envelope = json.loads(data)
    said = json.loads(base64.b64decode(envelope["payload"]))
    if change == "payload":
        said["predicate"]["metadata"]["component"]["name"] = "Evil"
    elif change == "type":
        envelope["payloadType"] = "text/plain"
    elif change == "predicate":
        said["predicateType"] = "https://example.com/other"
    else:
        envelope["signatures"][0]["sig"] = base64.b64encode(b"x" * 64).decode()
    envelope["payload"] = base64.b64encode(json.dumps(said).encode()).decode()
    count = AgentVersion.objects.count()
    with pytest.raises(Invalid) as refused:
        import_bom(tenant=held.tenant, data=json.dumps(envelope).encode(), actor=alice, reason="x")
    assert [problem["code"] for problem in refused.value.errors] == ["signature"]
    assert AgentVersion.objects.count() == count


def test_a_bom_that_somebody_else_signed_is_read_and_noted_as_not_verified() -> None:
    held, data, alice = made()
    envelope = json.loads(data)
    envelope["signatures"][0]["keyid"] = "theirs"
    envelope["signatures"][0]["sig"] = base64.b64encode(b"x" * 64).decode()
    other = make.template("other", tenant=held.tenant)
    imported = import_bom(
        tenant=held.tenant, data=json.dumps(envelope).encode(), actor=alice, reason="x", template=other
    )
    assert any("was not verified" in note for note in imported.notes)


def test_the_import_page_says_what_each_kind_of_file_cannot_carry() -> None:
    _, alice, _ = people()
    browser = Client()
    browser.force_login(alice)
    page = browser.get("/registry/versions/import/").content.decode()
    assert "What a file cannot say" in page
    for word in ("provenance.built_at", "A2A agent card", "skills.oasf"):
        assert word in page
