"""A tenant's own prices go first, from when they start, and never change what was booked."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction

from arm import clock
from arm.errors import Conflict, Invalid, NotAllowed
from costs import services
from costs.models import CostModel, LedgerEntry
from costs.pricing import Basis
from tests import make
from tests.telemetry.sending import a_batch, forget, send, sender

pytestmark = pytest.mark.usefixtures("committed")
PRICES = {"input_mtok": Decimal(1), "output_mtok": Decimal(2)}


@pytest.fixture(autouse=True)
def _forget(committed):
    forget()
    yield
    forget()


def rate(tenant, actor, **kw):
    given = {
        "model": "gpt-4o*",
        "provider": "openai",
        "currency": "EUR",
        "prices": PRICES,
        "reason": "contract",
    }
    return services.add_rate(tenant=tenant, actor=actor, **given | kw)


def test_the_rate_card_prices_what_happens_from_its_start_and_says_so():
    instance, token = sender()
    alice = make.everything(make.user(member_of=instance.tenant), instance.tenant)
    send(a_batch(instance, number=1), token)
    row = rate(instance.tenant, alice, starts_at=clock.now() - timedelta(hours=1))
    forget()
    send(a_batch(instance, number=1), token)
    listed, own = LedgerEntry.objects.select_related("currency", "price_ref").order_by("entry_id")
    assert (listed.amount, listed.currency.text, listed.basis) == (Decimal("0.0040"), "USD", Basis.LIST)
    # 1000 in at 1 EUR a million (no cache price of its own), 200 out at 2 EUR a million
    assert (own.amount, own.currency.text, own.basis) == (Decimal("0.0014"), "EUR", Basis.RATE_CARD)
    assert own.price_ref.text == row.price_ref
    assert own.price_ref.text.startswith(f"rate-card:{row.typeid}@")


def test_what_nobody_prices_is_booked_as_unpriced():
    instance, token = sender()
    send(
        a_batch(instance, number=1, **{"gen_ai.response.model": "house-model", "gen_ai.request.model": "x"}),
        token,
    )
    entry = LedgerEntry.objects.get()
    assert (entry.basis, entry.amount, entry.price_ref_id) == (Basis.UNPRICED, 0, None)


def test_a_reported_cost_is_kept_beside_ours():
    instance, token = sender()
    send(a_batch(instance, number=1, **{"arm.cost.amount": "0.5"}), token)
    entry = LedgerEntry.objects.get()
    assert (entry.amount, entry.reported_picos) == (Decimal("0.0040"), 500_000_000_000)


def test_an_ended_rate_prices_nothing_more():
    instance, token = sender()
    alice = make.everything(make.user(member_of=instance.tenant), instance.tenant)
    row = rate(instance.tenant, alice, starts_at=clock.now() - timedelta(hours=1))
    services.end_rate(rate=row, actor=alice, reason="contract over")
    send(a_batch(instance, number=1), token)
    assert LedgerEntry.objects.get().basis == Basis.LIST
    with pytest.raises(Conflict):
        services.end_rate(rate=row, actor=alice, reason="again")


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"prices": {"input_mtok": None, "output_mtok": Decimal(1)}}, "/input_mtok"),
        ({"prices": PRICES | {"per_call": Decimal(-1)}}, "/per_call"),
        ({"model": "*"}, "/model"),
        ({"model": "a*b"}, "/model"),
        ({"starts_at": clock.now(), "ends_at": clock.now() - timedelta(days=1)}, "/ends_at"),
    ],
)
def test_a_wrong_rate_is_refused_with_a_pointer(wrong, pointer):
    instance, _ = sender()
    alice = make.everything(make.user(member_of=instance.tenant), instance.tenant)
    with pytest.raises(Invalid) as refusal:
        rate(instance.tenant, alice, **wrong)
    assert pointer in [problem["pointer"] for problem in refusal.value.errors]


def test_a_stranger_edits_no_rates():
    instance, _ = sender()
    with pytest.raises(NotAllowed):
        rate(instance.tenant, make.user(member_of=instance.tenant))


def test_a_rate_is_never_rewritten():
    instance, _ = sender()
    alice = make.everything(make.user(member_of=instance.tenant), instance.tenant)
    rate(instance.tenant, alice)
    with pytest.raises(DatabaseError), transaction.atomic():
        CostModel.objects.update(input_mtok=Decimal(0))
