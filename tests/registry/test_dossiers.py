"""The dossier of a rollback is a signed document: statement, envelope, PDF, leaf; and Audit Packs carry it."""

import io
import json
import subprocess
import zipfile
from hashlib import sha256

import pytest
from django.urls import reverse

from arm.crypto import canonical
from arm.errors import NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right
from evidence.models import Artefact, ArtefactFile, SigningKey
from evidence.queries import checks_of
from evidence.services import active_key
from evidence.signing import dsse
from registry import services
from registry.models import Rollback, VersionEvidence
from tests import make
from tests.evidence import issuing
from tests.registry.releasing import bound, running

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def gates(settings):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound"]
    settings.KEY_ENCRYPTION_KEY = "of the signer alone"  # this process is the signer as well


@pytest.fixture
def slot(tenant, alice):
    first = issuing.version()
    place = make.environment("prod", name="Production")
    slot = make.slot(environment=place, role=make.role("clerk", name="Clerk"))
    bound(slot, first, make.approved(template=first.template), actor=alice)
    slot.refresh_from_db()
    running(slot, slot.current_version, 2)
    return slot


@pytest.fixture
def key(tenant):
    return active_key(tenant=tenant, purpose=SigningKey.Purpose.EVIDENCE)


def roll_back(slot, alice) -> Rollback:
    return services.roll_back_slot(slot=slot, actor=alice, reason="It lies", drain="at_once")


def test_a_tenant_that_signs_has_each_rollback_signed_by_rule(slot, alice, key):
    made = roll_back(slot, alice)
    held = VersionEvidence.objects.get(rollback=made)
    assert (held.kind, held.version) == ("dossier", made.from_version)
    artefact = issuing.finish(held.artefact)
    assert artefact.arrived, artefact.problem
    assert {file.kind for file in artefact.files.all()} == {"envelope", "pdf"}
    checks = {check.name: check.ok for check in checks_of(artefact)}
    assert checks["payload"] and all(checks.values()), checks
    requested = ChangeRecord.objects.get(verb="evidence.artefact.requested", target_id=artefact.pk)
    assert requested.actor_id is None and requested.links == [made.typeid]


def test_the_statement_is_about_the_document_whose_digest_stands_in_the_record(slot, alice, key):
    made = roll_back(slot, alice)
    statement = dsse.read_statement(bytes(Artefact.objects.get(kind="dossier").statement))
    record = ChangeRecord.objects.get(pk=made.change_id)
    digest = sha256(canonical(made.dossier)).hexdigest()
    assert statement.subjects == {f"rollbacks/{made.typeid}.json": digest}
    assert record.after["dossier"] == f"sha256:{digest}"
    said = statement.predicate
    assert said["records"] == [
        {"id": record.typeid, "digest": record.digest, "verb": "registry.slot.rolled_back"}
    ]
    assert said["completeness"]["missing"] == [] and said["incident"].startswith("inc_")
    assert said["rollback"]["instances"]["drained"] == 2
    assert str(alice) not in json.dumps(said), "people by identifier only"


def test_a_tenant_without_a_key_gets_none_by_itself(slot, alice, client):
    made = roll_back(slot, alice)
    assert not Artefact.objects.exists() and not SigningKey.objects.exists()
    client.force_login(alice)
    page = client.get(made.get_absolute_url()).content.decode()
    assert "this organisation has no signing key yet" in page and f"{made.get_absolute_url()}dossier/" in page


def test_it_is_signed_on_request_once(slot, alice):
    made = roll_back(slot, alice)
    held = services.issue_dossier(rollback=made, actor=alice, reason="for the auditor")
    with pytest.raises(services.Duplicate) as refused:
        services.issue_dossier(rollback=made, actor=alice, reason="again")
    assert refused.value.existing == held
    assert issuing.finish(held.artefact).arrived


def test_who_may_not_issue_evidence_signs_none(slot, alice, tenant):
    made = roll_back(slot, alice)
    mallory = make.user("mallory", member_of=tenant)
    make.grant(mallory, tenant, *set(Right) - {Right.ISSUE_EVIDENCE})
    with pytest.raises(NotAllowed):
        services.issue_dossier(rollback=made, actor=mallory, reason="x")


def test_an_audit_pack_carries_it_and_verifies(slot, alice, key, tenant):
    made = roll_back(slot, alice)
    dossier = issuing.finish(VersionEvidence.objects.get(rollback=made).artefact)
    issuing.seal(tenant)
    pack = services.export_pack(version=made.from_version, actor=alice, reason="audit")
    artefact = issuing.finish(pack.artefact)
    assert artefact.arrived, artefact.problem
    content = bytes(artefact.files.get(kind=ArtefactFile.Kind.PACK).content)
    names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    stem = artefact.file_stem
    for wanted in (f"artefacts/{dossier.file_stem}.dsse.json", f"pdf/{dossier.file_stem}.pdf",
                   f"rollbacks/{made.typeid}.json", f"proofs/{dossier.typeid}.tlog-proof"):  # fmt: skip
        assert f"{stem}/data/{wanted}" in names, wanted
    checks = {check.name: check.ok for check in checks_of(artefact)}
    assert checks and all(checks.values()), checks


def test_a_dossier_whose_document_was_changed_is_refused(slot, alice, key):
    artefact = issuing.finish(VersionEvidence.objects.get(rollback=roll_back(slot, alice)).artefact)
    said = json.loads(bytes(artefact.statement))
    said["predicate"]["rollback"]["reason"] = "Nothing was wrong"
    artefact.statement = canonical(said)
    failing = {check.name for check in checks_of(artefact) if not check.ok}
    assert "payload" in failing


def test_the_api_and_the_pages_lead_to_it(slot, alice, client):
    client.force_login(alice)
    made = roll_back(slot, alice)
    where = f"/api/v1/registry/rollbacks/{made.typeid}/"
    etag, asked = client.get(where)["ETag"], {"content_type": "application/json"}
    stale = client.post(f"{where}dossier/", {"reason": "go"}, **asked, headers={"If-Match": '"other"'})
    assert stale.status_code == 412, "a row that never changes is not locked, but compared"
    answer = client.post(f"{where}dossier/", {"reason": "go"}, **asked, headers={"If-Match": etag})
    assert answer.status_code == 201, answer.json()
    row = answer.json()
    assert (row["kind"], row["rollback"]) == ("dossier", made.typeid)
    again = client.post(f"{where}dossier/", {"reason": "go"}, content_type="application/json")
    assert again.status_code == 409 and again.json()["existing"]["id"] == row["id"]
    assert client.get(where).json()["evidence"] == [row["id"]]
    wrong = client.post(
        "/api/v1/registry/evidence/",
        {"kind": "dossier", "version": made.from_version.typeid, "reason": "x"},
        content_type="application/json",
    )
    assert wrong.status_code == 422 and wrong.json()["errors"][0]["pointer"] == "/kind"
    held = VersionEvidence.objects.get(rollback=made)
    issuing.finish(held.artefact)
    page = client.get(made.get_absolute_url()).content.decode()
    assert held.typeid in page and f"{made.get_absolute_url()}dossier/" not in page
    assert made.get_absolute_url() in client.get(held.get_absolute_url()).content.decode()
    pdf = client.get(f"/api/v1/registry/evidence/{row['id']}/files/pdf/")
    assert pdf.status_code == 200 and pdf.content.startswith(b"%PDF")
    form = client.post(f"{made.get_absolute_url()}dossier/", {"reason": "go"})
    assert form.status_code == 409 and "It is there already" in form.content.decode()


def test_a_dossier_is_seen_by_who_sees_its_rollback_and_by_nobody_of_its_version_alone(
    slot, alice, key, tenant, client
):
    made = roll_back(slot, alice)
    held = VersionEvidence.objects.get(rollback=made)
    artefact = issuing.finish(held.artefact)
    bob, carol, dora = (make.user(name, member_of=tenant) for name in ("bob", "carol", "dora"))
    make.grant(bob, made.from_version.template, *Right)
    make.grant(carol, slot.environment, *Right)
    make.grant(dora, slot.environment, *set(Right) - {Right.READ_EVIDENCE})
    api = "/api/v1/registry"
    places = (f"{api}/evidence/{held.typeid}/", f"{api}/evidence/{held.typeid}/files/pdf/",
              held.get_absolute_url(), reverse("registry:evidence_file", args=[held.typeid, "pdf"]))  # fmt: skip
    for person, rollback, evidence in ((bob, 404, 404), (carol, 200, 200), (dora, 200, 404)):
        client.force_login(person)
        answer = client.get(f"{api}/rollbacks/{made.typeid}/")
        assert answer.status_code == rollback
        assert {client.get(place).status_code for place in places} == {evidence}, person
        listed = [row["id"] for row in client.get(f"{api}/evidence/").json().get("results", [])]
        assert listed == ([held.typeid] if evidence == 200 else [])
        if rollback == 200:
            assert answer.json()["evidence"] == listed
    assert artefact.arrived


def test_a_pack_holds_the_rollbacks_that_who_asked_for_it_sees(slot, alice, key, tenant):
    made = roll_back(slot, alice)
    issuing.finish(VersionEvidence.objects.get(rollback=made).artefact)
    issuing.seal(tenant)
    bob = make.user("bob", member_of=tenant)
    make.grant(bob, made.from_version.template, *Right)
    artefact = issuing.finish(
        services.export_pack(version=made.from_version, actor=bob, reason="audit").artefact
    )
    assert artefact.arrived, artefact.problem
    content = bytes(artefact.files.get(kind=ArtefactFile.Kind.PACK).content)
    names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    assert any(name.endswith("genome.json") for name in names)
    assert not [name for name in names if "rollback" in name or made.typeid in name or "dossier" in name]


def packed(version, actor):
    """The names in a pack of the version, and the document."""
    held = services.export_pack(version=version, actor=actor, reason="audit")
    artefact = issuing.finish(held.artefact)
    assert artefact.arrived, artefact.problem
    content = bytes(artefact.files.get(kind=ArtefactFile.Kind.PACK).content)
    return zipfile.ZipFile(io.BytesIO(content)).namelist(), held


def test_a_pack_with_rollbacks_is_not_for_who_has_rights_on_the_agent_alone(slot, alice, key, tenant, client):
    made = roll_back(slot, alice)
    issuing.finish(VersionEvidence.objects.get(rollback=made).artefact)
    issuing.seal(tenant)
    names, held = packed(made.from_version, alice)
    assert any(f"rollbacks/{made.typeid}.json" in name for name in names)
    bob = make.user("bob", member_of=tenant)
    make.grant(bob, made.from_version.template, *Right)
    where = f"/api/v1/registry/evidence/{held.typeid}/"
    for person, status in ((alice, 200), (bob, 404)):
        client.force_login(person)
        page = client.get(made.from_version.get_absolute_url()).content.decode()
        assert (held.typeid in page) == (status == 200), "no link to what is not shown"
        assert {client.get(place).status_code for place in (where, f"{where}files/pack/")} == {status}


def test_a_pack_of_who_sees_one_environment_tells_of_no_slot_and_is_theirs_to_take(
    slot, alice, key, tenant, client
):
    made = roll_back(slot, alice)
    issuing.finish(VersionEvidence.objects.get(rollback=made).artefact)
    issuing.seal(tenant)
    carol = make.user("carol", member_of=tenant)
    for scope in (slot.environment, made.from_version.template):
        make.grant(carol, scope, *Right)
    names, held = packed(made.from_version, carol)
    slots = ChangeRecord.objects.filter(target_id=slot.pk)
    assert slots.exists() and not [n for n in names if made.typeid in n or any(r.typeid in n for r in slots)]
    client.force_login(carol)
    assert client.get(f"/api/v1/registry/evidence/{held.typeid}/files/pack/").status_code == 200


def test_a_pack_of_a_version_that_was_never_rolled_back_is_its_agents_to_see(slot, alice, key, tenant):
    version = slot.current_version
    issuing.seal(tenant)
    assert packed(version, alice)[1].template == version.template


def test_the_pdf_says_what_the_target_lacked(slot, alice, key, settings):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound", "registry.fitness.FitsItsRole"]
    slot.role.certifications = ["pci"]
    slot.role.save(update_fields=["certifications"])
    artefact = issuing.finish(VersionEvidence.objects.get(rollback=roll_back(slot, alice)).artefact)
    assert artefact.arrived, artefact.problem
    pdf = bytes(artefact.files.get(kind="pdf").content)
    text = subprocess.run(
        ["pdftotext", "-layout", "-", "-"], input=pdf, capture_output=True, check=True
    ).stdout
    assert "What the target lacked" in text.decode() and "Certification pci is missing" in text.decode()
