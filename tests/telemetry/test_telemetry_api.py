"""`/api/v1/telemetry/`: the stream and what could not be linked, for machines; asked wrongly, every mistake is named."""

import base64
from datetime import timedelta
from urllib.parse import quote, urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from arm import clock
from arm.ids import encode, uuid7
from arm.models import ApiKey
from arm.rights import Right, Risk
from registry.models import AgentInstance, InstanceInterval
from telemetry.models import QuarantineCount
from telemetry.parsing import EventType, Flag, Status
from tests import make

pytestmark = pytest.mark.django_db
URL = "/api/v1/telemetry/"


@pytest.fixture
def tenant():
    return make.tenant("acme")


@pytest.fixture
def prod(tenant):
    return make.environment("prod")


@pytest.fixture
def instance(prod):
    return make.instance(environment=prod, name="support-07")


def caller(client, user, tenant):
    """The user's service token in hand."""
    _, token = make.key(ApiKey.Kind.SERVICE, tenant=tenant, user=user)

    def call(path, status=200):
        answer = client.get(URL + path, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status, answer.content
        if status >= 400:
            assert answer["Content-Type"] == "application/problem+json"
        return answer.json()

    return call


@pytest.fixture
def ask(client, tenant):
    """Rita reads telemetry of the whole tenant."""
    rita = make.user("rita", member_of=tenant)
    make.grant(rita, tenant, Right.READ_TELEMETRY, Right.READ_DIRECTORY)
    return caller(client, rita, tenant)


def listed(body):
    return [row["id"] for row in body["results"]]


class TestEvents:
    def test_the_last_day_is_listed_newest_first_with_names_and_not_with_numbers(self, ask, instance):
        now = clock.now()
        make.event(instance, occurred_at=now - timedelta(days=2))
        first = make.event(instance, occurred_at=now - timedelta(hours=2))
        second = make.event(
            instance,
            occurred_at=now - timedelta(hours=1),
            type=EventType.TOOL_CALL,
            status=Status.DENIED,
            tool="payment",
            cost_center="cc-1",
            outcome="refund",
            flags=Flag.TOOL_DRIFT,
            parent_span_id=-1,
        )
        body = ask("events/")
        assert listed(body) == [second.typeid, first.typeid] and "count" not in body
        row = body["results"][0]
        assert (row["type"], row["status"], row["tool"]) == ("tool_call", "denied", "payment")
        assert (row["cost_center"], row["outcome"], row["noticed"]) == ("cc-1", "refund", ["tool drift"])
        assert (row["instance"], row["environment"]) == (instance.typeid, "prod")
        assert (row["trace_id"], row["parent_span_id"]) == (second.trace_id.hex, "f" * 16)
        assert body["results"][1]["tool"] is None and body["results"][1]["parent_span_id"] == ""
        assert ask("events") == body, "both slash forms answer"

    @pytest.mark.parametrize(
        ("query", "there"),
        [
            ("type=model_call&type=step", True),
            ("type=tool_call", False),
            ("status=error", True),
            ("model=gpt-4o", True),
            ("environment=prod", True),
            ("job=ticket-7", True),
            ("noticed=tool_drift", False),
            ("instance={instance}&trace={trace}", True),
            ("instance={instance}&trace=" + "0" * 32, False),
            ("trace={trace}&since={recently}", True),
            ("version={version}", True),
            ("template={template}", True),
            ("since={later}", False),
        ],
    )
    def test_filters(self, ask, instance, query, there):
        event = make.event(instance, model_used="gpt-4o", job="ticket-7", status=Status.ERROR)
        names = {
            "instance": instance.typeid,
            "version": instance.version.typeid,
            "template": instance.template.typeid,
            "trace": event.trace_id.hex,
            "recently": quote((clock.now() - timedelta(minutes=50)).isoformat()),
            "later": quote((clock.now() + timedelta(minutes=5)).isoformat()),
        }
        assert (listed(ask(f"events/?{query.format(**names)}")) == [event.typeid]) is there

    def test_a_version_finds_what_an_instance_did_before_it_was_given_another(self, ask, instance):
        before, earlier = instance.version, make.event(instance)
        other = make.approved(template=instance.template)
        InstanceInterval.objects.filter(instance=instance).update(until=clock.now())
        AgentInstance.objects.filter(pk=instance.pk).update(version=other)
        assert listed(ask(f"events/?version={before.typeid}")) == [earlier.typeid]
        assert listed(ask(f"events/?version={other.typeid}")) == []

    def test_every_wrong_member_of_a_question_is_named(self, ask, instance):
        query = "instance=ins_1&version=x&type=dream&since=yesterday&colour=red&page_size=9"
        problem = ask(f"events/?{query}", 422)
        found = {error["pointer"]: error["code"] for error in problem["errors"]}
        assert set(found) == {"/instance", "/version", "/type", "/since", "/colour"}
        assert found["/colour"] == "unknown" and problem["code"] == "invalid"
        (error,) = ask("events/?since=2026-03-02T00:00Z&until=2026-03-01T00:00Z", 422)["errors"]
        assert error["pointer"] == "" and "ends before it begins" in error["message"]
        (error,) = ask("events/?trace=xyz", 422)["errors"]
        assert error["pointer"] == "/trace" and "32" in error["message"]

    def test_a_trace_over_a_long_time_needs_its_instance_since_traces_have_no_index(self, ask, instance):
        event = make.event(instance, occurred_at=clock.now() - timedelta(hours=2))
        (error,) = ask(f"events/?trace={event.trace_id.hex}", 422)["errors"]
        assert error["pointer"] == "/trace" and "at most an hour" in error["message"]
        assert listed(ask(f"events/?trace={event.trace_id.hex}&instance={instance.typeid}")) == [event.typeid]

    def test_pages_follow_the_key_both_ways_and_nothing_is_counted(self, ask, instance):
        at = clock.now() - timedelta(hours=1)
        events = [make.event(instance, occurred_at=at + timedelta(seconds=n)) for n in range(5)]
        wanted = [event.typeid for event in reversed(events)]
        with CaptureQueriesContext(connection) as asked:
            first = ask("events/?page_size=2")
        assert not any("count(" in query["sql"].lower() for query in asked)
        assert len(asked) <= 18, [query["sql"][:80] for query in asked]
        second = ask("events/?" + urlsplit(first["next"]).query)
        third = ask("events/?" + urlsplit(second["next"]).query)
        assert listed(first) + listed(second) + listed(third) == wanted and third["next"] is None
        assert listed(ask("events/?" + urlsplit(third["previous"]).query)) == wanted[2:4]

    def test_a_page_of_many_costs_no_more_queries_than_a_page_of_one(self, ask, tenant, prod):
        def asked():
            with CaptureQueriesContext(connection) as queries:
                ask("events/")
            return len(queries)

        make.event(make.instance(environment=prod), model_used="a", tool="x", cost_center="c", outcome="o")
        ask("events/")
        one = asked()
        for n in range(4):
            make.event(make.instance(environment=prod), model_used=f"m{n}", tool=f"t{n}", error=f"e{n}")
        assert asked() == one

    def test_every_question_of_the_stream_names_its_time_and_an_older_page_ends_at_its_own(
        self, ask, instance
    ):
        at = clock.now() - timedelta(hours=3)
        for n in range(3):
            make.event(instance, occurred_at=at + timedelta(hours=n))
        following = urlsplit(ask("events/?page_size=1")["next"]).query
        with CaptureQueriesContext(connection) as asked:
            ask(f"events/?{following}")
        (stream,) = (query["sql"] for query in asked if 'FROM "telemetry_event"' in query["sql"])
        assert stream.count('"telemetry_event"."occurred_at" <') == 2 and '"occurred_at" >=' in stream

    def test_an_instances_events_are_found_by_their_index(self, ask, instance):
        make.event(instance)
        with CaptureQueriesContext(connection) as asked:
            ask(f"events/?version={instance.version.typeid}")
        (stream,) = (query["sql"] for query in asked if 'FROM "telemetry_event"' in query["sql"])
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
            cursor.execute(f"EXPLAIN {stream}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
        assert "instance_id_event_id" in plan, plan

    def test_one_event_comes_with_its_attributes_at_any_age(self, ask, instance):
        at = clock.now() - timedelta(days=6)
        event = make.event(
            instance, occurred_at=at, attributes='{"server.port":443}', content_digest=b"\1" * 32
        )
        body = ask(f"events/{event.typeid}/")
        assert body["attributes"] == {"server.port": 443}
        assert body["content_digest"] == "sha256:" + "01" * 32
        assert ask(f"events/{event.typeid}") == body

    def test_a_cursor_that_is_none_of_ours_is_not_found(self, ask, instance):
        make.event(instance)
        for text in ("p=nonsense", "p=42&r=1"):
            ask("events/?cursor=" + base64.b64encode(text.encode()).decode(), 404)

    def test_nobody_writes_here(self, client, ask, instance):
        event = make.event(instance)
        client.force_login(make.everything(make.user("alice", member_of=instance.tenant), instance.tenant))
        for method in ("post", "put", "patch", "delete"):
            answer = getattr(client, method)(
                f"{URL}events/{event.typeid}/", {}, content_type="application/json"
            )
            assert answer.status_code == 405, method


class TestRights:
    def test_a_right_on_one_environment_opens_its_events_only(self, client, tenant, instance):
        here, elsewhere = make.event(instance), make.event()
        gus = make.user("gus", member_of=tenant)
        make.grant(gus, instance.environment, Right.READ_TELEMETRY)
        ask = caller(client, gus, tenant)
        assert listed(ask("events/")) == [here.typeid]
        assert listed(ask(f"events/?instance={elsewhere.instance.typeid}")) == []
        ask(f"events/{elsewhere.typeid}/", 404)

    def test_a_right_up_to_a_risk_opens_events_of_lesser_agents_only(self, client, tenant, prod):
        risky = make.template(risk=Risk.CRITICAL)
        make.event(make.instance(environment=prod, version=make.approved(template=risky)))
        mild = make.event(make.instance(environment=prod))
        gus = make.user("gus", member_of=tenant)
        make.grant(gus, tenant, Right.READ_TELEMETRY, risk_max=Risk.MEDIUM)
        assert listed(caller(client, gus, tenant)("events/")) == [mild.typeid]

    def test_a_stranger_finds_nothing_by_any_road(self, client, tenant, instance):
        event = make.event(instance)
        held = make.quarantined(instance.environment, instance.provider)
        other = make.tenant("other")
        mallory = make.everything(make.user("mallory", member_of=other), other)
        ask = caller(client, mallory, other)
        assert listed(ask("events/")) == listed(ask("quarantine/")) == []
        assert listed(ask(f"events/?instance={instance.typeid}&trace={event.trace_id.hex}")) == []
        for path in (
            f"events/{event.typeid}/",
            f"quarantine/{held.typeid}/",
            f"events/{encode('evt', uuid7())}/",
        ):
            ask(path, 404)
        assert {row["seven_days"] for row in ask("quarantine/counts/")} == {0}

    def test_without_a_key_nothing_is_said(self, client, tenant, instance):
        make.event(instance)
        for path in ("events/", "quarantine/", "quarantine/counts/"):
            assert client.get(URL + path).status_code == 401


class TestQuarantine:
    def test_spans_are_listed_with_why_and_what_to_do(self, ask, prod):
        local = make.provider("local")
        row = make.quarantined(prod, local, payload={"name": "chat"})
        make.quarantined(prod, local, reason="clock", received_at=clock.now() - timedelta(days=2))
        (found,) = ask("quarantine/?reason=no_instance&environment=prod&provider=local")["results"]
        assert (found["id"], found["payload"]) == (row.typeid, {"name": "chat"})
        assert "OTEL_RESOURCE_ATTRIBUTES" in found["way_out"]
        since = quote((clock.now() - timedelta(days=1)).isoformat())
        assert listed(ask(f"quarantine/?since={since}")) == [row.typeid]
        assert ask(f"quarantine/{row.typeid}/") == found

    def test_counts_tell_every_reason_also_what_was_not_kept(self, ask, prod):
        local = make.provider("local")
        make.quarantined(prod, local)
        with make.as_the_owner():
            QuarantineCount.objects.filter(reason="no_instance").update(spans=5000)
        old = clock.today() - timedelta(days=3)
        make.quarantined(prod, local, reason="clock")
        with make.as_the_owner():
            QuarantineCount.objects.filter(reason="clock").update(day=old)
        counts = {row["reason"]: (row["seven_days"], row["today"]) for row in ask("quarantine/counts/")}
        assert counts["no_instance"] == (5000, 5000) and counts["clock"] == (1, 0)
        assert counts["foreign_tenant"] == (0, 0) and len(counts) == 7

    def test_wrong_members_are_named(self, ask, prod):
        problem = ask("quarantine/?reason=bad_luck&environment=mars&until=soon&page=2", 422)
        assert {e["pointer"] for e in problem["errors"]} == {"/reason", "/environment", "/until", "/page"}
