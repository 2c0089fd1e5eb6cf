"""Each step of a rollout waits for what it was planned with: its own time, its own facts, its own limits, a person's yes."""

from datetime import UTC, datetime, timedelta
from html import unescape
from typing import ClassVar

import pytest
from django.db import IntegrityError, connection, transaction
from django.urls import reverse

from arm import clock
from arm.errors import Conflict, Invalid
from arm.models import ChangeRecord
from registry import services
from registry.engine import Fact, StepSays, Terms, asks_person, goes_on, judge, terms_of, wants, wrong_with
from registry.models import Rollback, Rollout, RolloutStep
from tests import make
from tests.registry.releasing import bound, planned, running, started

pytestmark = pytest.mark.django_db
USUAL = Terms(600, ("errors", "incidents"), {"errors": 5.0, "incidents": 0.0, "cost": 150.0})
KNOWN = ("errors", "incidents", "cost", "manual")


class Measured:
    """An app that measures what the test says, and holds it against the limit that it is asked with."""

    names = ("errors", "incidents", "cost")
    seen: ClassVar[dict[str, float]] = {}

    def facts(self, *, limits, **asked):
        return [
            Fact(
                name,
                self.seen[name],
                limits[name],
                self.seen[name] <= limits[name],
                f"{name} {self.seen[name]}.",
            )
            for name in self.names
        ]


@pytest.fixture(autouse=True)
def plugged(settings, monkeypatch):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound"]
    settings.HEALTH_FACTS = ["tests.registry.test_step_terms.Measured"]
    monkeypatch.setattr(Measured, "seen", {"errors": 3.0, "incidents": 0.0, "cost": 120.0})


@pytest.fixture
def slot(rita, old):
    place = make.environment("prod", name="Production")
    return bound(make.slot(environment=place, role=make.role("clerk", name="Clerk")), old, actor=rita)


@pytest.fixture
def api(client, rita):
    client.force_login(rita)

    def post(**body):
        return client.post(
            "/api/v1/registry/rollouts/", {"reason": "go", **body}, content_type="application/json"
        )

    return post


def sweep(rollout, minutes):
    """What the worker does once, that much later than now."""
    with clock.at(clock.now() + timedelta(minutes=minutes)):
        moved = services.advance_rollout(rollout_id=rollout.pk)
    rollout.refresh_from_db()
    return moved


def at_work(rollout):
    """The number of the step that bakes."""
    return rollout.steps.get(state="baking").number


# the rules


def test_a_step_says_what_it_waits_for_and_the_rollout_says_the_rest():
    assert terms_of(USUAL, StepSays()) == USUAL
    own = terms_of(USUAL, StepSays(60, ["cost", "cost"], {"cost": 110}))
    assert own == Terms(60, ("cost",), {"errors": 5.0, "incidents": 0.0, "cost": 110})
    assert terms_of(USUAL, StepSays(health_gates=[])).gates == (), "nobody's word: a person's"
    assert terms_of(USUAL, StepSays(limits={"errors": 1})).gates == USUAL.gates
    assert USUAL.limits["errors"] == 5.0


@pytest.mark.parametrize(
    ("says", "pointer", "code"),
    [
        ([StepSays(), StepSays(), StepSays(bake_seconds=-1)], "/steps/2/bake_seconds", "range"),
        ([StepSays(bake_seconds=14 * 86_400 + 1)], "/steps/0/bake_seconds", "range"),
        ([StepSays(health_gates=["errors", "luck"])], "/steps/0/health_gates/1", "enum"),
        ([StepSays(limits={"errors": float("nan")})], "/steps/0/limits/errors", "range"),
        ([StepSays(limits={"a/b": 1})], "/steps/0/limits/a~1b", "range"),
        ([StepSays(limits={"cost": 100})], "/steps/0/limits/cost", "unasked"),
        ([StepSays(health_gates=["manual"], limits={"errors": 1})], "/steps/0/limits/errors", "unasked"),
        ([StepSays()] * 3 + [StepSays()], "/steps/3", "plan"),
    ],
)
def test_what_is_wrong_with_a_step_is_named_where_it_stands(says, pointer, code):
    (problem,) = wrong_with(says, USUAL, planned=3, known=KNOWN)
    assert (problem["pointer"], problem["code"]) == (pointer, code)


def test_everything_that_is_wrong_is_named_at_once():
    says = [StepSays(-1, ["luck"]), StepSays(limits={"cost": 1}), StepSays()]
    assert len(wrong_with(says, USUAL, planned=2, known=KNOWN)) == 4
    assert wrong_with([StepSays(0, ["cost", "manual"], {"cost": 0})], USUAL, planned=1, known=KNOWN) == []


def test_a_persons_yes_is_no_fact_and_no_fact_stands_in_for_it():
    good, bad = Fact("errors", 1, 5, True, "."), Fact("errors", 9, 5, False, ".")
    assert judge([good], ["errors", "manual"]) == "healthy"
    assert judge([bad], ["errors", "manual"]) == "unhealthy"
    assert judge([], ["manual"]) == judge([], []) == "unknown"
    assert goes_on("healthy", ["errors"]) and not goes_on("healthy", ["errors", "manual"])
    assert not goes_on("unknown", ["errors"]) and asks_person([]) and not asks_person(["errors"])


def test_what_a_step_waits_for_is_told_with_what_of_it_there_is():
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    terms = Terms(5400, ("errors", "manual"), {"errors": 1.5})

    def told(state, due, facts=(), by=""):
        found = wants(terms, state=state, due_at=due, facts=facts, confirmed_by=by, now=now)
        return [(one.gate, one.met) for one in found], " ".join(one.said for one in found)

    met, said = told("waiting", None)
    assert met == [("bake", None), ("errors", None), ("manual", None)]
    assert said == "Bakes 90 minutes. Calls that fail, at most 1.5 %. A person's yes."
    met, said = told("baking", now + timedelta(minutes=5))
    assert met[0] == ("bake", None) and "until 2026-01-01 12:05 UTC" in said
    fact = {"name": "errors", "ok": False, "sentence": "2 of 9 failed."}
    met, said = told("baking", now, [fact])
    assert met == [("bake", True), ("errors", False), ("manual", None)] and "2 of 9 failed." in said
    assert told("passed", now, [fact | {"ok": True}], "Rita")[0] == [
        ("bake", True), ("errors", True), ("manual", True),
    ]  # fmt: skip
    assert told("stopped", now - timedelta(hours=1))[0][0] == ("bake", None), (
        "it was stopped, whenever it was due"
    )


# the service and the worker


def canary(slot, new, rita, *steps, **more):
    usual = {"strategy": "canary", "percents": [10, 50, 100], "health_gates": ["errors", "incidents"]}
    return started(slot, new, rita, **usual | more, steps=steps)


def test_the_worker_goes_on_after_each_steps_own_time(slot, rita, new):
    rollout = canary(slot, new, rita, StepSays(bake_seconds=60), StepSays(bake_seconds=7200))
    assert not sweep(rollout, 0.5)
    assert sweep(rollout, 2) and at_work(rollout) == 2
    assert not sweep(rollout, 100), "ten minutes are the rollout's, two hours are the step's"
    assert sweep(rollout, 130) and at_work(rollout) == 3
    assert not sweep(rollout, 135) and sweep(rollout, 150) and rollout.state == "completed"


def test_the_worker_judges_each_step_by_its_own_limits(slot, rita, new):
    Measured.seen["errors"] = 8.0
    rollout = canary(slot, new, rita, StepSays(limits={"errors": 10}), StepSays(limits={"errors": 9}))
    assert sweep(rollout, 11) and sweep(rollout, 22) and at_work(rollout) == 3
    assert rollout.steps.get(number=1).facts[0]["limit"] == 10
    assert sweep(rollout, 23) and rollout.state == "paused", "the last step has the rollout's 5 %"
    record = ChangeRecord.objects.get(verb="registry.rollout.paused")
    assert (record.after["step"], record.after["limits"]["errors"]) == (3, 5.0)


def test_a_step_asks_only_the_facts_that_it_names(slot, rita, new):
    Measured.seen["errors"] = 90.0
    rollout = canary(slot, new, rita, StepSays(health_gates=["cost"]))
    assert sweep(rollout, 11) and at_work(rollout) == 2, "the first step asks for the cost alone"
    assert [fact["name"] for fact in rollout.steps.get(number=1).facts] == ["cost"]
    assert sweep(rollout, 12) and rollout.state == "paused" and "errors 90" in rollout.said


def test_a_healthy_step_that_asks_for_a_persons_yes_waits_for_it(slot, rita, new):
    rollout = canary(slot, new, rita, StepSays(health_gates=["errors", "manual"]))
    assert sweep(rollout, 11) and rollout.waits_for_person and at_work(rollout) == 1
    assert rollout.steps.get(number=1).health == "healthy"
    with clock.at(clock.now() + timedelta(minutes=12)):
        rollout = services.confirm_step(rollout=rollout, step=1, actor=rita, reason="read the answers")
    assert at_work(rollout) == 2 and rollout.steps.get(number=1).confirmed_by == str(rita)
    assert sweep(rollout, 30) and at_work(rollout) == 3, "the next one asks nobody"


def test_no_person_says_yes_to_what_the_steps_own_limit_speaks_against(slot, rita, new):
    rollout = canary(slot, new, rita, StepSays(health_gates=["errors", "manual"], limits={"errors": 2}))
    with clock.at(clock.now() + timedelta(minutes=12)), pytest.raises(Conflict, match="unhealthy: errors 3"):
        services.confirm_step(rollout=rollout, step=1, actor=rita, reason="looks good")


def test_batches_of_a_phased_rollout_wait_for_their_own_too(slot, rita, old, new):
    other = bound(make.slot(environment=slot.environment, role=slot.role), old, actor=rita)
    says = [StepSays(bake_seconds=60, limits={"errors": 4})]
    rollout = started(
        [slot, other], new, rita, strategy="phased", batch_size=1, health_gates=["errors"], steps=says
    )
    assert sweep(rollout, 2) and at_work(rollout) == 2
    assert [(step.bake_seconds, step.limits["errors"]) for step in rollout.steps.all()] == [
        (60, 4.0),
        (600, 5.0),
    ]


def test_a_plan_that_says_nothing_of_steps_gives_all_of_them_the_same(slot, rita, new):
    rollout = planned(
        slot, new, rita, strategy="canary", percents=[5, 100], health_gates=["cost"], limits={"cost": 130}
    )
    assert {(step.bake_seconds, *step.gates, step.limits["cost"]) for step in rollout.steps.all()} == {
        (600, "cost", 130.0)
    }
    record = ChangeRecord.objects.get(verb="registry.rollout.planned")
    assert record.after["steps"] == [{"percent": 5, "batch": 1}, {"percent": 100, "batch": 1}]
    assert (record.after["bake_seconds"], record.after["limits"]) == (600, {"cost": 130.0})


def test_the_records_say_what_a_step_waited_for(slot, rita, new):
    rollout = canary(slot, new, rita, StepSays(60, ["errors"], {"errors": 4}))
    own = {"step": 1, "bake_seconds": 60, "gates": ["errors"], "limits": {"errors": 4}}
    record = ChangeRecord.objects.get(verb="registry.rollout.planned")
    assert record.after["steps"][0] == {"percent": 10, "batch": 1, **own}
    assert record.after["steps"][1] == {"percent": 50, "batch": 1}, (
        "what is as the rollout has it is said once"
    )
    sweep(rollout, 2)
    after = ChangeRecord.objects.get(verb="registry.rollout.advanced").after
    assert {name: after[name] for name in own} == own and after["health"] == "healthy"


def test_a_refused_plan_leaves_nothing(slot, rita, new):
    with pytest.raises(Invalid) as refused:
        canary(slot, new, rita, StepSays(bake_seconds=-1), StepSays(health_gates=["luck"]))
    assert [problem["pointer"] for problem in refused.value.errors] == [
        "/steps/0/bake_seconds", "/steps/1/health_gates/0",
    ]  # fmt: skip
    assert not Rollout.objects.exists() and not RolloutStep.objects.exists()


@pytest.mark.parametrize("change", [{"gates": []}, {"limits": {"errors": 99}}, {"bake_seconds": 0}])
def test_the_database_keeps_what_a_step_was_planned_with(slot, rita, new, change):
    rollout = canary(slot, new, rita)
    with pytest.raises(IntegrityError, match="frozen"), transaction.atomic():
        rollout.steps.filter(number=2).update(**change)


def test_the_database_takes_no_terms_of_another_shape(slot, rita, new):
    rollout = planned(slot, new, rita)
    step = {"tenant_id": rollout.tenant_id, "rollout": rollout, "number": 9}
    for wrong in ({"gates": {}}, {"limits": []}, {"bake_seconds": 14 * 86_400 + 1}):
        with pytest.raises(IntegrityError, match="step_"), transaction.atomic():
            RolloutStep.objects.create(**step, **wrong)
    assert connection.is_usable()


def test_a_rollbacks_dossier_tells_how_what_it_left_had_come_in(slot, rita, old, new):
    running(slot, old, 2)
    rollout = canary(slot, new, rita, StepSays(60, ["errors", "manual"], {"errors": 4}), percents=[10, 100])
    with clock.at(clock.now() + timedelta(minutes=2)):
        rollout = services.confirm_step(rollout=rollout, step=1, actor=rita, reason="read the answers")
    assert sweep(rollout, 13) and rollout.state == "completed"
    slot.refresh_from_db()
    with clock.at(clock.now() + timedelta(minutes=20)):
        services.roll_back_slot(slot=slot, actor=rita, reason="It lies", drain="at_once")
    (told,) = Rollback.objects.get().dossier["rollouts"]
    assert (told["rollout"], told["state"]) == (rollout.typeid, "completed")
    first, last = told["steps"]
    assert (first["gates"], first["limits"], first["bake_seconds"]) == (
        ["errors", "manual"],
        {"errors": 4},
        60,
    )
    assert (first["percent"], first["confirmed"], last["confirmed"], last["state"]) == (
        10,
        True,
        False,
        "passed",
    )


def test_a_dossier_names_the_steps_of_what_it_aborted_as_far_as_they_came(slot, rita, old, new):
    bound(slot, new, actor=rita)
    third = make.approved(template=old.template)
    rollout = canary(slot, third, rita, StepSays(limits={"errors": 4}))
    services.roll_back_slot(slot=slot, leaving=new, actor=rita, reason="It lies", drain="at_once")
    (told,) = Rollback.objects.get().dossier["rollouts"]
    assert (told["rollout"], told["state"]) == (rollout.typeid, "aborted")
    assert [(step["step"], step["state"], step["limits"]["errors"]) for step in told["steps"]] == [
        (1, "stopped", 4)
    ]


# the API


def test_the_api_takes_and_shows_what_each_step_waits_for(api, slot, new):
    made = api(
        slots=[slot.typeid], version=new.typeid, strategy="canary", percents=[5, 50, 100], bake_seconds=300,
        health_gates=["errors"], steps=[{"bake_seconds": 60}, {"health_gates": ["cost", "manual"], "limits": {"cost": 110}}],
    )  # fmt: skip
    assert made.status_code == 201, made.json()
    first, second, third = made.json()["steps"]
    assert (first["bake_seconds"], first["gates"]) == (60, ["errors"])
    assert (second["bake_seconds"], second["gates"], second["limits"]["cost"]) == (
        300,
        ["cost", "manual"],
        110,
    )
    assert [one["gate"] for one in second["waits_for"]] == ["bake", "cost", "manual"]
    assert {one["met"] for one in second["waits_for"]} == {None}
    assert third["limits"]["errors"] == 5 and third["waits_for"][0]["said"] == "Bakes 5 minutes."


@pytest.mark.parametrize(
    ("steps", "pointer"),
    [
        ([{}, {}, {"bake_seconds": -5}], "/steps/2/bake_seconds"),
        ([{}, {}, {"bake_seconds": "soon"}], "/steps/2/bake_seconds"),
        ([{"bake_seconds": 10**12}], "/steps/0/bake_seconds"),
        ([{"health_gates": ["errors", "luck"]}], "/steps/0/health_gates/1"),
        ([{}, {"limits": {"errors": "nan"}}], "/steps/1/limits/errors"),
        ([{}, {"limits": {"errors": "many"}}], "/steps/1/limits/errors"),
        ([{}, {"limits": {"evaluation": 1}}], "/steps/1/limits/evaluation"),
        ([{}, {"limits": {"cost": 100}}], "/steps/1/limits/cost"),
        ([{}, {"percent": 50}], "/steps/1/percent"),
        ([{}, {}, {}, {}], "/steps/3"),
        ([{}, 5], "/steps/1"),
        ({"bake_seconds": 5}, "/steps"),
        ("2: bake 5", "/steps"),
    ],
)
def test_a_wrong_step_is_answered_with_where_and_nothing_is_stored(api, slot, new, steps, pointer):
    answer = api(
        slots=[slot.typeid], version=new.typeid, strategy="canary", percents=[5, 50, 100],
        health_gates=["errors"], steps=steps,
    )  # fmt: skip
    assert answer.status_code == 422, answer.content
    assert {error["pointer"].removesuffix("/non_field_errors") for error in answer.json()["errors"]} == {
        pointer
    }
    assert not Rollout.objects.exists()


# the pages


def plan_by_form(client, slot, new, **more):
    usual = {
        "reason": "go", "slots": [str(slot.pk)], "version": new.typeid, "strategy": "canary", "percents": "10, 50, 100",
        "bake": 10, "batch_size": 1, "reaction": "pause", "health_gates": ["errors"],
    }  # fmt: skip
    return client.post(reverse("registry:rollout_plan", args=[slot.typeid]), usual | more)


def test_the_form_plans_steps_that_wait_for_something_else(client, slot, rita, new):
    client.force_login(rita)
    page = unescape(client.get(reverse("registry:rollout_plan", args=[slot.typeid])).content.decode())
    assert "A person's yes" in page and "Steps that wait for something else" in page
    said = "1: bake 60, errors 1.5 %, manual\n\n3: bake 0"
    answer = plan_by_form(client, slot, new, steps=said, most_errors="4")
    assert answer.status_code == 302, answer.content.decode()
    first, second, third = Rollout.objects.get().steps.all()
    assert (first.bake_seconds, first.gates, first.limits["errors"]) == (3600, ["errors", "manual"], 1.5)
    assert (second.bake_seconds, second.gates, second.limits["errors"]) == (600, ["errors"], 4.0)
    assert (third.bake_seconds, third.gates) == (0, ["errors"])


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("bake 5", "does not begin with the number of a step"),
        ("0: bake 5", "does not begin with the number of a step"),
        ("1: bake 5\n1: manual", "something is said of step 1 already"),
        ("1: bake soon", "bake takes whole minutes"),
        ("1: bake 99999999", "bake takes whole minutes"),
        ("1: luck", "luck is neither bake nor one of errors, incidents, cost, manual"),
        ("1: errors nan", "A limit is a number, not below zero"),
        ("1: errors 1 2", "the limit of errors is one number"),
        ("1: manual 3", "A limit is one of errors"),
        ("9" * 5000 + ": bake 1", "does not begin with the number of a step"),
        ("1: bake " + "9" * 5000, "bake takes whole minutes"),
        ("1: bake 10, bake 20", "bake is said twice"),
        ("1: errors 1, errors 2", "errors is said twice"),
        ("4: bake 5", "The plan has 3 steps; nothing can be said of a step 4"),
    ],
)
def test_the_form_says_which_line_is_wrong_and_keeps_what_was_typed(client, slot, rita, new, said, words):
    client.force_login(rita)
    answer = plan_by_form(client, slot, new, steps=said)
    assert answer.status_code == 422 and words in answer.content.decode()
    assert said.splitlines()[0] in answer.content.decode() and not Rollout.objects.exists()


def test_a_paused_step_bakes_anew_whatever_time_has_passed(slot, rita, new):
    rollout = canary(slot, new, rita, StepSays(600, ["errors"]))
    rollout = services.pause_rollout(rollout=rollout, actor=rita, reason="wait")
    with clock.at(clock.now() + timedelta(hours=1)):
        bakes, *_ = rollout.steps.get(number=1).waits_for
    assert (bakes.met, bakes.said) == (None, "Bakes 10 minutes, anew once the rollout is resumed.")


def test_the_page_shows_what_each_step_waits_for_and_what_is_missing(client, slot, rita, new):
    client.force_login(rita)
    rollout = canary(
        slot, new, rita, StepSays(3600, ["errors", "manual"], {"errors": 4}), StepSays(health_gates=["cost"])
    )
    sweep(rollout, 1)
    page = client.get(rollout.get_absolute_url()).content.decode()
    assert "Bakes 1 hour, until" in page and "Calls that fail, at most 4 %. errors 3.0." in page
    assert (
        "What a call costs, at most 150 % of what it cost before." in page and "A person&#x27;s yes." in page
    )
    assert "steps 1, 2 wait for something else" in page
    assert sweep(rollout, 61) and rollout.waits_for_person
    with clock.at(clock.now() + timedelta(minutes=62)):
        page = client.get(rollout.get_absolute_url()).content.decode()
        assert "goes on with a person" in page
        form = client.get(reverse("registry:rollout_confirm", args=[rollout.typeid])).content.decode()
    assert "Bakes 1 hour." in form and "errors 3.0." in form


def test_the_page_names_a_step_that_only_bakes_for_another_time(client, slot, rita, new):
    client.force_login(rita)
    same = StepSays(600, ["errors", "incidents"])
    rollout = canary(slot, new, rita, StepSays(), StepSays(bake_seconds=3600), same)
    page = client.get(rollout.get_absolute_url()).content.decode()
    assert "step 2 waits for something else" in page, "the third says what the rollout says"
