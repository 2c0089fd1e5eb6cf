"""No version becomes a candidate that is worse than its agent's baseline, and candidates go back when the bar is raised."""

from fractions import Fraction

import pytest

from arm import clock
from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right
from evaluation import services, tasks
from evaluation.models import Baseline, Run
from evaluation.plugins.baselines import NotWorse
from evaluation.scoring import read_suite
from evaluation.scoring.baselines import cases_of, compare
from registry import tasks as registry_tasks
from registry.lifecycle import VersionState
from registry.models import AgentVersion
from tests import make
from tests.evaluation.suites import case, suite

pytestmark = pytest.mark.django_db
TESTING, CANDIDATE = VersionState.TESTING, VersionState.CANDIDATE
TEN = [case(f"case {n}", severity="warning") for n in range(10)]


@pytest.fixture
def template(tenant, alice):
    make.user("bob", member_of=tenant)
    return make.template("refunds", name="Refunds")


@pytest.fixture
def asked(template):
    """A mandatory suite of ten cases that tolerates one of them."""
    document = suite(*TEN, threshold=0.5, tolerance=0.1)
    return make.assigned(template, make.suite("quality", document=document, name="Quality")).suite


def ran(version, asked, passed):
    """A run that passed as a whole, and of whose ten cases the first `passed` did."""
    run = make.run(version, asked, state="running")
    for position in range(len(TEN)):
        make.result(run, "passed" if position < passed else "failed", position=position)
    Run.objects.filter(pk=run.pk).update(state="passed", finished_at=clock.now(), passed=passed)
    run.refresh_from_db()
    return run


def check(version, to=CANDIDATE):
    return NotWorse().check(AgentVersion.objects.select_related("template", "genome").get(pk=version.pk), to)


def state_of(version):
    return AgentVersion.objects.get(pk=version.pk).state


def test_without_a_baseline_it_passes_and_says_so(template, asked):
    first = make.version(template=template, state=TESTING)
    ran(first, asked, 5)
    assert check(first).passed and "no baseline yet" in check(first).reason
    assert not check(first, VersionState.APPROVED).applies


def test_what_is_worse_than_the_newest_approved_version_is_refused_with_both_scores(template, asked):
    old, approved = make.approved(template=template), make.approved(template=template)
    ran(old, asked, 1)
    ran(approved, asked, 9)
    new = make.version(template=template, state=TESTING)
    run = ran(new, asked, 7)
    verdict = check(new)
    assert not verdict.passed and verdict.mend == run.get_absolute_url()
    assert verdict.reason == (
        "“Quality”: 70 % here, 90 % at the baseline (Refunds v2): 20 points less; the suite tolerates 10 points."
    )


def test_what_falls_behind_by_no_more_than_the_suite_tolerates_passes(template, asked):
    ran(make.approved(template=template), asked, 9)
    new = make.version(template=template, state=TESTING)
    ran(new, asked, 8)
    assert check(new).passed


def test_an_optional_suite_holds_nobody_up(template):
    optional = make.assigned(
        template, make.suite("extra", document=suite(*TEN, threshold=0.1)), mandatory=False
    ).suite
    ran(make.approved(template=template), optional, 9)
    new = make.version(template=template, state=TESTING)
    ran(new, optional, 2)
    assert check(new).passed


def test_only_cases_that_both_were_asked_are_compared(template, asked):
    ran(make.approved(template=template), asked, 10)
    changed = [*TEN[:8], *(case(f"harder {n}", severity="warning") for n in range(2))]
    make.suite_version(asked, document=suite(*changed, threshold=0.5, tolerance=0.1))
    new = make.version(template=template, state=TESTING)
    ran(new, asked, 8)  # both harder ones failed
    assert check(new).passed and "100 % here, 100 %" in check(new).reason


def test_cases_that_only_inform_and_cases_of_which_one_call_failed_are_counted_as_the_scoring_does():
    rows = [
        ("a", "1", "warning", "passed"),
        ("a", "1", "warning", "failed"),
        ("b", "2", "blocker", "passed"),
        ("c", "3", "info", "failed"),
    ]
    found = cases_of(rows)
    assert found == {("a", "1"): False, ("b", "2"): True}
    compared = compare(found, {("a", "1"): True, ("b", "2"): True})
    assert compared is not None and (compared.here, compared.baseline) == (Fraction(1, 2), Fraction(1))
    assert compared.worse(0.49) and not compared.worse(0.5)
    assert compare(found, {("z", "9"): True}) is None


def test_a_person_pins_another_run_and_candidates_that_are_worse_go_back(tenant, template, asked, alice):
    low = ran(make.approved(template=template), asked, 6)
    high = ran(make.approved(template=template), asked, 10)
    candidate = make.version(template=template, state=CANDIDATE)
    ran(candidate, asked, 7)
    services.pin_baseline(run=low, actor=alice, reason="a fair one")
    assert check(candidate).passed and "(Refunds v1, pinned)" in check(candidate).reason
    services.pin_baseline(run=high, actor=alice, reason="the best one")
    assert Baseline.objects.filter(until=None).get().run == high
    registry_tasks.something_changed(tenant_id=tenant.pk, template_id=str(template.pk))
    assert state_of(candidate) == TESTING
    record = ChangeRecord.objects.filter(verb="evaluation.baseline.pinned").first()
    assert (record.before, record.after) == ({"run": low.typeid}, {"run": high.typeid})


def test_a_pin_that_ends_gives_way_to_the_newest_approved_version(template, asked, alice):
    low = ran(make.approved(template=template), asked, 6)
    ran(make.approved(template=template), asked, 10)
    held = services.pin_baseline(run=low, actor=alice, reason="a fair one")
    services.end_baseline(baseline=held, actor=alice, reason="no more")
    new = make.version(template=template, state=TESTING)
    ran(new, asked, 7)
    assert "100 % at the baseline (Refunds v2)" in check(new).reason
    with pytest.raises(Conflict, match="already ended"):
        services.end_baseline(baseline=held, actor=alice, reason="again")


def test_a_better_version_that_is_approved_sends_back_a_candidate_that_is_worse(tenant, template, asked):
    candidate = make.version(template=template, state=CANDIDATE)
    ran(candidate, asked, 7)
    better = make.approved(template=template)
    ran(better, asked, 10)
    assert tasks.version_moved(tenant_id=tenant.pk, version_id=str(better.pk)) == 1
    assert state_of(candidate) == TESTING
    lost = ChangeRecord.objects.about(candidate).filter(verb="registry.version.moved").first().after["lost"]
    assert "not worse than the baseline" in [one["gate"] for one in lost]


def test_only_a_run_that_passed_is_pinned_and_only_by_who_may_edit_suites(tenant, template, asked, alice):
    failed = make.run(make.approved(template=template), asked, state="failed")
    with pytest.raises(Conflict, match="only one that passed"):
        services.pin_baseline(run=failed, actor=alice, reason="r")
    good = ran(make.approved(template=template), asked, 6)
    mallory = make.user("mallory", member_of=tenant)
    make.grant(mallory, tenant, Right.READ_DIRECTORY)
    with pytest.raises(NotAllowed):
        services.pin_baseline(run=good, actor=mallory, reason="r")


def test_nobody_chooses_the_baseline_of_a_version_that_they_have_on_its_way(template, asked, alice):
    good = ran(make.approved(template=template), asked, 6)
    make.version(template=template, state=TESTING, created_by=alice)
    with pytest.raises(NotAllowed, match="somebody else chooses its baseline"):
        services.pin_baseline(run=good, actor=alice, reason="easier")


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"tolerance": 1}, "/tolerance"),
        ({"tolerance": -0.1}, "/tolerance"),
        ({"tolerance": "0"}, "/tolerance"),
    ],
)
def test_a_tolerance_that_there_cannot_be_is_refused(members, pointer):
    with pytest.raises(Invalid) as refused:
        read_suite(suite(**members))
    assert [one["pointer"] for one in refused.value.errors] == [pointer]


def test_a_safety_suite_tolerates_nothing():
    with pytest.raises(Invalid) as refused:
        read_suite(suite(category="safety", tolerance=0.1))
    assert [one["code"] for one in refused.value.errors] == ["safety"]


def test_pages_and_api_pin_and_let_go(template, asked, alice, client):
    run = ran(make.approved(template=template), asked, 6)
    client.force_login(alice)
    page = f"/evaluation/runs/{run.typeid}/"
    assert "Make it the baseline" in client.get(page).content.decode()
    assert client.post(f"{page}baseline/", {"reason": "fair"}).status_code == 302
    assert "Let the baseline go" in client.get(page).content.decode()
    held = Baseline.objects.get()
    at = "/api/v1/evaluation/baselines/"
    assert [row["run"] for row in client.get(at).json()["results"]] == [run.typeid]
    ended = client.post(f"{at}{held.typeid}/end/", {"reason": "done"}, content_type="application/json")
    assert ended.status_code == 200 and ended.json()["until"]
    again = client.post(at, {"run": run.typeid, "reason": "once more"}, content_type="application/json")
    assert (again.status_code, again.json()["run"]) == (201, run.typeid)
    new = make.version(template=template, state=TESTING)
    ran(new, asked, 4)
    shown = client.get(new.get_absolute_url()).content.decode()
    assert "40 % here, 60 % at the baseline (Refunds v1, pinned)" in shown
