"""What evaluation changes under a version that had passed: it goes back, or is not approved."""

import pytest

from evaluation import plugins, services
from registry.lifecycle import VersionState
from telemetry.plugins import JobsInFlight
from tests import make
from tests.evaluation.suites import case

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def carol(acme):
    return make.everything(make.user("carol", member_of=acme), acme)


@pytest.fixture
def candidate(acme, carol):
    """Everything has passed, and a policy holds."""
    make.bound(acme)
    return make.evaluated(make.version(template=make.template("refunds"), state=VersionState.CANDIDATE))


def state_after(work_off, version):
    work_off()
    version.refresh_from_db()
    return version.state


def test_another_version_of_a_suite_sends_candidates_back_to_testing(candidate, carol, work_off):
    suite = make.assigned(candidate.template, make.suite()).suite
    make.run(candidate, suite)
    assert state_after(work_off, candidate) == "candidate"
    services.save_version(suite=suite, document=make.suite_document(case("new")), actor=carol, reason="More")
    assert state_after(work_off, candidate) == "testing"


def test_a_further_mandatory_suite_sends_candidates_back_and_an_optional_one_does_not(
    candidate, carol, work_off
):
    def assign(mandatory):
        services.assign_suite(
            suite=make.suite(), template=candidate.template, mandatory=mandatory, actor=carol, reason="r"
        )

    assign(False)
    assert state_after(work_off, candidate) == "candidate"
    assign(True)
    assert state_after(work_off, candidate) == "testing"


def test_what_was_certified_and_is_revoked_is_not_approved(candidate, carol):
    gate = plugins.CertificationsHold()
    assert gate.check(candidate, VersionState.APPROVED).passed, "it was never certified"
    pci = make.certification_type("pci")
    services.revoke_certification(
        certification=make.certification(candidate, pci), actor=carol, reason="Leak"
    )
    verdict = gate.check(candidate, VersionState.APPROVED)
    assert not verdict.passed and verdict.reason == "Certification pci is revoked."
    make.certification(candidate, pci)
    assert gate.check(candidate, VersionState.APPROVED).passed, "it was renewed"
    assert not gate.check(candidate, VersionState.CANDIDATE).applies


def test_jobs_that_an_instance_named_and_did_not_end_are_in_flight(acme):
    instance, other = make.instance(), make.instance()
    make.job(acme, "ticket-1", instance)
    make.job(acme, "ticket-2", instance, outcome="resolved")
    make.job(acme, "ticket-3", other)
    assert JobsInFlight().of([instance]) == {instance.pk: {"jobs without an outcome": 1}}
