"""Rows that are shown where they are not asked for: a duplicate is answered with the one that is there."""

from collections.abc import Callable
from typing import Any, TypeVar

from rest_framework import serializers

from arm.models import TenantRow

Shape = TypeVar("Shape", bound=serializers.BaseSerializer[Any])
_OUT: dict[type[TenantRow], Callable[[TenantRow], serializers.BaseSerializer[Any]]] = {}


def also_shown(out: type[Shape]) -> type[Shape]:
    """Rows of this serializer's model are shown by it."""
    return also_shows(out.Meta.model)(out)  # type: ignore[attr-defined]


def also_shows(model: type[TenantRow]) -> Callable[[type[Shape]], type[Shape]]:
    """The same for a serializer that says no model."""

    def keep(out: type[Shape]) -> type[Shape]:
        _OUT[model] = out
        return out

    return keep


def represent(row: TenantRow) -> Any:
    """Any row of the directory as its own endpoint would answer it."""
    return _OUT[type(row)](row).data
