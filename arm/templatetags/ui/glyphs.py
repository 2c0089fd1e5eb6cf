"""Pictures small enough to sit in a line of text: status shapes (12 px) and navigation icons (16 px).

They are drawn inline so that a page needs no sprite, no font and no style attribute; `currentColor` lets the
surrounding tone colour them.
"""

from functools import cache, lru_cache

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from arm.templatetags.ui.library import register

SHAPES: dict[str, str] = {
    "dashed": '<circle cx="6" cy="6" r="4.25" fill="none" stroke="currentColor" stroke-width="1.5" '
    'stroke-dasharray="2.2 1.6"/>',
    "ring": '<circle cx="6" cy="6" r="4.25" fill="none" stroke="currentColor" stroke-width="1.5"/>',
    "disc": '<circle cx="6" cy="6" r="4.5"/>',
    "half": '<circle cx="6" cy="6" r="4.25" fill="none" stroke="currentColor" stroke-width="1.5"/>'
    '<path d="M6 3.5a2.5 2.5 0 0 1 0 5z"/>',
    "diamond": '<path d="M6 .8 11.2 6 6 11.2.8 6z"/>',
    "check": '<path fill-rule="evenodd" d="M6 1a5 5 0 1 1 0 10A5 5 0 0 1 6 1zm2.5 2.9L5.2 7.2 3.6 5.6l-.9.9 2.5 '
    '2.5 4.2-4.2z"/>',
    "ticked": '<path fill="none" stroke="currentColor" stroke-width="1.75" d="m2 6.4 2.7 2.7L10 3.4"/>',
    "triangle-down": '<path d="M1 2.2h10L6 11z"/>',
    "triangle": '<path d="M6 1.2 11.2 10.4H.8z"/>',
    "triangle-open": '<path fill="none" stroke="currentColor" stroke-width="1.5" stroke-linejoin="round" '
    'd="M6 2.2 10.4 9.8H1.6z"/>',
    "square": '<rect x="2" y="2" width="8" height="8" rx="1" fill="none" stroke="currentColor" '
    'stroke-width="1.5"/>',
    "pause": '<path d="M2.6 1.8h2.3v8.4H2.6zM7.1 1.8h2.3v8.4H7.1z"/>',
    "lock": '<path fill-rule="evenodd" d="M3.2 5V3.8a2.8 2.8 0 0 1 5.6 0V5h.7c.3 0 .5.2.5.5v5c0 .3-.2.5-.5.5h-7a.5'
    '.5 0 0 1-.5-.5v-5c0-.3.2-.5.5-.5zm1.5 0h2.6V3.8a1.3 1.3 0 0 0-2.6 0z"/>',
    "arrow-down": '<path fill="none" stroke="currentColor" stroke-width="1.75" d="M6 1.5v8.2M2.4 6.2 6 '
    '9.8l3.6-3.6"/>',
    "octagon": '<path fill-rule="evenodd" d="M3.7.7h4.6l3 3v4.6l-3 3H3.7l-3-3V3.7zM3 5.2v1.6h6V5.2z"/>',
    "cross": '<path fill="none" stroke="currentColor" stroke-width="1.75" d="m2.4 2.4 7.2 7.2m0-7.2L2.4 9.6"/>',
    "question": '<circle cx="6" cy="6" r="4.6" fill="none" stroke="currentColor" stroke-width="1.3" '
    'stroke-dasharray="1.6 1.3"/><path d="M4.3 4.9a1.75 1.75 0 1 1 2.5 1.6c-.4.2-.5.4-.5.8h-1c0-.9.3-1.3.9-1.6a.8'
    '.8 0 1 0-1-.8zM5.3 8h1.1v1H5.3z"/>',
    "turn": '<path fill="none" stroke="currentColor" stroke-width="1.5" d="M10.2 6a4.2 4.2 0 1 1-1.4-3.1"/>'
    '<path d="M10.9.9v3.4H7.5z"/>',
    "bang": '<path fill-rule="evenodd" d="M6 .9 11.5 10.8H.5zM5.3 4.3l.2 3.2h1l.2-3.2zM5.4 8.3v1.2h1.2V8.3z"/>',
    "person": '<circle cx="6" cy="3.4" r="2.4"/><path d="M1.4 11a4.6 4.6 0 0 1 9.2 0z"/>',
    "clock": '<circle cx="6" cy="6" r="4.5" fill="none" stroke="currentColor" stroke-width="1.4"/>'
    '<path fill="none" stroke="currentColor" stroke-width="1.4" d="M6 3.2V6l2 1.4"/>',
    "dot": '<circle cx="6" cy="6" r="2.2"/>',
    "level-1": '<path d="M1 7.5h2V11H1z"/><path opacity=".3" d="M5 4.5h2V11H5zM9 1.5h2V11H9z"/>',
    "level-2": '<path d="M1 7.5h2V11H1zM5 4.5h2V11H5z"/><path opacity=".3" d="M9 1.5h2V11H9z"/>',
    "level-3": '<path d="M1 7.5h2V11H1zM5 4.5h2V11H5zM9 1.5h2V11H9z"/>',
    "level-4": '<path fill-rule="evenodd" d="M2 .8h8c.7 0 1.2.5 1.2 1.2v8c0 .7-.5 1.2-1.2 1.2H2c-.7 0-1.2-.5-1.2-'
    '1.2V2C.8 1.3 1.3.8 2 .8zm3.2 2 .2 4h1.2l.2-4zm.1 4.9v1.5h1.4V7.7z"/>',
}

_LINE = 'fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round"'

ICONS: dict[str, str] = {
    "fleet": '<path d="M2 12.5V9m4 3.5v-7m4 7v-5m4 5V3.5"/>',
    "directory": '<path d="M1.5 4.5v8h13V5.5H8L6.5 3.5h-4a1 1 0 0 0-1 1z"/>',
    "templates": '<path d="m8 1.5 6 3-6 3-6-3zM2 8l6 3 6-3M2 11.3l6 3 6-3"/>',
    "versions": '<circle cx="4" cy="3.5" r="1.75"/><circle cx="4" cy="12.5" r="1.75"/><circle cx="12" cy="6" '
    'r="1.75"/><path d="M4 5.25v5.5M12 7.75C12 10 8 9.5 4.5 11"/>',
    "instances": '<rect x="2" y="2.5" width="12" height="4.5" rx="1"/><rect x="2" y="9" width="12" height="4.5" '
    'rx="1"/><path d="M4.5 4.75h.01M4.5 11.25h.01"/>',
    "environments": '<circle cx="8" cy="8" r="6"/><path d="M2 8h12M8 2c4 3.5 4 8.5 0 12M8 2C4 5.5 4 10.5 8 14"/>',
    "providers": '<path d="M5 13h7a3 3 0 0 0 .4-6 4.5 4.5 0 0 0-8.6 1A2.6 2.6 0 0 0 5 13z"/>',
    "policies": '<path d="M8 1.5 13.5 3.5v4c0 3.4-2.3 5.8-5.5 7-3.2-1.2-5.5-3.6-5.5-7v-4z"/>'
    '<path d="m5.5 7.8 1.8 1.8 3.2-3.4"/>',
    "tool-risk": '<path d="M10.3 2.2a3.5 3.5 0 0 0-3.6 4.9L2 11.8 4.2 14l4.7-4.7a3.5 3.5 0 0 0 4.9-3.6L11.5 8 9 '
    '7.2 8 4.6z"/>',
    "decisions": '<path d="M8 14V9M8 9 3 4m5 5 5-5M3 7V4h3m7 3V4h-3"/>',
    "approvals": '<path d="M2.5 8.5 6 12l7.5-8"/>',
    "stop": '<path d="M5.2 1.8h5.6l3.4 3.4v5.6l-3.4 3.4H5.2l-3.4-3.4V5.2z"/><path d="M5.5 8h5"/>',
    "incidents": '<path d="M8 2 14.5 13.5h-13zM8 6.5v3M8 11.5v.01"/>',
    "costs": '<circle cx="8" cy="8" r="6"/><path d="M10 5.8C9.6 5 8.9 4.7 8 4.7c-1.2 0-2 .6-2 1.6 0 2.3 4.1 '
    '1.1 4.1 3.4 0 1-.9 1.6-2.1 1.6-1 0-1.8-.4-2.2-1.2M8 3.5v9"/>',
    "telemetry": '<path d="M1.5 8h3l2-5 3 10 2-5h3"/>',
    "quarantine": '<path d="M2 4.5h12v9H2zM2 4.5l2-2.5h8l2 2.5M6.5 7.5h3"/>',
    "keys": '<circle cx="5" cy="11" r="3"/><path d="m7.2 8.8 6-6M11 5l2 2M9.2 6.8l1.3 1.3"/>',
    "changes": '<path d="M3 2h7l3 3v9H3zM10 2v3h3M5.5 8h5M5.5 11h5"/>',
    "log": '<path d="M8 2v3M4 9V7h8v2M8 5v2M4 9v0M2.5 9h3v3h-3zM10.5 9h3v3h-3zM6.5 2h3v3h-3z"/>',
    "settings": '<path d="M2 4.5h7m4 0h1M2 11.5h1m4 0h7"/><circle cx="11" cy="4.5" r="1.75"/>'
    '<circle cx="5" cy="11.5" r="1.75"/>',
    "search": '<circle cx="7" cy="7" r="4.5"/><path d="m10.5 10.5 3.5 3.5"/>',
    "user": '<circle cx="8" cy="5.5" r="2.75"/><path d="M2.5 14a5.5 5.5 0 0 1 11 0"/>',
    "people": '<circle cx="6" cy="5.5" r="2.5"/><path d="M1.5 13.5a4.5 4.5 0 0 1 9 0M10.5 3.2a2.5 2.5 0 0 1 0 '
    '4.6M12 9.6a4.5 4.5 0 0 1 2.5 3.9"/>',
    "menu": '<path d="M2 4h12M2 8h12M2 12h12"/>',
    "copy": '<rect x="5.5" y="5.5" width="8" height="8" rx="1"/><path d="M10.5 5.5v-3h-8v8h3"/>',
    "external": '<path d="M9.5 2.5h4v4M13.5 2.5 7.5 8.5M11.5 9v4.5h-9v-9H7"/>',
    "download": '<path d="M8 2v8m-3.5-3L8 10.5 11.5 7M2.5 13.5h11"/>',
    "filter": '<path d="M2 3.5h12M4.5 8h7M6.5 12.5h3"/>',
    "plus": '<path d="M8 3v10M3 8h10"/>',
    "chevron": '<path d="m4 6 4 4 4-4"/>',
    "info": '<circle cx="8" cy="8" r="6"/><path d="M8 7.5v3.5M8 5v.01"/>',
    "warn": '<path d="M8 2 14.5 13.5h-13zM8 6.5v3M8 11.5v.01"/>',
    "danger": '<path d="M5.2 1.8h5.6l3.4 3.4v5.6l-3.4 3.4H5.2l-3.4-3.4V5.2z"/><path d="M8 5v3.5M8 11v.01"/>',
    "refusal": '<circle cx="8" cy="8" r="6"/><path d="m3.8 12.2 8.4-8.4"/>',
    "sun": '<circle cx="8" cy="8" r="3"/><path d="M8 1.5v1M8 13.5v1M1.5 8h1M13.5 8h1M3.4 3.4l.7.7M11.9 '
    '11.9l.7.7M3.4 12.6l.7-.7M11.9 4.1l.7-.7"/>',
    "moon": '<path d="M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7z"/>',
    "contrast": '<circle cx="8" cy="8" r="6"/><path fill="currentColor" d="M8 2a6 6 0 0 1 0 12z"/>',
    "box": '<path d="m8 1.5 5.5 3v7L8 14.5l-5.5-3v-7zM2.5 4.5 8 7.5l5.5-3M8 7.5v7"/>',
}


@cache
def shape(name: str) -> SafeString:
    """A status shape, hidden from screen readers: the word beside it says the same. KeyError if unknown."""
    drawing = mark_safe(SHAPES[name])  # noqa: S308  (a constant of this module)
    return format_html(
        '<svg class="glyph" viewBox="0 0 12 12" width="12" height="12" fill="currentColor" aria-hidden="true">{}'
        "</svg>",
        drawing,
    )


@register.simple_tag
@lru_cache(maxsize=len(ICONS) + 10)
def icon(name: str) -> SafeString:
    """`{% icon "fleet" %}`: a 16 px line icon, hidden from screen readers. An unknown name draws a plain box."""
    drawing = mark_safe(ICONS.get(name, ICONS["box"]))  # noqa: S308  (a constant of this module)
    attributes = mark_safe(_LINE)  # noqa: S308  (a constant of this module)
    return format_html(
        '<svg class="icon" viewBox="0 0 16 16" width="16" height="16" {} aria-hidden="true">{}</svg>',
        attributes,
        drawing,
    )
