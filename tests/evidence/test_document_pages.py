"""Pages and endpoints of signed documents: who sees what, and that each download leaves a line."""

import io
import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django_q.models import OrmQ

from arm import clock
from arm.models import SecurityEvent, User
from arm.rights import Right
from evidence import tasks
from evidence.lifecycle import ArtefactState
from evidence.models import Artefact, ArtefactFile, SigningKey
from evidence.queries import published
from evidence.services.steps import take_step
from registry import services
from registry.models import AgentVersion, VersionEvidence
from telemetry.models import Incident
from tests import make
from tests.evidence import issuing

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _signer(settings):
    settings.KEY_ENCRYPTION_KEY = "of the signer alone"


def visitor(version: AgentVersion, name: str, *rights: Right, on: str = "tenant") -> Client:
    person = make.user(name, member_of=version.tenant)
    make.grant(person, version.tenant if on == "tenant" else version.template, *rights)
    client = Client()
    client.force_login(person)
    return client


def card_of(version: AgentVersion) -> VersionEvidence:
    alice = make.everything(make.user("alice", member_of=version.tenant), version.tenant)
    held = issuing.card(version, alice)
    issuing.finish(held.artefact)
    return VersionEvidence.objects.for_list().get(pk=held.pk)


def pack_of(version: AgentVersion) -> VersionEvidence:
    issuing.seal(version.tenant)
    alice = User.objects.get(username="alice")
    held = services.export_pack(version=version, actor=alice, reason="audit")
    issuing.finish(held.artefact)
    return held


def test_an_author_of_one_agent_issues_its_card_from_its_page_and_sees_no_other() -> None:
    version = issuing.version()
    other = issuing.version(template=make.template("other"))
    hidden = card_of(other)
    bob = visitor(
        version, "bob", Right.READ_DIRECTORY, Right.READ_EVIDENCE, Right.ISSUE_EVIDENCE, on="template"
    )
    page = bob.get(f"/registry/versions/{version.typeid}/").content.decode()
    assert page.count("none yet") == 6
    assert f"/registry/versions/{version.typeid}/card/" in page
    assert f"/registry/versions/{version.typeid}/pack/" not in page  # he may not take packs away
    answer = bob.post(f"/registry/versions/{version.typeid}/card/", {"reason": "first card"})
    held = VersionEvidence.objects.get(version=version)
    assert answer["Location"] == f"/registry/evidence/{held.typeid}/"
    listed = bob.get("/registry/evidence/").content.decode()
    assert held.typeid in listed and hidden.typeid not in listed
    assert bob.get(f"/registry/evidence/{hidden.typeid}/").status_code == 404
    assert bob.get(f"/registry/evidence/{hidden.typeid}/envelope/").status_code == 404
    refused = bob.post(f"/registry/versions/{version.typeid}/card/", {"reason": "and another"})
    assert refused.status_code == 409
    assert "is being made already" in refused.content.decode()


def test_the_fleet_page_counts_versions_in_production_and_leads_to_those_without_a_verified_card() -> None:
    proven, bare = issuing.version(), issuing.version(template=make.template("bare", name="Bare agent"))
    prod, dev = make.environment("prod"), make.environment("dev")
    for version, place in (
        (proven, prod),
        (bare, prod),
        (issuing.version(template=make.template("dev")), dev),
    ):
        make.instance(version=version, environment=place)
    card_of(proven)
    issuing.card(bare, User.objects.get(username="alice"))  # asked for is not proven
    rita = visitor(proven, "rita", Right.READ_EVIDENCE, Right.READ_DIRECTORY)
    page = rita.get("/").content.decode()
    assert "/registry/versions/?production=true&amp;card=missing" in page
    assert (
        f"{bare.get_absolute_url()}#evidence" in page and f"{proven.get_absolute_url()}#evidence" not in page
    )
    listed = rita.get("/registry/versions/?production=true&card=missing").content.decode()
    assert "Bare agent" in listed and "Refunds" not in listed
    listed = rita.get("/registry/versions/?production=true&card=verified").content.decode()
    assert "Refunds" in listed and "Bare agent" not in listed
    bob = visitor(proven, "bob", Right.READ_EVIDENCE, Right.READ_DIRECTORY, on="template")
    assert "Bare agent" not in bob.get("/").content.decode()


def test_the_page_shows_each_step_with_its_time_what_is_signed_and_what_is_missing() -> None:
    version = issuing.version()
    held = card_of(version)
    page = visitor(version, "rita", Right.READ_EVIDENCE, Right.READ_DIRECTORY).get(held.get_absolute_url())
    text = page.content.decode()
    for words in ("Requested", "Signed", "Rendered", "PDF signed", "In the log", "Verified"):
        assert words in text
    assert "Missing when it was made: owners, policy, evaluation, budget" in text
    assert "not yet" not in text
    for file in held.artefact.files.all():
        assert file.digest in text


def test_an_auditor_downloads_card_envelope_and_pack_and_each_download_is_in_the_security_log() -> None:
    version = issuing.version()
    card = card_of(version)
    pack = pack_of(version)
    ute = visitor(version, "ute", Right.READ_EVIDENCE, Right.EXPORT_AUDIT_PACK)
    for held, kind in ((card, "pdf"), (card, "envelope"), (pack, "pack")):
        file = held.artefact.files.get(kind=kind)
        answer = ute.get(f"/registry/evidence/{held.typeid}/{kind}/")
        assert (answer.status_code, answer.content) == (200, bytes(file.content))
        assert answer["Content-Disposition"] == f'attachment; filename="{file.name}"'
        line = SecurityEvent.objects.filter(kind="exported").latest("at")
        assert (line.label, line.detail["digest"]) == (file.name, file.digest)
        assert User.objects.get(pk=line.user_id).username == "ute"
    assert SecurityEvent.objects.filter(kind="exported").count() == 3


def test_who_reads_evidence_takes_cards_but_no_packs_and_the_refusal_is_in_the_security_log() -> None:
    version = issuing.version()
    card_of(version)
    pack = pack_of(version)
    rita = visitor(version, "rita", Right.READ_EVIDENCE)
    page = rita.get(pack.get_absolute_url()).content.decode()
    assert "takes the right to export audit packs" in page
    assert f"/registry/evidence/{pack.typeid}/pack/" not in page
    assert rita.get(f"/registry/evidence/{pack.typeid}/pack/").status_code == 403
    assert SecurityEvent.objects.get(kind="refused").label.startswith("download audit-pack.")
    api = rita.get(f"/api/v1/registry/evidence/{pack.typeid}/files/pack/")
    assert (api.status_code, SecurityEvent.objects.filter(kind="refused").count()) == (403, 2)
    assert rita.head(f"/registry/evidence/{pack.typeid}/envelope/").status_code == 405
    assert not SecurityEvent.objects.filter(kind="exported").exists()
    assert rita.get(f"/registry/evidence/{pack.typeid}/envelope/").status_code == 200


def test_the_api_issues_lists_and_hands_out_by_the_same_rights() -> None:
    version = issuing.version()
    alice = visitor(version, "al", Right.READ_EVIDENCE, Right.ISSUE_EVIDENCE, Right.READ_DIRECTORY)
    body = {"kind": "agent_card", "version": version.typeid, "reason": "by the pipeline"}
    made = alice.post("/api/v1/registry/evidence/", body, content_type="application/json")
    assert made.status_code == 201, made.content
    address = made["Location"]
    again = alice.post("/api/v1/registry/evidence/", body, content_type="application/json")
    assert (again.status_code, again.json()["id"]) == (409, made.json()["id"])
    refused = alice.post(
        "/api/v1/registry/evidence/", body | {"kind": "audit_pack"}, content_type="application/json"
    )
    assert refused.status_code == 403
    issuing.finish(Artefact.objects.get())
    shown = alice.get(address).json()
    assert (shown["state"], shown["problem"], {file["kind"] for file in shown["files"]}) == (
        "verified", "", {"envelope", "pdf"},
    )  # fmt: skip
    envelope = alice.get(f"{address}files/envelope/")
    assert envelope.content == bytes(ArtefactFile.objects.get(kind="envelope").content)
    assert envelope["ETag"] == f'"{ArtefactFile.objects.get(kind="envelope").digest}"'
    assert SecurityEvent.objects.get(kind="exported").label.endswith(".dsse.json")
    assert alice.get(f"{address}files/pack/").status_code == 404
    mallory = visitor(version, "mallory")
    assert mallory.get(address).status_code == 404


def test_the_proof_of_a_card_comes_from_the_log_and_from_the_api() -> None:
    version = issuing.version()
    card = card_of(version)
    rita = visitor(version, "rita", Right.READ_EVIDENCE)
    assert f'href="/registry/evidence/{card.typeid}/"' in rita.get("/evidence/log/").content.decode()
    page = rita.get(f"/evidence/log/?record={card.typeid}").content.decode()
    assert f"/evidence/log/{card.typeid}/proof/" in page
    file = rita.get(f"/evidence/log/{card.typeid}/proof/")
    assert file["Content-Disposition"] == f'attachment; filename="{card.typeid}.tlog-proof"'
    assert rita.get(f"/api/v1/evidence/log/proof?record={card.typeid}").content == file.content
    wrong = rita.get("/api/v1/evidence/log/proof?record=ver_01jd")
    assert wrong.status_code == 422
    assert "is of nothing that has a leaf" in wrong.content.decode()


def uploaded(client: Client, name: str, data: bytes) -> str:
    file = io.BytesIO(data)
    file.name = name
    return client.post("/evidence/verify/", {"file": file}).content.decode()


def test_the_verification_page_says_what_fits_and_where_it_does_not() -> None:
    version = issuing.version()
    card = card_of(version)
    pack = pack_of(version)
    rita = visitor(version, "rita", Right.READ_EVIDENCE)
    files = [*card.artefact.files.all(), pack.artefact.files.get(kind="pack")]
    assert len(files) == 3
    for file in files:
        page = uploaded(rita, file.name, bytes(file.content))
        assert "Everything fits" in page, file.name
        assert f"/registry/evidence/{file.artefact.typeid}/" in page
    envelope = bytes(card.artefact.files.get(kind="envelope").content)
    page = uploaded(rita, "x.json", envelope.replace(b'"payload":"ey', b'"payload":"fy'))
    assert "Do not rely on this file" in page
    assert "/signatures/0/sig" in page
    assert "No file of this tenant has exactly these bytes" in page
    assert "Do not rely on this file" in uploaded(rita, "x.pdf", b"%PDF-1.7 nothing")
    assert "Do not rely on this file" in uploaded(rita, "x.zip", b"PK nothing")
    assert rita.get("/evidence/verify/").status_code == 200
    assert visitor(version, "mallory").get("/evidence/verify/").status_code == 403


def test_another_tenants_keys_verify_nothing_here() -> None:
    version = issuing.version()
    card = card_of(version)
    envelope = bytes(card.artefact.files.get(kind="envelope").content)
    other = make.tenant("other")
    eve = Client()
    eve.force_login(make.everything(make.user("eve", member_of=other), other))
    assert "Do not rely on this file" in uploaded(eve, "card.dsse.json", envelope)


def test_the_command_verifies_files_by_given_keys_and_ends_with_an_error_where_one_is_changed(
    tmp_path,
) -> None:
    version = issuing.version()
    card = card_of(version)
    paths = []
    for file in card.artefact.files.all():
        paths.append(tmp_path / file.name)
        paths[-1].write_bytes(bytes(file.content))
    keys = tmp_path / "arm-keys.json"
    keys.write_text(json.dumps(published(SigningKey.objects.all())))
    out = io.StringIO()
    call_command("verify_artifact", *map(str, paths), "--keys", str(keys), stdout=out)
    assert "FAIL" not in out.getvalue()
    paths[0].write_bytes(paths[0].read_bytes().replace(b'"payload":"ey', b'"payload":"fy'))
    with pytest.raises(CommandError, match="checks failed"):
        call_command("verify_artifact", str(paths[0]), "--keys", str(keys), stdout=out)
    assert "FAIL envelope: /signatures/0/sig" in out.getvalue()
    for wrong in ("[]", "{", '{"keys": [{"jwk": {"kty": "RSA"}, "purpose": "evidence"}]}'):
        keys.write_text(wrong)
        with pytest.raises(CommandError, match="no list of keys"):
            call_command("verify_artifact", str(paths[0]), "--keys", str(keys))
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("verify_artifact", str(paths[0]), "--keys", str(tmp_path / "nothing"))


def test_a_step_that_failed_is_tried_again_by_the_page_and_by_the_sweep(settings) -> None:
    settings.KEY_ENCRYPTION_KEY = ""
    version = issuing.version()
    alice = make.everything(make.user("alice", member_of=version.tenant), version.tenant)
    held = issuing.card(version, alice)
    take_step(artefact_id=held.pk, step=ArtefactState.SIGNED)
    client = Client()
    client.force_login(alice)
    page = client.get(held.get_absolute_url()).content.decode()
    assert "Its next step has failed" in page and "ARM_KEY_ENCRYPTION_KEY" in page

    OrmQ.objects.all().delete()
    assert tasks.tend_artefacts() == "0 steps"  # not due yet
    with clock.at(clock.now() + timedelta(seconds=16)):
        assert tasks.tend_artefacts() == "1 steps"
    assert OrmQ.objects.get().key == "signer"

    settings.KEY_ENCRYPTION_KEY = "of the signer alone"
    assert (
        client.post(f"/registry/evidence/{held.typeid}/retry/", {"reason": "the signer is back"}).status_code
        == 302
    )
    assert issuing.finish(Artefact.objects.get(pk=held.pk)).state == "verified"
    again = client.post(f"/registry/evidence/{held.typeid}/retry/", {"reason": "once more"})
    assert again.status_code == 409


def test_a_card_that_is_not_finished_after_a_quarter_of_an_hour_opens_one_incident() -> None:
    version = issuing.version()
    alice = make.everything(make.user("alice", member_of=version.tenant), version.tenant)
    issuing.card(version, alice)
    with clock.at(clock.now() + timedelta(minutes=14)):
        tasks.tend_artefacts()
        assert not Incident.objects.exists()
    for minutes in (16, 17):
        with clock.at(clock.now() + timedelta(minutes=minutes)):
            tasks.tend_artefacts()
    incident = Incident.objects.get()
    assert Artefact.objects.get().overdue_at is not None  # told once: who settles it is not told again
    assert (incident.version_id, incident.severity) == (version.pk, "s3")
    assert "is not finished" in incident.title
