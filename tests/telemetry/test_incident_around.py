"""What stood around an incident, the way from it to the evidence, and the steps that stop the harm."""

import re
from collections import deque
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from arm import clock
from arm.errors import Conflict, NotAllowed
from arm.ids import uuid7
from arm.models import ChangeRecord
from arm.rights import Right
from registry import services as registry
from registry.models import DeploymentSlot
from telemetry import services
from telemetry.lifecycle import IncidentKind, Severity
from telemetry.parsing import EventType, Flag, Status
from telemetry.queries import timeline
from tests import make
from tests.registry.releasing import shown

pytestmark = pytest.mark.django_db
READS = (
    Right.READ_INCIDENTS,
    Right.READ_DIRECTORY,
    Right.READ_TELEMETRY,
    Right.READ_DECISIONS,
    Right.READ_POLICY,
)


@pytest.fixture
def tenant():
    return make.tenant("acme")


@pytest.fixture
def dan(tenant):
    """On call: the demo's fleet operator."""
    return make.hired("dan", "fleet_operator", tenant)


@pytest.fixture
def rita(tenant):
    """Reads everything, and does nothing."""
    user = make.user("rita", member_of=tenant)
    make.grant(user, tenant, *READS)
    return user


@pytest.fixture
def prod(tenant):
    return make.environment("prod")


@pytest.fixture
def instance(prod):
    return make.instance(environment=prod, name="support-07")


def opened(subject):
    return services.open_incident(
        subject=subject,
        title="Deletes what it should read",
        actor=None,
        kind=IncidentKind.TOOL_MISUSE,
        severity=Severity.S2,
    )


def text(client, url):
    page = client.get(url)
    assert page.status_code == 200
    return page.content.decode()


class TestTheTimeline:
    def told(self, incident, person):
        return [moment.title for moment in timeline(incident, person)]

    def test_it_tells_what_went_wrong_and_the_last_that_was_done_before(self, instance, rita):
        now = clock.now()
        for minutes in range(10, 15):
            make.event(instance, occurred_at=now - timedelta(minutes=minutes), tool=f"read-{minutes}")
        make.event(
            instance,
            occurred_at=now - timedelta(hours=1),
            type=EventType.TOOL_CALL,
            tool="delete",
            status=Status.ERROR,
        )
        make.event(instance, occurred_at=now - timedelta(hours=2), model_used="gpt-x", flags=Flag.MODEL_DRIFT)
        make.event(instance, occurred_at=now - timedelta(hours=9), tool="old", status=Status.ERROR)
        make.event(occurred_at=now, tool="somebody-elses", status=Status.ERROR)
        told = self.told(opened(instance), rita)
        assert "Tool call: delete failed" in told and "Model call: gpt-x" in told
        assert [title for title in told if "read-" in title] == [
            f"Model call: read-{n}" for n in (10, 11, 12)
        ]
        assert not [title for title in told if "old" in title or "somebody" in title]

    def test_it_tells_refusals_questions_and_stops_as_policy_saw_them(self, instance, prod, rita):
        for effect, tool in ((2, "payment"), (1, "mail"), (0, "search")):
            make.decision(instance, id=uuid7(), decision=effect, tool=tool)
        make.posture(prod)
        told = self.told(opened(instance), rita)
        assert "Denied: payment" in told and "Asked a person about mail" in told
        assert not [title for title in told if "search" in title]
        assert [title for title in told if title.startswith("Stop: prod")]

    def test_each_line_leads_to_its_record_and_the_page_to_all_events_of_those_hours(
        self, client, instance, rita
    ):
        event = make.event(instance, status=Status.DENIED, tool="payment")
        decision = make.decision(instance, id=uuid7(), decision=2)
        incident = opened(instance)
        client.force_login(rita)
        page = text(client, incident.get_absolute_url())
        assert event.get_absolute_url() in page and decision.typeid in page
        link = re.search(r'href="([^"]*/telemetry/events/\?[^"]*)"', page)[1].replace("&amp;", "&")
        assert event.typeid in text(client, link)

    def test_who_may_not_read_them_is_told_nothing_of_events_and_decisions(self, instance, tenant):
        make.event(instance, status=Status.ERROR, tool="delete")
        make.decision(instance, id=uuid7(), decision=2)
        make.posture(instance.environment)
        nora = make.user("nora", member_of=tenant)
        make.grant(nora, tenant, Right.READ_INCIDENTS)
        assert self.told(opened(instance), nora) == ["Opened as S2 Medium"]

    def test_it_is_bounded_however_much_went_wrong(self, instance, rita):
        now = clock.now()
        for n in range(30):
            make.event(instance, occurred_at=now - timedelta(seconds=n), status=Status.ERROR)
            make.decision(instance, id=uuid7(), decision=2)
        incident = opened(instance)
        told = self.told(incident, rita)
        assert 20 <= sum("failed" in title for title in told) <= 23
        assert sum("Denied" in title for title in told) == 20
        with CaptureQueriesContext(connection) as asked:
            timeline(incident, rita)
        assert len(asked) <= 24, len(asked)


class TestThreeClicks:
    def clicks(self, client, start, wanted, most=3):
        """How many links from the start each wanted address is away, at the most `most`."""
        found, seen, waiting = {}, {start}, deque([(start, 0)])
        while waiting and len(found) < len(wanted):
            url, away = waiting.popleft()
            found |= {url: away} if url in wanted else {}
            if away == most:
                continue
            page = client.get(url)
            assert page.status_code == 200, url
            main = page.content.decode().partition("<main")[2]
            for link in re.findall(r'href="(/(?:registry|policy|approvals|incidents)/[^"#?]*)', main):
                if link not in seen:
                    seen.add(link)
                    waiting.append((link, away + 1))
        return found

    def test_genome_policy_version_and_approvals_are_at_most_three_away(self, client, rita, instance, tenant):
        policy = make.bound(instance.template)
        version = policy.versions.get()
        approval = make.approval(instance)
        genome = instance.version.get_absolute_url()
        wanted = {genome, version.get_absolute_url(), approval.get_absolute_url()}
        client.force_login(rita)
        found = self.clicks(client, opened(instance).get_absolute_url(), wanted)
        assert set(found) == wanted, f"{wanted - set(found)} is further than three clicks"
        assert found[genome] == 1 and instance.version.genome.digest in text(client, genome)
        assert version.digest in text(client, version.get_absolute_url())


class TestRollBack:
    @pytest.fixture
    def slot(self, prod, instance, tenant):
        """Bound to what runs in it, and before that to another version of the same agent."""
        judy = make.everything(make.user("judy", member_of=tenant), tenant)
        make.bound(tenant)
        slot = make.slot(environment=prod, provider=instance.provider)
        for version in (make.approved(template=instance.template), instance.version):
            registry.bind_slot(slot=slot, version=version, actor=judy, reason="go")
        type(instance).objects.filter(pk=instance.pk).update(slot=slot)
        instance.refresh_from_db()
        slot.refresh_from_db()
        return slot

    def test_one_page_shows_what_it_changes_and_one_button_does_it(self, client, dan, instance, slot):
        previous = slot.previous_version
        incident = opened(instance)
        client.force_login(dan)
        there = f"{incident.get_absolute_url()}roll-back/"
        assert there in text(client, incident.get_absolute_url())
        page = text(client, there)
        assert str(previous) in page and "drain" in page and "Provisioned anew" in page
        assert DeploymentSlot.objects.get().current_version == instance.version, "looking changes nothing"
        assert client.post(there, {"reason": "It deletes files", **shown(page)}).status_code == 302
        slot.refresh_from_db()
        incident.refresh_from_db()
        instance.refresh_from_db()
        assert (slot.current_version, slot.previous_version) == (previous, None)
        assert (incident.state, instance.state) == ("mitigated", "draining")
        assert instance.leaving, "the rollback replaces it"
        made = slot.rollbacks.get()
        assert made.incident_id == incident.pk, "the incident that was there, and no other"
        assert incident.entries.get(kind="mitigation").links == [slot.typeid, made.typeid]
        assert ChangeRecord.objects.get(verb="registry.slot.rolled_back").reason == "It deletes files"
        assert there not in text(client, incident.get_absolute_url()), "nothing of it is left to roll back"

    def test_who_may_not_roll_back_finds_no_button_and_no_page(self, client, tenant, instance, slot):
        incident = opened(instance)
        grace = make.hired("grace", "grc_analyst", tenant)
        client.force_login(grace)
        there = f"{incident.get_absolute_url()}roll-back/"
        assert there not in text(client, incident.get_absolute_url())
        assert client.get(there).status_code == 404
        assert client.post(there, {"reason": "x"}).status_code in (403, 404)
        with pytest.raises(NotAllowed):
            services.roll_back(incident=incident, actor=grace, reason="x")
        slot.refresh_from_db()
        incident.refresh_from_db()
        assert (slot.current_version, incident.state) == (instance.version, "open")

    def test_a_slot_that_has_moved_on_is_not_rolled_back(self, dan, tenant, instance, slot):
        incident = opened(instance)
        other = make.approved(template=instance.template)
        judy = type(dan).objects.get(username="judy")
        registry.bind_slot(slot=slot, version=other, actor=judy, reason="Fixed")
        with pytest.raises(Conflict, match="by now"):
            services.roll_back(incident=incident, actor=dan, reason="x")
        incident.refresh_from_db()
        assert incident.state == "open"

    def test_without_a_slot_or_a_previous_version_there_is_nothing_to_go_back_to(self, dan, prod, instance):
        with pytest.raises(Conflict, match="no instance in a slot"):
            services.roll_back(incident=opened(instance), actor=dan, reason="x")
        with pytest.raises(Conflict, match="no previous version"):
            registry.roll_back_slot(slot=make.slot(environment=prod), actor=dan, reason="x")


class TestStopping:
    def test_an_operator_stops_at_once_and_finds_the_way_to_kill(self, client, dan, instance):
        incident = opened(instance)
        client.force_login(dan)
        page = text(client, incident.get_absolute_url())
        assert 'value="quarantined"' in page and 'value="paused"' in page
        link = re.search(r'href="([^"]*mode=killed[^"]*)"', page)[1].replace("&amp;", "&")
        assert "support-07" in text(client, link)

    def test_who_may_only_ask_finds_where_to_ask(self, client, tenant, instance):
        client.force_login(make.hired("grace", "grc_analyst", tenant))
        page = text(client, opened(instance).get_absolute_url())
        assert 'value="quarantined"' not in page and "mode=killed" not in page
        link = re.search(r'href="([^"]*mode=quarantined[^"]*)"', page)[1].replace("&amp;", "&")
        assert "support-07" in text(client, link)

    def test_who_reads_only_finds_none_of_these(self, client, rita, instance):
        client.force_login(rita)
        page = text(client, opened(instance).get_absolute_url())
        assert "/stop/" not in page.partition("<main")[2] and "roll-back" not in page
