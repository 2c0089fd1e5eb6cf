"""The incident center as people use it: the queue, the page, one click to stop, and who sees which buttons."""

import re

import pytest

from arm.models import ChangeRecord
from arm.rights import Right
from registry.lifecycle import InstanceState
from telemetry import services
from telemetry.lifecycle import IncidentKind, IncidentState, Severity
from telemetry.models import Incident
from tests import make

pytestmark = pytest.mark.django_db
READS = (Right.READ_INCIDENTS, Right.READ_DIRECTORY)
MANAGES = (*READS, Right.MANAGE_INCIDENT, Right.RESTRICT_INSTANCE, Right.READ_AUDIT)


@pytest.fixture
def tenant():
    return make.tenant("acme")


@pytest.fixture
def alice(tenant):
    """On call in the whole tenant."""
    user = make.user("alice", member_of=tenant)
    make.grant(user, tenant, *MANAGES)
    return user


@pytest.fixture
def rita(tenant):
    """Reads, takes away what she reads, and does nothing."""
    user = make.user("rita", member_of=tenant)
    make.grant(user, tenant, *READS, Right.EXPORT)
    return user


@pytest.fixture
def instance(tenant):
    return make.instance(environment=make.environment("prod"), name="support-07")


def opened(subject, title="Deletes what it should read", **kw):
    defaults = {"kind": IncidentKind.TOOL_MISUSE, "severity": Severity.S2}
    return services.open_incident(subject=subject, title=title, actor=None, **(defaults | kw))


def text_of(page):
    return page.content.decode()


def order(page, *titles):
    found = [text_of(page).find(title) for title in titles]
    assert -1 not in found, titles
    return found == sorted(found)


class TestTheQueue:
    def test_worst_first_then_whatever_has_waited_longest(self, client, rita, tenant):
        for title, severity in (("first S2", "s2"), ("an S0", "s0"), ("second S2", "s2"), ("an S1", "s1")):
            opened(make.instance(), title, severity=Severity(severity))
        client.force_login(rita)
        assert order(client.get("/incidents/"), "an S0", "an S1", "first S2", "second S2")

    def test_what_is_resolved_is_not_in_the_queue_unless_asked_for(self, client, alice, instance):
        incident = opened(instance)
        services.mitigate(incident=incident, measure=None, actor=alice, reason="x")
        services.resolve(incident=incident, root_cause="x", remediation="y", actor=alice)
        client.force_login(alice)
        assert incident.typeid not in text_of(client.get("/incidents/"))
        assert incident.typeid in text_of(client.get("/incidents/?state=resolved"))

    @pytest.mark.parametrize(
        ("query", "there"),
        [
            ("severity=s1", True),
            ("severity=s2", False),
            ("kind=drift", True),
            ("kind=outage", False),
            ("environment=prod", True),
            ("q=support-07", True),
            ("q=nowhere", False),
            ("owner=none", True),
            ("owner=alice", False),
        ],
    )
    def test_filters(self, client, rita, instance, query, there):
        incident = opened(instance, severity=Severity.S1, kind=IncidentKind.DRIFT)
        client.force_login(rita)
        assert (incident.typeid in text_of(client.get(f"/incidents/?{query}"))) is there

    def test_csv_is_what_is_shown(self, client, rita, instance):
        opened(instance, "=cmd()")
        client.force_login(rita)
        link = re.search(r'href="([^"]*format=csv[^"]*)"', text_of(client.get("/incidents/?severity=s2")))
        page = client.get(link[1].replace("&amp;", "&"))
        assert page["Content-Type"].startswith("text/csv") and "'=cmd()" in text_of(page)
        assert text_of(client.get("/incidents/?format=csv&severity=s0")).count("\n") == 1

    def test_a_right_on_one_environment_shows_its_incidents_only(self, client, tenant, instance):
        here, elsewhere = opened(instance), opened(make.instance())
        gus = make.user("gus", member_of=tenant)
        make.grant(gus, instance.environment, Right.READ_INCIDENTS)
        client.force_login(gus)
        page = text_of(client.get("/incidents/"))
        assert here.typeid in page and elsewhere.typeid not in page

    def test_forty_incidents_cost_no_more_questions_than_one(
        self, client, rita, tenant, django_assert_max_num_queries
    ):
        for _ in range(40):
            opened(make.instance())
        client.force_login(rita)
        with django_assert_max_num_queries(18):
            assert client.get("/incidents/").status_code == 200


class TestThePage:
    def test_it_says_what_was_done_by_whom_and_leads_to_the_records(self, client, alice, instance):
        incident = opened(instance)
        services.mitigate(
            incident=incident, measure=InstanceState.READ_ONLY, actor=alice, reason="It deletes files"
        )
        services.add_note(incident=incident, text="The logs show it", actor=alice)
        client.force_login(alice)
        page = text_of(client.get(incident.get_absolute_url()))
        assert "The logs show it" in page and "It deletes files" in page and "Open → Mitigated" in page
        restricted = ChangeRecord.objects.get(verb="registry.instance.restricted")
        assert restricted.get_absolute_url() in page

    def test_who_may_not_read_change_records_sees_the_states_of_the_instance(
        self, client, rita, alice, instance
    ):
        incident = opened(instance)
        services.mitigate(incident=incident, measure=InstanceState.PAUSED, actor=alice, reason="Stop")
        client.force_login(rita)
        page = text_of(client.get(incident.get_absolute_url()))
        assert "support-07 became Paused" in page and "/changes/" not in page

    def test_genome_policy_and_approvals_are_one_click_away(self, client, rita, instance):
        incident = opened(instance)
        client.force_login(rita)
        page = text_of(client.get(incident.get_absolute_url()))
        version = instance.version.get_absolute_url()
        for anchor in ("#genome", "#policy", "#version-approvals"):
            assert f'href="{version}{anchor}"' in page
        assert instance.version.genome.digest in page

    def test_buttons_are_there_for_those_who_may_press_them(self, client, rita, alice, instance):
        incident = opened(instance)
        client.force_login(alice)
        page = text_of(client.get(incident.get_absolute_url()))
        assert (
            all(f"/{verb}/" in page for verb in ("triage", "mitigate", "assign", "note"))
            and "Quarantine" in page
        )
        client.force_login(rita)
        page = text_of(client.get(incident.get_absolute_url()))
        assert not re.search(r"/(triage|mitigate|assign|note|resolve)/", page)

    def test_one_click_stops_the_instance(self, client, alice, instance):
        incident = opened(instance)
        client.force_login(alice)
        page = client.post(
            f"{incident.get_absolute_url()}mitigate/", {"measure": "quarantined", "reason": incident.title}
        )
        assert page.status_code == 302
        instance.refresh_from_db()
        incident.refresh_from_db()
        assert (instance.state, incident.state) == (InstanceState.QUARANTINED, IncidentState.MITIGATED)

    def test_a_refusal_comes_back_with_its_sentence_and_changes_nothing(self, client, tenant, instance):
        incident = opened(instance)
        bob = make.user("bob", member_of=tenant)
        make.grant(bob, tenant, *READS, Right.MANAGE_INCIDENT)
        client.force_login(bob)
        page = client.post(
            f"{incident.get_absolute_url()}mitigate/", {"measure": "quarantined", "reason": "x"}
        )
        assert page.status_code == 403 and "You may not restrict instance" in text_of(page)
        instance.refresh_from_db()
        assert instance.state == InstanceState.ACTIVE

    def test_from_open_to_reviewed_by_hand(self, client, alice, instance):
        client.force_login(alice)
        url = opened(instance).get_absolute_url()
        steps = (
            ("triage", {"severity": "s1", "owner": "alice", "reason": "Seen"}),
            ("resolve", {"root_cause": "Wrong scope", "remediation": "Scope removed"}),
            ("reopen", {"reason": "It is back"}),
            ("resolve", {"root_cause": "Wrong scope", "remediation": "Scope removed again"}),
            ("review", {"lessons": "Check scopes"}),
            ("note", {"text": "Filed"}),
        )
        for verb, data in steps:
            assert client.get(f"{url}{verb}/").status_code == 200, verb
            assert client.post(f"{url}{verb}/", data).status_code == 302, verb
        incident = Incident.objects.get()
        assert (incident.state, incident.owner, incident.severity) == ("reviewed", alice, "s1")
        assert incident.remediation == "Scope removed again"

    def test_a_wrong_step_is_refused_with_409(self, client, alice, instance):
        client.force_login(alice)
        url = opened(instance).get_absolute_url()
        page = client.post(f"{url}review/", {"lessons": "x"})
        assert page.status_code == 409 and "cannot become Reviewed" in text_of(page)

    def test_the_page_asks_few_questions(self, client, alice, instance, django_assert_max_num_queries):
        incident = opened(instance)
        for number in range(30):
            services.add_note(incident=incident, text=f"note {number}", actor=alice)
        client.force_login(alice)
        with django_assert_max_num_queries(28):
            client.get(incident.get_absolute_url())


class TestOpeningByHand:
    def test_somebody_opens_one_from_the_page_of_an_instance(self, client, alice, instance):
        client.force_login(alice)
        form = client.get(f"/incidents/open/?subject={instance.typeid}")
        assert instance.typeid in text_of(form)
        body = {
            "subject": instance.typeid,
            "kind": "data_leak",
            "severity": "s1",
            "title": "Card numbers in a prompt",
            "detected": "outside",
            "note": "A customer wrote",
        }
        page = client.post("/incidents/open/", body)
        incident = Incident.objects.get()
        assert page["Location"] == incident.get_absolute_url()
        assert (incident.detected, incident.opened_by, incident.instance) == ("outside", alice, instance)

    @pytest.mark.parametrize("subject", ["nonsense", "key_01jd7x0b5re0yr8m9c3k4x8q2f", "ins_01"])
    def test_a_subject_that_is_none_is_named(self, client, alice, subject):
        client.force_login(alice)
        body = {"subject": subject, "kind": "drift", "severity": "s1", "title": "x", "detected": "person"}
        page = client.post("/incidents/open/", body)
        assert page.status_code == 422 and "identifier" in text_of(page) and not Incident.objects.exists()

    def test_a_subject_of_another_tenant_does_not_exist(self, client, alice):
        theirs = make.instance(version=make.approved(template=make.template(tenant=make.tenant("other"))))
        client.force_login(alice)
        body = {
            "subject": theirs.typeid,
            "kind": "drift",
            "severity": "s1",
            "title": "x",
            "detected": "person",
        }
        page = client.post("/incidents/open/", body)
        assert "not yours to see" in text_of(page) and not Incident.objects.exists()

    def test_who_manages_none_has_no_form(self, client, rita):
        client.force_login(rita)
        assert client.get("/incidents/open/").status_code == 403


class TestPanels:
    def test_the_fleet_page_counts_open_incidents_and_each_number_links_to_its_rows(
        self, client, rita, instance
    ):
        opened(instance, severity=Severity.S0)
        client.force_login(rita)
        page = text_of(client.get("/"))
        assert "/incidents/?severity=s0" in page and "Open incidents" in page

    def test_another_tenants_incidents_are_counted_nowhere(self, client, tenant):
        other = make.tenant("other")
        opened(make.instance(version=make.approved(template=make.template(tenant=other))), "Secret mishap")
        mallory = make.everything(make.user("mallory", member_of=tenant), tenant)
        client.force_login(mallory)
        for url in ("/", "/incidents/", "/incidents/?format=csv", "/api/v1/incidents/"):
            assert "Secret mishap" not in text_of(client.get(url))
