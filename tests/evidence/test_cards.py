"""An Agent Card: asked for with a right, signed by the signer, rendered, logged, and verified before it counts."""

import json
import re
import subprocess
from datetime import timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import pytest
from django.db import DatabaseError, transaction
from django_q.models import OrmQ
from pyhanko.pdf_utils.reader import PdfFileReader

from arm import clock, pdf
from arm.crypto import digest
from arm.errors import Conflict, NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right
from evidence.lifecycle import ArtefactState
from evidence.models import Artefact, ArtefactFile, Leaf, PendingLeaf, SigningKey
from evidence.queries import published
from evidence.queries.checks import _pdf, checks_of
from evidence.services import unsealed
from evidence.services.steps import take_step
from evidence.signing import checking, dsse, pades, signed_pdfs
from evidence.signing.certificates import self_signed
from evidence.signing.checking import Check
from evidence.signing.keys import from_jwk, pem
from registry import services
from registry.models import Genome, VersionEvidence
from tests import make
from tests.evidence import issuing

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _signer(settings):
    """This process is the signer as well."""
    settings.KEY_ENCRYPTION_KEY = "of the signer alone"


def issued() -> VersionEvidence:
    version = issuing.version()
    alice = make.user("alice", member_of=version.tenant)
    make.grant(alice, version.template, Right.ISSUE_EVIDENCE)
    return issuing.card(version, alice)


def content(artefact: Artefact, kind: ArtefactFile.Kind) -> bytes:
    return bytes(artefact.files.get(kind=kind).content)


def test_who_may_issue_asks_and_nothing_is_signed_in_that_transaction() -> None:
    held = issued()
    artefact = held.artefact
    assert (artefact.state, artefact.requested_by, artefact.key) == ("requested", "alice", None)
    record = ChangeRecord.objects.get(verb="evidence.artefact.requested")
    assert record.after["statement"] == digest(bytes(artefact.statement or b""))
    assert record.links == [held.version.typeid]
    (task,) = OrmQ.objects.all()
    assert (task.key, task.func()) == ("signer", "arm.tasks.run")


def test_a_stranger_and_a_reader_may_not_issue() -> None:
    version = issuing.version()
    mallory = make.user("mallory", member_of=version.tenant)
    make.grant(mallory, version.tenant, Right.READ_EVIDENCE, Right.READ_DIRECTORY)
    with pytest.raises(NotAllowed):
        issuing.card(version, mallory)
    assert not Artefact.objects.exists()


def test_an_incomplete_or_tampered_genome_gets_no_card() -> None:
    version = issuing.version()
    alice = make.everything(make.user("alice", member_of=version.tenant), version.tenant)
    lacking = make.approved(
        template=version.template, genome=make.genome(template=version.template, missing=["tools"])
    )
    with pytest.raises(Conflict, match="it lacks tools"):
        issuing.card(lacking, alice)
    genome = make.genome(template=version.template)
    wrong = Genome.objects.create(
        tenant=version.tenant,
        template=version.template,
        content=bytes(genome.content),
        digest="sha256:" + "0" * 64,
    )
    with pytest.raises(Conflict, match="is not the one that was sealed"):
        issuing.card(make.approved(template=version.template, genome=wrong), alice)
    assert not Artefact.objects.exists()


def test_one_card_of_a_version_is_made_at_a_time_and_the_next_one_after_it() -> None:
    held = issued()
    alice = make.everything(make.user("al", member_of=held.tenant), held.tenant)
    with pytest.raises(Conflict, match="is being made already") as refused:
        issuing.card(held.version, alice)
    assert refused.value.extra["id"] == held.typeid
    issuing.finish(held.artefact)
    assert issuing.card(held.version, alice).pk != held.pk


def test_the_card_says_what_the_version_is_and_what_it_could_not_say() -> None:
    held = issued()
    owner = make.user("olga", member_of=held.tenant)
    services.set_owners(
        template=held.version.template,
        owners=[owner],
        actor=make.everything(owner, held.tenant),
        reason="hers",
    )
    issuing.finish(held.artefact)
    later = issuing.card(held.version, owner)
    first, second = (dsse.read_statement(bytes(row.artefact.statement or b"")) for row in (held, later))
    genome = bytes(held.version.genome.content)
    assert first.subjects == {"genome.json": sha256(genome).hexdigest()}
    said = second.predicate
    assert said["template"]["name"] == "Refunds"
    assert said["intendedUse"] == "Refunds up to 200 EUR."
    assert [tool["name"] for tool in said["genome"]["tools"]] == ["search"]
    assert said["owners"][0]["id"].startswith("usr_")
    assert "olga" not in json.dumps(said)  # a name could not be forgotten any more
    assert first.predicate["completeness"]["missing"] == ["owners", "policy", "evaluation", "budget"]
    assert said["completeness"]["missing"] == ["policy", "evaluation", "budget"]


def test_the_card_says_what_the_agent_keeps_what_it_may_risk_unasked_and_whom_it_may_start(
    tmp_path: Path,
) -> None:
    agent = make.template("keeper", intended_use="Keeps.", out_of_scope="Else.")
    memory = {"kind": "vector", "store_ref": "vault:kv/memory", "scope": "user", "retention_s": 3600}
    members = {
        "memory": memory | {"redacts": ["email", "iban"], "sensitivity": "confidential"},
        "behavior": {"risk_tolerance": "low", "escalation_profile": "asks before every payment"},
        "spawn": {"allowed": True, "max_children": 3, "max_per_hour": 9, "child_roles": []},
    }
    version = issuing.version(template=agent, genome=make.genome(template=agent, members=members))
    held = issuing.card(
        version, make.everything(make.user("alice", member_of=version.tenant), version.tenant)
    )
    artefact = issuing.finish(held.artefact)
    said = dsse.read_statement(bytes(artefact.statement or b"")).predicate["genome"]
    assert said["memory"] == {name: held for name, held in members["memory"].items() if name != "store_ref"}
    assert (said["riskTolerance"], said["escalationProfile"]) == ("low", "asks before every payment")
    (tmp_path / "card.pdf").write_bytes(content(artefact, ArtefactFile.Kind.PDF))
    command = ("pdftotext", "-layout", tmp_path / "card.pdf", "-")
    text = " ".join(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    for words in (
        "vector, of one user, kept 3600 s; takes out email, iban; confidential at most",
        "low: how much may be, in what it does without asking anybody",
        "yes, 3 at a time at most, 9 within an hour; as no role",
    ):
        assert words in text


def test_each_step_is_taken_once_and_all_of_them_end_in_a_verified_card() -> None:
    held = issued()
    artefact = issuing.finish(held.artefact)
    assert list(artefact.times) and set(artefact.times) == {
        "requested", "signed", "rendered", "pdf_signed", "logged", "verified",
    }  # fmt: skip
    assert artefact.state == "verified"
    before = {file.kind: file.digest for file in artefact.files.all()}
    for step in ("signed", "rendered", "pdf_signed", "logged", "verified"):
        assert take_step(artefact_id=artefact.pk, step=ArtefactState(step)) == "nothing to do"
    assert {file.kind: file.digest for file in artefact.files.all()} == before
    assert Leaf.objects.filter(kind="artefact", subject_id=artefact.pk).count() == 1
    assert not PendingLeaf.objects.filter(kind="artefact").exists()
    assert all(check.ok for check in checks_of(artefact))


def test_the_leaf_names_what_sha256sum_says_of_the_envelope() -> None:
    artefact = issuing.finish(issued().artefact)
    leaf = Leaf.objects.get(kind="artefact", subject_id=artefact.pk)
    envelope = content(artefact, ArtefactFile.Kind.ENVELOPE)
    assert json.loads(leaf.body)["payload_sha256"] == sha256(envelope).hexdigest()
    assert leaf.record == artefact.typeid


def test_poppler_finds_the_signature_valid_and_the_envelope_inside_byte_for_byte(tmp_path: Path) -> None:
    artefact = issuing.finish(issued().artefact)
    pdf, envelope = (content(artefact, kind) for kind in (ArtefactFile.Kind.PDF, ArtefactFile.Kind.ENVELOPE))
    (tmp_path / "card.pdf").write_bytes(pdf)

    def said(*command: str) -> str:
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout

    report = said("pdfsig", "card.pdf")
    assert "Signature Validation: Signature is Valid." in report
    assert "Total document signed" in report
    assert "ETSI.CAdES.detached" in report
    said("pdfdetach", "-saveall", "card.pdf")
    (saved,) = tmp_path.glob("*.dsse.json")
    assert (saved.name, saved.read_bytes()) == (f"{artefact.file_stem}.dsse.json", envelope)
    assert "no" not in {
        line.split()[-5] for line in said("pdffonts", "card.pdf").splitlines()[2:]
    }  # all embedded
    text = said("pdftotext", "-layout", "card.pdf", "-")
    assert "Refunds v1" in text and digest(envelope) in text

    at = pdf.index(b"stream") + 40
    (tmp_path / "card.pdf").write_bytes(pdf[:at] + bytes([pdf[at] ^ 1]) + pdf[at + 1 :])
    assert "Digest Mismatch" in said("pdfsig", "card.pdf")


def test_the_pdf_says_that_it_is_pdf_a_3u_and_carries_its_data_as_such() -> None:
    held = issued()
    issuing.finish(held.artefact)
    card = content(held.artefact, ArtefactFile.Kind.PDF)
    root = PdfFileReader(BytesIO(card)).root
    said = ElementTree.fromstring(root["/Metadata"].data.decode())
    facts = {name.rpartition("}")[2]: value for one in said.iter() for name, value in one.attrib.items()}
    facts |= {one.tag.rpartition("}")[2]: one.text for one in said.iter() if one.text}
    assert (facts["part"], facts["conformance"]) == ("3", "U")
    assert root["/OutputIntents"][0]["/DestOutputProfile"].data
    assert root["/AF"][0]["/AFRelationship"] == "/Data"


def test_the_commands_of_the_documentation_verify_a_card_and_refuse_a_changed_one(tmp_path: Path) -> None:
    artefact = issuing.finish(issued().artefact)
    page = (Path(__file__).parents[2] / "docs/evidence.md").read_text()
    (commands,) = (block for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "pdfsig" in block)
    commands = commands.replace("agent-card.evd_…", artefact.file_stem)
    assert artefact.key is not None
    (tmp_path / "key.pem").write_text(pem(from_jwk(artefact.key.jwk)))
    envelope = content(artefact, ArtefactFile.Kind.ENVELOPE)
    (tmp_path / f"{artefact.file_stem}.pdf").write_bytes(content(artefact, ArtefactFile.Kind.PDF))
    for data, works in ((envelope, True), (envelope.replace(b'"payload":"ey', b'"payload":"fy'), False)):
        (tmp_path / f"{artefact.file_stem}.dsse.json").write_bytes(data)
        done = subprocess.run(
            ["bash", "-ec", commands], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert ("Signature Verified Successfully" in done.stdout) is works, done.stdout + done.stderr


@pytest.mark.parametrize("what", ["content", "appended", "other key", "no PDF", "second signature"])
def test_a_pdf_that_was_changed_or_is_of_another_key_is_refused(what: str) -> None:
    artefact = issuing.finish(issued().artefact)
    data = content(artefact, ArtefactFile.Kind.PDF)
    key = from_jwk(SigningKey.objects.get(purpose="pdf").jwk)
    assert signed_pdfs.verify(data, key=key).attachments
    match what:
        case "content":
            data = data[:900] + bytes([data[900] ^ 1]) + data[901:]
        case "appended":
            data += b"\n% and one more thing\n"
        case "other key":
            key = from_jwk(SigningKey.objects.get(purpose="evidence").jwk)
        case "no PDF":
            data = b"hello"
        case "second signature":
            data += b"/ByteRange [0 1 2 3]"
    with pytest.raises(signed_pdfs.BadPdf):
        signed_pdfs.verify(data, key=key)


def test_files_and_what_was_verified_never_change() -> None:
    artefact = issuing.finish(issued().artefact)
    file = artefact.files.first()
    assert file is not None
    for change in (
        lambda: ArtefactFile.objects.filter(pk=file.pk).update(content=b"other"),
        lambda: ArtefactFile.objects.filter(pk=file.pk).delete(),
        lambda: Artefact.objects.filter(pk=artefact.pk).update(statement=b"other"),
        lambda: Artefact.objects.filter(pk=artefact.pk).update(state="requested"),
        lambda: Artefact.objects.filter(pk=artefact.pk).update(subject_label="other"),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()


def test_without_the_signers_key_the_step_fails_says_why_and_is_tried_later(settings) -> None:
    settings.KEY_ENCRYPTION_KEY = ""
    held = issued()
    assert take_step(artefact_id=held.pk, step=ArtefactState.SIGNED).startswith("failed")
    artefact = Artefact.objects.get(pk=held.pk)
    assert (artefact.state, artefact.attempts, artefact.shown_state) == ("requested", 1, "failed")
    assert "ARM_KEY_ENCRYPTION_KEY" in artefact.problem
    assert artefact.retry_at is not None
    assert not artefact.files.exists() and not PendingLeaf.objects.filter(kind="artefact").exists()
    settings.KEY_ENCRYPTION_KEY = "of the signer alone"
    assert issuing.finish(artefact).state == "verified"
    assert Artefact.objects.get(pk=held.pk).problem == ""


def ring_of(artefact: Artefact, **more: str) -> checking.Keyring:
    """The keys as published; `more` is written into each entry."""
    listed = published(SigningKey.objects.filter(tenant=artefact.tenant_id))
    return checking.keyring(json.dumps({"keys": [entry | more for entry in listed["keys"]]}).encode())


def wrong(checks: list[Check]) -> list[str]:
    return [check.name for check in checks if not check.ok]


def test_a_key_that_is_marked_compromised_is_not_believed() -> None:
    artefact = issuing.finish(issued().artefact)
    envelope = content(artefact, ArtefactFile.Kind.ENVELOPE)
    assert not wrong(checking.examine(envelope, ring_of(artefact)))
    assert wrong(checking.examine(envelope, ring_of(artefact, status="compromised"))) == ["envelope"]


def test_a_pdf_under_another_certificate_of_the_same_key_is_refused() -> None:
    """Its reader would show another name."""
    artefact = issuing.finish(issued().artefact)
    key = SigningKey.objects.get(purpose="pdf")
    private = unsealed(key)
    evil = self_signed(private, name="Evil notary", organisation="Evil", since=key.not_before)
    bare = signed_with(artefact, evil, {"card.dsse.json": content(artefact, ArtefactFile.Kind.ENVELOPE)})
    assert "certificate" in checking.examine(bare, ring_of(artefact))[0].detail
    assert signed_pdfs.verify(bare, key=private.public_key()).attachments  # the signature itself is good


def signed_with(artefact: Artefact, certificate: str, files: dict[str, bytes]) -> bytes:
    made = pdf.render(
        "<html lang=en><title>x</title>", files=files, identifier=b"x", at=artefact.requested_at
    )
    return pades.sign(
        made, key=unsealed(SigningKey.objects.get(purpose="pdf")), certificate=certificate, reason="x"
    )


@pytest.mark.parametrize("count", [0, 2])
def test_a_pdf_carries_one_statement_exactly(count: int) -> None:
    artefact = issuing.finish(issued().artefact)
    envelope = content(artefact, ArtefactFile.Kind.ENVELOPE)
    files = {f"{number}.dsse.json": envelope for number in range(count)}
    made = signed_with(artefact, SigningKey.objects.get(purpose="pdf").certificate, files)
    assert wrong(checking.examine(made, ring_of(artefact))) == ["embedded statement"]


def test_a_pdf_that_carries_another_genuine_statement_is_not_this_cards() -> None:
    held = issued()
    artefact = issuing.finish(held.artefact)
    alice = make.everything(make.user("al", member_of=held.tenant), held.tenant)
    other = issuing.finish(issuing.card(held.version, alice).artefact)
    ring = ring_of(artefact)
    own, others = (content(one, ArtefactFile.Kind.ENVELOPE) for one in (artefact, other))
    assert not wrong(list(_pdf(content(artefact, ArtefactFile.Kind.PDF), own, ring)))
    assert wrong(list(_pdf(content(artefact, ArtefactFile.Kind.PDF), others, ring))) == ["embedded statement"]


def test_the_second_library_is_asked() -> None:
    artefact = issuing.finish(issued().artefact)
    envelope = json.loads(content(artefact, ArtefactFile.Kind.ENVELOPE))
    key = from_jwk(SigningKey.objects.get(purpose="evidence").jwk)
    kid = envelope["signatures"][0]["keyid"]
    assert checking.second_opinion(json.dumps(envelope).encode(), key, kid).ok
    envelope["payload"] = "AAAA"
    assert not checking.second_opinion(json.dumps(envelope).encode(), key, kid).ok


def test_no_changed_byte_of_a_card_makes_the_verifier_stumble() -> None:
    artefact = issuing.finish(issued().artefact)
    ring, random = ring_of(artefact), Random(7)
    for kind in (ArtefactFile.Kind.PDF, ArtefactFile.Kind.ENVELOPE):
        data = content(artefact, kind)
        for _ in range(150):
            changed = bytearray(data)
            changed[random.randrange(len(changed))] ^= random.randrange(1, 256)
            assert checking.examine(bytes(changed), ring)


def test_one_that_keeps_failing_is_given_up_after_a_day_and_makes_room_for_a_new_one(settings) -> None:
    settings.KEY_ENCRYPTION_KEY = ""
    held = issued()
    with clock.at(clock.now() + timedelta(hours=25)):
        take_step(artefact_id=held.pk, step=ArtefactState.SIGNED)
    artefact = Artefact.objects.get(pk=held.pk)
    assert artefact.problem and artefact.retry_at is None
    settings.KEY_ENCRYPTION_KEY = "of the signer alone"
    alice = make.everything(make.user("al", member_of=held.tenant), held.tenant)
    newer = issuing.card(held.version, alice)
    artefact.refresh_from_db()
    assert (artefact.shown_state, newer.artefact.state) == ("superseded", "requested")
    assert take_step(artefact_id=held.pk, step=ArtefactState.SIGNED) == "nothing to do"
    assert issuing.finish(newer.artefact).state == "verified"


def test_a_name_with_control_characters_makes_a_card_like_any_other() -> None:
    version = issuing.version(
        template=make.template("odd", name="Re\x01funds \ufffe", intended_use="x", out_of_scope="y")
    )
    alice = make.everything(make.user("alice", member_of=version.tenant), version.tenant)
    assert issuing.finish(issuing.card(version, alice).artefact).state == "verified"
