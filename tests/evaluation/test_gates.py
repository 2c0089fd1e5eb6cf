"""What stands between a version and its next state: suites that are assigned, run, and passed on this very genome."""

import pytest

from evaluation import plugins, services
from evaluation.models import Assignment
from registry.gates import GateRefused
from registry.lifecycle import VersionState
from registry.services import move_version
from tests import make

pytestmark = pytest.mark.django_db
TESTING, CANDIDATE, APPROVED = VersionState.TESTING, VersionState.CANDIDATE, VersionState.APPROVED


@pytest.fixture
def tenant():
    return make.tenant("acme")


@pytest.fixture
def alice(tenant):
    return make.everything(make.user("alice", member_of=tenant), tenant)


@pytest.fixture
def erin(tenant):
    return make.everything(make.user("erin", member_of=tenant), tenant)


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
