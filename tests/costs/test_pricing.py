"""Usage times price, exactly."""

from datetime import UTC, datetime, time
from decimal import Decimal

import genai_prices
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costs.pricing import PICOS, UNPRICED, Basis, Charge, Price, PriceBook, RateLine, Usage, rates, reference
from costs.pricing.amounts import round_half_even

NOON = datetime(2026, 9, 21, 12, tzinfo=UTC)
NOON_US = int(NOON.timestamp()) * 1_000_000
WORKED_BY_HAND = Usage(input_tokens=1000, cache_read_tokens=400, cache_write_tokens=None, output_tokens=200)


def usd(charge: Charge) -> Decimal:
    return Decimal(charge.amount) / PICOS


def charged(
    model: str | None, usage: Usage, provider: str | None = "openai", book: PriceBook | None = None
) -> Charge:
    return (book or PriceBook()).charge(provider=provider, model=model, at_us=NOON_US, usage=usage)


def line(
    model: str, dollars: str, provider: str = "", starts: datetime = NOON, ends: datetime | None = None
) -> RateLine:
    price = Price(
        rates(input_mtok=Decimal(dollars), output_mtok=Decimal(0)), "EUR", Basis.RATE_CARD, "card@1#00"
    )
    return RateLine(provider, model, starts, ends, price)


def test_a_thousand_in_with_400_cached_and_200_out_on_gpt_4o_cost_four_tenths_of_a_cent():
    charge = charged("gpt-4o", WORKED_BY_HAND)
    assert usd(charge) == Decimal("0.0040")
    assert (charge.currency, charge.basis) == ("USD", Basis.LIST)


def test_the_price_reference_names_source_version_and_digest():
    source, _, digest = reference().partition("#")
    assert source == "genai-prices@0.2.3"
    assert len(digest) == 64
    assert charged("gpt-4o", WORKED_BY_HAND).price_ref == reference()


def test_where_more_tokens_are_cached_than_sent_they_were_counted_apart():
    inclusive = Usage(1500, 400, 100, 0)
    exclusive = Usage(300, 400, 100, 0)  # 300 plain tokens beside 500 cached ones
    price = Price(
        rates(
            input_mtok=Decimal(3),
            cache_read_mtok=Decimal("0.3"),
            cache_write_mtok=Decimal("3.75"),
            output_mtok=Decimal(15),
        ),
        "USD",
        Basis.LIST,
        "",
    )
    cached = 400 * Decimal("0.0000003") + 100 * Decimal("0.00000375")
    assert usd(price.charge(inclusive) or UNPRICED) == 1000 * Decimal("0.000003") + cached
    assert usd(price.charge(exclusive) or UNPRICED) == 300 * Decimal("0.000003") + cached


def test_the_rate_card_goes_before_the_list_price_while_it_is_in_force():
    book = PriceBook([line("gpt-4o", "1", ends=NOON.replace(hour=13))])
    charge = charged("gpt-4o", WORKED_BY_HAND, book=book)
    assert (usd(charge), charge.currency, charge.basis) == (Decimal("0.001"), "EUR", Basis.RATE_CARD)
    after = book.charge(
        provider="openai", model="gpt-4o", at_us=NOON_US + 3_600_000_000, usage=WORKED_BY_HAND
    )
    before = book.charge(provider="openai", model="gpt-4o", at_us=NOON_US - 1, usage=WORKED_BY_HAND)
    assert (after.basis, before.basis) == (Basis.LIST, Basis.LIST)


def test_the_more_exact_line_of_a_rate_card_wins_then_the_newer():
    earlier = NOON.replace(hour=1)
    lines = [
        line("gpt-*", "1"),
        line("gpt-4o*", "2"),
        line("gpt-4o", "3"),
        line("gpt-4o", "4", provider="openai", starts=earlier),
        line("gpt-4o", "5", provider="openai"),
    ]
    usage = Usage(1_000_000, None, None, None)
    expected = {"gpt-5-x": "1", "gpt-4o-mini": "2"}
    for model, dollars in expected.items():
        assert usd(charged(model, usage, book=PriceBook(lines))) == Decimal(dollars)
    assert usd(charged("gpt-4o", usage, provider="azure", book=PriceBook(lines))) == Decimal(3)
    assert usd(charged("gpt-4o", usage, book=PriceBook(lines))) == Decimal(5)


def test_what_nobody_lists_is_unpriced_and_never_passes_for_free():
    for model in ("no-such-model", None):
        assert charged(model, WORKED_BY_HAND) == UNPRICED
    assert charged("gpt-4o", Usage()) == UNPRICED, "no tokens reported: nothing to apply the price to"


def test_an_agent_does_not_write_its_own_bill():
    reported = Charge(1, "USD", Basis.REPORTED, "")
    book = PriceBook()
    known = book.charge(
        provider="openai", model="gpt-4o", at_us=NOON_US, usage=WORKED_BY_HAND, reported=reported
    )
    unknown = book.charge(
        provider="openai", model="ours", at_us=NOON_US, usage=WORKED_BY_HAND, reported=reported
    )
    assert (known.basis, unknown) == (Basis.LIST, reported)


@pytest.mark.parametrize("provider", [None, "some-reseller"])
def test_a_price_found_by_the_models_name_alone_is_an_estimate(provider):
    charge = charged("gpt-4o", WORKED_BY_HAND, provider=provider)
    assert (usd(charge), charge.basis) == (Decimal("0.0040"), Basis.ESTIMATED)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("aws.bedrock", "anthropic.claude-3-5-sonnet-20241022-v2:0"),
        ("azure.ai.openai", "gpt-4o"),
        ("gcp.vertex_ai", "gemini-2.5-pro"),
        ("x_ai", "grok-3"),
        ("mistral_ai", "mistral-large-latest"),
        ("anthropic", "claude-sonnet-4-5"),
    ],
)
def test_opentelemetrys_provider_names_find_list_prices(provider, model):
    assert charged(model, WORKED_BY_HAND, provider=provider).basis == Basis.LIST


@pytest.mark.parametrize("tokens", [199_999, 200_000, 200_001, 500_000])
@pytest.mark.parametrize(("provider", "model"), [("google", "gemini-2.5-pro"), ("openai", "gpt-4o-mini")])
def test_list_prices_agree_with_the_library_across_tiers(provider, model, tokens):
    usage = Usage(tokens, 1000, None, 777)
    theirs = genai_prices.calc_price(
        genai_prices.Usage(input_tokens=tokens, cache_read_tokens=1000, output_tokens=777),
        model_ref=model,
        provider_id=provider,
        genai_request_timestamp=NOON,
    )
    assert usd(charged(model, usage, provider=provider)) == theirs.total_price


def test_a_price_that_depends_on_the_hour_is_taken_at_the_hour_of_the_call():
    def at(hour: int) -> Charge:
        moment = datetime.combine(NOON.date(), time(hour), UTC)
        micros = int(moment.timestamp()) * 1_000_000
        return PriceBook().charge(
            provider="deepseek", model="deepseek-chat", at_us=micros, usage=WORKED_BY_HAND
        )

    for hour in (12, 20):
        theirs = genai_prices.calc_price(
            genai_prices.Usage(input_tokens=1000, cache_read_tokens=400, output_tokens=200),
            model_ref="deepseek-chat",
            provider_id="deepseek",
            genai_request_timestamp=datetime.combine(NOON.date(), time(hour), UTC),
        )
        assert usd(at(hour)) == theirs.total_price
    assert at(12) != at(20)


def test_a_rate_finer_than_a_pico_is_rounded_once_and_half_even():
    price = Price(
        rates(input_mtok=Decimal("0.0000005"), output_mtok=None), "USD", Basis.RATE_CARD, ""
    )  # half a pico
    amounts = [price.charge(Usage(tokens)) for tokens in (1, 2, 3, 5)]
    assert [charge.amount for charge in amounts if charge] == [0, 1, 2, 2]


@given(st.integers(0, 10**20), st.integers(1, 10**9))
def test_rounding_is_decimals_half_even(value, divisor):
    quotient, rest = divmod(value, divisor)
    nearest = round_half_even(value, divisor)
    assert abs(nearest * divisor - value) * 2 <= divisor
    if rest * 2 == divisor:
        assert nearest % 2 == 0
    assert nearest in (quotient, quotient + 1)


@pytest.mark.parametrize("wrong", [Decimal(-1), Decimal("NaN"), Decimal("Infinity")])
def test_a_price_is_a_finite_number_not_below_zero(wrong):
    with pytest.raises(ValueError, match="zero or more"):
        rates(input_mtok=wrong, output_mtok=None)


def test_an_amount_that_no_bigint_holds_is_unpriced():
    book = PriceBook([line("*", "1000000000")])
    assert charged("any", Usage(2**31 - 1), book=book) == UNPRICED
