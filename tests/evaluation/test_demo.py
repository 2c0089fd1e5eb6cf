"""The demo's suites tell its good answers from its bad ones, each by itself."""

import pytest

from evaluation.demo import CASES, SUITES
from evaluation.scoring import judge, read_suite


@pytest.mark.parametrize(("cases", "answers"), [row[3:] for row in SUITES], ids=[row[0] for row in SUITES])
def test_one_bad_answer_is_enough_to_fail_a_suite_of_the_demo(cases, answers):
    suite = read_suite(CASES[cases])
    assert {case.name for case in suite.cases} == answers.keys()

    def outcome(bad):
        results = []
        for case in suite.cases:
            answer = answers[case.name][case.name == bad]
            passed = all(verdict.passed for verdict in case.judge(answer))
            results.append((case.name, case.severity, "passed" if passed else "failed"))
        return judge(suite.category, suite.threshold, results).outcome

    assert outcome("") == "passed"
    assert {outcome(case.name) for case in suite.cases} == {"failed"}
