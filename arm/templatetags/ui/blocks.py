"""Boxes and lists that a page is built from: cards, tiles, callouts, empty states, facts, timelines, tabs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from arm.panels import rights_of_visitor
from arm.templatetags.ui.glyphs import icon, shape
from arm.templatetags.ui.library import register
from arm.templatetags.ui.states import look
from arm.templatetags.ui.values import Number, compact, when

_TONES = frozenset({"ok", "info", "move", "warn", "bad", "stop", "mute", ""})
_CALLOUTS = {"info": "info", "ok": "info", "warn": "warn", "danger": "danger", "refusal": "refusal"}


@register.simple_block_tag
def card(
    content: SafeString, title: str = "", *, url: str = "", link: str = "", flush: bool = False, id: str = ""
) -> SafeString:
    """`{% card "Genome" url=… link="Compare" %}…{% endcard %}`. `flush` drops the padding, for a table."""
    anchor = format_html('<a href="{}">{}</a>', url, link or "All") if url else ""
    head = format_html('<header class="card-head"><h2>{}</h2>{}</header>', title, anchor) if title else ""
    return format_html(
        '<section class="card{}"{}>{}<div class="card-body">{}</div></section>',
        " card-flush" if flush else "",
        format_html(' id="{}"', id) if id else "",
        head,
        content,
    )


@register.simple_tag
def stat(
    label: str, value: Number | str | SafeString | None, url: str = "", *, note: str = "", tone: str = ""
) -> SafeString:
    """A number that is a link to its rows; put tiles inside `<ul class="stats">`. None reads as unknown.

    `tone` (ok, info, warn, bad, stop, mute) adds a mark and a colour. Pass `{% money … as v %}` for amounts.
    """
    if tone not in _TONES:
        raise ValueError(f"“{tone}” is not a tone; take one of {', '.join(sorted(_TONES - {''}))}.")
    if value is None:
        shown: str | SafeString = format_html('<span class="absent">{}</span>', "unknown")
    elif isinstance(value, str):
        shown = value
    else:
        shown = format_html('<span title="{}">{}</span>', f"{value:,}", compact(value))
    mark = {
        "ok": "check",
        "warn": "triangle",
        "bad": "bang",
        "stop": "octagon",
        "info": "disc",
        "move": "turn",
    }
    body = format_html(
        '<span class="stat-label">{}{}</span><span class="stat-value">{}</span>{}',
        shape(mark[tone]) if tone in mark else "",
        label,
        shown,
        format_html('<span class="stat-note">{}</span>', note) if note else "",
    )
    tag = format_html('<a href="{}">{}</a>', url, body) if url else format_html("<div>{}</div>", body)
    return format_html('<li class="stat{}">{}</li>', f" tone-{tone}" if tone else "", tag)


@register.simple_tag(takes_context=True)
def empty(
    context: Mapping[str, Any],
    title: str,
    text: str = "",
    url: str = "",
    link: str = "",
    icon_name: str = "box",
) -> SafeString:
    """What an empty page says: what is not here, why, and the first step as a link.

    To whom the page shows nothing whatever there is (its `view_right` is held nowhere), it says that instead.
    """
    right, request = getattr(context.get("view"), "view_right", None), context.get("request")
    if right is not None and request is not None and right.value not in rights_of_visitor(request):
        title, url = "Nothing here for you to see", ""
        text = f"Your roles do not let you {right.words}. An administrator binds roles to people."
    step = format_html('<p><a class="button" href="{}">{}</a></p>', url, link) if url else ""
    return format_html(
        '<div class="empty">{}<p class="empty-title">{}</p>{}{}</div>',
        icon(icon_name),
        title,
        format_html("<p>{}</p>", text) if text else "",
        step,
    )


@register.simple_block_tag
def callout(content: SafeString, kind: str = "info", title: str = "") -> SafeString:
    """`{% callout "warn" title="…" %}…{% endcallout %}`; kinds: info, ok, warn, danger, refusal."""
    name = _CALLOUTS[kind]
    return format_html(
        '<div class="callout callout-{}" role="{}">{}<div>{}{}</div></div>',
        kind,
        "alert" if kind in {"danger", "refusal"} else "note",
        icon(name),
        format_html('<p class="callout-title">{}</p>', title) if title else "",
        content,
    )


@register.simple_tag
def refusal(
    sentence: str, rule: str = "", lift: str = "", next_step: str = "", url: str = "", rule_url: str = ""
) -> SafeString:
    """A refusal that helps: what was refused, which rule said so, who may lift it, what to do next."""
    named = format_html('<a href="{}">{}</a>', rule_url, rule) if rule_url else rule
    onward = format_html('<a href="{}">{}</a>', url, next_step) if url else next_step
    rows = [
        (term, text) for term, text in (("Rule", named), ("May lift it", lift), ("Next step", onward)) if text
    ]
    facts = format_html_join("", "<div><dt>{}</dt><dd>{}</dd></div>", rows)
    return format_html(
        '<div class="callout callout-refusal" role="alert">{}<div><p class="callout-title">{}</p>{}</div></div>',
        icon("refusal"),
        sentence,
        format_html('<dl class="facts">{}</dl>', facts) if rows else "",
    )


@register.simple_block_tag
def definitions(content: SafeString, columns: int = 1) -> SafeString:
    """`{% definitions %}{% definition "Owner" %}Alice{% enddefinition %}…{% enddefinitions %}`; 1 or 2 columns."""
    return format_html('<dl class="facts{}">{}</dl>', " facts-2" if columns == 2 else "", content)


@register.simple_block_tag
def definition(content: SafeString, term: str) -> SafeString:
    """One term and what it is; nothing in it reads as `none`."""
    value = content if content.strip() else format_html('<span class="absent">{}</span>', "none")
    return format_html("<div><dt>{}</dt><dd>{}</dd></div>", term, value)


@register.simple_tag
def timeline(entries: Sequence[Mapping[str, Any]], label: str = "History") -> SafeString:
    """Newest first as given. An entry has `at` and `title`; `actor`, `text`, `url`, `state` are optional."""
    rows = []
    for entry in entries:
        at = entry["at"]
        if not isinstance(at, datetime):
            raise TypeError(f"A timeline entry needs a datetime under “at”, not {at!r}.")
        seen = look(str(entry["state"])) if entry.get("state") else None
        title = entry["title"]
        if entry.get("url"):
            title = format_html('<a href="{}">{}</a>', entry["url"], title)
        rows.append(
            (
                seen.tone if seen else "mute",
                shape(seen.shape if seen else "dot"),
                title,
                format_html(" by {}", entry["actor"]) if entry.get("actor") else "",
                when(at),
                format_html('<p class="timeline-text">{}</p>', entry["text"]) if entry.get("text") else "",
            )
        )
    items = format_html_join(
        "",
        '<li><span class="timeline-mark tone-{}">{}</span><div><p><strong>{}</strong>{} '
        '<span class="timeline-at">{}</span></p>{}</div></li>',
        rows,
    )
    return format_html('<ol class="timeline" aria-label="{}">{}</ol>', label, items)


_PHASES = {
    "done": ("check", "done"),
    "now": ("disc", "now"),
    "next": ("ring", "next"),
    "later": ("dashed", "later"),
    "skipped": ("cross", "not reached"),
}


@register.simple_tag
def track(items: Sequence[Mapping[str, Any]], label: str = "Steps") -> SafeString:
    """`{% track items "Lifecycle" %}`: a row of steps. Each: {label, phase, note?, url?}; the phase is done, now, next,
    later or skipped, and is said by shape and word, not by colour alone. A KeyError names a phase that is none."""
    steps = []
    for item in items:
        glyph, word = _PHASES[item["phase"]]
        name = format_html("<strong>{}</strong>", item["label"])
        if item.get("url"):
            name = format_html('<a href="{}">{}</a>', item["url"], name)
        note = format_html('<span class="track-note">{}</span>', item["note"]) if item.get("note") else ""
        current = SafeString(' aria-current="step"') if item["phase"] == "now" else ""
        mark = shape(glyph)
        steps.append((item["phase"], current, mark, name, word, note))
    inner = format_html_join(
        "",
        '<li class="track-{}"{}><span class="track-mark">{}</span><span class="track-name">{}'
        '<span class="track-word">{}</span>{}</span></li>',
        steps,
    )
    return format_html('<ol class="track" aria-label="{}">{}</ol>', label, inner)


@register.simple_tag
def tabs(items: Sequence[Mapping[str, Any]], label: str = "Sections") -> SafeString:
    """Links to the pages of one object; an item has `label`, `url`, and optional `active`, `count`."""
    rows = [
        (
            item["url"],
            format_html(' aria-current="{}"', "page") if item.get("active") else "",
            item["label"],
            format_html(' <span class="count">{}</span>', item["count"])
            if item.get("count") is not None
            else "",
        )
        for item in items
    ]
    links = format_html_join("", '<li><a href="{}"{}>{}{}</a></li>', rows)
    return format_html('<nav class="tabs" aria-label="{}"><ul>{}</ul></nav>', label, links)


@register.simple_tag
def breadcrumbs(*parts: str) -> SafeString:
    """`{% breadcrumbs "Versions" list_url version.label %}`: label and address in turn, the last one the page."""
    if len(parts) % 2 == 0:
        raise ValueError(
            "Breadcrumbs are label, address, label, address, …, and end with the page's own label."
        )
    steps = [(parts[i + 1], parts[i]) for i in range(0, len(parts) - 1, 2)]
    links = format_html_join("", '<li><a href="{}">{}</a></li>', steps)
    return format_html(
        '<nav class="breadcrumbs" aria-label="Breadcrumbs"><ol>{}<li aria-current="page">{}</li></ol></nav>',
        links,
        parts[-1],
    )


@register.simple_tag
def progress(done: Number, total: Number, label: str, note: str = "") -> SafeString:
    """A bar that is true: `done` of `total`, said in words too. An unknown total (0) claims no share."""
    words = f"{compact(done)} of {compact(total)}" if total else f"{compact(done)} so far"
    bar = (
        format_html('<progress value="{}" max="{}" aria-label="{}"></progress>', done, total, label)
        if total
        else format_html('<progress aria-label="{}"></progress>', label)
    )
    return format_html(
        '<div class="progress"><span class="progress-label">{}</span>{}<span class="progress-words">{}{}</span></div>',
        label,
        bar,
        words,
        f", {note}" if note else "",
    )
