"""Lower apps ask, higher apps answer: implementations are dotted paths in settings, like MIDDLEWARE."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol
from uuid import UUID

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string


class Incidents(Protocol):
    """Effect port: opens an incident in the caller's transaction (implemented by telemetry)."""

    def open(
        self,
        *,
        tenant_id: UUID,
        kind: str,
        severity: str,
        title: str,
        subject_kind: str,
        subject_id: UUID,
        facts: Mapping[str, Any],
    ) -> UUID:
        """The incident's id; an open incident of the same kind and subject is returned, not doubled."""
        ...


@cache
def implementations(setting: str) -> tuple[Any, ...]:
    """One instance of each class that the list setting names, in order; imported once."""
    return tuple(import_string(path)() for path in getattr(settings, setting))


@cache
def implementation(setting: str) -> Any:
    """The instance of the single class that the setting names; imported once."""
    return import_string(getattr(settings, setting))()


def incidents() -> Incidents:
    port: Incidents = implementation("INCIDENTS")
    return port


def _forget(**kwargs: Any) -> None:
    implementations.cache_clear()
    implementation.cache_clear()


setting_changed.connect(_forget)
