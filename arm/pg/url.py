"""A database URL as Django's settings; a wrong one stops the start with the form it should have."""

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


def database(url: str, role: str = "") -> dict[str, Any]:
    """One entry of DATABASES from `postgresql://user:password@host:port/name?option=…`; '' means embedded.

    `role` ("app", "ingest") logs in as that derived role instead of the URL's user.
    """
    base: dict[str, Any] = {
        "ENGINE": "arm.pg",
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": True,
        "OPTIONS": {"application_name": "arm"},
        "ROLE": role,
    }
    if not url:
        return base | {"NAME": "arm"}
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"} or not parts.path.strip("/"):
        raise ImproperlyConfigured("A database URL looks like postgresql://user:password@host:5432/name.")
    options = dict(parse_qsl(parts.query))
    host = options.pop("host", "") or unquote(parts.hostname or "")
    return base | {
        "NAME": unquote(parts.path.strip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host or "localhost",
        "PORT": str(parts.port or options.pop("port", "")),
        "OPTIONS": {"application_name": "arm", **options},
    }
