"""How the admin looks: unfold's settings, with the console's blue (static/css/tokens.css)."""

from typing import Any

from django.templatetags.static import static

BLUES = dict(
    zip(
        ["50", "100", "200", "300", "400", "500", "600", "700", "800", "900", "950"],
        [
            "97% .014 254.6",
            "93.2% .032 255.6",
            "88.2% .059 254.1",
            "80.9% .105 251.8",
            "70.7% .165 254.6",
            "62.3% .188 259.8",
            "50.9% .178 262.4",
            "45.5% .171 264.4",
            "39.5% .148 265.5",
            "34.9% .114 265.5",
            "28.2% .091 267.9",
        ],
        strict=True,
    )
)
UNFOLD: dict[str, Any] = {
    "STYLES": [lambda request: static("css/admin.css")],
    "SITE_ICON": lambda request: static("img/logo.svg"),
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "sizes": "any",
            "href": lambda request: static("img/favicon.svg"),
        }
    ],
    "SITE_URL": "/",
    "SITE_DROPDOWN": [{"icon": "speed", "title": "Console", "link": "/"}],
    "COLORS": {"primary": {shade: f"oklch({blue})" for shade, blue in BLUES.items()}},
    "SITE_TITLE": "ARM admin",
    "SITE_HEADER": "ARM",
    "SITE_SUBHEADER": "Agent Resource Management",
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": True,
}
