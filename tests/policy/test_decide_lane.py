"""The live decision over HTTP: who may ask, what is answered, and what is recorded before it is answered."""

import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connections
from django.urls import reverse

from arm import clock, db, ids
from arm import services as core
from arm.models import ApiKey, Membership
from arm.rights import Right
from policy import services
from policy.engine import Mode
from policy.gateway import lane
from policy.lifecycle import ApprovalState
from policy.models import ApprovalRequest, Decision, LimitUsage, Posture, TenantPolicy
from registry import services as registry
from registry.lifecycle import InstanceState
from telemetry.models import Incident
from tests import make
from tests.policy.asking import decide, send, until

pytestmark = pytest.mark.usefixtures("committed")
PATH = "/api/v1/policy/decide"


@contextmanager
def session_of(alias):
    """A session of its own as this role: a role may end its own sessions, and only those."""
    wrapper = connections.create_connection(alias)
    wrapper.connect()
    wrapper.connection.autocommit = True
    try:
        with wrapper.connection.cursor() as cursor:
            yield cursor
    finally:
        wrapper.close()


def leave():
    if lane._process is not None:
        lane._process.leave()
    lane._process = None


@pytest.fixture(autouse=True, scope="module")
def own_process(_own_database, django_db_blocker):
    """One process for all of these; each test has a tenant of its own, so what is remembered does not matter."""
    lane._process = None
    yield
    with django_db_blocker.unblock():
        leave()


@pytest.fixture
def spoiled():
    """For a test after which its process is of no use to others."""
    leave()
    yield
    leave()


@pytest.fixture
def instance():
    tenant = make.tenant()
    instance = make.instance(
        environment=make.environment(tenant=tenant),
        version=make.approved(template=make.template(tenant=tenant)),
    )
    make.bound(tenant)
    return instance


@pytest.fixture
def token(instance):
    return make.workload_token(instance)


@pytest.fixture
def alice(instance):
    return make.everything(make.user("", member_of=instance.tenant), instance.tenant)


@pytest.fixture
def bob(instance):
    return make.everything(make.user("", member_of=instance.tenant), instance.tenant)


def test_an_allowed_action_says_why_and_names_what_it_judged(instance, token):
    answer = decide(token, args={"q": "deployment docs"})
    assert (answer.status, answer.decision, answer.codes) == (200, "allow", ["rule_allow"])
    assert answer.body["instance"] == instance.typeid
    assert answer.body["risk"] == "green"
    assert answer.body["policy_digest"].startswith("sha256:")
    assert 0 <= answer.body["age_ms"] <= 5000
    assert answer.headers["Cache-Control"] == "no-store"


def test_both_slash_forms_answer(token):
    body = {"tool": "think", "job": "j"}
    assert send(f"{PATH}/", token, body).status == send(PATH, token, body).status == 200


def test_the_decision_is_in_the_database_before_it_is_answered(instance, token):
    answer = decide(token, "tweet", {"text": "hi"}, run="run-3", outcome="out-1")
    row = Decision.objects.get(instance=instance)
    assert row.typeid == answer.body["id"]
    assert (row.tool, row.job, row.run, row.outcome) == ("tweet", "job-7", "run-3", "out-1")
    assert (row.get_decision_display(), row.get_risk_display()) == ("approve", "red")
    assert row.get_action_display() == "tool_call"
    assert "sha256:" + bytes(row.action_digest).hex() == answer.body["action_digest"]
    assert "sha256:" + bytes(row.policy_digest).hex() == answer.body["policy_digest"]
    assert "sha256:" + bytes(row.verdict_digest).hex() == answer.body["verdict_digest"]
    assert (row.version_id, row.tenant_id) == (instance.version_id, instance.tenant_id)
    assert ids.encode("apr", row.approval_id) == answer.body["approval"]["id"]
    assert abs((clock.now() - row.at).total_seconds()) < 5
    assert answer.body["reasons"][0]["sentence"] in row.reasons


def test_rows_of_another_tenant_are_not_seen(instance, token):
    decide(token)
    with db.tenants([make.tenant().pk]):
        assert not Decision.objects.exists()


class TestWhoMayAsk:
    @pytest.mark.parametrize("header", ["", "armw_nonsense", "arms_" + "0" * 42])
    def test_without_a_token_of_ours_there_is_no_answer(self, header):
        answer = decide(header)
        assert (answer.status, answer.body["code"]) == (401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="arm"'
        assert answer.body["request_id"] == answer.headers["X-Request-ID"]

    def test_an_ingest_key_may_not_ask(self, instance):
        key = make.ingest_token(instance.environment, instance.provider)
        assert decide(key).status == 401

    def test_an_expired_token_may_not_ask(self, instance, token):
        ApiKey.objects.filter(tenant=instance.tenant).update(expires_at=clock.now() - timedelta(seconds=1))
        assert decide(token).status == 401

    def test_a_revoked_token_is_refused_within_a_second(self, instance, token, alice):
        assert decide(token).status == 200
        key = ApiKey.objects.get(tenant=instance.tenant)
        core.revoke_key(key=key, actor=alice, reason="leaked")
        until(lambda: decide(token).status == 401, 1)

    def test_a_workload_token_speaks_for_its_own_agent_only(self, instance, token):
        sibling = make.instance(environment=instance.environment)
        assert decide(token, instance=instance.typeid).status == 200
        answer = decide(token, instance=sibling.typeid)
        assert (answer.status, answer.body["code"]) == (404, "not_found")

    def test_a_service_token_asks_where_its_account_has_the_right(self, instance):
        robot = make.user("", member_of=instance.tenant, kind="service")
        make.grant(robot, instance.template, Right.ASK_DECISION)
        _, service = make.key(ApiKey.Kind.SERVICE, tenant=instance.tenant, user=robot)
        elsewhere = make.instance(environment=instance.environment)
        assert decide(service, instance=instance.typeid).decision == "allow"
        assert decide(service, instance=elsewhere.typeid).status == 404
        answer = decide(service)
        assert (answer.status, answer.pointers) == (422, ["/instance"])

    @pytest.mark.parametrize("ends", ["the membership", "the account"])
    def test_a_service_token_ends_with_its_account(self, instance, alice, ends):
        robot = make.user("", member_of=instance.tenant, kind="service")
        make.everything(robot, instance.tenant)
        _, service = make.key(ApiKey.Kind.SERVICE, tenant=instance.tenant, user=robot)
        assert decide(service, instance=instance.typeid).decision == "allow"
        if ends == "the membership":
            Membership.objects.filter(user=robot).update(active=False)  # the row alone: no revoked key helps
        else:
            root = make.user("", is_superuser=True)
            core.close_account(user=robot, actor=root, reason="retired")
        until(lambda: decide(service, instance=instance.typeid).status == 401, 1)

    def test_a_token_of_a_former_member_is_not_taken_up(self, instance):
        robot = make.user("", member_of=instance.tenant, kind="service")
        make.everything(robot, instance.tenant)
        _, service = make.key(ApiKey.Kind.SERVICE, tenant=instance.tenant, user=robot)
        Membership.objects.filter(user=robot).update(active=False)
        assert decide(service, instance=instance.typeid).status == 401

    def test_an_agent_of_another_tenant_does_not_exist(self, instance):
        robot = make.user("", member_of=instance.tenant, kind="service")
        make.everything(robot, instance.tenant)
        _, service = make.key(ApiKey.Kind.SERVICE, tenant=instance.tenant, user=robot)
        other = make.tenant()
        theirs = make.instance(
            environment=make.environment(tenant=other),
            version=make.approved(template=make.template(tenant=other)),
        )
        for unknown in (theirs.typeid, ids.encode("ins", ids.uuid7())):
            answer = decide(service, instance=unknown)
            assert (answer.status, answer.body["code"]) == (404, "not_found")


class TestBadInput:
    @pytest.mark.parametrize(
        ("body", "status", "code", "pointer"),
        [
            (b"{", 400, "malformed", None),
            (b"\xff", 400, "malformed", None),
            (b"", 400, "malformed", None),
            (b"[]", 422, "invalid", ""),
            ({"tool": 7}, 422, "invalid", "/tool"),
            ({"tool": "a", "args": []}, 422, "invalid", "/args"),
            ({"tool": "a", "toool": "b"}, 422, "invalid", "/toool"),
            ({"tool": "a", "action": "fly"}, 422, "invalid", "/action"),
            ({"tool": "a" * 129}, 422, "invalid", "/tool"),
            ({"tool": "a", "job": "a\x00b"}, 422, "invalid", "/job"),
            ({"tool": "a", "data": [{"class": "pii", "access": "eat"}]}, 422, "invalid", "/data/0/access"),
            ({"tool": "a", "estimate": {"money": "-1"}}, 422, "amount", "/estimate/money"),
            ({"tool": "a", "estimate": {"money": "NaN"}}, 422, "amount", "/estimate/money"),
            ({"tool": "a", "estimate": {"tokens": -1}}, 422, "amount", "/estimate/tokens"),
            ({"tool": "a", "instance": "agent-7"}, 422, "invalid", "/instance"),
            ({"tool": "a", "job": "j", "args": {"n": 2**60}}, 422, "number", "/args"),
        ],
        ids=str,
    )
    def test_what_is_wrong_is_said_with_code_pointer_and_sentence(self, token, body, status, code, pointer):
        answer = send(PATH, token, body)
        assert answer.status == status
        assert answer.headers["Content-Type"] == "application/problem+json"
        if pointer is None:
            assert answer.body["code"] == code
        else:
            (error,) = answer.body["errors"]
            assert (error["code"], error["pointer"]) == (code, pointer)
            assert error["message"].endswith(".")

    def test_a_request_serves_a_job_or_an_outcome(self, instance, token):
        answer = send(PATH, token, {"tool": "think"})
        assert (answer.status, answer.body["code"]) == (422, "outcome_required")
        assert answer.pointers == ["/job"]
        TenantPolicy.objects.create(tenant=instance.tenant, outcome=TenantPolicy.Outcome.WARN)
        until(lambda: send(PATH, token, {"tool": "think"}).status == 200, 1)

    def test_a_body_may_not_be_too_large(self, token, settings):
        settings.DECIDE_MAX_BYTES = 1000
        for length in ({}, {"CONTENT_LENGTH": ""}):
            answer = send(PATH, token, b"x" * 1001, **length)
            assert (answer.status, answer.body["code"]) == (413, "too_large")

    def test_only_post_decides(self, token):
        answer = send(PATH, token, method="GET")
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")

    def test_nothing_that_was_refused_is_recorded(self, instance, token):
        for body in (b"{", {"tool": 7}, {"tool": "think"}):
            send(PATH, token, body)
        assert not Decision.objects.filter(instance=instance).exists()


class TestStops:
    def stopped(self, token):
        return lambda: decide(token).decision == "deny"

    @pytest.mark.parametrize("above", ["tenant", "environment", "template", "version", "provider", "self"])
    @pytest.mark.parametrize("mode", [Mode.PAUSED, Mode.QUARANTINED])
    def test_a_stop_anywhere_above_denies_within_a_second(self, instance, token, alice, above, mode):
        assert decide(token).decision == "allow"
        scope = instance if above == "self" else getattr(instance, above)
        services.set_posture(scope=scope, mode=mode, actor=alice, reason="it misbehaves")
        assert until(self.stopped(token), 1) < 1
        answer = decide(token)
        assert answer.codes == [f"posture_{mode}"]
        assert "it misbehaves" in answer.body["reasons"][0]["sentence"]

    def test_after_the_lift_it_works_again(self, instance, token, alice):
        posture = services.set_posture(scope=instance, mode=Mode.PAUSED, actor=alice, reason="x")
        assert decide(token).decision == "deny"
        services.lift_posture(posture=posture, actor=alice, reason="mended")
        until(lambda: decide(token).decision == "allow", 1)

    def test_the_directorys_own_quarantine_denies_too(self, instance, token, alice):
        assert decide(token).decision == "allow"
        registry.restrict_instance(instance=instance, to=InstanceState.QUARANTINED, actor=alice, reason="x")
        until(self.stopped(token), 1)
        assert decide(token).codes == ["instance_quarantined"]

    def test_a_pause_that_ends_by_itself_ends(self, instance, token, alice):
        services.set_posture(
            scope=instance,
            mode=Mode.PAUSED,
            actor=alice,
            reason="x",
            until=clock.now() + timedelta(seconds=1),
        )
        assert decide(token).decision == "deny"
        until(lambda: decide(token).decision == "allow", 3)

    def test_a_new_policy_version_holds_within_a_second(self, instance, token, alice, bob):
        assert decide(token).decision == "allow"
        policy = make.bound(instance.template)
        version = services.draft_version(
            policy=policy, content=make.policy_document(tools=[]), actor=alice, note="nothing any more"
        )
        services.activate_version(version=version, actor=bob, reason="go")
        until(self.stopped(token), 1)

    def test_a_lost_listener_costs_at_most_two_seconds(self, instance, token, alice):
        assert decide(token).decision == "allow"
        with session_of("default") as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE query ILIKE %s AND pid <> pg_backend_pid()"
                " AND usename = current_user AND datname = current_database()",
                ["%policy_touch%"],
            )
        services.set_posture(scope=instance, mode=Mode.QUARANTINED, actor=alice, reason="x")
        until(self.stopped(token), 2)

    def test_what_is_too_old_is_not_decided(self, spoiled, instance, token, monkeypatch):
        assert decide(token).status == 200
        here = lane.process()
        here.watcher.stop()
        monkeypatch.setattr(here.watcher, "ensure_running", lambda: None)
        assert decide(token).status == 200  # reads again what the watcher had marked at last
        here.fleet.confirmed_at -= 60
        for held in here.fleet._tenants.values():
            for view in held.views.values():
                view.loaded_at -= 60
        answer = decide(token)
        assert (answer.status, answer.body["code"]) == (503, "unavailable")
        assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize(
    ("args", "pointer"),
    [
        ({"amount": "1\0"}, "/args/amount"),
        ({"lines": [{"a/b": "\0"}]}, "/args/lines/0/a~1b"),
        ({"lines": [{"\0": 1}]}, "/args/lines/0"),
    ],
)
def test_what_the_record_cannot_hold_is_422_with_its_pointer_and_never_busy(instance, token, args, pointer):
    answer = decide(token, "payment", args)
    assert (answer.status, answer.pointers) == (422, [pointer])
    assert not ApprovalRequest.objects.filter(instance=instance).exists()


def test_a_text_about_the_escape_is_no_null(token):
    assert decide(token, args={"q": "what is \\u0000?"}).decision == "allow"


def test_a_batch_refuses_only_the_request_that_holds_a_null(token):
    bodies = [{"tool": "think", "job": "j", "args": {"q": text}} for text in ("a", "\0")]
    answer = send(f"{PATH}/batch", token, {"requests": bodies})
    first, second = answer.body["decisions"]
    assert (first["decision"], second["errors"][0]["pointer"]) == ("allow", "/args/q")


@pytest.mark.parametrize("blank", ["", " ", "\t", "\u00a0\n"])
def test_a_blank_job_or_outcome_is_none(token, blank):
    answer = decide(token, job=blank, outcome=blank)
    assert (answer.status, answer.body["code"]) == (422, "outcome_required")


def test_a_job_is_recorded_without_the_space_around_it(instance, token):
    assert decide(token, job=" job-9 ").decision == "allow"
    assert Decision.objects.get(instance=instance).job == "job-9"


class TestApprovals:
    PAYMENT = {"amount": "10.00"}

    def approve(self, bob, answer):
        request = ApprovalRequest.objects.get(pk=ids.decode("apr", answer.body["approval"]["id"]))
        services.decide_approval(
            request=request, approve=True, actor=bob, reason="fine", digest=request.digest
        )

    def test_a_red_tool_asks_an_altered_call_is_refused_and_the_right_one_passes_once(self, token, bob):
        asked = decide(token, "payment", self.PAYMENT)
        assert (asked.decision, asked.body["approval"]["state"]) == ("approve", "pending")
        assert decide(token, "payment", self.PAYMENT).body["approval"]["id"] == asked.body["approval"]["id"]
        self.approve(bob, asked)
        altered = decide(token, "payment", {"amount": "99.00"})
        assert altered.decision == "approve"
        assert altered.body["approval"]["id"] != asked.body["approval"]["id"]
        passed = decide(token, "payment", self.PAYMENT)
        assert (passed.decision, passed.codes) == ("allow", ["approved"])
        again = decide(token, "payment", self.PAYMENT)
        assert again.decision == "approve"
        assert again.body["approval"]["id"] != asked.body["approval"]["id"]

    def test_of_many_at_once_exactly_one_uses_it(self, token, bob):
        self.approve(bob, decide(token, "payment", self.PAYMENT))
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.append(decide(token, "payment", self.PAYMENT).decision))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert sorted(answers) == ["allow"] + ["approve"] * 7

    def test_the_use_names_the_decision_that_used_it(self, token, bob):
        self.approve(bob, decide(token, "payment", self.PAYMENT))
        passed = decide(token, "payment", self.PAYMENT)
        used = ApprovalRequest.objects.get(
            state=ApprovalState.CONSUMED,
            tenant__isnull=False,
            consumed_by=ids.decode("dec", passed.body["id"]),
        )
        assert Decision.objects.get(pk=used.consumed_by).approval_id == used.pk

    def test_a_stop_voids_what_was_approved(self, instance, token, alice, bob):
        asked = decide(token, "payment", self.PAYMENT)
        self.approve(bob, asked)
        posture = services.set_posture(scope=instance, mode=Mode.PAUSED, actor=alice, reason="x")
        services.lift_posture(posture=posture, actor=alice, reason="x")
        until(lambda: decide(token).decision == "allow", 1)
        assert decide(token, "payment", self.PAYMENT).decision == "approve"

    @pytest.mark.parametrize("to", [InstanceState.QUARANTINED, InstanceState.READ_ONLY])
    def test_the_button_on_the_instances_page_voids_it_too_and_the_return_asks_again(
        self, instance, token, alice, bob, client, settings, to
    ):
        settings.ACTIVATION_GATES = []  # what they ask is tested where they live
        carol = make.everything(make.user("", member_of=instance.tenant), instance.tenant)
        approved = decide(token, "payment", self.PAYMENT)
        assert decide(token, "tweet", {"text": "hi"}).decision == "approve"
        self.approve(bob, approved)
        client.force_login(alice)
        page = reverse("registry:instance_move", args=[instance.typeid])
        assert client.post(page, {"to": to.value, "seen": to.value, "reason": "odd"}).status_code == 302
        states = ApprovalRequest.objects.filter(instance=instance).values_list("state", flat=True)
        assert set(states) == {ApprovalState.VOIDED} and len(states) == 2
        asked = registry.request_instance_release(
            instance=instance, to=InstanceState.ACTIVE, actor=alice, reason="read its log"
        )
        release = ApprovalRequest.objects.get(pk=asked)
        for person in (bob, carol)[: release.quorum]:
            services.decide_approval(
                request=release, approve=True, actor=person, reason="read it", digest=release.digest
            )
        registry.move_instance(instance=instance, to=InstanceState.ACTIVE, actor=alice, reason="mended")
        until(lambda: decide(token).decision == "allow", 1)
        again = decide(token, "payment", self.PAYMENT)
        assert again.decision == "approve"
        assert again.body["approval"]["id"] != approved.body["approval"]["id"]

    def test_where_it_stands_is_told_to_who_asked_and_to_nobody_else(self, instance, token):
        asked = decide(token, "payment", self.PAYMENT)
        poll = asked.body["approval"]["poll"]
        assert send(poll, token, method="GET").body["state"] == "pending"
        stranger = make.workload_token(make.instance(environment=instance.environment))
        assert send(poll, stranger, method="GET").status == 404
        assert send(poll.partition("?")[0], token, method="GET").status == 422


class TestLimits:
    def test_three_calls_a_day_are_three_calls(self, instance, token):
        make.bound(instance, limits=[{"per": "day", "unit": "calls", "max": 3, "on_breach": "throttle"}])
        answers = [decide(token) for _ in range(5)]
        assert [answer.decision for answer in answers] == ["allow"] * 3 + ["deny"] * 2
        assert (answers[-1].codes, answers[-1].body["retry_after"]) == (["limit_reached"], 60)

    def test_many_at_once_never_spend_more_than_there_is(self, instance, token):
        make.bound(instance, limits=[{"per": "day", "unit": "calls", "max": 10, "on_breach": "deny"}])
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(decide(token).decision)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert sorted(answers) == ["allow"] * 10 + ["deny"] * 6

    def test_what_is_denied_uses_nothing_up(self, instance, token):
        make.bound(
            instance,
            tools=[
                {"match": {"tool": "*"}, "effect": "allow"},
                {"match": {"tool": "bash"}, "effect": "deny"},
            ],
            limits=[{"per": "day", "unit": "calls", "max": 2, "on_breach": "deny"}],
        )
        for _ in range(5):
            assert decide(token, "bash", {"command": "ls"}).codes == ["rule_deny"]
        assert [decide(token).decision for _ in range(3)] == ["allow", "allow", "deny"]

    def test_a_process_that_leaves_hands_back_what_it_did_not_spend(self, spoiled, instance, token):
        make.bound(instance, limits=[{"per": "day", "unit": "calls", "max": 1000, "on_breach": "deny"}])
        for _ in range(3):
            decide(token)
        assert LimitUsage.objects.get(instance=instance).used == 20
        lane.process().leave()
        assert LimitUsage.objects.get(instance=instance).used == 3

    def test_a_limit_per_run_needs_to_know_the_run(self, instance, token):
        make.bound(instance, limits=[{"per": "run", "unit": "calls", "max": 1, "on_breach": "deny"}])
        assert decide(token).codes == ["limit_unknown"]
        assert [decide(token, run="r1").decision for _ in range(2)] == ["allow", "deny"]
        assert decide(token, run="r2").decision == "allow"

    def test_a_breach_that_pauses_sets_the_posture_by_itself_and_opens_an_incident(self, instance, token):
        make.bound(instance, loops=[{"rule": "repeat", "window_s": 60, "max": 2, "on_breach": "pause"}])
        answers = [decide(token, args={"q": "same"}) for _ in range(3)]
        assert [answer.decision for answer in answers] == ["allow", "allow", "deny"]
        assert answers[-1].codes == ["loop_repeat"]
        posture = Posture.objects.in_force().get(instance=instance)
        assert (posture.mode, posture.set_by) == (Mode.PAUSED, None)
        incident = Incident.objects.get(subject_id=instance.pk)
        assert incident.kind == "policy_violation" and not incident.harm, "one of its instances did"
        until(lambda: decide(token, args={"q": "other"}).decision == "deny", 1)

    def test_other_calls_are_no_repetition(self, instance, token):
        make.bound(instance, loops=[{"rule": "repeat", "window_s": 60, "max": 2, "on_breach": "deny"}])
        assert {decide(token, args={"q": str(n)}).decision for n in range(6)} == {"allow"}

    def test_going_back_and_forth_is_a_loop(self, instance, token):
        make.bound(instance, loops=[{"rule": "ping_pong", "window_s": 60, "max": 2, "on_breach": "deny"}])
        answers = [decide(token, args={"q": "ab"[n % 2]}).decision for n in range(6)]
        assert answers == ["allow"] * 5 + ["deny"]


class TestBatch:
    def test_each_is_decided_or_refused_for_itself(self, instance, token):
        answer = send(
            f"{PATH}/batch",
            token,
            {
                "requests": [
                    {"tool": "think", "job": "j"},
                    {"tool": 7},
                    {"tool": "payment", "job": "j"},
                    {"tool": "think"},
                    {"tool": "think", "job": "j", "instance": ids.encode("ins", ids.uuid7())},
                ]
            },
        )
        assert answer.status == 200
        assert [one.get("decision") or one["status"] for one in answer.body["decisions"]] == [
            "allow", 422, "approve", 422, 404,
        ]  # fmt: skip
        assert Decision.objects.filter(instance=instance).count() == 2

    @pytest.mark.parametrize("requests", [[], [{"tool": "a"}] * 101, "x"])
    def test_a_batch_has_one_to_a_hundred(self, token, requests):
        answer = send(f"{PATH}/batch", token, {"requests": requests})
        assert (answer.status, answer.pointers) == (422, ["/requests"])


class TestTheDatabaseIsAway:
    def test_without_a_record_there_is_no_answer(self, instance, token, monkeypatch):
        assert decide(token).status == 200
        recorder = lane.process().recorder
        monkeypatch.setattr(recorder, "_connection", lambda: (_ for _ in ()).throw(OSError("gone")))
        answer = decide(token)
        assert (answer.status, answer.body["code"], answer.headers["Retry-After"]) == (
            503,
            "unavailable",
            "1",
        )
        assert Decision.objects.filter(instance=instance).count() == 1

    def test_a_connection_that_was_killed_is_replaced_and_nothing_doubles(self, instance, token):
        assert decide(token).status == 200
        with session_of("ingest") as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE %s"
                " AND datname = current_database()",
                ["COPY partitions.policy\\_decision%"],
            )
            assert cursor.fetchone()[0] >= 1
        assert decide(token).status == 200
        assert Decision.objects.filter(instance=instance).count() == 2

    def test_a_missing_partition_is_made(self, instance, token):
        day = clock.today()
        with session_of("owner") as cursor:
            cursor.execute(f"DROP TABLE partitions.policy_decision_{day:%Y%m%d}")
        assert decide(token).status == 200
        assert Decision.objects.filter(instance=instance).count() == 1
