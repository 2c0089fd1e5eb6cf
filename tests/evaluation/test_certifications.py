"""Somebody else vouches for a genome, for a time; and suites say how far it is capable of what a role asks."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction
from django.urls import reverse

from arm import clock
from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import ChangeRecord
from evaluation import queries, services, tasks
from evaluation.models import Certification, CertificationType
from registry import fitness
from registry import services as registry
from registry.gates import GateRefused
from registry.staffing import Certified
from telemetry.models import Incident
from tests import make
from tests.evaluation.suites import case

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def alice(acme):
    """Builds."""
    return make.everything(make.user("alice", member_of=acme), acme)


@pytest.fixture
def erin(acme):
    """Certifies: holds the rights of an approver, and has built nothing."""
    return make.hired("erin", "approver", acme)


@pytest.fixture
def version(acme, alice):
    return make.approved(template=make.template("refund-desk"), created_by=alice)


@pytest.fixture
def pci(acme):
    return make.certification_type("pci", name="PCI", days=30)


def certify(pci, version, actor, **kw):
    return services.issue_certification(type=pci, version=version, actor=actor, reason="I looked at it", **kw)


def test_somebody_who_did_not_build_it_vouches_for_exactly_this_genome(pci, version, erin):
    passed = make.run(version)
    make.run(version, state="failed")
    made = certify(pci, version, erin)
    assert (made.genome_digest, made.standing) == (version.genome.digest, Certified.VALID)
    assert made.valid_until - made.valid_from == timedelta(days=30)
    assert made.evidence == [passed.typeid]
    record = ChangeRecord.objects.get(verb="evaluation.certification.issued")
    assert record.after["genome"] == version.genome.digest and passed.typeid in record.links
    other = make.approved(template=version.template)
    assert set(queries.held_certifications(version)) == {"pci"}
    assert queries.held_certifications(other) == {}


def test_nobody_certifies_what_they_built_or_submitted(pci, version, alice, erin, acme):
    with pytest.raises(NotAllowed, match="somebody else certifies it"):
        certify(pci, version, alice)
    bob = make.everything(make.user("bob", member_of=acme), acme)
    submitted = make.version(template=version.template, submitted_by=bob)
    with pytest.raises(NotAllowed, match="built or submitted"):
        certify(pci, submitted, bob)
    assert not Certification.objects.exists()


def test_who_works_alone_certifies_and_the_record_says_so():
    solo = make.tenant("solo")
    sole = make.everything(make.user("sole", member_of=solo), solo)
    own = make.approved(template=make.template(tenant=solo), created_by=sole)
    certify(make.certification_type(tenant=solo), own, sole)
    assert ChangeRecord.objects.get(verb="evaluation.certification.issued").after["sod_mode"] == "reduced"


def test_certifying_takes_the_right_to_approve(pci, version, acme):
    with pytest.raises(NotAllowed):
        certify(pci, version, make.hired("carl", "release_manager", acme))


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (timedelta(), timedelta()),
        (timedelta(days=-9), timedelta(days=-2)),
        (timedelta(), timedelta(days=9999)),
    ],
)
def test_a_certification_ends_after_it_began_and_some_day(pci, version, erin, start, end):
    now = clock.now()
    with pytest.raises(Invalid) as refused:
        certify(pci, version, erin, valid_from=now + start, valid_until=now + end)
    assert refused.value.errors[0]["pointer"] == "/valid_until"


def test_an_incomplete_genome_cannot_be_vouched_for(pci, erin):
    bare = make.version(genome=make.genome(missing=["tools"]))
    with pytest.raises(Conflict, match="lacks tools"):
        certify(pci, bare, erin)


def test_a_revoked_certification_counts_no_more_and_stays_revoked(pci, version, erin):
    made = certify(pci, version, erin)
    services.revoke_certification(certification=made, actor=erin, reason="A leak was found")
    assert queries.held_certifications(version)["pci"].standing is Certified.REVOKED
    with pytest.raises(Conflict, match="already"):
        services.revoke_certification(certification=made, actor=erin, reason="again")
    for change in ({"revoked_at": None, "revoked_reason": ""}, {"valid_until": clock.now()}):
        with pytest.raises(DatabaseError), transaction.atomic():
            Certification.objects.filter(pk=made.pk).update(**change)


def test_a_newer_valid_one_stands_before_a_revoked_one(pci, version, erin):
    services.revoke_certification(certification=certify(pci, version, erin), actor=erin, reason="r")
    certify(pci, version, erin)
    assert queries.held_certifications(version)["pci"].standing is Certified.VALID
    make.certification(version, pci, valid_until=clock.now() + timedelta(days=9))
    assert queries.held_certifications(version)["pci"].standing is Certified.VALID


def test_time_itself_ends_a_certification_and_the_sweep_tells_once(acme, pci, version, erin, work_off):
    made = certify(pci, version, erin)
    with clock.at(made.valid_until):
        assert made.standing is Certified.EXPIRED
        assert tasks.expire_certifications(tenant_id=acme.pk) == 1
        assert tasks.expire_certifications(tenant_id=acme.pk) == 0
    record = ChangeRecord.objects.get(verb="evaluation.certification.expired")
    assert (record.actor_label, record.target_id) == ("ARM", made.pk)
    assert not Incident.objects.exists(), "no role asked for it"


def test_what_ends_under_a_role_that_asks_for_it_opens_an_incident(acme, pci, version, erin):
    prod = make.environment("prod", name="Production")
    role = make.role("clerk", name="Clerk", certifications=["pci"])
    made = certify(pci, version, erin)
    make.role_assignment(role=role, environment=prod, version=version)
    make.slot(environment=prod, role=role, current_version=version)
    second = certify(pci, version, erin)
    services.revoke_certification(certification=made, actor=erin, reason="r")
    assert not Incident.objects.exists(), "another one is still valid"
    with clock.at(second.valid_until):
        tasks.expire_certifications(tenant_id=acme.pk)
    incident = Incident.objects.get()
    assert (incident.kind, incident.severity) == ("quality_regression", "s2")
    assert not incident.harm, "time has passed; the version does what it did"
    assert "has expired" in incident.title and incident.facts["works_as"] == [
        "Clerk",
        "Clerk in Production #1",
    ]


# capabilities


def suite_of(capability, good, bad, version):
    """A suite with so many cases, of which this genome passed so many in its newest run."""
    document = make.suite_document(*[case(f"c{n}") for n in range(good + bad)], category="capability")
    suite = make.suite(document=document, capability=capability)
    make.run(version, suite, state="failed" if bad else "passed", passed=good, failed=bad)
    return suite


def test_the_score_is_that_of_the_newest_finished_run_on_this_genome(version):
    suite = suite_of("refunds", 1, 3, version)
    assert queries.scores(version)["refunds"].percent == Decimal(25)
    make.run(version, suite, passed=4)
    make.run(version, suite, state="running")
    make.run(version, suite, state="cancelled")
    score = queries.scores(version)["refunds"]
    assert score.percent == 100 and score.measured_by == f"“{suite}” v1"
    assert queries.scores(make.approved(template=version.template)) == {}, "another genome was never measured"


def test_of_several_suites_the_worst_counts(version):
    suite_of("refunds", 9, 1, version)
    suite_of("refunds", 2, 1, version)
    suite_of("", 0, 3, version)
    assert {name: score.percent for name, score in queries.scores(version).items()} == {
        "refunds": Decimal("66.6")
    }


def test_what_a_suite_measures_is_declared_on_the_record_beside_its_document(alice, acme):
    suite = make.suite("refund-cases")
    digest = suite.versions.get().digest
    services.declare_capability(suite=suite, capability=" Refunds ", actor=alice, reason="It does")
    suite.refresh_from_db()
    assert suite.capability == "refunds" and suite.versions.get().digest == digest
    record = ChangeRecord.objects.get(verb="evaluation.suite.capability_declared")
    assert (record.before, record.after) == ({"capability": ""}, {"capability": "refunds"})
    with pytest.raises(Invalid):
        services.declare_capability(suite=suite, capability="a b", actor=alice, reason="r")
    with pytest.raises(NotAllowed):
        services.declare_capability(
            suite=suite, capability="x", actor=make.user("mallory", member_of=acme), reason="r"
        )


def test_a_role_is_refused_with_what_was_really_measured_and_certified(acme, alice, erin, pci, version):
    """End to end: no stand-in answers for evaluation."""
    prod = make.environment("prod", name="Production")
    asks = {"capabilities": [{"name": "refunds", "least": 80}], "certifications": ["pci"]}
    role = registry.create_role(tenant=acme, slug="clerk", name="Clerk", actor=alice, reason="r", **asks)
    suite = suite_of("refunds", 3, 1, version)

    def assign():
        return registry.assign_role(role=role, environment=prod, version=version, actor=alice, reason="r")

    with pytest.raises(GateRefused) as refused:
        assign()
    said = {gate["gate"]: gate for gate in refused.value.extra["gates"]}
    assert "75 % by" in said["capability refunds"]["reason"]
    assert (
        version.typeid in said["capability refunds"]["mend"]
        and "type=pci" in said["certification pci"]["mend"]
    )
    make.run(version, suite, passed=4)
    made = certify(pci, version, erin)
    assign()
    services.revoke_certification(certification=made, actor=erin, reason="r")
    missing = fitness.lacking(fitness.for_role(role, prod, version))
    assert [verdict.reason for verdict in missing] == ["Certification pci is revoked."]
    assert Incident.objects.get().title.startswith("PCI of refund-desk v1 was revoked")


# pages and API


def test_the_page_of_a_version_shows_what_it_can_and_who_vouches(client, version, erin, pci):
    suite_of("refunds", 3, 1, version)
    client.force_login(erin)
    form = reverse("evaluation:certification_issue")
    client.post(form, {"type": "pci", "version": version.typeid, "reason": "I looked at it"})
    page = client.get(version.get_absolute_url()).content.decode()
    assert "75 %" in page and "I looked at it" in page and f"{form}?version={version.typeid}" in page
    made = Certification.objects.get()
    listed = client.get(reverse("evaluation:certification_list"), {"standing": "valid"})
    revoke = reverse("evaluation:certification_revoke", args=[made.typeid])
    assert revoke in listed.content.decode()
    client.post(revoke, {"reason": "Found wanting"})
    assert "Found wanting" in client.get(version.get_absolute_url()).content.decode()
    for standing, count in (("valid", 0), ("revoked", 1), ("expired", 0), ("planned", 0)):
        found = client.get(reverse("evaluation:certification_list"), {"standing": standing})
        assert len(found.context["object_list"]) == count, standing


def test_pages_make_types_and_declare_capabilities(client, alice, acme):
    client.force_login(alice)
    form = reverse("evaluation:certification_type_create")
    client.post(form, {"name": "Privacy", "slug": "privacy", "days": 90, "reason": "r"})
    assert "90 days" in client.get(reverse("evaluation:certification_type_list")).content.decode()
    suite = make.suite("cases")
    form = reverse("evaluation:suite_capability", args=[suite.typeid])
    client.post(form, {"capability": "refunds", "reason": "r"})
    assert "<code>refunds</code>" in client.get(suite.get_absolute_url()).content.decode()


def test_a_machine_certifies_reads_and_revokes(client, version, acme, erin, alice):
    client.force_login(alice)
    at = "/api/v1/evaluation/"

    def post(path, body):
        return client.post(at + path, body, content_type="application/json")

    assert post("certification-types/", {"slug": "pci", "name": "PCI", "reason": "r"}).status_code == 201
    assert post("certification-types/", {"slug": "pci", "name": "PCI", "reason": "r"}).status_code == 409
    assert (
        post("certification-types/", {"slug": "x", "name": "X", "days": 0, "reason": "r"}).status_code == 422
    )
    suite = make.suite("cases")
    declared = post(f"suites/{suite.typeid}/capability/", {"capability": "refunds", "reason": "r"})
    assert declared.json()["capability"] == "refunds"
    own = post("certifications/", {"type": "pci", "version": version.typeid, "reason": "r"})
    assert own.status_code == 403
    client.force_login(erin)
    made = post("certifications/", {"type": "pci", "version": version.typeid, "reason": "r"})
    assert made.status_code == 201, made.content
    assert (made.json()["state"], made.json()["type"]) == ("valid", "pci")
    unknown = post("certifications/", {"type": "nope", "version": version.typeid, "reason": "r"})
    assert unknown.json()["errors"][0]["pointer"] == "/type"
    gone = post(f"certifications/{made.json()['id']}/revoke/", {"reason": "r"})
    assert gone.json()["state"] == "revoked"
    assert (
        client.get(f"{at}certifications/", {"standing": "revoked"}).json()["results"][0]["id"]
        == made.json()["id"]
    )


def test_who_may_approve_nothing_finds_no_form(client, acme):
    client.force_login(make.hired("vera", "viewer", acme))
    assert client.get(reverse("evaluation:certification_issue")).status_code == 403
    assert client.get(reverse("evaluation:certification_list")).status_code == 200


def test_the_admin_makes_types_certifies_and_refuses_the_builder(client, version, alice, erin):
    client.force_login(alice)
    add = reverse("admin:evaluation_certificationtype_add")
    client.post(add, {"name": "PCI", "slug": "pci", "purpose": "", "days": 30, "reason": "r"})
    kind = CertificationType.objects.get(slug="pci")
    add = reverse("admin:evaluation_certification_add")
    sent = {
        "type": kind.pk,
        "version": version.pk,
        "valid_until_0": "2031-01-01",
        "valid_until_1": "00:00:00",
        "reason": "r",
    }
    client.post(add, sent)
    assert not Certification.objects.exists(), "Alice built it"
    client.force_login(make.everything(make.user("grace", member_of=version.tenant), version.tenant))
    client.post(add, sent)
    assert (Certification.objects.get().type, Certification.objects.get().valid_until.year) == (kind, 2031)
