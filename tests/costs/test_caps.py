"""Beyond its cap an instance becomes read-only and somebody is told, once, without any worker."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction

from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right
from costs import services
from costs.models import Cap, CapBreach, LedgerEntry
from costs.plugins import WithinCap
from costs.pricing import Basis
from costs.services import booking
from costs.services.rates import add_rate
from costs.tasks import settle_caps
from registry.gates import GateRefused
from registry.lifecycle import InstanceState
from registry.models import AgentInstance
from registry.services import move_instance
from telemetry.models import Incident
from tests import make
from tests.telemetry.otlp import exported
from tests.telemetry.sending import CHAT, a_batch, forget, resource_of, send, sender

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture(autouse=True)
def _forget(committed):
    forget()
    yield
    forget()


def capped(dollars: str, **kw):
    """An instance with a cap, its ingest key, and Alice who set it."""
    instance, token = sender()
    alice = make.everything(make.user(member_of=instance.tenant), instance.tenant)
    cap = services.set_cap(
        instance=instance, per_day=Decimal(dollars), currency="USD", actor=alice, reason="small budget", **kw
    )
    return instance, token, alice, cap


def state_of(instance: AgentInstance) -> str:
    return AgentInstance.objects.get(pk=instance.pk).state


def test_spend_up_to_the_cap_changes_nothing():
    instance, token, _, _ = capped("0.0120")
    send(a_batch(instance), token)  # 3 calls of 0.0040
    assert state_of(instance) == InstanceState.ACTIVE
    assert not CapBreach.objects.exists()


def test_the_call_that_passes_the_cap_makes_the_instance_read_only_and_opens_an_incident():
    instance, token, _, cap = capped("0.0120")
    send(a_batch(instance), token)
    assert send(a_batch(instance, number=1), token).status == 200
    assert state_of(instance) == InstanceState.READ_ONLY
    breach = CapBreach.objects.get()
    assert (breach.cap, breach.amount, breach.restricted) == (cap, Decimal("0.0160"), True)
    incident = Incident.objects.get(pk=breach.incident_id)
    assert (incident.kind, incident.subject_id) == ("cost_overrun", instance.pk)
    record = ChangeRecord.objects.get(verb="costs.cap.passed")
    assert (record.actor_label, record.target_id) == ("ARM", cap.pk)


def test_further_spend_beyond_the_cap_opens_nothing_more():
    instance, token, _, _ = capped("0.0010")
    for _ in range(3):
        assert send(a_batch(instance), token).status == 200
    assert (CapBreach.objects.count(), Incident.objects.count()) == (1, 1)


def test_another_instance_is_not_touched():
    instance, token, _, _ = capped("0.0010")
    other = make.instance(
        version=instance.version, environment=instance.environment, provider=instance.provider
    )
    send(a_batch(instance), token)
    send(a_batch(other), token)
    assert (state_of(instance), state_of(other)) == (InstanceState.READ_ONLY, InstanceState.ACTIVE)


def test_one_that_is_stopped_harder_already_stays_as_it_is():
    instance, token, _, _ = capped("0.0010")
    AgentInstance.objects.filter(pk=instance.pk).update(state=InstanceState.QUARANTINED)
    send(a_batch(instance), token)
    assert state_of(instance) == InstanceState.QUARANTINED
    assert not CapBreach.objects.get().restricted


def test_spend_of_a_past_day_is_a_breach_of_that_day_and_does_not_stop_today():
    instance, token, _, _ = capped("0.0010")
    at = int((datetime.now(UTC) - timedelta(days=2)).timestamp() * 1e9)

    def old(tracer):
        tracer.start_span("chat", attributes=CHAT | {"arm.job.id": "j"}, start_time=at).end(at + 1)

    send(exported(old, resource_of(instance)), token)
    assert state_of(instance) == InstanceState.ACTIVE
    assert CapBreach.objects.get().day == (datetime.now(UTC) - timedelta(days=2)).date()


def test_what_a_dead_process_left_undone_the_schedule_does(monkeypatch):
    instance, token, _, _ = capped("0.0010")
    monkeypatch.setattr(booking.Booking, "settle", lambda self: None)  # it died after its commit
    assert send(a_batch(instance), token).status == 200
    assert state_of(instance) == InstanceState.ACTIVE
    assert settle_caps(tenant_id=instance.tenant_id) == 1
    assert state_of(instance) == InstanceState.READ_ONLY
    assert settle_caps(tenant_id=instance.tenant_id) == 0


NOBODY_PRICED = {"gen_ai.request.model": "house-9b", "gen_ai.response.model": "house-9b"}


def test_a_call_that_nobody_priced_passes_the_cap_and_the_incident_names_the_model():
    instance, token, _, cap = capped("1000")
    assert send(a_batch(instance, **NOBODY_PRICED), token).status == 200
    assert LedgerEntry.objects.filter(instance=instance, basis=Basis.UNPRICED).exists()
    assert state_of(instance) == InstanceState.READ_ONLY
    breach = CapBreach.objects.get()
    assert (breach.cap, breach.amount, breach.unpriced_model) == (cap, 0, "house-9b")
    incident = Incident.objects.get(pk=breach.incident_id)
    assert incident.facts["unpriced_model"] == "house-9b" and "without a price" in incident.title
    assert "house-9b" in ChangeRecord.objects.get(verb="costs.cap.passed").reason
    send(a_batch(instance, **NOBODY_PRICED), token)
    assert (CapBreach.objects.count(), Incident.objects.count()) == (1, 1)


def test_a_cap_may_leave_calls_without_a_price_out():
    instance, token, _, _ = capped("1000", unpriced=Cap.Unpriced.IGNORED)
    send(a_batch(instance, **NOBODY_PRICED), token)
    assert state_of(instance) == InstanceState.ACTIVE
    assert not CapBreach.objects.exists()


def test_a_cap_in_euro_sees_calls_without_a_price_too():
    instance, token, alice, _ = capped("1000")
    make.rate("other", tenant=instance.tenant, currency="EUR")
    services.set_cap(instance=instance, per_day=Decimal(9), currency="EUR", actor=alice, reason="in euro")
    send(a_batch(instance, **NOBODY_PRICED), token)
    assert CapBreach.objects.get().unpriced_model == "house-9b"


def test_a_model_with_a_price_is_no_reason_to_stop():
    instance, token, alice, _ = capped("1000")
    add_rate(
        tenant=instance.tenant, provider="", model="house-9b", currency="USD", actor=alice, reason="agreed",
        prices={"input_mtok": Decimal(1), "output_mtok": Decimal(1)},
    )  # fmt: skip
    send(a_batch(instance, **NOBODY_PRICED), token)
    assert state_of(instance) == InstanceState.ACTIVE


def test_a_failed_call_that_used_no_tokens_is_no_reason_to_stop():
    instance, token, _, _ = capped("1000")

    def failed(tracer):
        told = {name: value for name, value in (CHAT | NOBODY_PRICED).items() if "usage" not in name}
        tracer.start_span("chat", attributes=told | {"arm.job.id": "j"}).end()

    send(exported(failed, resource_of(instance)), token)
    assert LedgerEntry.objects.get(instance=instance).basis == Basis.UNPRICED
    assert state_of(instance) == InstanceState.ACTIVE
    assert settle_caps(tenant_id=instance.tenant_id) == 0


def test_calls_without_a_price_that_a_dead_process_left_undone_the_schedule_finds(monkeypatch):
    instance, token, alice, _ = capped("1000")
    monkeypatch.setattr(booking.Booking, "settle", lambda self: None)
    send(a_batch(instance, **NOBODY_PRICED), token)
    assert settle_caps(tenant_id=instance.tenant_id) == 1
    assert state_of(instance) == InstanceState.READ_ONLY
    assert CapBreach.objects.get().unpriced_model == "house-9b"
    assert settle_caps(tenant_id=instance.tenant_id) == 0
    stopped = AgentInstance.objects.get(pk=instance.pk)
    verdict = WithinCap().check(stopped)
    assert not verdict.passed and "house-9b" in verdict.reason
    services.set_cap(
        instance=instance, per_day=Decimal(9), currency="USD", actor=alice, reason="it is free",
        unpriced=Cap.Unpriced.IGNORED,
    )  # fmt: skip
    assert WithinCap().check(stopped).passed


def test_a_replay_does_not_spend_twice():
    instance, token, _, _ = capped("0.0130")
    body = a_batch(instance)
    for _ in range(3):
        send(body, token)
    assert state_of(instance) == InstanceState.ACTIVE


def test_a_new_cap_ends_the_one_before():
    instance, _, alice, cap = capped("1")
    services.set_cap(instance=instance, per_day=Decimal(2), currency="USD", actor=alice, reason="more work")
    assert [c.per_day for c in Cap.objects.filter(instance=instance, until=None)] == [Decimal(2)]
    with pytest.raises(Conflict):
        services.end_cap(cap=cap, actor=alice, reason="again")


def test_a_stranger_sets_and_ends_no_cap():
    instance, _, _, cap = capped("1")
    mallory = make.user(member_of=instance.tenant)
    make.grant(mallory, instance.tenant, Right.READ_LEDGER)
    with pytest.raises(NotAllowed):
        services.set_cap(
            instance=instance, per_day=Decimal(99), currency="USD", actor=mallory, reason="please"
        )
    with pytest.raises(NotAllowed):
        services.end_cap(cap=cap, actor=mallory, reason="please")


@pytest.mark.parametrize(("dollars", "reason"), [("0", "why"), ("-1", "why"), ("NaN", "why"), ("1", " ")])
def test_a_cap_is_an_amount_above_zero_with_a_reason(dollars, reason):
    instance, _, alice, _ = capped("1")
    with pytest.raises(Invalid):
        services.set_cap(
            instance=instance, per_day=Decimal(dollars), currency="USD", actor=alice, reason=reason
        )


def test_a_breach_and_the_amount_of_a_cap_cannot_be_rewritten():
    instance, token, _, cap = capped("0.0010")
    send(a_batch(instance), token)
    for attempt in (
        lambda: CapBreach.objects.update(restricted=False),
        lambda: CapBreach.objects.all().delete(),
        lambda: Cap.objects.filter(pk=cap.pk).update(per_day=Decimal(9)),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            attempt()


def released(instance: AgentInstance, by) -> AgentInstance:
    return move_instance(instance=instance, to=InstanceState.ACTIVE, actor=by, reason="Back to work")


def test_while_its_cap_is_passed_an_instance_is_not_let_go_on_and_the_refusal_says_who_may_raise_it():
    instance, token, alice, cap = capped("0.0010")
    send(a_batch(instance), token)
    with pytest.raises(GateRefused) as refused:
        released(instance, alice)
    (verdict,) = [gate for gate in refused.value.extra["gates"] if gate["gate"] == "within its cap"]
    assert cap.typeid in verdict["reason"] and "0.012000 USD" in verdict["reason"]
    assert (verdict["right"], state_of(instance)) == (Right.SET_BUDGET, InstanceState.READ_ONLY)


def test_a_higher_cap_passes_the_gate_and_holds_again_when_it_is_passed_too():
    instance, token, alice, _ = capped("0.0010")
    send(a_batch(instance), token)
    services.set_cap(
        instance=instance, per_day=Decimal("0.0200"), currency="USD", actor=alice, reason="more work"
    )
    assert WithinCap().check(instance).passed
    AgentInstance.objects.filter(pk=instance.pk).update(state=InstanceState.ACTIVE)
    send(a_batch(instance), token)  # 0.0240 together
    assert state_of(instance) == InstanceState.READ_ONLY
    assert CapBreach.objects.count() == 2


def test_a_cap_in_a_currency_that_nothing_is_priced_in_is_refused_with_a_pointer():
    instance, _, alice, _ = capped("1")
    with pytest.raises(Invalid) as refused:
        services.set_cap(
            instance=instance, per_day=Decimal(1), currency="EUR", actor=alice, reason="a budget in euros"
        )
    assert refused.value.extra["errors"][0]["pointer"] == "/currency"
    add_rate(
        tenant=instance.tenant,
        model="gpt-4o*",
        provider="",
        currency="EUR",
        prices={"input_mtok": Decimal(2), "output_mtok": Decimal(8)},
        actor=alice,
        reason="our contract",
    )
    services.set_cap(
        instance=instance, per_day=Decimal(1), currency="EUR", actor=alice, reason="a budget in euros"
    )
