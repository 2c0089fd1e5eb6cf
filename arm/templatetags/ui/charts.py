"""Pictures of numbers as SVG drawn on the server, each with its figures for those who read instead of look.

Geometry goes into presentation attributes and classes; nothing needs a style attribute or a script. Charts stretch
with the page, so their words are HTML around the SVG and never inside it.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from math import floor, log10
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from arm.templatetags.ui.library import register
from arm.templatetags.ui.states import tone_of
from arm.templatetags.ui.values import Number, amount, compact

_WIDE, _HIGH = 600, 120


def _figure(value: Number) -> str:
    return amount(value, 0) if float(value).is_integer() else amount(value)


def _share(value: Number, maximum: Number) -> float:
    return min(100.0, max(0.0, round(float(value) * 100 / float(maximum), 2))) if maximum else 0.0


def ceiling(highest: float) -> float:
    """The next round figure (1, 2, 2.5, 5 × 10ⁿ) at or above the highest value: the top of the axis."""
    if highest <= 0:
        return 1.0
    unit = 10.0 ** floor(log10(highest))
    return next((step * unit for step in (1, 2, 2.5, 5) if highest <= step * unit * (1 + 1e-9)), 10 * unit)


@register.simple_tag
def bar(value: Number, maximum: Number, label: str = "", tone: str = "accent") -> SafeString:
    """A small horizontal bar for a table cell, with its figures to its left unless `label` says otherwise."""
    words = label or f"{_figure(value)} of {_figure(maximum)}"
    return format_html(
        '<span class="bar"><span class="bar-words">{}</span><svg class="bar-track" role="presentation" height="6">'
        '<rect class="track" width="100%" height="6" rx="2"/><rect class="fill tone-{}" width="{}%" height="6" '
        'rx="2"/></svg></span>',
        words,
        tone,
        _share(value, maximum),
    )


@register.simple_tag
def bars(rows: Sequence[Mapping[str, Any]], caption: str, unit: str = "", noun: str = "Name") -> SafeString:
    """Ranked figures as a table with a bar in each row; a row has `label`, `value`, optional `url`, `tone`, `note`."""
    top = max((float(row["value"]) for row in rows), default=0.0)
    cells = []
    for row in rows:
        name = (
            format_html('<a href="{}">{}</a>', row["url"], row["label"]) if row.get("url") else row["label"]
        )
        note = format_html(' <span class="aside-note">{}</span>', row["note"]) if row.get("note") else ""
        cells.append(
            (
                name,
                note,
                row.get("tone", "accent"),
                _share(row["value"], Decimal(str(top))),
                _figure(row["value"]),
            )
        )
    body = format_html_join(
        "",
        '<tr><th scope="row">{}{}</th><td class="bars-bar"><svg class="bar-track" role="presentation" height="8">'
        '<rect class="fill tone-{}" width="{}%" height="8" rx="2"/></svg></td><td class="num">{}</td></tr>',
        cells,
    )
    return format_html(
        '<table class="bars"><caption>{}</caption><thead class="visually-hidden"><tr><th scope="col">{}</th>'
        '<th scope="col">Bar</th><th scope="col">{}</th></tr></thead><tbody>{}</tbody></table>',
        caption,
        noun,
        unit or "Value",
        body,
    )


@register.simple_tag
def stack(parts: Sequence[Mapping[str, Any]], label: str) -> SafeString:
    """One bar split by share, with a legend of links; a part has `label`, `value`, and `state` or `tone`, `url`."""
    total = sum(float(part["value"]) for part in parts)
    segments, legend, left = [], [], 0.0
    last = next((part for part in reversed(parts) if part["value"]), None)
    for part in parts:
        tone = part.get("tone") or tone_of(str(part.get("state", "")))
        width = float(part["value"]) * 100 / total if total else 0.0
        if width:
            # A gap of a few pixels keeps neighbours of one tone apart without a border.
            gap = 0.0 if part is last else 0.3
            segments.append((tone, round(left, 3), max(0.2, round(width - gap, 3))))
        left += width
        name = (
            format_html('<a href="{}">{}</a>', part["url"], part["label"])
            if part.get("url")
            else part["label"]
        )
        legend.append((tone, name, compact(part["value"])))
    rects = format_html_join("", '<rect class="fill tone-{}" x="{}%" width="{}%" height="10"/>', segments)
    items = format_html_join(
        "", '<li><span class="swatch tone-{}"></span>{} <span class="number">{}</span></li>', legend
    )
    return format_html(
        '<figure class="stack"><figcaption class="visually-hidden">{}</figcaption><svg class="stack-track" '
        'role="presentation" height="10"><rect class="track" width="100%" height="10"/>{}</svg>'
        '<ul class="legend">{}</ul></figure>',
        label,
        rects,
        items,
    )


@register.simple_tag
def sparkline(values: Sequence[Number | None], label: str, tone: str = "accent") -> SafeString:
    """A word-sized line; `label` is what it says (“errors per hour, 3 now”). A None is a gap, not a zero."""
    known = [float(value) for value in values if value is not None]
    if not known:
        return format_html('<span class="absent">{}</span>', "no data")
    low, high = min(0.0, *known), max(0.0, *known)
    step = 96 / max(1, len(values) - 1)
    runs: list[list[str]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            runs.append([])
            continue
        y = 20 - 18 * (float(value) - low) / ((high - low) or 1)
        runs[-1].append(f"{2 + index * step:.1f} {y:.1f}")
    path = " ".join(f"M{' L'.join(run)}" if len(run) > 1 else f"M{run[0]} h.1" for run in runs if run)
    return format_html(
        '<svg class="sparkline tone-{}" viewBox="0 0 100 22" width="100" height="22" role="img" aria-label="{}">'
        '<path d="{}" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round"/></svg>',
        tone,
        label,
        path,
    )


def _name(moment: date | str) -> str:
    if isinstance(moment, datetime):
        return f"{moment:%Y-%m-%d %H:%M}"
    return f"{moment:%Y-%m-%d}" if isinstance(moment, date) else moment


@register.simple_tag
def area_chart(
    points: Sequence[tuple[date | str, Number]],
    label: str,
    unit: str = "",
    tone: str = "accent",
    noun: str = "Time",
) -> SafeString:
    """A series over time: `points` are (moment or name, value), oldest first. The figures are in a table below it."""
    if not points:
        return format_html('<p class="absent">{}</p>', "No data in this period.")
    values = [float(value) for _, value in points]
    top = ceiling(max(values))
    step = _WIDE / max(1, len(points) - 1)
    corners = [(index * step, _HIGH - _HIGH * max(0.0, value) / top) for index, value in enumerate(values)]
    if len(corners) == 1:
        corners.append((float(_WIDE), corners[0][1]))
    line = " L".join(f"{x:.1f} {y:.1f}" for x, y in corners)
    hits = format_html_join(
        "",
        '<rect class="hit" x="{}" y="0" width="{}" height="{}"><title>{}: {} {}</title></rect>',
        (
            (round(index * step - step / 2, 1), round(step, 1), _HIGH, _name(at), _figure(value), unit)
            for index, (at, value) in enumerate(points)
        ),
    )
    shown = (
        [points[round(index * (len(points) - 1) / 4)] for index in range(5)] if len(points) > 4 else points
    )
    return format_html(
        '<figure class="chart"><figcaption>{label}{unit}</figcaption><div class="chart-plot"><ol class="chart-y" '
        'aria-hidden="true"><li>{top}</li><li>{half}</li><li>0</li></ol><svg class="tone-{tone}" viewBox="0 0 {w} {h}"'
        ' preserveAspectRatio="none" role="img" aria-label="{label}, highest {high}">'
        '<path class="grid" d="M0 .5H{w}M0 {middle}H{w}M0 {base}H{w}"/><path class="area" d="M0 {h} L{line} L{w} {h}Z"/>'
        '<path class="line" d="M{line}"/>{hits}</svg><ol class="chart-x" aria-hidden="true">{x}</ol></div>'
        '<details class="chart-data"><summary>Figures</summary><div class="table-scroll" tabindex="0" role="region" '
        'aria-label="{label}"><table><caption class="visually-hidden">{label}</caption><thead><tr>'
        '<th scope="col">{noun}</th><th scope="col" class="num">{value_name}</th></tr></thead><tbody>{rows}</tbody>'
        "</table></div></details></figure>",
        label=label,
        unit=format_html(' <span class="unit">{}</span>', unit) if unit else "",
        top=compact(top) if top >= 10 else _figure(top),
        half=compact(top / 2) if top >= 20 else _figure(top / 2),
        tone=tone,
        w=_WIDE,
        h=_HIGH,
        middle=_HIGH / 2,
        base=_HIGH - 0.5,
        high=_figure(max(values)),
        line=line,
        hits=hits,
        x=format_html_join("", "<li>{}</li>", ((tick,) for tick in _ticks([at for at, _ in shown]))),
        noun=noun,
        value_name=unit or "Value",
        rows=format_html_join(
            "",
            '<tr><th scope="row">{}</th><td class="num">{}</td></tr>',
            ((_name(at), _figure(value)) for at, value in points),
        ),
    )


def _ticks(moments: Sequence[date | str]) -> list[str]:
    """Short names under the axis: times where the series spans two days or less, else month and day."""
    times = [moment for moment in moments if isinstance(moment, datetime)]
    if len(times) == len(moments) and (times[-1] - times[0]).total_seconds() <= 2 * 86_400:
        return [f"{moment:%H:%M}" for moment in times]
    return [f"{moment:%m-%d}" if isinstance(moment, date) else moment for moment in moments]
