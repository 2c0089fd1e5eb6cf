"""Parts of a page that renew themselves, and the badge that says so, or says since when they do not."""

from datetime import datetime

from django.utils.html import format_html
from django.utils.safestring import SafeString

from arm import clock
from arm.templatetags.ui.glyphs import shape
from arm.templatetags.ui.library import register
from arm.templatetags.ui.values import when


@register.simple_block_tag
def live(content: SafeString, name: str, url: str, every: int = 3) -> SafeString:
    """`{% live "fleet" url %}…{% endlive %}`: its inside is fetched again from `url` every few seconds (htmx)."""
    return format_html(
        '<div id="{}" class="live" hx-get="{}" hx-trigger="every {}s, renew" hx-swap="innerHTML">{}</div>',
        name,
        url,
        int(every),
        content,
    )


@register.simple_tag
def freshness(name: str, every: int = 3, at: datetime | None = None) -> SafeString:
    """The badge of the live part `name`: “Updated 2 s ago”, or “Stopped updating since 12:03:07 UTC” and a button.

    Without a script it says that the page does not renew itself. static/js/freshness.js keeps it true.
    """
    return format_html(
        '<div class="freshness" data-freshness="{}" data-every="{}"><span class="freshness-on">{}</span>'
        '<span class="freshness-off">{}</span><span class="freshness-words" role="status" data-words>As of {}</span> '
        '<span class="freshness-age" data-age></span> '
        '<button type="button" class="button button-small" data-renew hidden>Update now</button></div>',
        name,
        int(every),
        shape("disc"),
        shape("triangle"),
        when(at or clock.now(), style="absolute"),
    )


@register.simple_tag
def server_time() -> str:
    """This moment in UTC for machines; scripts age what the page shows by the server's clock, not the desk's."""
    return clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
