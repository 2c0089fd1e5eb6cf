"""The database engine: Django's PostgreSQL, with the embedded server behind a URL-less configuration and the
login of the alias's role ("app", "ingest") derived from the owner's."""

import hashlib
import hmac
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.backends.postgresql import base
from django.utils.functional import cached_property

from arm import pg
from arm.pg.url import database


def role_name(role: str) -> str:
    """The login of a role in this deployment: `arm_app`, `arm_ingest`."""
    return f"{settings.ROLE_PREFIX}_{role}"


def role_password(role: str) -> str:
    """Derived from the secret key, so that every process of a deployment knows it and nobody stores it."""
    return hmac.new(
        settings.SECRET_KEY.encode(), f"database role {role}".encode(), hashlib.sha256
    ).hexdigest()


class DatabaseWrapper(base.DatabaseWrapper):
    """`ROLE` in the alias: '' logs in as the URL says, else as that derived role."""

    @cached_property
    def _embedded(self) -> dict[str, Any]:
        data = Path(settings.DATA_DIR) if settings.DATA_DIR else pg.default_data()
        return database(pg.ensure(data).owner)

    def get_connection_params(self) -> dict[str, Any]:
        role = self.settings_dict.get("ROLE", "")
        if not self.settings_dict["HOST"]:
            for key in ("USER", "PASSWORD", "HOST", "PORT"):
                self.settings_dict[key] = self._embedded[key]
        params: dict[str, Any] = super().get_connection_params()
        if role:
            params |= {"user": role_name(role), "password": role_password(role)}
        return params
