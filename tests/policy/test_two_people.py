"""Production and a whole tenant are stopped by two people, and what two have stopped, two let go again."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction

from arm import changes, clock
from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import ApiKey, ChangeRecord, TenantUserGrant, User
from arm.rights import Right
from policy import services
from policy.engine import Mode
from policy.lifecycle import RestrictionState
from policy.models import Posture, RestrictionDecision, RestrictionRequest
from policy.services import ApprovalNeeded, SecondPersonNeeded
from policy.tasks import expire_everywhere
from registry.services import Duplicate
from telemetry.models import Incident
from tests import make
from tests.policy.people import CAST, hire

pytestmark = pytest.mark.django_db


@pytest.fixture
def people(acme):
    """Dan and Judy may stop anything; Grace, Ivan and Erin may only ask; Carol stops single agents."""
    return hire(acme, **CAST, ivan="finops", carol="release_manager", heidi="auditor")


@pytest.fixture
def prod(acme):
    return make.environment("prod", name="Production")


@pytest.fixture
def ask(people):
    def ask(name, scope, mode=Mode.PAUSED, reason="It pays twice.", **kw):
        return services.request_restriction(
            scope=scope, mode=mode, actor=people[name], reason_code="misbehaves", reason=reason, **kw
        )

    return ask


@pytest.fixture
def confirm(people):
    def confirm(name, request, digest=None):
        return services.confirm_restriction(
            request=request, actor=people[name], digest=digest or request.digest
        )

    return confirm


@pytest.fixture
def stopped(ask, confirm, prod):
    """Production, stopped by Dan and Judy."""

    def stopped(mode):
        return confirm("judy", ask("dan", prod, mode)).posture

    return stopped


def later(minutes):
    return clock.at(clock.now() + timedelta(minutes=minutes))


# --- one is not enough ---------------------------------------------------------------------------------------


def test_one_person_stops_neither_production_nor_the_tenant_and_is_told_who_could_help(acme, prod, people):
    for scope in (acme, prod):
        with pytest.raises(SecondPersonNeeded) as refusal:
            services.set_posture(scope=scope, mode=Mode.PAUSED, actor=people["dan"], reason="It pays twice.")
        assert refusal.value.extra == {"needs": 2, "have": 1, "who_may": ("judy",)}
    assert not Posture.objects.exists()


def test_one_tool_of_production_takes_two_as_well(prod, people):
    with pytest.raises(SecondPersonNeeded):
        services.set_posture(
            scope=prod, mode=Mode.PAUSED, actor=people["dan"], reason="It pays twice.", tool="payment"
        )


def test_a_rule_of_arm_does_not_stop_production(acme, prod):
    for scope in (acme, prod):
        with pytest.raises(NotAllowed):
            services.set_posture(scope=scope, mode=Mode.PAUSED, actor=None, reason="A limit was passed.")


def test_in_a_tenant_of_one_person_they_stop_it_at_once_and_the_record_says_so(acme, prod):
    olga = make.everything(make.user("olga", member_of=acme), acme)
    posture = services.set_posture(scope=prod, mode=Mode.PAUSED, actor=olga, reason="It pays twice.")
    assert ChangeRecord.objects.about(posture).get().after["sod_mode"] == "reduced"


def test_one_person_still_stops_an_agent_or_a_template_at_once(prod, people):
    instance = make.instance(environment=prod)
    for scope in (instance, instance.template, make.environment("staging")):
        assert services.set_posture(
            scope=scope, mode=Mode.PAUSED, actor=people["dan"], reason="It pays twice."
        ).in_force


def test_who_may_stop_it_at_once_is_told_to_do_so(ask):
    with pytest.raises(Conflict, match="You may stop"):
        ask("dan", make.instance())


# --- two are ---------------------------------------------------------------------------------------------------


def test_the_second_persons_yes_stops_it_in_the_same_moment(ask, confirm, prod, people):
    instance = make.instance(environment=prod)
    request = ask("dan", prod, Mode.QUARANTINED)
    assert request.state == RestrictionState.REQUESTED and not Posture.objects.exists()
    assert confirm("judy", request).state == RestrictionState.CONFIRMED
    posture = Posture.objects.get()
    assert (posture.target, posture.mode, posture.reason) == (prod, Mode.QUARANTINED, "It pays twice.")
    assert (posture.request.asked_by, posture.set_by) == (people["dan"], people["judy"])
    assert posture.reach["agents"] == 1 and instance.environment == prod
    verbs = ChangeRecord.objects.order_by("pk").values_list("verb", flat=True)
    assert list(verbs) == [
        "policy.restriction.requested",
        "policy.posture.set",
        "policy.restriction.confirmed",
    ]
    record = ChangeRecord.objects.get(verb="policy.posture.set")
    assert record.after["set_by"] == sorted(str(people[name].pk) for name in ("dan", "judy"))
    assert record.links == [request.typeid]


def test_who_asked_does_not_confirm(ask, confirm, prod):
    request = ask("dan", prod)
    with pytest.raises(NotAllowed) as refusal:
        confirm("dan", request)
    assert refusal.value.extra["who_may"] == ("judy",)
    assert not Posture.objects.exists() and not RestrictionDecision.objects.exists()


@pytest.mark.parametrize("name", ["grace", "erin", "ivan", "carol", "alice", "vera", "heidi"])
def test_who_may_not_stop_it_does_not_confirm_it(ask, confirm, prod, name):
    request = ask("dan", prod)
    with pytest.raises(NotAllowed) as refusal:
        confirm(name, request)
    assert refusal.value.extra["who_may"] == ("judy",)
    assert not Posture.objects.exists()


def test_a_service_account_neither_asks_nor_confirms(ask, acme, prod):
    robot = make.everything(make.user("robot", member_of=acme, kind=User.Kind.SERVICE), acme)
    with pytest.raises(NotAllowed):
        services.confirm_restriction(request=(r := ask("dan", prod)), actor=robot, digest=r.digest)
    with pytest.raises(NotAllowed):
        services.request_restriction(
            scope=acme, mode=Mode.PAUSED, actor=robot, reason_code="drill", reason="A drill"
        )


def test_a_token_confirms_nothing_whoever_it_acts_as(ask, confirm, prod):
    request = ask("dan", prod)
    key, _ = make.key(ApiKey.Kind.PERSONAL)
    token = changes.credential.set(key.typeid)
    try:
        with pytest.raises(NotAllowed, match="signed in"):
            confirm("judy", request)
    finally:
        changes.credential.reset(token)
    assert confirm("judy", request).state == RestrictionState.CONFIRMED


def test_who_asked_by_a_token_is_no_first_of_two(ask, confirm, prod, people):
    make.grant(make.user("kim", member_of=prod.tenant), prod.tenant, Right.RESTRICT_WIDELY)
    key, _ = make.key(ApiKey.Kind.PERSONAL)
    token = changes.credential.set(key.typeid)
    try:
        request = ask("dan", prod)
    finally:
        changes.credential.reset(token)
    assert confirm("judy", request).state == RestrictionState.REQUESTED
    people["kim"] = User.objects.get(username="kim")
    assert confirm("kim", request).state == RestrictionState.CONFIRMED


# --- who may only ask ------------------------------------------------------------------------------------------

ONE, WIDE, ALL = "one agent", "a template", "production"


@pytest.mark.parametrize(
    ("name", "may"),
    [
        ("grace", {ONE, WIDE, ALL}),
        ("carol", {WIDE, ALL}),  # one agent she stops herself
        ("dan", {ALL}),
        ("judy", {ALL}),
        ("ivan", {ONE}),
        ("erin", {ONE}),
        ("heidi", set()),
        ("vera", set()),
        ("alice", set()),
    ],
)
def test_who_may_ask_for_which_stop(ask, prod, name, may):
    instance = make.instance()
    asked = set()
    for what, scope in ((ONE, instance), (WIDE, instance.template), (ALL, prod)):
        try:
            ask(name, scope)
            asked.add(what)
        except (NotAllowed, Conflict):
            pass
    assert asked == may


def test_one_with_the_right_confirms_what_an_analyst_asked_for(ask, confirm, people):
    template = make.instance().template
    assert confirm("dan", ask("grace", template)).state == RestrictionState.CONFIRMED
    assert Posture.objects.get().set_by == people["dan"]


def test_an_analysts_wish_to_stop_production_takes_two_others(ask, confirm, prod):
    request = ask("grace", prod)
    with later(10):
        assert confirm("dan", request).state == RestrictionState.REQUESTED
        with pytest.raises(Conflict, match="already answered"):
            confirm("dan", request)
    assert not Posture.objects.exists()
    with later(60):  # the first yes has started the second's hour
        assert confirm("judy", request).state == RestrictionState.CONFIRMED
    assert Posture.objects.exists()


def test_whoever_has_lost_the_right_counts_no_more(ask, confirm, prod, people):
    request = ask("dan", prod)
    TenantUserGrant.objects.filter(user=people["dan"]).delete()
    assert confirm("judy", request).state == RestrictionState.REQUESTED
    assert not Posture.objects.exists()


# --- exactly this ----------------------------------------------------------------------------------------------


def test_a_yes_to_something_else_is_refused(ask, confirm, prod):
    with pytest.raises(Conflict, match="not what was asked"):
        confirm("judy", ask("dan", prod), digest="sha256:" + "0" * 64)
    assert not RestrictionDecision.objects.exists()


def test_a_scope_that_has_changed_its_name_is_not_what_was_asked_for(ask, confirm, prod):
    request = ask("dan", prod)
    type(prod).objects.filter(pk=prod.pk).update(name="Production EU")
    with pytest.raises(Conflict, match="not what was asked"):
        confirm("judy", request)


def test_what_became_production_meanwhile_takes_two(ask, confirm):
    staging = make.environment("staging")
    request = ask("grace", staging)
    type(staging).objects.filter(pk=staging.pk).update(production=True)
    assert confirm("dan", request).state == RestrictionState.REQUESTED
    assert not Posture.objects.exists()


@pytest.mark.parametrize(
    "change", [{"mode": "draining"}, {"reason": "other"}, {"tool": "x"}, {"asked_by": None}, {"digest": "x"}]
)
def test_the_database_keeps_what_was_asked_for(ask, prod, change):
    request = ask("dan", prod)
    with pytest.raises(DatabaseError), transaction.atomic():
        RestrictionRequest.objects.filter(pk=request.pk).update(**change)


def test_what_is_over_stays_over(ask, confirm, prod):
    request = confirm("judy", ask("dan", prod))
    for attempt in (
        lambda: RestrictionRequest.objects.update(state="requested", closed_at=None),
        lambda: RestrictionDecision.objects.update(confirm=False),
        lambda: Posture.objects.update(request=None),
        request.delete,
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            attempt()


def test_the_same_wish_twice_is_one_request(ask, prod):
    request = ask("dan", prod)
    with pytest.raises(Duplicate) as refusal:
        ask("grace", prod, reason="I see it, too.")
    assert refusal.value.existing == request
    assert ask("grace", prod, Mode.QUARANTINED)


def test_nobody_asks_for_what_stands(ask, stopped, prod):
    posture = stopped(Mode.PAUSED)
    with pytest.raises(Duplicate) as refusal:
        ask("grace", prod)
    assert refusal.value.existing == posture


def test_a_wish_without_a_reason_or_its_kind_is_refused(prod, people):
    for code, reason, pointer in (("whim", "x", "/reason_code"), ("drill", " ", "/reason")):
        with pytest.raises(Invalid) as refusal:
            services.request_restriction(
                scope=prod, mode=Mode.PAUSED, actor=people["dan"], reason_code=code, reason=reason
            )
        assert refusal.value.errors[0]["pointer"] == pointer


# --- no, never mind, and silence -------------------------------------------------------------------------------


def test_one_no_is_enough(ask, confirm, prod, people):
    request = ask("dan", prod)
    services.decline_restriction(request=request, actor=people["judy"], reason="A drill of mine")
    request.refresh_from_db()
    assert (request.state, request.closed_by) == (RestrictionState.DECLINED, people["judy"])
    with pytest.raises(Conflict):
        confirm("judy", request)


def test_only_who_asked_takes_it_back(ask, prod, people):
    request = ask("grace", prod)
    with pytest.raises(NotAllowed):
        services.withdraw_restriction(request=request, actor=people["dan"], reason="mine")
    services.withdraw_restriction(request=request, actor=people["grace"], reason="I was wrong")
    request.refresh_from_db()
    assert request.state == RestrictionState.WITHDRAWN


@pytest.mark.parametrize(("name", "minutes"), [("grace", 15), ("dan", 60)])
def test_nobody_confirms_what_has_expired_though_the_worker_sleeps(ask, confirm, prod, name, minutes):
    request = ask(name, prod)
    with later(minutes - 1):
        assert request.true_state == RestrictionState.REQUESTED
    with later(minutes):
        assert request.true_state == RestrictionState.EXPIRED
        with pytest.raises(Conflict, match="expired"):
            confirm("judy", request)
    assert request.state == RestrictionState.REQUESTED  # nothing has written it yet


def test_silence_opens_an_incident_once(ask, acme, prod, queued, work_off):
    ask("grace", prod)
    with later(16):
        expire_everywhere()
        assert "policy.tasks.expire_restrictions" in queued()
        work_off()
        assert services.expire_restrictions(tenant_id=acme.pk) == 0
    request = RestrictionRequest.objects.get()
    incident = Incident.objects.get()
    assert request.state == RestrictionState.EXPIRED
    assert (incident.severity, incident.environment) == ("s1", prod)
    record = ChangeRecord.objects.get(verb="policy.restriction.expired")
    assert record.links == [incident.typeid] and record.actor_label == "ARM"


def test_silence_about_what_was_stopped_otherwise_alarms_nobody(ask, acme, people):
    template = make.instance().template
    ask("grace", template)
    services.set_posture(scope=template, mode=Mode.PAUSED, actor=people["dan"], reason="I saw it myself.")
    with later(16):
        assert services.expire_restrictions(tenant_id=acme.pk) == 1
    assert not Incident.objects.exists()


def test_who_asks_again_after_silence_is_heard_and_the_silence_noted(ask, prod):
    first = ask("grace", prod)
    with later(20):
        assert ask("grace", prod) != first
    first.refresh_from_db()
    assert first.state == RestrictionState.EXPIRED and Incident.objects.count() == 1


# --- and back --------------------------------------------------------------------------------------------------


def lift(posture, by):
    return services.lift_posture(posture=posture, actor=by, reason="It is mended.")


def test_a_pause_that_two_set_is_not_lifted_by_one_operator(stopped, people):
    posture = stopped(Mode.PAUSED)
    with pytest.raises(ApprovalNeeded) as refusal:
        lift(posture, people["dan"])
    assert refusal.value.extra == {"needs": 2, "have": 1}


def test_one_operator_asks_and_another_lifts(stopped, people):
    posture = stopped(Mode.PAUSED)
    services.request_lift(posture=posture, actor=people["dan"], reason="mended")
    with pytest.raises(ApprovalNeeded):
        lift(posture, people["dan"])
    lift(posture, people["carol"])
    after = ChangeRecord.objects.get(verb="policy.posture.lifted").after
    assert after["approved_by"] == sorted(str(people[name].pk) for name in ("dan", "carol"))


def test_one_operator_asks_an_approver_agrees_and_the_operator_lifts(stopped, people):
    posture = stopped(Mode.DRAINING)
    request = services.request_lift(posture=posture, actor=people["dan"], reason="mended")
    services.decide_approval(
        request=request, approve=True, actor=people["erin"], reason="yes", digest=request.digest
    )
    assert lift(posture, people["dan"]).lifted_by == people["dan"]


def test_the_second_of_the_end_has_an_hour_as_well(stopped, people):
    posture = stopped(Mode.PAUSED)
    services.request_lift(posture=posture, actor=people["dan"], reason="mended")
    with later(61), pytest.raises(ApprovalNeeded):
        lift(posture, people["carol"])


@pytest.mark.parametrize("mode", [Mode.READ_ONLY, Mode.QUARANTINED])
def test_two_approvers_who_took_no_part_end_what_two_have_set(stopped, people, mode):
    posture = stopped(mode)
    request = services.request_lift(posture=posture, actor=people["dan"], reason="mended")
    with pytest.raises(ApprovalNeeded) as refusal:
        lift(posture, people["erin"])
    assert refusal.value.extra == {"needs": 2, "have": 1}
    services.decide_approval(
        request=request, approve=True, actor=people["frank"], reason="yes", digest=request.digest
    )
    assert lift(posture, people["erin"]).lifted_at


def test_an_approver_who_confirmed_or_asked_has_taken_part(ask, confirm, prod, people):
    for name in ("erin", "frank"):
        make.grant(people[name], prod.tenant, Right.RESTRICT_WIDELY)
    posture = confirm("frank", ask("erin", prod, Mode.QUARANTINED)).posture
    for name in ("erin", "frank"):
        with pytest.raises(ApprovalNeeded) as refusal:
            lift(posture, people[name])
        assert refusal.value.extra["have"] == 0
