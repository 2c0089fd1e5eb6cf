"""Whose word counts: who handles incidents of one place does not deprecate a version that runs in others."""

import pytest

from arm.errors import Invalid, NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right
from registry import services as registry
from telemetry import services
from telemetry.lifecycle import IncidentKind, Severity
from telemetry.models import Incident
from tests import make
from tests.registry.releasing import bound

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant():
    return make.tenant("acme")


@pytest.fixture
def alice(tenant, settings):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound"]
    alice = make.everything(make.user("alice", member_of=tenant), tenant)
    registry.deprecate_from(tenant=tenant, severity="s1", actor=alice, reason="Better safe")
    return alice


@pytest.fixture
def version(alice):
    """Bound in production."""
    version = make.approved()
    bound(make.slot(environment=make.environment("prod", name="Production")), version, actor=alice)
    return version


@pytest.fixture
def one(version):
    """What Bob sees of it."""
    return make.instance(version=version, environment=make.environment("dev"))


@pytest.fixture
def bob(tenant, one):
    bob = make.user("bob", member_of=tenant)
    rights = (Right.MANAGE_INCIDENT, Right.READ_INCIDENTS, Right.READ_DIRECTORY)
    make.grant(bob, one.environment, *rights)
    return bob


def opened(subject, actor, severity="s0", **more):
    return services.open_incident(
        kind=IncidentKind.DRIFT, severity=Severity(severity), title="It lies", subject=subject, actor=actor, **more
    )  # fmt: skip


def triaged(incident, actor, severity="s0", **more):
    return services.triage(
        incident=incident, severity=Severity(severity), owner=None, actor=actor, reason="Seen", **more
    )


def heard(work_off, version):
    work_off()
    version.refresh_from_db()
    return version.state


def test_who_handles_one_environment_does_not_say_that_the_version_does_harm(one, bob):
    with pytest.raises(NotAllowed, match="does harm wherever it runs"):
        opened(one, bob, harm=True)
    assert not Incident.objects.exists()
    assert not opened(one, bob).harm, "without that it is taken"


def test_nor_makes_harm_that_a_rule_has_said_severe_enough(one, bob, version, work_off):
    incident = opened(one, None, "s3", harm=True)
    opened(one, bob, "s0")
    triaged(Incident.objects.get(), bob)
    incident.refresh_from_db()
    assert (incident.severity, incident.vouched) == ("s0", "s3")
    assert heard(work_off, version) == "approved"


def test_nor_does_what_was_reported_so_lend_its_severity_to_harm_said_later(one, bob, version, work_off):
    opened(one, bob, "s0")
    opened(one, None, "s3", harm=True)
    incident = Incident.objects.get()
    assert (incident.severity, incident.harm, incident.vouched) == ("s0", True, "s3")
    assert heard(work_off, version) == "approved"


@pytest.mark.parametrize("right", [Right.MANAGE_INCIDENT, Right.ROLL_BACK_RELEASE, Right.PROMOTE_RELEASE])
def test_who_handles_the_agents_incidents_or_releases_it_says_so(one, bob, version, work_off, right):
    make.grant(bob, version.template, right)
    assert opened(one, bob, harm=True).vouched == "s0"
    assert heard(work_off, version) == "deprecated"


def test_a_rules_word_counts_whoever_reported_the_same_before(one, bob, version, work_off):
    opened(one, bob, "s0")
    opened(one, None, "s0", harm=True)
    assert heard(work_off, version) == "deprecated"
    record = ChangeRecord.objects.get(verb="telemetry.incident.raised")
    assert (record.before["vouched"], record.after["vouched"]) == ("", "s0")


def test_a_milder_word_counts_from_anybody_who_handles_it(one, bob, version, work_off):
    incident = opened(one, None, "s0", harm=True)
    assert triaged(incident, bob, "s3").vouched == "s3"
    assert heard(work_off, version) == "approved"


def test_harm_is_said_and_taken_back_at_triage(one, alice, bob, version, work_off):
    incident = opened(one, bob, "s2")
    with pytest.raises(NotAllowed):
        triaged(incident, bob, harm=True)
    assert triaged(incident, alice, harm=True).harm
    record = ChangeRecord.objects.get(verb="telemetry.incident.triaged")
    assert (record.before["harm"], record.after["harm"], record.after["vouched"]) == (False, True, "s0")
    assert heard(work_off, version) == "deprecated"
    other = opened(make.instance(version=make.approved()), None, "s0", harm=True)
    assert not triaged(other, alice, "s0", harm=False).harm
    assert other.entries.filter(text__startswith="The version does no harm after all").exists()
    assert heard(work_off, other.version) == "approved"
    with pytest.raises(Invalid) as refused:
        triaged(opened(make.environment("staging"), alice), alice, harm=True)
    assert refused.value.extra["errors"][0]["pointer"] == "/harm"


def test_the_api_refuses_it_with_a_problem(client, one, bob, alice):
    client.force_login(bob)
    body = {"subject": one.typeid, "kind": "drift", "severity": "s0", "title": "x", "harm": True}
    answer = client.post("/api/v1/incidents/", body, content_type="application/json")
    assert answer.status_code == 403 and "Leave that out" in answer.json()["detail"]
    answer = client.post("/api/v1/incidents/", {**body, "harm": None}, content_type="application/json")
    assert answer.status_code == 201 and answer.json()["vouched"] == "" and not answer.json()["harm"]
    client.force_login(alice)
    where = f"/api/v1/incidents/{answer.json()['id']}/triage/"
    row = client.post(
        where, {"severity": "s1", "reason": "Seen", "harm": True}, content_type="application/json"
    )
    assert row.status_code == 200 and (row.json()["harm"], row.json()["vouched"]) == (True, "s1")


# on the pages


def test_the_form_says_it_where_the_subject_has_a_version(client, one, alice, bob):
    body = {"subject": one.typeid, "kind": "drift", "severity": "s0", "title": "x", "detected": "person"}
    client.force_login(alice)
    assert 'name="harm"' in client.get("/incidents/open/").content.decode()
    wrong = client.post(
        "/incidents/open/", body | {"subject": make.environment("staging").typeid, "harm": "yes"}
    )
    assert wrong.status_code == 422 and "says that the version does harm" in wrong.content.decode()
    client.force_login(bob)
    assert client.post("/incidents/open/", body | {"harm": "yes"}).status_code == 403
    client.force_login(alice)
    assert client.post("/incidents/open/", body | {"harm": "yes"}).status_code == 302
    assert Incident.objects.get().harm


def test_triage_asks_for_it_whom_it_may_ask(client, one, alice, bob):
    incident = opened(one, None, "s3", harm=True)
    page = f"{incident.get_absolute_url()}triage/"
    client.force_login(bob)
    assert 'name="harm"' not in client.get(page).content.decode()
    client.force_login(alice)
    assert "checked" in client.get(page).content.decode().split('name="harm"')[1].split(">")[0]
    assert client.post(page, {"severity": "s3", "reason": "Only here"}).status_code == 302
    incident.refresh_from_db()
    assert not incident.harm, "the box was emptied"
    again = opened(make.instance(version=one.version, environment=one.environment), None, "s3", harm=True)
    client.force_login(bob)
    assert (
        client.post(f"{again.get_absolute_url()}triage/", {"severity": "s3", "reason": "x"}).status_code
        == 302
    )
    again.refresh_from_db()
    assert again.harm, "who is not asked leaves it"


def test_the_page_says_what_the_rule_makes_of_it(client, one, alice, bob, version, work_off, tenant):
    client.force_login(alice)

    def told(incident):
        return client.get(incident.get_absolute_url()).content.decode()

    reported = opened(one, bob, "s0")
    assert "does harm" in told(reported) and "Nobody says so" in told(reported)
    mild = opened(make.instance(version=version), None, "s3", harm=True)
    assert "The rule deprecates from S1 High on; this is S3 Low" in told(mild)
    triaged(reported, alice, "s3", harm=True)
    assert "counts as S3 Low" not in told(reported)
    opened(one, bob, "s0")
    assert "counts as S3 Low" in told(reported)
    done = opened(make.instance(version=version), None, "s0", harm=True)
    assert heard(work_off, version) == "deprecated"
    assert "is Deprecated" in told(done)
    registry.deprecate_from(tenant=tenant, severity="", actor=alice, reason="off")
    other = opened(make.instance(version=make.approved()), None, "s0", harm=True)
    assert "no rule of this organisation" in told(other)
    assert "does harm" not in told(opened(make.environment("staging"), None))
