"""Rules of single values on a page: times, money, numbers and identifiers say what is so, and never more."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from arm import clock
from arm.templatetags.ui.values import age, amount, compact, relative
from tests.arm.pages import render, words

NOON = datetime(2025, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def noon() -> Iterator[None]:
    with clock.at(NOON):
        yield


# --- times ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("past", "said"),
    [
        (timedelta(0), "just now"),
        (timedelta(seconds=59.9), "59 s ago"),
        (timedelta(seconds=60), "1 min ago"),
        (timedelta(minutes=119), "1 h ago"),
        (timedelta(days=29, hours=23), "29 d ago"),
        (timedelta(days=30), "2025-01-31"),
        (timedelta(seconds=-61), "in 1 min"),
        (timedelta(days=-40), "2025-04-11"),
    ],
)
def test_a_time_is_said_by_its_age_rounded_down(past: timedelta, said: str) -> None:
    assert relative(NOON - past, NOON) == said


def test_a_time_carries_its_utc_moment_for_machines_and_eyes() -> None:
    html = render("{% when at %}", at=datetime.fromisoformat("2025-03-02T13:59:00+02:00"))

    assert 'datetime="2025-03-02T11:59:00.000Z"' in html and 'title="2025-03-02 11:59:00 UTC"' in html
    assert words(html) == "1 min ago"


def test_no_time_is_never() -> None:
    assert words(render("{% when None %}")) == "never"
    assert words(render("{% when None 'not yet' %}")) == "not yet"


def test_a_day_is_shown_as_it_is() -> None:
    assert words(render("{% when day %}", day=date(2025, 3, 1))) == "2025-03-01"


def test_a_time_without_a_zone_is_an_error_and_not_a_guess() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        render("{% when at %}", at=datetime(2025, 3, 2, 12, 0))


def test_a_negative_age_is_nothing() -> None:
    assert age(-5) == "0 s"


# --- money and numbers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Decimal("1234567.891"), "1,234,567.89"),
        (Decimal(0), "0.00"),
        (Decimal("0.000432"), "0.00043"),
        (Decimal("0.004"), "0.0040"),
        (Decimal("0.01"), "0.01"),
        (Decimal("-12.5"), "−12.50"),
        (Decimal("1E+3"), "1,000.00"),
        (0.1, "0.10"),
    ],
)
def test_money_is_exact_to_the_cent_and_a_fraction_of_one_is_not_nothing(value: Any, said: str) -> None:
    assert amount(value) == said


def test_money_keeps_the_exact_amount_in_its_title() -> None:
    html = render("{% money value 'USD' %}", value=Decimal("1234.56789"))

    assert words(html) == "1,234.57 USD" and 'title="1234.56789 USD"' in html


def test_what_is_not_priced_is_not_free() -> None:
    assert words(render("{% money None 'USD' %}")) == "not priced"


def test_infinite_money_is_an_error() -> None:
    with pytest.raises(ValueError, match="not an amount"):
        amount(Decimal("Infinity"))


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (9_999, "9,999"), (12_345, "12.3k"), (4_100_000, "4.1M"), (2_000_000_000, "2.0G")],
)
def test_a_large_number_on_a_tile_is_shortened(value: int, said: str) -> None:
    assert compact(value) == said


def test_a_number_that_is_not_known_is_not_zero() -> None:
    assert words(render("{% number None %}")) == "unknown"
    assert words(render("{% stat 'Coverage' None %}")) == "Coverage unknown"


def test_a_share_of_nothing_is_none_and_not_zero() -> None:
    assert render("{% percent 0 0 %}") == "none"
    assert render("{% percent 3 8 %}") == "38%"


# --- identifiers ------------------------------------------------------------------------------------------------


def test_a_digest_is_shortened_and_copied_whole() -> None:
    full = "sha256:" + "ab" * 32
    html = render("{% digest value %}", value=full)

    assert words(html) == "sha256:abababab…abab"
    assert f'data-copy="{full}"' in html and f'title="{full}"' in html


def test_an_identifier_of_the_database_is_shown_with_its_type() -> None:
    html = render("{% typeid value 'ver' %}", value=UUID("01890a5d-ac96-774b-bcce-b302099a8057"))

    assert re.fullmatch(r"ver_[0-9a-z]{4}…[0-9a-z]{6}", words(html))
    assert re.search(r'data-copy="ver_[0-9a-z]{26}"', html)


def test_no_digest_is_none() -> None:
    assert words(render("{% digest None %}")) == "none"
