"""An incident deprecates the version that it is about: in one click, or by the tenant's rule. Nothing is stopped by it."""

import pytest

from arm import clock
from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right
from registry import services as registry
from registry.lifecycle import VersionState
from telemetry import services, tasks
from telemetry.lifecycle import IncidentKind, Severity
from telemetry.models import IncidentEntry
from telemetry.queries import before_you_deprecate
from tests import make
from tests.registry.releasing import bound, running, states

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant():
    return make.tenant("acme")


@pytest.fixture(autouse=True)
def gates(settings):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound"]


@pytest.fixture
def alice(tenant):
    return make.everything(make.user("alice", member_of=tenant), tenant)


@pytest.fixture
def version(tenant):
    return make.approved()


@pytest.fixture
def slot(alice, version):
    slot = bound(make.slot(environment=make.environment("prod", name="Production")), version, actor=alice)
    running(slot, version, 2)
    return slot


def deprecate(incident, actor):
    return services.deprecate_version(incident=incident, actor=actor, reason="It leaks")


def settled(incident, actor):
    incident = services.mitigate(incident=incident, measure=None, actor=actor, reason="Stopped elsewhere")
    return services.resolve(incident=incident, root_cause="A bug", remediation="A fix", actor=actor)


def told(version, severity="s1", kind=IncidentKind.DATA_LEAK, harm=True):
    """An incident that a rule has opened, after the worker has heard of it."""
    made = services.open_incident(
        kind=IncidentKind(kind), severity=Severity(severity), title="It leaks", subject=version, actor=None,
        harm=harm,
    )  # fmt: skip
    done = tasks.incident_told(tenant_id=made.tenant_id, incident_id=str(made.pk))
    version.refresh_from_db()
    return made, done


def test_a_version_is_deprecated_for_its_incident_and_nothing_of_it_drains(slot, version, alice):
    incident = make.incident(version)
    deprecate(incident, alice)
    version.refresh_from_db()
    slot.refresh_from_db()
    assert (version.state, version.forced_by) == (VersionState.DEPRECATED, incident.pk)
    assert slot.current_version == version and states(slot, version) == ["active"] * 2
    assert version.rebind_by is not None and version.rebind_by > clock.now()
    record = ChangeRecord.objects.get(verb="registry.version.moved")
    assert record.links == [incident.typeid] and record.after["incident"] == incident.typeid
    entry = IncidentEntry.objects.get(incident=incident, kind="mitigation")
    assert entry.links == [version.typeid] and entry.after == f"{version}: Deprecated"
    incident.refresh_from_db()
    assert incident.state == "open", "nothing that runs is stopped by it"


def test_an_incident_of_an_instance_is_about_its_version(slot, version, alice):
    incident = make.incident(version.instances.first())
    deprecate(incident, alice)
    version.refresh_from_db()
    assert version.forced_by == incident.pk


def test_what_is_not_approved_or_settled_or_of_no_version_is_refused(version, alice, tenant):
    deprecate(make.incident(version), alice)
    with pytest.raises(Conflict, match="only an approved version"):
        deprecate(make.incident(version, kind="tamper"), alice)
    with pytest.raises(Conflict, match="about no single version"):
        deprecate(make.incident(make.environment("dev")), alice)
    with pytest.raises(Conflict, match="reopen it"):
        deprecate(settled(make.incident(make.approved(), kind="drift"), alice), alice)


def test_it_takes_the_right_on_the_incident_and_on_the_release(version, tenant):
    incident = make.incident(version)
    for missing in ({Right.MANAGE_INCIDENT}, {Right.PROMOTE_RELEASE, Right.ROLL_BACK_RELEASE}):
        mallory = make.user(member_of=tenant)
        make.grant(mallory, tenant, *set(Right) - missing)
        with pytest.raises(NotAllowed):
            deprecate(incident, mallory)
    version.refresh_from_db()
    assert version.state == VersionState.APPROVED


# by rule


def rule(tenant, alice, severity="s1"):
    return registry.deprecate_from(tenant=tenant, severity=severity, actor=alice, reason="Better safe")


def test_without_a_rule_no_incident_deprecates(version, tenant):
    assert told(version, "s0")[1] is False and version.state == VersionState.APPROVED


def test_a_severe_incident_deprecates_by_rule_and_the_record_says_so(version, slot, tenant, alice):
    rule(tenant, alice)
    incident, done = told(version)
    assert done and (version.state, version.forced_by) == (VersionState.DEPRECATED, incident.pk)
    record = ChangeRecord.objects.get(verb="registry.version.moved")
    assert record.actor_id is None and record.reason.startswith("By rule: S1")
    assert states(slot, version) == ["active"] * 2
    assert not tasks.incident_told(tenant_id=tenant.pk, incident_id=str(incident.pk)), "once is enough"


@pytest.mark.parametrize(
    ("severity", "kind", "harm"),
    [("s2", "data_leak", True), ("s0", "outage", False), ("s0", "quality_regression", False)],
)
def test_one_that_is_mild_or_says_no_harm_of_the_version_deprecates_none(
    version, tenant, alice, severity, kind, harm
):
    rule(tenant, alice)
    assert told(version, severity, kind, harm)[1] is False and version.state == VersionState.APPROVED


def test_one_that_grows_worse_deprecates_then(version, tenant, alice, django_capture_on_commit_callbacks):
    rule(tenant, alice)
    told(version, "s3")
    assert version.state == VersionState.APPROVED
    assert told(version, "s0")[1] and version.state == VersionState.DEPRECATED


def opened(subject, actor, kind="data_leak", **more):
    return services.open_incident(
        kind=IncidentKind(kind), severity=Severity.S3, title="It leaks", subject=subject, actor=actor, **more
    )


def heard(work_off, version):
    work_off()
    version.refresh_from_db()
    return version.state


def test_a_person_says_harm_by_a_kind_about_the_version_or_in_so_many_words(version, slot, alice):
    one = version.instances.first()
    assert opened(version, alice).harm and not opened(version, alice, "outage").harm
    assert not opened(one, alice).harm, "one instance may leak for reasons of its own"
    assert opened(one, alice, "tool_misuse", harm=True).harm
    assert not opened(version, alice, "tamper", harm=False).harm
    with pytest.raises(Invalid) as refused:
        opened(make.environment("dev"), alice, harm=True)
    assert refused.value.extra["errors"][0]["pointer"] == "/harm"


def test_harm_that_is_said_later_deprecates_then(version, tenant, alice, work_off):
    rule(tenant, alice, "s3")
    standing = opened(version, None)
    assert heard(work_off, version) == "approved"
    opened(version, alice)
    assert heard(work_off, version) == "deprecated"
    record = ChangeRecord.objects.get(verb="telemetry.incident.raised")
    assert (record.target_id, record.before["harm"], record.after["harm"]) == (standing.pk, False, True)


def test_a_person_who_raises_the_severity_deprecates_by_the_rule(version, tenant, alice, work_off):
    rule(tenant, alice)
    incident = opened(version, alice)
    assert heard(work_off, version) == "approved"
    services.triage(incident=incident, severity=Severity.S0, owner=None, actor=alice, reason="Far worse")
    assert heard(work_off, version) == "deprecated"


def test_what_comes_back_deprecates_by_the_rule_that_holds_now(version, tenant, alice, work_off):
    incident = settled(opened(version, alice), alice)
    rule(tenant, alice, "s3")
    assert heard(work_off, version) == "approved"
    services.reopen(incident=incident, actor=alice, reason="It leaks again")
    assert heard(work_off, version) == "deprecated"


def test_the_rule_is_set_by_who_manages_the_directory_with_its_record(tenant, alice):
    rule(tenant, alice, "s0")
    record = ChangeRecord.objects.get(verb="registry.deprecation.ruled")
    assert (record.before, record.after) == ({"deprecates_from": ""}, {"deprecates_from": "s0"})
    with pytest.raises(Invalid) as refused:
        rule(tenant, alice, "s9")
    assert refused.value.extra["errors"][0]["pointer"] == "/severity"
    with pytest.raises(NotAllowed):
        rule(tenant, make.user("mallory", member_of=tenant))


# through the API and the pages


def test_the_pages_deprecate_say_why_and_list_what_is_due(client, slot, version, alice):
    client.force_login(alice)
    incident = make.incident(version)
    page = f"{incident.get_absolute_url()}deprecate/"
    assert page in client.get(incident.get_absolute_url()).content.decode()
    assert "Instances that go on" in client.get(page).content.decode()
    assert client.post(page, {"reason": "It leaks"}).status_code == 302
    assert client.get(page).status_code == 404, "it is done"
    assert "Deprecated because of an incident" in client.get(version.get_absolute_url()).content.decode()
    found = client.get("/registry/versions/", {"rebind": "due"}).content.decode()
    assert version.get_absolute_url() in found and "rebind by" in found
    assert (
        version.get_absolute_url()
        not in client.get("/registry/versions/", {"rebind": "overdue"}).content.decode()
    )


def test_what_goes_on_out_of_ones_sight_is_a_number(slot, version, alice, tenant):
    bob = make.user("bob", member_of=tenant)
    make.grant(bob, make.environment("dev"), Right.READ_DIRECTORY)

    def told_to(actor):
        return [(tile.label, tile.value) for tile in before_you_deprecate(version, actor)]

    goes_on = [("Slots that keep it for now", 1), ("Instances that go on", 2)]
    assert told_to(alice) == goes_on
    assert told_to(bob) == [
        pair for label, n in goes_on for pair in ((label, 0), (f"{label}, not shown to you", n))
    ]


def test_the_api_deprecates_and_lists(client, slot, version, alice):
    client.force_login(alice)
    incident = make.incident(version)
    where = f"/api/v1/incidents/{incident.typeid}/deprecate-version/"
    assert client.post(where, {}, content_type="application/json").status_code == 422
    assert client.post(where, {"reason": "x"}, content_type="application/json").status_code == 200
    assert client.post(where, {"reason": "x"}, content_type="application/json").status_code == 409
    (row,) = client.get("/api/v1/registry/versions/", {"rebind": "due"}).json()["results"]
    assert (row["id"], row["forced_by"]) == (version.typeid, incident.typeid)


def test_the_rules_page_keeps_the_rule(client, alice, tenant):
    client.force_login(alice)
    assert client.post("/registry/rules/deprecation/", {"severity": "s1", "reason": "go"}).status_code == 302
    assert 'value="s1" selected' in client.get("/registry/rules/deprecation/").content.decode()
