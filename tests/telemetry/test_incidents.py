"""Who may open, move and close an incident; what stays on its timeline; and what it does to the instance."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, transaction

from arm import clock, db, ports
from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import ChangeRecord
from arm.permissions import visible
from arm.rights import Right
from registry.lifecycle import InstanceState
from telemetry import services
from telemetry.lifecycle import INCIDENT_MOVES, IncidentKind, IncidentState, Severity
from telemetry.models import Incident, IncidentEntry
from tests import make

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
S = IncidentState


@pytest.fixture
def tenant():
    return make.tenant("acme")


@pytest.fixture
def alice(tenant):
    """On call: handles incidents and may restrict."""
    user = make.user("alice", member_of=tenant)
    make.grant(user, tenant, Right.READ_INCIDENTS, Right.MANAGE_INCIDENT, Right.RESTRICT_INSTANCE)
    return user


@pytest.fixture
def bob(tenant):
    """Handles incidents, may not restrict."""
    user = make.user("bob", member_of=tenant)
    make.grant(user, tenant, Right.READ_INCIDENTS, Right.MANAGE_INCIDENT)
    return user


@pytest.fixture
def mallory(tenant):
    return make.user("mallory", member_of=tenant)


@pytest.fixture
def instance(tenant):
    return make.instance()


def opened(subject, actor=None, **kw):
    defaults = {
        "kind": IncidentKind.TOOL_MISUSE,
        "severity": Severity.S2,
        "title": "Deletes what it should read",
    }
    return services.open_incident(subject=subject, actor=actor, **(defaults | kw))


def triaged(incident, actor, severity=Severity.S1, owner=None, reason="Seen in the logs"):
    return services.triage(incident=incident, severity=severity, owner=owner, actor=actor, reason=reason)


class TestOpening:
    def test_an_incident_knows_where_its_instance_stood(self, instance, alice):
        incident = opened(instance, alice, facts={"tool": "delete_all"})
        assert (incident.instance, incident.version) == (instance, instance.version)
        assert (incident.template, incident.environment) == (instance.template, instance.environment)
        assert incident.state == S.OPEN and incident.opened_by == alice
        record = ChangeRecord.objects.get(verb="telemetry.incident.opened")
        assert record.target_id == incident.pk and record.after["severity"] == "s2"
        assert [e.kind for e in incident.entries.all()] == ["opened"]

    def test_while_one_is_open_a_second_of_the_same_kind_on_the_same_subject_is_the_same(self, instance):
        first = opened(instance)
        assert opened(instance) == first
        assert opened(instance, kind=IncidentKind.DRIFT) != first
        assert opened(make.instance()) != first
        assert Incident.objects.count() == 3

    def test_a_worse_report_raises_the_standing_incident_and_a_milder_one_does_not(self, instance):
        first = opened(instance)
        assert opened(instance, severity=Severity.S0).severity == "s0"
        assert opened(instance, severity=Severity.S4).severity == "s0"
        assert first.entries.filter(kind="severity").count() == 1
        assert ChangeRecord.objects.filter(verb="telemetry.incident.raised").count() == 1

    def test_after_the_resolution_the_same_thing_is_a_recurrence(self, instance, alice):
        with clock.at(NOON):
            first = triaged(opened(instance), alice)
            services.resolve(
                incident=first, root_cause="A bad prompt", remediation="A better one", actor=alice
            )
        sibling = make.instance(version=instance.version)
        with clock.at(NOON + timedelta(days=29)):
            second = opened(sibling)
        with clock.at(NOON + timedelta(days=60)):
            third = opened(instance)
        assert second.recurrence_of == first
        assert third.recurrence_of is None, "the last one was 31 days ago"

    def test_a_stranger_opens_nothing(self, instance, mallory):
        with pytest.raises(NotAllowed):
            opened(instance, mallory)
        assert not Incident.objects.exists()

    def test_a_title_is_needed(self, instance, alice):
        with pytest.raises(Invalid) as refusal:
            opened(instance, alice, title="  ")
        assert refusal.value.errors[0]["pointer"] == "/title"


class TestThePort:
    def open(self, instance, **kw):
        facts = {
            "tenant_id": instance.tenant_id,
            "kind": "cost_overrun",
            "severity": "s2",
            "title": "Over its daily cap",
            "subject_kind": "registry.agentinstance",
            "subject_id": instance.pk,
            "facts": {"cap": "5.00"},
        }
        return ports.incidents().open(**(facts | kw))

    def test_a_rule_opens_an_incident_and_asking_twice_gives_the_same(self, instance):
        assert self.open(instance) == self.open(instance)
        incident = Incident.objects.get()
        assert incident.facts == {"cap": "5.00"} and incident.opened_by is None
        assert ChangeRecord.objects.get(verb="telemetry.incident.opened").actor_label == "ARM"

    def test_everything_that_is_wrong_is_named_at_once(self, instance):
        with pytest.raises(Invalid) as refusal:
            self.open(instance, kind="bad luck", severity="s9", subject_kind="registry.nothing")
        assert [e["pointer"] for e in refusal.value.errors] == ["/kind", "/severity", "/subject_id"]

    def test_a_subject_of_another_tenant_does_not_exist(self, instance):
        theirs = make.instance(version=make.approved(template=make.template(tenant=make.tenant("other"))))
        with pytest.raises(Invalid):
            self.open(instance, subject_id=theirs.pk)


class TestMoving:
    def test_from_open_to_reviewed(self, instance, alice, bob):
        incident = triaged(opened(instance), alice, owner=bob)
        assert (incident.state, incident.severity, incident.owner) == (S.TRIAGED, "s1", bob)
        incident = services.mitigate(
            incident=incident, measure=InstanceState.QUARANTINED, actor=alice, reason="Stop it"
        )
        assert incident.state == S.MITIGATED
        incident = services.resolve(
            incident=incident, root_cause="Wrong scope", remediation="Scope removed", actor=alice
        )
        incident = services.review(incident=incident, lessons="Check scopes in review", actor=bob)
        assert incident.state == S.REVIEWED and not incident.live
        moved = [(e.before, e.after) for e in incident.entries.filter(kind="moved")]
        assert moved == [
            ("Open", "Triaged"),
            ("Triaged", "Mitigated"),
            ("Mitigated", "Resolved"),
            ("Resolved", "Reviewed"),
        ]
        verbs = (
            ChangeRecord.objects.filter(target_id=incident.pk).order_by("pk").values_list("verb", flat=True)
        )
        assert [verb.rpartition(".")[2] for verb in verbs] == [
            "opened",
            "triaged",
            "mitigated",
            "resolved",
            "reviewed",
        ]

    def test_a_mitigation_restricts_the_instance_and_each_record_names_the_other(self, instance, alice):
        incident = services.mitigate(
            incident=opened(instance), measure=InstanceState.READ_ONLY, actor=alice, reason="It deletes"
        )
        instance.refresh_from_db()
        assert instance.state == InstanceState.READ_ONLY and incident.state == S.MITIGATED
        restricted = ChangeRecord.objects.get(verb="registry.instance.restricted")
        assert restricted.links == [incident.typeid]
        assert (
            ChangeRecord.objects.get(verb="telemetry.incident.mitigated").after["instance"] == instance.typeid
        )

    def test_a_stronger_measure_may_follow(self, instance, alice):
        incident = services.mitigate(
            incident=opened(instance), measure=InstanceState.READ_ONLY, actor=alice, reason="First"
        )
        services.mitigate(
            incident=incident, measure=InstanceState.QUARANTINED, actor=alice, reason="Not enough"
        )
        assert incident.entries.filter(kind="mitigation").count() == 2
        assert incident.entries.filter(kind="moved").count() == 1

    def test_who_may_not_restrict_mitigates_elsewhere_only(self, instance, bob):
        incident = opened(instance)
        with pytest.raises(NotAllowed):
            services.mitigate(
                incident=incident, measure=InstanceState.QUARANTINED, actor=bob, reason="Stop it"
            )
        incident.refresh_from_db()
        assert incident.state == S.OPEN and not incident.entries.exclude(kind="opened").exists()
        services.mitigate(incident=incident, measure=None, actor=bob, reason="The tool was taken down")
        instance.refresh_from_db()
        assert instance.state == InstanceState.ACTIVE

    def test_nothing_is_mitigated_by_setting_it_free(self, instance, alice):
        with pytest.raises(Invalid):
            services.mitigate(
                incident=opened(instance), measure=InstanceState.ACTIVE, actor=alice, reason="Go"
            )

    def test_an_incident_about_a_template_has_no_instance_to_restrict(self, tenant, alice):
        incident = opened(make.template())
        with pytest.raises(Conflict):
            services.mitigate(incident=incident, measure=InstanceState.PAUSED, actor=alice, reason="Stop it")

    def test_a_resolution_says_why_and_what_was_changed(self, instance, alice):
        incident = triaged(opened(instance), alice)
        with pytest.raises(Invalid) as refusal:
            services.resolve(incident=incident, root_cause=" ", remediation="", actor=alice)
        assert [e["pointer"] for e in refusal.value.errors] == ["/root_cause", "/remediation"]

    def test_what_came_back_is_triaged_again_unless_a_newer_incident_stands(self, instance, alice):
        incident = triaged(opened(instance), alice)
        incident = services.resolve(incident=incident, root_cause="x", remediation="y", actor=alice)
        newer = opened(instance)
        with pytest.raises(Conflict):
            services.reopen(incident=incident, actor=alice, reason="It is back")
        newer = triaged(newer, alice)
        services.resolve(incident=newer, root_cause="x", remediation="y", actor=alice)
        assert services.reopen(incident=incident, actor=alice, reason="It is back").state == S.TRIAGED

    def test_an_owner_can_see_the_incident(self, instance, alice, mallory):
        incident = opened(instance)
        with pytest.raises(Invalid):
            services.assign(incident=incident, owner=mallory, actor=alice, reason="Yours")
        assert services.assign(incident=incident, owner=alice, actor=alice, reason="Mine").owner == alice

    def test_a_reader_changes_nothing(self, instance, tenant):
        incident = opened(instance)
        reader = make.user("rita", member_of=tenant)
        make.grant(reader, tenant, Right.READ_INCIDENTS)
        for attempt in (
            lambda: triaged(incident, reader),
            lambda: services.mitigate(incident=incident, measure=None, actor=reader, reason="x"),
            lambda: services.resolve(incident=incident, root_cause="x", remediation="y", actor=reader),
            lambda: services.review(incident=incident, lessons="x", actor=reader),
            lambda: services.reopen(incident=incident, actor=reader, reason="x"),
            lambda: services.assign(incident=incident, owner=reader, actor=reader, reason="x"),
            lambda: services.add_note(incident=incident, text="x", actor=reader),
        ):
            with pytest.raises(NotAllowed):
                attempt()

    @pytest.mark.parametrize("state", S)
    def test_no_verb_makes_a_move_that_the_table_does_not_have(self, state, instance, alice):
        cause = "x" if state in (S.RESOLVED, S.REVIEWED) else ""
        verbs = {
            S.TRIAGED: lambda incident: triaged(incident, alice),
            S.MITIGATED: lambda incident: services.mitigate(
                incident=incident, measure=None, actor=alice, reason="x"
            ),
            S.RESOLVED: lambda incident: services.resolve(
                incident=incident, root_cause="x", remediation="y", actor=alice
            ),
            S.REVIEWED: lambda incident: services.review(incident=incident, lessons="x", actor=alice),
        }
        for to, verb in verbs.items():
            if to in INCIDENT_MOVES[state] or to == state:
                continue
            incident = opened(make.instance())
            Incident.objects.filter(pk=incident.pk).update(state=state, root_cause=cause)
            with pytest.raises(Conflict):
                verb(incident)


class TestTheWalls:
    def test_the_timeline_is_append_only(self, instance, alice):
        entry = services.add_note(incident=opened(instance), text="The logs show it", actor=alice)
        for attempt in (lambda: IncidentEntry.objects.update(text="nothing"), entry.delete):
            with pytest.raises(DatabaseError), transaction.atomic():
                attempt()

    def test_what_an_incident_is_about_never_changes(self, instance):
        incident = opened(instance)
        with pytest.raises(DatabaseError), transaction.atomic():
            Incident.objects.filter(pk=incident.pk).update(subject_id=incident.pk)

    def test_incidents_of_another_tenant_do_not_exist(self, instance):
        opened(instance)
        other = make.tenant("other")
        with db.tenants([other.pk]):
            assert not Incident.objects.exists() and not IncidentEntry.objects.exists()

    def test_a_right_on_an_environment_or_a_template_opens_its_incidents_and_no_others(self, tenant):
        prod, dev = make.instance(environment=make.environment("prod")), make.instance()
        in_prod, in_dev, about_tenant = opened(prod), opened(dev), opened(tenant)
        gus, tom = make.user("gus", member_of=tenant), make.user("tom", member_of=tenant)
        make.grant(gus, prod.environment, Right.READ_INCIDENTS)
        make.grant(tom, dev.template, Right.READ_INCIDENTS)
        assert set(visible(Incident.objects.all(), gus, Right.READ_INCIDENTS)) == {in_prod}
        assert set(visible(Incident.objects.all(), tom, Right.READ_INCIDENTS)) == {in_dev}
        rita = make.user("rita", member_of=tenant)
        make.grant(rita, tenant, Right.READ_INCIDENTS)
        assert set(visible(Incident.objects.all(), rita, Right.READ_INCIDENTS)) == {
            in_prod,
            in_dev,
            about_tenant,
        }
