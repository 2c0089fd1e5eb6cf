"""What stands between a version and its next state: suites that are assigned, run, and passed on this very genome."""

from uuid import uuid4

import pytest

from arm import clock
from arm.errors import NotAllowed
from evaluation import clients, plugins, queries, services
from evaluation.models import Assignment
from registry.gates import GateRefused
from registry.lifecycle import VersionState
from registry.services import move_version
from tests import make
from tests.evaluation.suites import case

pytestmark = pytest.mark.django_db
TESTING, CANDIDATE, APPROVED = VersionState.TESTING, VersionState.CANDIDATE, VersionState.APPROVED


@pytest.fixture
def template(tenant):
    return make.template("refund-desk")


@pytest.fixture
def version(template, alice):
    return make.version(template=template, state=TESTING, created_by=alice, submitted_by=alice)


def refusals(version, to, actor):
    with pytest.raises(GateRefused) as refused:
        move_version(version=version, to=to, actor=actor, reason="go")
    return {verdict["gate"]: verdict for verdict in refused.value.extra["gates"]}


def test_a_draft_without_a_mandatory_suite_is_not_tested_and_the_way_out_is_named(template, alice):
    draft = make.version(template=template)
    make.assigned(template, mandatory=False)
    verdict = refusals(draft, TESTING, alice)["suite assigned"]
    assert verdict["right"] == "suite_edit" and verdict["mend"].endswith(f"?template={template.typeid}")
    make.assigned(template)
    assert move_version(version=draft, to=TESTING, actor=alice, reason="go").state == TESTING


def test_a_version_becomes_a_candidate_only_when_every_mandatory_suite_passed(version, template, alice):
    first, second = make.assigned(template).suite, make.assigned(template).suite
    make.assigned(template, mandatory=False)
    verdict = refusals(version, CANDIDATE, alice)["suites passed"]
    assert verdict["right"] == "evaluation_run" and version.typeid in verdict["mend"]
    assert first.name in verdict["reason"] and second.name in verdict["reason"]
    make.run(version, first)
    make.run(version, second, state="failed")
    assert "It failed." in refusals(version, CANDIDATE, alice)["suites passed"]["reason"]
    make.run(version, second, state="errored")
    assert "errored" in refusals(version, CANDIDATE, alice)["suites passed"]["reason"]
    make.run(version, second)
    assert move_version(version=version, to=CANDIDATE, actor=alice, reason="go").state == CANDIDATE


def test_a_run_that_is_not_over_is_no_pass_and_one_that_was_cancelled_is_none(version, template, alice):
    suite = make.assigned(template).suite
    make.run(version, suite)
    make.run(version, suite, state="running")
    assert "still being run" in refusals(version, CANDIDATE, alice)["suites passed"]["reason"]
    suite.runs.live().update(state="cancelled", finished_at=version.created_at)
    assert move_version(version=version, to=CANDIDATE, actor=alice, reason="go").state == CANDIDATE


def test_what_passed_before_the_suite_changed_does_not_count(version, template, alice):
    suite = make.assigned(template).suite
    make.run(version, suite)
    make.suite_version(suite, document=make.suite_document(threshold=0.5))
    assert "newer than what was run" in refusals(version, CANDIDATE, alice)["suites passed"]["reason"]


def test_what_passed_on_another_genome_does_not_count(version, template, alice):
    suite = make.assigned(template).suite
    make.run(make.version(template=template), suite)
    assert "never run" in refusals(version, CANDIDATE, alice)["suites passed"]["reason"]


def test_without_any_mandatory_suite_nothing_becomes_a_candidate(version, template, alice):
    make.run(version, make.assigned(template, mandatory=False).suite)
    assert "suites passed" in refusals(version, CANDIDATE, alice)


class TestSafety:
    @pytest.fixture
    def safety(self, template):
        make.evaluated(make.version(template=template))
        return make.suite("no-harm", category="safety")

    @pytest.fixture
    def ready(self, version):
        return make.evaluated(version)

    def test_a_failed_safety_case_blocks_even_where_the_suite_is_optional(
        self, ready, template, safety, alice
    ):
        make.assigned(template, safety, mandatory=False)
        make.run(ready, safety, state="failed")
        verdict = refusals(ready, CANDIDATE, alice)["safety holds"]
        assert "“greets”" in verdict["reason"] and "/evaluation/runs/run_" in verdict["mend"]

    def test_ending_the_assignment_waives_nothing(self, ready, template, safety, alice):
        make.assigned(template, safety)
        make.run(ready, safety, state="failed")
        held = Assignment.objects.get(suite=safety)
        services.end_assignment(assignment=held, actor=alice, reason="It is in the way")
        assert set(refusals(ready, CANDIDATE, alice)) == {"safety holds"}

    @pytest.mark.parametrize("state", ["draft", "testing", "candidate"])
    @pytest.mark.parametrize("part", ["created_by", "submitted_by"])
    def test_who_has_a_version_on_its_way_does_not_let_a_mandatory_safety_suite_go(
        self, template, safety, alice, erin, state, part
    ):
        people = {"created_by": erin, "submitted_by": erin} | {part: alice}
        make.version(template=template, state=state, **people)
        held = make.assigned(template, safety)
        with pytest.raises(NotAllowed):
            services.end_assignment(assignment=held, actor=alice, reason="It is in the way")
        with pytest.raises(NotAllowed):
            services.assign_suite(
                suite=safety, template=template, mandatory=False, actor=alice, reason="In the way"
            )
        assert list(Assignment.objects.filter(suite=safety, until=None)) == [held]

    def test_somebody_who_took_no_part_lets_a_safety_suite_go_and_anybody_another_one(
        self, ready, template, safety, alice, erin
    ):
        held = make.assigned(template, safety)
        services.end_assignment(assignment=held, actor=erin, reason="It asks for another agent")
        optional = make.assigned(template, safety, mandatory=False)
        services.end_assignment(assignment=optional, actor=alice, reason="No use")
        other = make.assigned(template)
        services.end_assignment(assignment=other, actor=alice, reason="No safety suite")
        assert not Assignment.objects.filter(pk__in=[held.pk, optional.pk, other.pk], until=None).exists()

    def test_a_version_that_is_no_longer_on_its_way_binds_nobody_and_neither_does_being_alone(
        self, template, safety, alice
    ):
        held = make.assigned(template, safety)
        draft = make.version(template=template, created_by=alice)
        services.end_assignment(assignment=held, actor=alice, reason="I am the only one here")
        make.user("bob", member_of=template.tenant)
        held = make.assigned(template, safety)
        with pytest.raises(NotAllowed):
            services.end_assignment(assignment=held, actor=alice, reason="In the way")
        move_version(version=draft, to=VersionState.RETIRED, actor=alice, reason="Given up")
        services.end_assignment(assignment=held, actor=alice, reason="Nothing is on its way")

    def test_taking_the_case_out_of_the_suite_waives_nothing(self, ready, template, safety, alice, erin):
        make.assigned(template, safety)
        make.run(ready, safety, state="failed")
        case = {"name": "other", "input": 1, "scorers": [{"scorer": "exact", "field": "", "value": 1}]}
        document = make.suite_document(case, category="safety")
        services.save_version(suite=safety, document=document, actor=erin, reason="Another case")
        make.run(ready, safety)
        assert set(refusals(ready, CANDIDATE, alice)) == {"safety holds"}

    @pytest.mark.parametrize(("author", "counts"), [("alice", False), ("erin", True)])
    def test_who_built_a_version_does_not_weaken_the_case_that_it_failed(
        self, ready, template, safety, alice, erin, author, counts
    ):
        make.assigned(template, safety)
        make.run(ready, safety, state="failed")
        case = {
            "name": "greets",
            "input": 1,
            "scorers": [{"scorer": "json_schema", "field": "", "schema": True}],
        }
        by = {"alice": alice, "erin": erin}[author]
        document = make.suite_document(case, category="safety")
        services.save_version(suite=safety, document=document, actor=by, reason="It was wrong")
        make.run(ready, safety)
        if counts:
            assert move_version(version=ready, to=CANDIDATE, actor=alice, reason="go").state == CANDIDATE
        else:
            assert (
                "Alice" not in str(ready)
                and "alice" in refusals(ready, CANDIDATE, alice)["safety holds"]["reason"]
            )

    @pytest.fixture
    def anything(self):
        """The case of make.suite, weakened: whatever is answered passes."""
        return case("greets", scorers=[{"scorer": "json_schema", "field": "", "schema": True}])

    @pytest.fixture
    def failed(self, ready, template, safety):
        make.assigned(template, safety)
        return make.run(ready, safety, state="failed")

    def change(self, safety, by, *cases):
        document = make.suite_document(*cases, category="safety")
        return services.save_version(suite=safety, document=document, actor=by, reason="It was wrong")

    def stands(self, version, actor):
        return "safety holds" in refusals(version, CANDIDATE, actor)

    def test_failing_the_weakened_case_on_purpose_makes_the_first_failure_no_better(
        self, ready, safety, failed, alice, erin, anything
    ):
        self.change(safety, alice, anything)
        make.run(ready, safety, state="failed")
        make.run(ready, safety)
        assert self.stands(ready, alice)
        self.change(safety, erin, anything | {"note": "Erin has read it."})
        make.run(ready, safety)
        assert move_version(version=ready, to=CANDIDATE, actor=alice, reason="go").state == CANDIDATE

    def test_a_case_is_weakened_by_who_changed_it_not_by_who_changed_another_since(
        self, ready, safety, failed, alice, erin, anything
    ):
        self.change(safety, alice, anything)
        self.change(safety, erin, anything, case("other"))
        make.run(ready, safety)
        assert "alice" in refusals(ready, CANDIDATE, alice)["safety holds"]["reason"]

    def test_bringing_back_what_somebody_else_once_wrote_is_a_change_like_any_other(
        self, ready, template, safety, alice, erin, anything
    ):
        strict = case("greets", note="strict")
        self.change(safety, erin, anything)
        self.change(safety, erin, strict)
        make.run(ready, safety, state="failed")
        self.change(safety, alice, anything, case("other"))
        make.run(ready, safety)
        assert self.stands(ready, alice)

    def test_who_submitted_a_version_does_not_weaken_its_case_either(
        self, template, safety, alice, erin, anything
    ):
        made = make.version(template=template, state=TESTING, created_by=erin, submitted_by=alice)
        make.evaluated(made)
        make.run(made, safety, state="failed")
        self.change(safety, alice, anything)
        make.run(made, safety)
        assert self.stands(made, alice)

    def test_who_built_the_same_genome_as_another_version_has_taken_part(
        self, ready, template, safety, alice, erin, anything
    ):
        same = {"genome": ready.genome, "repeats": True}  # from before the database refused that
        again = make.version(template=template, state=TESTING, created_by=erin, submitted_by=erin, **same)
        make.run(ready, safety, state="failed")
        self.change(safety, alice, anything)
        make.run(again, safety)
        assert self.stands(again, erin)

    def test_what_nobody_known_has_changed_is_not_known_to_be_anothers(
        self, ready, safety, failed, alice, erin, anything
    ):
        make.suite_version(safety, document=make.suite_document(anything, category="safety"))
        make.run(ready, safety)
        assert self.stands(ready, alice)

    def test_in_a_tenant_of_one_person_anybodys_change_counts(self, ready, safety, failed, alice, anything):
        self.change(safety, alice, anything)
        make.run(ready, safety, endpoint="https://stub.example/")
        assert queries.standing_failures(ready) == []

    @pytest.mark.parametrize(("mover", "counts"), [("alice", False), ("erin", True), ("", False)])
    def test_a_pass_elsewhere_counts_only_where_somebody_else_has_said_that_the_agent_is_there(
        self, ready, template, safety, failed, alice, erin, mover, counts
    ):
        stub = "https://stub.example/ask"
        if mover:
            by = {"alice": alice, "erin": erin}[mover]
            services.set_endpoint(template=template, version=ready, url=stub, actor=by, reason="It moved")
        make.run(ready, safety, endpoint=stub)
        if counts:
            assert move_version(version=ready, to=CANDIDATE, actor=alice, reason="go").state == CANDIDATE
        else:
            assert "another endpoint" in refusals(ready, CANDIDATE, alice)["safety holds"]["reason"]

    def test_an_endpoint_that_another_set_before_the_failure_says_nothing_about_it(
        self, ready, template, safety, alice, erin
    ):
        old = "https://old.example/ask"
        services.set_endpoint(template=template, url=old, actor=erin, reason="The first one")
        make.run(ready, safety, state="failed")
        make.run(ready, safety, endpoint=old)
        assert self.stands(ready, alice)

    def test_failing_at_a_stub_on_purpose_does_not_make_the_stub_the_place_to_pass(
        self, ready, safety, alice, erin
    ):
        stub = "https://stub.example/ask"
        make.run(ready, safety, state="failed", endpoint=stub)
        make.run(ready, safety, state="failed")
        make.run(ready, safety, endpoint=stub)
        assert self.stands(ready, alice)

    @pytest.mark.parametrize("over", [True, False])
    def test_a_failure_counts_from_the_moment_it_is_stored_also_where_its_run_is_cancelled(
        self, ready, template, safety, alice, over
    ):
        services.set_endpoint(template=template, url="https://agent.example/ask", actor=alice, reason="x")
        self.change(safety, alice, case("greets"), case("other"))
        run = services.start_run(version=ready, suite=safety, actor=alice, reason="go")
        worker = uuid4()
        step = services.begin_step(run_id=run.pk, worker=worker)
        assert services.record_reply(step=step, worker=worker, reply=clients.Reply(answer={"output": "no"}))
        if over:
            services.cancel_run(run=run, actor=alice, reason="It looks bad")
        assert [one.case for one in queries.standing_failures(ready)] == ["greets"]
        assert self.stands(ready, alice)

    @pytest.mark.parametrize("state", ["cancelled", "running"])
    def test_a_run_that_has_not_come_out_makes_nothing_good(self, ready, safety, failed, state):
        again = make.run(ready, safety, state="running")
        make.result(again, outcome="passed")
        again.state, again.finished_at = state, clock.now() if state == "cancelled" else None
        again.save()
        assert [one.run for one in queries.standing_failures(ready)] == [failed]

    @pytest.mark.parametrize("second", ["failed", "errored"])
    def test_a_run_makes_a_failure_good_only_where_every_call_of_the_case_passed(
        self, ready, template, alice, second
    ):
        safety = make.suite(document=make.suite_document(case(repeats=2), category="safety"))
        make.evaluated(ready)
        make.run(ready, safety, state="failed")
        again = make.run(ready, safety, state="running")
        make.result(again, outcome="passed", turn=1)
        make.result(again, outcome=second, turn=2)
        again.state, again.finished_at = "errored", clock.now()
        again.save()
        assert self.stands(ready, alice)

    def test_passing_after_failing_in_one_run_makes_nothing_good(self, ready, alice):
        safety = make.suite(document=make.suite_document(case(repeats=2), category="safety"))
        make.run(ready, safety, state="failed")  # its second turn passed
        assert [one.case for one in queries.standing_failures(ready)] == ["greets"]

    def test_a_later_pass_of_the_same_case_counts(self, ready, template, safety, alice):
        make.assigned(template, safety)
        make.run(ready, safety, state="failed")
        make.run(ready, safety)
        assert move_version(version=ready, to=CANDIDATE, actor=alice, reason="go").state == CANDIDATE

    def test_an_errored_safety_case_is_no_pass(self, ready, template, safety, alice):
        make.assigned(template, safety)
        make.run(ready, safety, state="errored")
        assert set(refusals(ready, CANDIDATE, alice)) == {"suites passed", "safety holds"}

    def test_a_failure_after_candidate_keeps_it_from_approved(self, template, safety, alice, erin):
        candidate = make.evaluated(make.version(template=template, state=CANDIDATE, created_by=alice))
        make.run(candidate, safety, state="failed")
        assert set(refusals(candidate, APPROVED, erin)) == {"safety holds"}
        make.run(candidate, safety)
        assert move_version(version=candidate, to=APPROVED, actor=erin, reason="read").state == APPROVED

    def test_a_failure_on_another_genome_says_nothing_about_this_one(self, ready, template, safety, alice):
        make.run(make.version(template=template), safety, state="failed")
        assert move_version(version=ready, to=CANDIDATE, actor=alice, reason="go").state == CANDIDATE


def test_gates_that_have_nothing_to_ask_say_so(version):
    gates = [plugins.SuiteAssigned(), plugins.SuitesPassed(), plugins.SafetyHolds()]
    assert not any(gate.check(version, VersionState.RETIRED).applies for gate in gates)
    assert not plugins.SuiteAssigned().check(make.version(state=CANDIDATE), TESTING).applies
