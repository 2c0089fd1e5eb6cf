"""Single values as a person reads them: times with their age, money, numbers, digests, identifiers, JSON."""

import json as json_module
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.utils.html import format_html
from django.utils.safestring import SafeString

from arm import clock, ids
from arm.templatetags.ui.glyphs import icon
from arm.templatetags.ui.library import register

_STEPS = ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h"), (30 * 86_400, 86_400, "d"))
_FINEST = Decimal("0.000000000001")
Number: TypeAlias = int | float | Decimal


def age(seconds: float) -> str:
    """A duration in one unit, rounded down: `7 s`, `3 min`, `4 h`, `12 d`; beyond 30 days still in days."""
    whole = max(0, int(seconds))
    for limit, unit, name in _STEPS:
        if whole < limit:
            return f"{whole // unit} {name}"
    return f"{whole // 86_400} d"


def relative(moment: datetime, now: datetime) -> str:
    """`just now`, `3 min ago`, `in 4 h`; the date itself when it is 30 days away or more."""
    seconds = (now - moment).total_seconds()
    if abs(seconds) >= 30 * 86_400:
        return moment.astimezone(UTC).strftime("%Y-%m-%d")
    if abs(seconds) < 2:
        return "just now"
    return f"{age(seconds)} ago" if seconds > 0 else f"in {age(-seconds)}"


@register.simple_tag
def when(moment: datetime | date | None, absent: str = "never", style: str = "relative") -> SafeString:
    """A time with its age; hovering or a screen reader gives the full UTC time. None reads as `absent`.

    `style="absolute"` prints the UTC time itself. A naive datetime is an error: nobody knows when that is.
    """
    if moment is None:
        return format_html('<span class="absent">{}</span>', absent)
    if not isinstance(moment, datetime):
        return format_html('<time datetime="{0}">{0}</time>', moment.isoformat())
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone; times here are aware and in UTC.")
    utc = moment.astimezone(UTC)
    machine = utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    full = f"{utc:%Y-%m-%d %H:%M:%S} UTC"
    if style == "absolute":
        return format_html('<time datetime="{}" title="{}">{}</time>', machine, machine, full)
    return format_html(
        '<time datetime="{}" title="{}" data-when>{}</time>', machine, full, relative(utc, clock.now())
    )


@register.simple_tag
def happened(change: Any) -> SafeString:
    """What a change record says happened, in words: `Version moved to Approved`; its verb in the title."""
    _, _, rest = str(change.verb).partition(".")
    state = (change.after or {}).get("state")
    words = rest.replace(".", " ").replace("_", " ").capitalize() or change.verb
    if isinstance(state, str) and state and rest.endswith(".moved"):
        words = f"{words} to {state.replace('_', ' ').capitalize()}"
    return format_html('<span title="{}">{}</span>', change.verb, words)


def amount(value: Number, least: int = 2) -> str:
    """Thousands separated, at least `least` decimals, and never 0.00 for what is not nothing."""
    exact = value if isinstance(value, Decimal) else Decimal(str(value))
    if not exact.is_finite():
        raise ValueError(f"{value!r} is not an amount.")
    digits = least
    while digits < 12 and exact and not round(exact, digits):
        digits += 1
    if digits > least:
        digits += 1  # two figures of a very small amount
    return f"{round(exact, digits):,.{digits}f}".replace("-", "\u2212")


@register.simple_tag
def money(value: Number | None, currency: str, absent: str = "not priced") -> SafeString:
    """`1,234.56 USD`, exact amount in the title. A fraction of a cent keeps its figures. None reads as `absent`."""
    if value is None:
        return format_html('<span class="absent">{}</span>', absent)
    return format_html(
        '<span class="money" title="{} {}">{} <span class="unit">{}</span></span>',
        value,
        currency,
        amount(value),
        currency,
    )


def compact(value: Number) -> str:
    """`9,999`, `12.3k`, `4.1M`, `2.0G`: three figures for a tile; the exact number belongs in a title."""
    size = abs(float(value))
    for limit, name in ((10**9, "G"), (10**6, "M"), (10**4, "k")):
        if size >= limit:
            return f"{float(value) / (1000 if name == 'k' else limit):,.1f}{name}".replace("-", "\u2212")
    return amount(value, 0)


@register.simple_tag
def number(
    value: Number | None, unit: str = "", digits: int = 0, short: bool = False, absent: str = "unknown"
) -> SafeString:
    """A count or measure with separators and its unit. `short` rounds to `12.3k`. None reads as `absent`."""
    if value is None:
        return format_html('<span class="absent">{}</span>', absent)
    shown = compact(value) if short else f"{round(Decimal(str(value)), digits):,.{digits}f}"
    body = format_html('<span class="number" title="{}">{}', f"{value:,}", shown.replace("-", "\u2212"))
    return format_html(
        "{}{}</span>", body, format_html(' <span class="unit">{}</span>', unit) if unit else ""
    )


@register.simple_tag
def percent(part: Number, whole: Number, digits: int = 0) -> str:
    """`12%` of a whole; `none` when the whole is nothing, which is not the same as 0%."""
    try:
        share = Decimal(str(part)) * 100 / Decimal(str(whole))
    except (InvalidOperation, ZeroDivisionError):
        return "none"
    return f"{share:.{digits}f}%"


def shortened(full: str, head: int, tail: int) -> str:
    """Both ends of a long identifier; one that fits stays whole."""
    return full if len(full) <= head + tail + 1 else f"{full[:head]}…{full[-tail:]}"


def copyable(full: str, short: str, what: str, url: str = "") -> SafeString:
    """Monospace text with its full value in the title and a copy button that a script brings to life."""
    code = format_html('<code title="{}">{}</code>', full, short)
    if url:
        code = format_html('<a href="{}">{}</a>', url, code)
    return format_html(
        '<span class="copyable">{}<button type="button" class="copy" data-copy="{}" aria-label="Copy {}" '
        'title="Copy {}">{}</button></span>',
        code,
        full,
        what,
        what,
        icon("copy"),
    )


@register.simple_tag
def digest(value: str | None, url: str = "") -> SafeString:
    """`sha256:1a2b3c4d…9f0e` with the full digest in the title and to copy. Empty reads as `none`."""
    if not value:
        return format_html('<span class="absent">{}</span>', "none")
    algorithm, colon, _ = value.partition(":")
    return copyable(value, shortened(value, len(algorithm + colon) + 8, 4), "digest", url)


@register.simple_tag
def typeid(value: UUID | str | None, prefix: str = "", url: str = "") -> SafeString:
    """`ver_01jd…x8q2`: pass a shown identifier, or a UUID with its prefix. Empty reads as `none`."""
    if not value:
        return format_html('<span class="absent">{}</span>', "none")
    full = ids.encode(prefix, value) if isinstance(value, UUID) and prefix else str(value)
    kind, underscore, _ = full.rpartition("_")
    # A UUIDv7 begins with the time, so rows made together differ only at the end: show more of the end.
    return copyable(full, shortened(full, len(kind + underscore) + 4, 6), "identifier", url)


@register.simple_tag
def json(value: Any, label: str = "JSON") -> SafeString:
    """A document, indented, escaped and wrapped; scrolls by keyboard. Members keep the order they have."""
    text = json_module.dumps(value, indent=2, ensure_ascii=False, cls=DjangoJSONEncoder)
    return format_html('<pre class="json" tabindex="0" role="region" aria-label="{}">{}</pre>', label, text)


@register.simple_tag
def duration(value: timedelta | float | None, absent: str = "unknown") -> SafeString:
    """`7 s`, `3 min`, `4 h` with the seconds in the title; takes a timedelta or seconds."""
    if value is None:
        return format_html('<span class="absent">{}</span>', absent)
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    return format_html('<span class="number" title="{} s">{}</span>', f"{seconds:,.3f}", age(seconds))


@register.simple_tag
def document(value: Any) -> str:
    """A document as one line of JSON."""
    return json_module.dumps(value, ensure_ascii=False)
