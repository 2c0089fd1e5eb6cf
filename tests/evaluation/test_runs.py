"""Runs against a real HTTP server: what an agent answers is scored, what it does to the caller is an error, never a pass."""

import json
import time
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import DatabaseError, transaction
from django_q.models import OrmQ

from arm import clock, db
from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right
from evaluation import clients, queries, services, tasks
from evaluation.lifecycle import Trigger
from evaluation.models import Assignment, Endpoint, Result, Run
from evaluation.scoring import documents, score
from registry.lifecycle import VersionState
from registry.services import move_version
from tests import make
from tests.evaluation.suites import case, contains, suite
from tests.hostile import hostile

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def agent():
    with hostile() as server:
        yield server


@pytest.fixture
def version(tenant):
    make.tenant("globex")  # a neighbour, whose rows are in sight of this test's connection
    return make.version(template=make.template("refund-desk", tenant=tenant), state=VersionState.TESTING)


@pytest.fixture
def at(version, agent, alice, tenant):
    """Let the agent answer at a path of the server, which the tenant's runs may call."""
    services.allow_host(tenant=tenant, entry="127.0.0.1", actor=alice, reason="The agent is here")

    def place(path):
        agent.answer = lambda asked: {"output": asked["input"]}
        agent.asked.clear()
        return services.set_endpoint(template=version.template, url=agent.url + path, actor=alice, reason="x")

    return place


def started(version, alice, document):
    of = make.suite(document=document, tenant=version.tenant)
    return services.start_run(version=version, suite=of, actor=alice, reason="try it")


def test_answers_are_scored_and_the_run_comes_out(version, at, alice, agent, work_off):
    at("/good")
    document = suite(
        case("hello"), case("refuse", scorers=[contains("refuse", negate=True)], severity="warning")
    )
    run = started(version, alice, document)
    assert (run.state, run.total, run.genome_digest) == ("queued", 2, version.genome.digest)
    work_off()
    run.refresh_from_db()
    assert (run.state, run.done, run.passed, run.failed) == ("failed", 2, 1, 1)
    assert "50%" in run.said and run.results_digest.startswith("sha256:")
    good, bad = run.results.all()
    assert (good.outcome, good.http_status, good.problem) == ("passed", 200, "")
    assert json.loads(good.excerpt) == {"output": "Please: hello"}
    (verdict,) = bad.verdicts
    assert verdict["expected"] == "not a text with “refuse” in it" and verdict["found"] == '"Please: refuse"'
    asked = [one["input"] for one in agent.asked]
    assert asked == ["Please: hello", "Please: refuse"]
    assert {frozenset(one) for one in agent.asked} == {frozenset({"id", "input"})}
    assert len({one["id"] for one in agent.asked}) == 2


def test_the_right_text_in_the_wrong_field_does_not_pass(version, at, alice, agent, work_off):
    at("/good")
    agent.answer = lambda asked: {"echo": asked["input"], "output": "I do not know."}
    run = started(version, alice, suite(case("hello")))
    work_off()
    assert run.results.get().outcome == "failed"


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/hang", "timeout"), ("/drip", "timeout"), ("/drip-headers", "timeout"), ("/redirect", "redirected"),
        ("/huge", "too_large"), ("/huge-unsaid", "too_large"), ("/html", "not_json"), ("/plain", "not_json"),
        ("/not-json", "not_json"), ("/list", "not_json"), ("/twice", "not_json"), ("/deep", "not_json"),
        ("/many", "too_large"), ("/broken", "http_status"), ("/close-early", "connection"),
        ("/close-at-once", "connection"), ("/nonsense", "protocol"),
    ],
)  # fmt: skip
def test_an_endpoint_that_misbehaves_makes_the_case_errored_never_passed(
    version, at, alice, work_off, path, problem
):
    at(path)
    anything = {"scorer": "json_schema", "field": "", "schema": True}
    run = started(version, alice, suite(case("any", scorers=[anything]), deadline_s=1))
    work_off()
    run.refresh_from_db()
    result = run.results.get()
    assert (run.state, result.outcome, result.problem) == ("errored", "errored", problem)
    assert result.detail and len(result.excerpt) <= 2000


def test_a_packed_answer_is_unpacked_and_scored(version, at, alice, work_off):
    at("/packed")
    run = started(version, alice, suite(case("hello")))
    work_off()
    assert run.results.get().outcome == "passed"


def test_loopback_is_refused_until_the_tenant_allows_it(version, agent, alice, tenant, work_off):
    agent.answer = lambda asked: {"output": asked["input"]}
    agent.asked.clear()
    services.set_endpoint(template=version.template, url=agent.url + "/good", actor=alice, reason="x")
    refused = started(version, alice, suite(case("hello")))
    work_off()
    assert refused.results.get().problem == "address_refused" and agent.asked == []
    allowed = services.allow_host(
        tenant=tenant, entry="127.0.0.0/8", actor=alice, reason="Our agents are here"
    )
    again = services.start_run(version=version, suite=refused.suite, actor=alice, reason="again")
    work_off()
    assert again.results.get().outcome == "passed"
    services.end_allowed_host(allowed=allowed, actor=alice, reason="They moved")
    last = services.start_run(version=version, suite=refused.suite, actor=alice, reason="again")
    work_off()
    assert last.results.get().problem == "address_refused"


def test_one_tenants_list_opens_nothing_to_another(version, alice, tenant):
    services.allow_host(tenant=tenant, entry="10.0.0.0/8", actor=alice, reason="ours")
    other = make.tenant("initech")
    assert queries.allowed_of(other.pk).networks == () and queries.allowed_of(tenant.pk).networks != ()


def test_a_name_that_resolves_to_a_private_address_is_refused(version, alice):
    question = clients.Question(
        "http://agent.example/x", "qst_1", {}, 2, queries.allowed_of(version.tenant_id)
    )
    assert clients.ask(question, resolve=lambda host, port: ["10.1.2.3"]).problem == "address_refused"


def test_a_silent_endpoint_is_not_called_to_the_end(version, at, alice, work_off, agent):
    at("/close-at-once")
    run = started(version, alice, suite(*(case(f"c{n}") for n in range(40))))
    work_off()
    run.refresh_from_db()
    assert (run.state, run.errored, len(agent.asked)) == ("errored", 40, 5)
    assert set(run.results.values_list("problem", flat=True)) == {"connection", "skipped"}


def test_an_answer_that_takes_too_long_to_score_makes_the_case_errored_and_is_scored_outside_any_transaction(
    version, at, alice, agent, work_off, monkeypatch
):
    at("/good")
    monkeypatch.setattr(documents, "SCORING", 0.2)
    run = started(version, alice, suite(case("slow"), case("quick")))
    inside = []

    def slow(settings, answer):
        inside.append(db.current())
        while answer == {"output": "Please: slow"}:
            time.sleep(0.001)
        return score(settings, answer)

    monkeypatch.setattr(documents, "score", slow)
    work_off()
    run.refresh_from_db()
    late, good = run.results.all()
    assert (late.outcome, late.problem, late.verdicts) == ("errored", "unscored", [])
    assert late.excerpt and "longer" in late.detail
    assert (run.state, good.outcome) == ("errored", "passed")
    # A transaction of the worker sees its tenant alone; this test sees the neighbour, too.
    assert len(inside) == 2 and all("," in seen for seen in inside)


def test_a_run_that_is_cancelled_comes_to_no_result(version, at, alice, work_off, agent):
    at("/good")
    run = started(version, alice, suite(case("a"), case("b")))
    worker = uuid4()
    step = services.begin_step(run_id=run.pk, worker=worker)
    services.cancel_run(run=run, actor=alice, reason="Wrong endpoint")
    assert not services.record_reply(step=step, worker=worker, reply=clients.Reply(answer={"output": "a"}))
    work_off()
    run.refresh_from_db()
    assert (run.state, run.done, agent.asked) == ("cancelled", 0, [])
    with pytest.raises(Conflict):
        services.cancel_run(run=run, actor=alice, reason="again")


class TestInterrupted:
    @pytest.fixture
    def run(self, version, at, alice):
        at("/good")
        return started(version, alice, suite(case("a"), case("b", repeats=2), deadline_s=1))

    def test_a_run_is_one_workers_at_a_time(self, run):
        first, second = uuid4(), uuid4()
        assert services.begin_step(run_id=run.pk, worker=first)
        assert services.begin_step(run_id=run.pk, worker=second) is None

    def test_a_lost_worker_is_followed_by_another_and_its_late_reply_counts_for_nothing(
        self, run, work_off, agent
    ):
        lost = uuid4()
        step = services.begin_step(run_id=run.pk, worker=lost)
        services.record_reply(step=step, worker=lost, reply=clients.Reply(answer={"output": "Please: a"}))
        step = services.begin_step(run_id=run.pk, worker=lost)
        OrmQ.objects.all().delete()
        assert services.wake_stalled(run.tenant_id) == 0
        with clock.at(clock.now() + timedelta(seconds=60)):
            assert services.wake_stalled(run.tenant_id) == 1
            assert services.wake_stalled(run.tenant_id) == 0  # it waits in the queue
            work_off()
        run.refresh_from_db()
        assert (run.state, run.done) == ("passed", 3)
        assert not services.record_reply(
            step=step, worker=lost, reply=clients.Reply(answer={"output": "late"})
        )
        assert [(r.case, r.turn, r.outcome) for r in run.results.all()] == [
            ("a", 1, "passed"), ("b", 1, "passed"), ("b", 2, "passed"),
        ]  # fmt: skip
        assert len(agent.asked) == 2  # the first reply was kept, and is not asked for again
        assert ChangeRecord.objects.filter(verb="evaluation.run.finished").count() == 1

    def test_a_reply_counts_only_from_the_worker_that_holds_the_run(self, run):
        lost, holder = uuid4(), uuid4()
        step = services.begin_step(run_id=run.pk, worker=lost)
        with clock.at(clock.now() + timedelta(seconds=60)):
            again = services.begin_step(run_id=run.pk, worker=holder)
            assert again.position == step.position  # the very call that both were asked to make
            reply = clients.Reply(answer={"output": "late"})
            assert not services.record_reply(step=step, worker=lost, reply=reply)
            assert not run.results.exists()
            reply = clients.Reply(answer={"output": "Please: a"})
            assert services.record_reply(step=again, worker=holder, reply=reply)
        assert run.results.get().outcome == "passed"

    def test_the_same_question_has_the_same_key_when_it_is_asked_again(self, run):
        lost = services.begin_step(run_id=run.pk, worker=uuid4())
        with clock.at(clock.now() + timedelta(seconds=60)):
            again = services.begin_step(run_id=run.pk, worker=uuid4())
        assert lost.question.key == again.question.key

    def test_a_call_that_takes_every_worker_down_is_errored_in_the_end(self, run):
        now = clock.now()
        for minute in range(3):
            with clock.at(now + timedelta(minutes=minute)):
                assert services.begin_step(run_id=run.pk, worker=uuid4()).position == 0
        with clock.at(now + timedelta(minutes=3)):
            assert services.begin_step(run_id=run.pk, worker=uuid4()).position == 1
        assert run.results.get().problem == "gave_up"

    def test_a_run_that_was_worked_off_twice_comes_out_once(self, run, work_off):
        tasks.work_off(tenant_id=run.tenant_id, run_id=str(run.pk))
        tasks.work_off(tenant_id=run.tenant_id, run_id=str(run.pk))
        work_off()
        run.refresh_from_db()
        assert (run.state, run.results.count()) == ("passed", 3)

    def test_a_long_run_gives_way_to_other_work(self, run, monkeypatch, queued):
        monkeypatch.setattr(tasks, "TURN", -1.0)
        OrmQ.objects.all().delete()
        worker = uuid4()
        monkeypatch.setattr(tasks, "uuid4", lambda: worker)
        assert services.begin_step(run_id=run.pk, worker=worker)
        assert tasks.work_off(tenant_id=run.tenant_id, run_id=str(run.pk)) == 0
        assert queued() == ["evaluation.tasks.work_off"]
        run.refresh_from_db()
        assert (run.state, run.worker) == ("running", None)

    def test_the_database_keeps_what_came_out(self, run, work_off):
        work_off()
        for statement in (
            lambda: Run.objects.filter(pk=run.pk).update(state="running", finished_at=None),
            lambda: Run.objects.filter(pk=run.pk).update(passed=7),
            lambda: Run.objects.filter(pk=run.pk).update(genome_digest="sha256:x"),
            lambda: Result.objects.filter(run=run).update(outcome="passed"),
            lambda: Result.objects.filter(run=run).delete(),
        ):
            with pytest.raises(DatabaseError), transaction.atomic():
                statement()
        row = run.results.first()
        with pytest.raises(DatabaseError), transaction.atomic():
            row.pk = uuid4()
            row.save(force_insert=True)  # once per case and turn


class TestStarting:
    @pytest.fixture
    def of(self, version):
        return make.suite(tenant=version.tenant)

    def test_only_who_may_run_evaluations_starts_one(self, version, of, tenant):
        make.endpoint(version.template)
        bob = make.user("bob", member_of=tenant)
        make.grant(bob, tenant, *(set(Right) - {Right.RUN_EVALUATION}))
        with pytest.raises(NotAllowed):
            services.start_run(version=version, suite=of, actor=bob, reason="x")
        assert not Run.objects.exists()

    def test_without_an_endpoint_nothing_starts_and_the_way_out_is_named(self, version, of, alice):
        with pytest.raises(Conflict) as refused:
            services.start_run(version=version, suite=of, actor=alice, reason="x")
        assert version.template.typeid in refused.value.extra["mend"]

    def test_one_run_of_a_suite_on_a_version_at_a_time(self, version, of, alice):
        make.endpoint(version.template)
        services.start_run(version=version, suite=of, actor=alice, reason="x")
        with pytest.raises(Conflict):
            services.start_run(version=version, suite=of, actor=alice, reason="x")

    def test_a_suite_of_another_tenant_is_not_run(self, version, alice):
        make.endpoint(version.template)
        theirs = make.suite(tenant=make.tenant("umbrella"))
        with pytest.raises(Invalid):
            services.start_run(version=version, suite=theirs, actor=alice, reason="x")

    def test_nothing_is_run_on_a_version_that_is_over(self, version, of, alice):
        make.endpoint(version.template)
        for state in (VersionState.DEPRECATED, VersionState.RETIRED):
            over = make.version(template=version.template, state=state)
            with pytest.raises(Conflict):
                services.start_run(version=over, suite=of, actor=alice, reason="x")

    def test_a_versions_own_endpoint_goes_before_its_agents(self, version, of, alice):
        make.endpoint(version.template)
        make.endpoint(version.template, "https://v2.example/", version=version)
        run = services.start_run(version=version, suite=of, actor=alice, reason="x")
        assert run.endpoint == "https://v2.example/"

    def test_a_version_that_comes_to_testing_is_run_at_once_and_not_twice(
        self, version, alice, work_off, agent, at
    ):
        at("/good")
        first = make.assigned(
            version.template, make.suite(document=suite(case("a")), tenant=version.tenant)
        ).suite
        make.assigned(version.template, mandatory=False)
        draft = make.version(template=version.template, created_by=alice)
        move_version(version=draft, to=VersionState.TESTING, actor=alice, reason="ready")
        work_off()
        run = Run.objects.get()
        assert (run.suite, run.version, run.trigger, run.state) == (first, draft, Trigger.PROMOTION, "passed")
        assert run.asked_by is None
        move_version(version=draft, to=VersionState.CANDIDATE, actor=alice, reason="passed")
        move_version(version=draft, to=VersionState.TESTING, actor=alice, reason="again")
        work_off()
        assert Run.objects.count() == 1

    def test_going_back_to_draft_cancels_what_is_being_run(self, version, alice, of, work_off):
        make.endpoint(version.template)
        run = services.start_run(version=version, suite=of, actor=alice, reason="x")
        OrmQ.objects.all().delete()
        move_version(version=version, to=VersionState.DRAFT, actor=alice, reason="mend")
        work_off()
        run.refresh_from_db()
        assert run.state == "cancelled"


class TestSuites:
    def test_a_suite_keeps_its_bytes_and_its_category(self, tenant, alice):
        document = suite(case("a"))
        first = services.create_suite(
            tenant=tenant, slug="basics", name="Basics", document=document, actor=alice, reason="first"
        )
        assert (first.number, first.case_count, first.suite.category) == (1, 1, "regression")
        with pytest.raises(Conflict):
            services.save_version(suite=first.suite, document=document, actor=alice, reason="same")
        with pytest.raises(Invalid) as refused:
            services.save_version(
                suite=first.suite, document=suite(case("a"), category="safety"), actor=alice, reason="x"
            )
        assert refused.value.errors[0]["pointer"] == "/category"
        second = services.save_version(
            suite=first.suite, document=suite(case("b")), actor=alice, reason="another"
        )
        assert second.number == 2 and queries.newest_version(first.suite) == second
        with pytest.raises(DatabaseError), transaction.atomic():
            first.suite.versions.update(threshold=0.1)

    def test_only_who_may_edit_suites_makes_changes_or_assigns_them(self, tenant, version):
        bob = make.user("bob", member_of=tenant)
        make.grant(bob, tenant, *(set(Right) - {Right.EDIT_SUITE}))
        of = make.suite()
        assignment = make.assigned(version.template, of)
        for call in (
            lambda: services.create_suite(
                tenant=tenant, slug="s", name="S", document=suite(), actor=bob, reason="x"
            ),
            lambda: services.save_version(suite=of, document=suite(case("z")), actor=bob, reason="x"),
            lambda: services.assign_suite(suite=of, template=version.template, actor=bob, reason="x"),
            lambda: services.end_assignment(assignment=assignment, actor=bob, reason="x"),
        ):
            with pytest.raises(NotAllowed):
                call()

    def test_assigning_otherwise_replaces_and_assigning_alike_is_refused(self, version, alice):
        of = make.suite()
        services.assign_suite(suite=of, template=version.template, actor=alice, reason="x", mandatory=False)
        with pytest.raises(Conflict):
            services.assign_suite(
                suite=of, template=version.template, actor=alice, reason="x", mandatory=False
            )
        services.assign_suite(suite=of, template=version.template, actor=alice, reason="x")
        assert list(Assignment.objects.filter(until=None).values_list("mandatory", flat=True)) == [True]
        assert Assignment.objects.count() == 2

    @pytest.mark.parametrize(
        "url", ["ftp://agent.example/", "http://u:p@agent.example/", "agent", "http://" + "a" * 500]
    )
    def test_an_endpoint_is_a_plain_url(self, version, alice, url):
        with pytest.raises(Invalid) as refused:
            services.set_endpoint(template=version.template, url=url, actor=alice, reason="x")
        assert refused.value.errors[0]["pointer"] == "/url" and not Endpoint.objects.exists()

    @pytest.mark.parametrize("entry", ["", "10.0.0.0/33", "a b", "http://agent.example/x"])
    def test_what_may_be_called_is_a_host_or_a_network(self, tenant, alice, entry):
        with pytest.raises(Invalid):
            services.allow_host(tenant=tenant, entry=entry, actor=alice, reason="x")

    def test_only_who_manages_the_tenant_opens_private_hosts(self, tenant):
        bob = make.user("bob", member_of=tenant)
        make.grant(bob, tenant, *(set(Right) - {Right.MANAGE_TENANT}))
        with pytest.raises(NotAllowed):
            services.allow_host(tenant=tenant, entry="127.0.0.1", actor=bob, reason="x")

    def test_every_change_is_on_the_record(self, tenant, version, alice):
        services.allow_host(tenant=tenant, entry="Agents.Internal", actor=alice, reason="ours")
        services.set_endpoint(
            template=version.template, url="https://agents.internal/", actor=alice, reason="there"
        )
        assert set(ChangeRecord.objects.filter(actor_id=alice.pk).values_list("verb", "reason")) == {
            ("evaluation.host.allowed", "ours"),
            ("evaluation.endpoint.set", "there"),
        }
