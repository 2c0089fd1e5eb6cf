"""The streams in the admin, as FinOps and a GRC analyst of production work in them: no superuser, no counting, no writing."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from arm import clock
from arm.models import SecurityEvent
from telemetry.parsing import EventType, Flag, Status
from tests import make

pytestmark = pytest.mark.django_db
EVENTS, HELD, COUNTS, JOBS = (
    f"/admin/telemetry/{noun}/" for noun in ("event", "quarantinedevent", "quarantinecount", "job")
)


@pytest.fixture
def tenant():
    return make.tenant("acme")


@pytest.fixture
def prod(tenant):
    return make.environment("prod")


def desk(person):
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def grace(tenant, prod):
    return desk(make.hired("grace", "grc_analyst", prod))


@pytest.fixture
def ivan(tenant):
    return desk(make.hired("ivan", "finops", tenant))


@pytest.fixture
def here(prod):
    return make.event(make.instance(environment=prod, name="support-07"), model_used="gpt-4o", job="ticket-7")


@pytest.fixture
def elsewhere(tenant):
    return make.event(make.instance(environment=make.environment("dev"), name="draft-01"), job="ticket-8")


def text(client, url, status=200):
    page = client.get(url, follow=True)
    assert page.status_code == status
    return page.content.decode()


class TestTheListOfEvents:
    def test_a_row_elsewhere_is_in_no_list_search_filter_or_address(self, grace, ivan, here, elsewhere):
        page = text(grace, EVENTS)
        assert here.typeid in page and elsewhere.typeid not in page
        assert "dev" not in re.findall(r"environment__id__exact=[^>]*>\s*(\w+)", page)
        for question in (
            f"q={elsewhere.typeid}",
            "q=draft-01",
            "q=ticket-8",
            f"q={elsewhere.instance.typeid}",
        ):
            assert f"{elsewhere.pk}/change/" not in text(grace, f"{EVENTS}?{question}")
        assert here.typeid in text(grace, f"{EVENTS}{here.pk}/change/")
        missing = text(grace, f"{EVENTS}{elsewhere.pk}/change/")
        assert "doesn’t exist" in missing and "draft-01" not in missing
        both = text(ivan, EVENTS)
        assert here.typeid in both and elsewhere.typeid in both

    def test_a_stranger_finds_no_such_section(self, here, tenant):
        other = make.tenant("other")
        mallory = desk(make.hired("mallory", "finops", other))
        assert here.typeid not in text(mallory, EVENTS)
        assert "support-07" not in text(mallory, f"{EVENTS}{here.pk}/change/")
        nobody = Client()
        nobody.force_login(make.user("bob", member_of=tenant))
        assert nobody.get(EVENTS).status_code == 403

    def test_the_last_day_is_shown_and_a_longer_time_is_a_choice(self, ivan, here):
        old = make.event(here.instance, occurred_at=clock.now() - timedelta(days=3))
        assert old.typeid not in text(ivan, EVENTS)
        assert old.typeid in text(ivan, f"{EVENTS}?period=week")
        assert text(ivan, f"{EVENTS}?period=century")  # told off, and back on the list

    @pytest.mark.parametrize(
        ("question", "there"),
        [
            ("type__exact=3", True),
            ("type__exact=4", False),
            ("status__exact=2", True),
            ("status__exact=1", False),
            ("q=support", True),
            ("q=ticket-7", True),
            ("q=ticket", False),
            ("q={instance}", True),
            ("q={version}", True),
            ("q={trace}&period=hour", True),
            ("q=" + "0" * 32, False),
            ("q=ver_nonsense", False),
        ],
    )
    def test_filters_and_search(self, ivan, prod, question, there):
        runner = make.instance(environment=prod, name="support-07")
        event = make.event(runner, status=Status.ERROR, job="ticket-7")
        names = {
            "instance": runner.typeid,
            "version": runner.version.typeid,
            "trace": event.trace_id.hex,
        }
        assert (event.typeid in text(ivan, f"{EVENTS}?{question.format(**names)}")) is there

    def test_pages_follow_the_key_nothing_is_counted_and_a_page_costs_the_same(self, ivan, prod):
        runner = make.instance(environment=prod)
        at = clock.now() - timedelta(hours=1)
        events = [make.event(runner, occurred_at=at + timedelta(seconds=n)) for n in range(55)]
        text(ivan, EVENTS)
        with CaptureQueriesContext(connection) as asked:
            page = text(ivan, EVENTS)
        stream = [query["sql"] for query in asked if '"telemetry_event"' in query["sql"]]
        assert len(stream) == 1 and "count(" not in stream[0].lower()
        assert '"occurred_at" >=' in stream[0] and '"occurred_at" <' in stream[0]
        assert len(asked) <= 24, len(asked)
        assert events[54].typeid in page and events[5].typeid in page and events[4].typeid not in page
        link = re.search(r'rel="next" href="([^"]+)"', page)[1].replace("&amp;", "&")
        with CaptureQueriesContext(connection) as asked:
            older = text(ivan, EVENTS + link)
        (stream,) = (query["sql"] for query in asked if '"telemetry_event"' in query["sql"])
        assert stream.count('"occurred_at" <') == 2, "newer partitions stay closed"
        assert f">{events[4].typeid}<" in older and f">{events[5].typeid}<" not in older and "Newest" in older
        assert "50 rows, newest first" in page and "55 rows" not in page, "nobody has counted them"
        assert text(ivan, f"{EVENTS}?p=nonsense")

    def test_one_event_says_all_that_is_known(self, grace, here):
        event = make.event(
            here.instance,
            type=EventType.TOOL_CALL,
            tool="payment",
            flags=Flag.TOOL_DRIFT,
            attributes='{"server.port":443}',
            content_digest=b"\1" * 32,
        )
        page = text(grace, f"{EVENTS}{event.pk}/change/")
        for said in ("payment", "tool drift", "server.port", event.trace_id.hex, "sha256:" + "01" * 32):
            assert said in page, said

    def test_nobody_writes_not_even_who_may_do_everything(self, tenant, here):
        boss = make.everything(make.user("boss", member_of=tenant, is_superuser=True), tenant)
        client = Client()
        client.force_login(boss)
        before = here.job
        assert client.get(f"{EVENTS}add/").status_code == 403
        client.post(f"{EVENTS}{here.pk}/change/", {"job": "other"})
        assert client.post(f"{EVENTS}{here.pk}/delete/", {"post": "yes"}).status_code == 403
        here.refresh_from_db()
        assert here.job == before

    def test_the_export_holds_her_rows_only_and_is_noted(self, grace, here, elsewhere):
        rows = [str(here.pk), str(elsewhere.pk)]
        page = grace.post(EVENTS, {"action": "export_csv", "_selected_action": rows}).content.decode()
        assert here.typeid in page and elsewhere.typeid not in page
        note = SecurityEvent.objects.get(kind=SecurityEvent.Kind.EXPORTED)
        assert (note.label, note.detail) == ("events", {"rows": 1})
        everything = {"action": "export_csv", "_selected_action": rows[:1], "select_across": "1"}
        assert elsewhere.typeid not in grace.post(EVENTS, everything).content.decode()


class TestQuarantine:
    def test_held_spans_and_their_counts_are_those_of_her_environment(self, grace, prod, tenant):
        local = make.provider("local")
        mine = make.quarantined(prod, local, detail="No instance in production", payload={"name": "chat"})
        theirs = make.quarantined(make.environment("dev"), local, reason="clock", detail="Late in dev")
        page = text(grace, HELD)
        assert "No instance in production" in page and "Late in dev" not in page
        assert "Late in dev" not in text(grace, f"{HELD}?q=Late")
        one = text(grace, f"{HELD}{mine.pk}/change/")
        assert "OTEL_RESOURCE_ATTRIBUTES" in one and "chat" in one
        assert "Late in dev" not in text(grace, f"{HELD}{theirs.pk}/change/")
        counts = re.sub(r"\s+", " ", text(grace, COUNTS).partition("result_list")[2])
        assert "No instance" in counts and f"{theirs.environment}</a>" not in counts
        rows = [str(mine.pk), str(theirs.pk)]
        page = grace.post(HELD, {"action": "export_csv", "_selected_action": rows}).content.decode()
        assert mine.typeid in page and theirs.typeid not in page

    def test_jobs_are_found_whole(self, ivan, grace, tenant, here):
        make.job(tenant, "ticket-7", here.instance, outcome="refund")
        assert "refund" in text(ivan, f"{JOBS}?q=ticket-7") and "refund" not in text(ivan, f"{JOBS}?q=ticket")
        assert "refund" not in text(grace, JOBS), "a job belongs to no environment"
