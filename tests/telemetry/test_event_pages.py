"""What agents did, as people look for it; what could not be linked; and the keys that let it in."""

import re
from datetime import timedelta

import pytest

from arm import clock
from arm.models import ApiKey, ChangeRecord
from arm.rights import Right
from registry.models import KeyScope
from telemetry.parsing import EventType, Flag, Status
from tests import make

pytestmark = pytest.mark.django_db
EVENTS, KEYS = "/telemetry/events/", "/telemetry/keys/"


@pytest.fixture
def tenant():
    return make.tenant("acme")


@pytest.fixture
def rita(tenant, client):
    """Reads telemetry of the whole tenant, and is signed in."""
    user = make.user("rita", member_of=tenant)
    make.grant(user, tenant, Right.READ_TELEMETRY, Right.READ_DIRECTORY, Right.EXPORT)
    client.force_login(user)
    return user


@pytest.fixture
def instance(tenant):
    return make.instance(environment=make.environment("prod"), name="support-07")


def text_of(page):
    return page.content.decode()


class TestEvents:
    def test_the_last_day_is_shown_newest_first(self, client, rita, instance):
        now = clock.now()
        old = make.event(instance, occurred_at=now - timedelta(days=2))
        first = make.event(instance, occurred_at=now - timedelta(hours=2))
        second = make.event(instance, occurred_at=now - timedelta(hours=1))
        page = text_of(client.get(EVENTS))
        assert old.typeid not in page
        assert page.find(second.typeid) < page.find(first.typeid)
        since = (now - timedelta(days=3)).strftime("%Y-%m-%dT%H:%M")
        assert old.typeid in text_of(client.get(f"{EVENTS}?since={since}"))

    @pytest.mark.parametrize(
        ("query", "there"),
        [
            ("type=model_call", True),
            ("type=tool_call", False),
            ("status=error", True),
            ("status=ok&status=denied", False),
            ("model=gpt-4o", True),
            ("model=gpt-5", False),
            ("tool=search", False),
            ("tool=none", True),
            ("job=ticket-7", True),
            ("noticed=model_drift", True),
            ("noticed=tool_drift", False),
            ("environment=prod", True),
            ("instance=ins_nonsense", False),
        ],
    )
    def test_filters(self, client, rita, instance, query, there):
        event = make.event(
            instance, model_used="gpt-4o", job="ticket-7", status=Status.ERROR, flags=Flag.MODEL_DRIFT
        )
        assert (event.typeid in text_of(client.get(f"{EVENTS}?{query}"))) is there

    def test_pages_follow_the_key_and_nothing_is_counted(
        self, client, rita, instance, django_assert_max_num_queries
    ):
        at = clock.now() - timedelta(hours=1)
        events = [make.event(instance, occurred_at=at + timedelta(seconds=n)) for n in range(60)]
        with django_assert_max_num_queries(16) as asked:
            page = text_of(client.get(EVENTS))
        assert not any("count(" in query["sql"].lower() for query in asked.captured_queries)
        assert events[59].typeid in page and events[10].typeid in page and events[9].typeid not in page
        link = re.search(r'rel="next" href="([^"]+)"', page)[1].replace("&amp;", "&")
        older = text_of(client.get(EVENTS + link))
        assert events[9].typeid in older and events[10].typeid not in older

    def test_a_time_that_ends_before_it_begins_is_refused_with_a_sentence(self, client, rita, instance):
        make.event(instance)
        page = text_of(client.get(f"{EVENTS}?since=2026-03-02T00:00&until=2026-03-01T00:00"))
        assert "The time ends before it begins" in page
        assert client.get(f"{EVENTS}?cursor=nonsense").status_code == 404

    def test_csv_holds_what_is_shown(self, client, rita, instance):
        make.event(instance, job="=1+1")
        make.event(instance, job="other")
        page = text_of(client.get(f"{EVENTS}?format=csv&job==1%2B1"))
        assert "'=1+1" in page and "other" not in page

    def test_one_event_shows_its_trace_as_a_tree(self, client, rita, instance):
        at = clock.now() - timedelta(minutes=5)
        root = make.event(instance, type=EventType.AGENT_RUN, occurred_at=at, duration_ms=900)
        call = make.event(
            instance,
            occurred_at=at + timedelta(milliseconds=20),
            trace_id=root.trace_id,
            parent_span_id=root.span_id,
            model_used="gpt-4o",
        )
        page = text_of(client.get(root.get_absolute_url()))
        assert call.typeid in page and "gpt-4o" in page and instance.version.get_absolute_url() in page
        cells = re.findall(r'<td data-label="Model or tool">(.*?)</td>', page)
        assert cells == ['<span class="absent">none</span>', "gpt-4o"]

    def test_a_span_that_calls_itself_its_parent_ends_somewhere(self, client, rita, instance):
        at = clock.now()
        event = make.event(instance, occurred_at=at, span_id=7, parent_span_id=7)
        make.event(instance, occurred_at=at, trace_id=event.trace_id, span_id=8, parent_span_id=7)
        assert client.get(event.get_absolute_url()).status_code == 200

    def test_a_right_on_one_environment_opens_its_events_only(self, client, tenant, instance):
        here, elsewhere = make.event(instance), make.event()
        gus = make.user("gus", member_of=tenant)
        make.grant(gus, instance.environment, Right.READ_TELEMETRY)
        client.force_login(gus)
        page = text_of(client.get(EVENTS))
        assert here.typeid in page and elsewhere.typeid not in page
        assert client.get(elsewhere.get_absolute_url()).status_code == 404

    def test_the_page_of_an_instance_says_how_its_last_day_went(self, client, rita, instance):
        make.event(instance)
        make.event(instance, status=Status.ERROR)
        page = text_of(client.get(instance.get_absolute_url()))
        assert "Last 24 hours" in page and "50.0%" in page
        assert "Last 24 hours" in text_of(client.get(instance.version.get_absolute_url()))


class TestQuarantine:
    def test_every_reason_has_its_count_and_what_to_do(self, client, rita, instance):
        row = make.quarantined(instance.environment, instance.provider)
        page = text_of(client.get("/telemetry/quarantine/"))
        assert row.typeid in page and "OTEL_RESOURCE_ATTRIBUTES" in page
        assert row.typeid not in text_of(client.get("/telemetry/quarantine/?reason=clock"))
        detail = text_of(client.get(f"/telemetry/quarantine/{row.typeid}/"))
        assert "names no instance" in detail and "OTEL_RESOURCE_ATTRIBUTES" in detail

    def test_counts_hold_only_what_the_visitor_may_see(self, client, tenant, instance):
        make.quarantined(instance.environment, instance.provider)
        gus = make.user("gus", member_of=tenant)
        make.grant(gus, make.environment("dev"), Right.READ_TELEMETRY)
        client.force_login(gus)
        assert "names no instance" not in text_of(client.get("/telemetry/quarantine/"))


class TestKeys:
    @pytest.fixture
    def judy(self, tenant, client):
        user = make.user("judy", member_of=tenant)
        make.grant(user, tenant, Right.MANAGE_KEYS, Right.READ_DIRECTORY)
        client.force_login(user)
        return user

    def issue(self, client):
        make.environment("prod")
        make.provider("local")
        form = {"environment": "prod", "provider": "local", "name": "collector", "days": 30, "reason": "New"}
        return client.post(f"{KEYS}new/", form)

    def test_a_new_key_is_shown_once(self, client, judy):
        token = re.search(r"armi_\w+", text_of(self.issue(client)))[0]
        key = ApiKey.objects.get()
        assert (key.name, key.last4) == ("collector", token[-4:])
        assert KeyScope.objects.get().environment.slug == "prod"
        page = text_of(client.get(KEYS))
        assert "collector" in page and token not in page

    def test_a_rotation_keeps_the_old_key_for_the_time_asked(self, client, judy):
        old = re.search(r"armi_\w+", text_of(self.issue(client)))[0]
        key = ApiKey.objects.get()
        page = client.post(f"{KEYS}{key.typeid}/rotate/", {"keep_hours": "24", "reason": "Yearly"})
        new = re.search(r"armi_\w+", text_of(page))[0]
        assert new != old
        key.refresh_from_db()
        assert key.live and key.expires_at < clock.now() + timedelta(hours=25)
        scopes = {(s.environment_id, s.provider_id) for s in KeyScope.objects.all()}
        assert len(scopes) == 1 and KeyScope.objects.count() == 2
        assert ChangeRecord.objects.filter(verb="arm.key.shortened").exists()

    def test_a_rotation_at_once_and_a_revocation_end_the_key(self, client, judy):
        self.issue(client)
        first = ApiKey.objects.get()
        client.post(f"{KEYS}{first.typeid}/rotate/", {"keep_hours": "0", "reason": "Leaked"})
        second = ApiKey.objects.exclude(pk=first.pk).get()
        assert client.post(f"{KEYS}{second.typeid}/revoke/", {"reason": "Done"}).status_code == 302
        assert not [key for key in ApiKey.objects.all() if key.live]
        again = client.post(f"{KEYS}{second.typeid}/rotate/", {"keep_hours": "0", "reason": "x"})
        assert again.status_code == 409 and "no longer in use" in text_of(again)

    def test_who_manages_no_keys_sees_and_issues_none(self, client, rita, instance):
        make.ingest_token(instance.environment, instance.provider)
        key = ApiKey.objects.get()
        assert key.name not in text_of(client.get(KEYS))
        assert client.get(f"{KEYS}new/").status_code == 404
        assert client.post(f"{KEYS}{key.typeid}/revoke/", {"reason": "x"}).status_code == 404
        assert ApiKey.objects.get().live

    def test_who_manages_no_keys_is_not_told_that_there_are_none(self, client, rita, instance):
        make.ingest_token(instance.environment, instance.provider)
        page = text_of(client.get(KEYS))
        assert "No ingest key" not in page and f"{KEYS}new/" not in page
        assert "Nothing here for you to see" in page and "do not let you manage keys" in page
        assert "No event in the last day" in text_of(client.get(EVENTS)), "and who may look is told so"

    def test_who_manages_the_keys_of_one_place_is_told_of_that_place(self, client, tenant, instance):
        make.ingest_token(instance.environment, instance.provider)
        elsewhere = make.environment("lab")
        user = make.user("lena", member_of=tenant)
        make.grant(user, elsewhere, Right.MANAGE_KEYS)
        client.force_login(user)
        page = text_of(client.get(KEYS))
        assert "No ingest key yet where you manage keys" in page and f"{KEYS}new/" in page
