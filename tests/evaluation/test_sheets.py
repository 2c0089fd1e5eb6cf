"""What a version comes from and what was measured of it are signed documents, begun before it is approved."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from arm import clock
from arm.errors import Conflict, NotAllowed
from arm.rights import Right
from evidence.lifecycle import ArtefactKind
from evidence.models import Artefact, SigningKey
from evidence.queries import checks_of
from evidence.services import active_key
from evidence.signing import dsse
from registry import services
from registry.gates import GateRefused
from registry.lifecycle import VersionState
from registry.models import VersionEvidence, VersionParent
from tests import make
from tests.evidence import issuing

pytestmark = pytest.mark.django_db
APPROVED = VersionState.APPROVED
DOCUMENTS = ("agent card begun", "lineage sheet begun", "evaluation report begun")


@pytest.fixture(autouse=True)
def signer(settings):
    settings.KEY_ENCRYPTION_KEY = "of the signer alone"  # this process is the signer as well


@pytest.fixture
def version(tenant, alice):
    """A candidate with a parent, whose mandatory suite has passed and that is certified."""
    agent = make.template("refunds", name="Refunds")
    parent = make.approved(template=agent)
    found = make.version(
        template=agent, state=VersionState.CANDIDATE, created_by=alice, submitted_by=alice, candidate_round=1
    )
    VersionParent.objects.bulk_create([VersionParent(tenant=tenant, version=found, parent=parent)])
    make.run(found, make.assigned(agent).suite, passed=1)
    make.certification(found)
    return found


def said_by(held):
    return dsse.read_statement(bytes(Artefact.objects.get(pk=held.pk).statement))


def issue(version, kind, actor):
    return services.issue_sheet(version=version, kind=kind, actor=actor, reason="for the auditor")


def refusals(version, actor):
    with pytest.raises(GateRefused) as refused:
        services.approve_version(version=version, actor=actor, reason="go")
    return {verdict["gate"]: verdict for verdict in refused.value.extra["gates"]}


def test_the_lineage_sheet_says_what_the_version_comes_from_and_who_made_it(version, alice):
    said = said_by(issue(version, ArtefactKind.LINEAGE, alice))
    assert said.subjects == {"genome.json": version.genome.digest.removeprefix("sha256:")}
    told, parent = said.predicate, version.parents.get().parent
    assert {(one["versionId"], one["digest"]) for one in told["ancestry"]["versions"]} == {
        (row.typeid, row.genome.digest) for row in (version, parent)
    }
    assert told["ancestry"]["edges"] == [
        {"version": version.typeid, "parent": parent.typeid, "relation": "derived"}
    ]
    document = version.genome.document()
    assert told["provenance"] == document["provenance"]
    assert [one["digest"] for one in told["prompts"]] == [one["digest"] for one in document["prompts"]]
    assert told["tools"][0]["schema_digest"] == document["tools"][0]["schema_digest"]
    assert told["people"]["builtBy"] == told["people"]["submittedBy"] != None
    assert told["people"]["approvedBy"] == []
    assert "alice" not in json.dumps(told), "people are named by identifier only"


def test_the_lineage_sheet_says_who_has_approved_so_far(version, tenant, alice, erin):
    services.require_approvals(tenant=tenant, by_risk={"medium": 2}, actor=alice, reason="rule")
    frank = make.everything(make.user("frank", member_of=tenant), tenant)
    services.approve_version(version=version, actor=frank, reason="read it")
    (row,) = said_by(issue(version, ArtefactKind.LINEAGE, alice)).predicate["people"]["approvedBy"]
    assert row["id"].startswith("usr_") and row["approval"] == version.approvals.get().typeid


def test_the_evaluation_report_says_what_was_measured_with_which_confidence(version, alice):
    told = said_by(issue(version, ArtefactKind.EVALUATION, alice)).predicate
    (suite,), (run,), (vouched,) = told["suites"], told["runs"], told["certifications"]
    assert suite["mandatory"] and suite["state"] == "passed" and suite["digest"].startswith("sha256:")
    assert run["suiteDigest"] == suite["digest"] and run["cases"] == {
        "total": 1, "passed": 1, "failed": 0, "errored": 0,
    }  # fmt: skip
    assert (run["score"], run["confidence95"]) == ("100", ["20.7", "100.0"])
    assert vouched["standing"] == "valid" and told["completeness"]["missing"] == []


def test_a_report_of_what_was_never_measured_says_so(tenant, alice):
    bare = make.version(state=VersionState.TESTING)
    told = said_by(issue(bare, ArtefactKind.EVALUATION, alice)).predicate
    assert told["completeness"]["missing"] == ["suites", "runs"]


@pytest.mark.parametrize("kind", [ArtefactKind.LINEAGE, ArtefactKind.EVALUATION])
def test_a_sheet_is_signed_rendered_logged_and_a_tampered_copy_is_refused(version, alice, kind, tmp_path):
    artefact = issuing.finish(issue(version, kind, alice).artefact)
    assert artefact.arrived, artefact.problem
    assert all(check.ok for check in checks_of(artefact)), [c for c in checks_of(artefact) if not c.ok]
    files = {file.kind: file for file in artefact.files.all()}
    assert set(files) == {"envelope", "pdf"} and bytes(files["pdf"].content).startswith(b"%PDF-")
    path = tmp_path / files["envelope"].name
    path.write_bytes(bytes(files["envelope"].content))
    call_command("verify_artifact", str(path), stdout=StringIO())
    envelope = json.loads(path.read_bytes())
    envelope["payload"] = ("A" if envelope["payload"][40] != "A" else "B").join(
        (envelope["payload"][:40], envelope["payload"][41:])
    )
    path.write_text(json.dumps(envelope))
    with pytest.raises(CommandError):
        call_command("verify_artifact", str(path), stdout=StringIO())


def test_where_evidence_is_asked_for_each_missing_document_is_named_and_one_click_makes_them(
    version, tenant, alice, erin, client
):
    services.require_evidence(tenant=tenant, required=True, actor=alice, reason="audit")
    found = refusals(version, erin)
    assert set(DOCUMENTS) <= found.keys()
    assert found["lineage sheet begun"]["reason"] == (
        "No Lineage Sheet of it was issued. No key signs evidence here yet; the first document makes it."
    )
    client.force_login(alice)
    page = f"/registry/versions/{version.typeid}/documents/"
    assert found["evaluation report begun"]["mend"] == page
    assert "as far as they are missing" in client.get(page).content.decode()
    assert client.post(page, {"reason": "before approval"}).status_code == 302
    assert {row.kind for row in VersionEvidence.objects.filter(version=version)} == {
        "agent_card", "lineage", "evaluation",
    }  # fmt: skip
    with pytest.raises(Conflict, match="Nothing is missing"):
        services.issue_missing(version=version, actor=alice, reason="again")
    assert services.approve_version(version=version, actor=erin, reason="go").state == APPROVED


def test_where_no_evidence_is_asked_for_none_is_missing(version, erin):
    assert services.approve_version(version=version, actor=erin, reason="go").state == APPROVED


def test_a_report_from_before_the_last_run_is_made_anew(version, tenant, alice, erin):
    active_key(tenant=tenant, purpose=SigningKey.Purpose.EVIDENCE)
    services.require_evidence(tenant=tenant, required=True, actor=alice, reason="audit")
    for held in services.issue_missing(version=version, actor=alice, reason="first"):
        assert issuing.finish(held.artefact).arrived
    with clock.at(clock.now() + timedelta(minutes=5)):
        make.run(version, passed=1)
        reason = refusals(version, erin)["evaluation report begun"]["reason"]
        assert reason == "Its Evaluation Report is from before the last run or certification of this genome."
        (again,) = services.issue_missing(version=version, actor=alice, reason="again")
        assert again.kind == "evaluation"


def test_a_lineage_sheet_of_an_earlier_round_is_made_anew(version, tenant, alice, erin):
    services.require_evidence(tenant=tenant, required=True, actor=alice, reason="audit")
    services.require_approvals(tenant=tenant, by_risk={"medium": 2}, actor=alice, reason="rule")
    active_key(tenant=tenant, purpose=SigningKey.Purpose.EVIDENCE)
    for held in services.issue_missing(version=version, actor=alice, reason="all"):
        assert held.kind != ArtefactKind.LINEAGE or issuing.finish(held.artefact).arrived
    frank = make.everything(make.user("frank", member_of=tenant), tenant)
    services.approve_version(version=version, actor=frank, reason="read it")
    for to in (VersionState.TESTING, VersionState.CANDIDATE):
        services.move_version(version=version, to=to, actor=alice, reason="once more")
    said = refusals(version, erin)
    assert set(said) == {"lineage sheet begun"}
    assert "from an earlier round" in said["lineage sheet begun"]["reason"]
    version.refresh_from_db()
    (made,) = services.issue_missing(version=version, actor=alice, reason="anew")
    assert said_by(made).predicate["people"]["approvedBy"] == []
    services.approve_version(version=version, actor=frank, reason="read it again")
    approved = services.approve_version(version=version, actor=erin, reason="go")
    assert approved.state == APPROVED
    with pytest.raises(Conflict, match="Nothing is missing"):
        services.issue_missing(version=approved, actor=alice, reason="again")


def test_who_may_not_issue_evidence_has_no_sheet_made(version, tenant):
    mallory = make.user("mallory", member_of=tenant)
    make.grant(mallory, tenant, Right.READ_DIRECTORY)
    for call in (
        lambda: issue(version, ArtefactKind.LINEAGE, mallory),
        lambda: services.issue_missing(version=version, actor=mallory, reason="r"),
    ):
        with pytest.raises(NotAllowed):
            call()


def test_who_may_not_read_runs_sees_no_evaluation_report_but_the_lineage_sheet(
    version, tenant, alice, client
):
    ivan = make.user("ivan", member_of=tenant)
    make.grant(ivan, tenant, Right.READ_EVIDENCE)
    client.force_login(ivan)
    answers = {}
    for kind in (ArtefactKind.LINEAGE, ArtefactKind.EVALUATION):
        held = issue(version, kind, alice)
        issuing.finish(held.artefact)
        page = client.get(f"/registry/evidence/{held.typeid}/")
        assert page.status_code == 200
        file = client.get(f"/registry/evidence/{held.typeid}/envelope/")
        api = client.get(f"/api/v1/registry/evidence/{held.typeid}/files/envelope/")
        answers[kind] = ("The whole statement" in page.content.decode(), file.status_code, api.status_code)
    assert answers == {
        ArtefactKind.LINEAGE: (True, 200, 200),
        ArtefactKind.EVALUATION: (False, 403, 403),
    }


def test_the_api_makes_one_or_all_that_are_missing(version, tenant, alice, client):
    client.force_login(alice)
    asked = {"kind": "lineage", "version": version.typeid, "reason": "audit"}
    one = client.post("/api/v1/registry/evidence/", asked, content_type="application/json")
    assert (one.status_code, one.json()["kind"]) == (201, "lineage")
    at = f"/api/v1/registry/versions/{version.typeid}/documents/"
    rest = client.post(at, {"reason": "before approval"}, content_type="application/json")
    assert rest.status_code == 201
    assert [row["kind"] for row in rest.json()] == ["agent_card", "evaluation"]
    assert client.post(at, {"reason": "x"}, content_type="application/json").status_code == 409
