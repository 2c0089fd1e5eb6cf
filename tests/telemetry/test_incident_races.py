"""An incident while others are at it or at its version: nobody waits in a circle, and nothing that is reported is lost."""

from threading import Thread

import pytest
from django.db import connections, transaction

from arm import db
from arm.errors import Conflict
from arm.models import ChangeRecord
from registry import services as registry
from registry.models import AgentVersion
from telemetry import services
from telemetry.lifecycle import IncidentKind, Severity
from telemetry.models import Incident
from tests import make
from tests.policy.asking import until
from tests.policy.test_races import waits_for_a_lock, while_held
from tests.registry.releasing import bound, running

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def tenant(settings):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound"]
    return make.tenant()


@pytest.fixture
def alice(tenant):
    return make.everything(make.user(member_of=tenant), tenant)


@pytest.fixture
def one(tenant, alice):
    """An instance at work on the second version of its slot."""
    first = make.approved(template=make.template(tenant=tenant))
    second = make.approved(template=first.template)
    slot = bound(make.slot(environment=make.environment(tenant=tenant)), first, second, actor=alice)
    return running(slot, second, 1)[0]


def opened(subject, kind="tool_misuse", severity="s2", actor=None, **more):
    return services.open_incident(
        kind=IncidentKind(kind), severity=Severity(severity), title="It leaks", subject=subject, actor=actor, **more
    )  # fmt: skip


def deprecates(incident, alice):
    done = services.deprecate_version(incident=incident, actor=alice, reason="It leaks")
    return AgentVersion.objects.get(pk=done.version_id).state


def deprecates_by_rule(incident, alice):
    return services.deprecate_by_rule(incident_id=incident.pk)


def rolls_back(incident, alice):
    return services.roll_back(incident=incident, actor=alice, reason="It leaks").state


@pytest.mark.parametrize(
    ("act", "gives"), [(deprecates, "deprecated"), (deprecates_by_rule, True), (rolls_back, "mitigated")]
)
def test_who_stops_harm_and_a_rollback_do_not_wait_for_each_other(tenant, alice, one, act, gives):
    registry.deprecate_from(tenant=tenant, severity="s3", actor=alice, reason="go")
    incident = opened(one, harm=True)
    held = AgentVersion.objects.filter(
        pk=one.version_id
    )  # as a rollback holds it, before it adds to the incident
    given = while_held(
        held, lambda: opened(one, again=True, facts={"slot": "x"}), lambda: act(incident, alice)
    )
    assert given == gives
    assert incident.entries.filter(text__contains="slot: x").count() == 1


def test_a_person_who_opens_what_a_rollback_is_about_to_open_waits_and_adds_to_it(alice, one):
    version = AgentVersion.objects.get(pk=one.version_id)
    held = AgentVersion.objects.filter(pk=version.pk)
    made = []
    given = while_held(
        held, lambda: made.append(opened(version)), lambda: opened(version, severity="s0", actor=alice)
    )
    assert given == made[0] and given.severity == "s0"


@pytest.mark.parametrize("more", [{"severity": "s0"}, {"again": True, "facts": {"step": 2}}])
def test_what_is_reported_while_the_incident_is_being_resolved_opens_another(alice, one, more):
    incident = services.triage(
        incident=opened(one), severity=Severity.S2, owner=None, actor=alice, reason="Seen"
    )

    def resolved():
        services.resolve(incident=incident, root_cause="A bug", remediation="A fix", actor=alice)

    given = while_held(Incident.objects.filter(pk=incident.pk), resolved, lambda: opened(one, **more))
    assert given != incident and given.live and given.severity == more.get("severity", "s2")
    assert given.recurrence_of == incident
    incident.refresh_from_db()
    assert (incident.severity, incident.state) == ("s2", "resolved")
    assert ChangeRecord.objects.get(verb="telemetry.incident.opened", target_id=given.pk)


def test_what_is_reopened_while_another_opens_the_same_is_refused(alice, one):
    incident = services.triage(
        incident=opened(one), severity=Severity.S2, owner=None, actor=alice, reason="Seen"
    )
    incident = services.resolve(incident=incident, root_cause="A bug", remediation="A fix", actor=alice)

    def again():
        with pytest.raises(Conflict) as refused:
            services.reopen(incident=incident, actor=alice, reason="It is back")
        return str(refused.value)

    given = []

    def wait():
        try:
            with db.tenants([one.tenant_id]):
                given.append(again())
        finally:
            connections.close_all()

    other = Thread(target=wait)
    with transaction.atomic():
        opened(one)
        other.start()
        until(waits_for_a_lock, 10)
    other.join(20)
    assert "just opened" in given[0]
