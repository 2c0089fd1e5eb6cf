"""Recorded decisions, to read."""

from typing import Any

from arm.rights import Right
from policy.api import serializers as words
from policy.api.base import PolicyViewSetBase
from policy.filters import DecisionFilter
from policy.models import Decision


class DecisionViewSet(PolicyViewSetBase[Decision]):
    """Every answer, newest first; `hours` says how far back (7 days unless told). One by its id, however old."""

    queryset = Decision.objects.order_by("-pk")
    serializer_class = words.DecisionOut
    filterset_class = DecisionFilter
    view_right = Right.READ_DECISIONS
    prefix = "dec"

    def filter_queryset(self, queryset: Any) -> Any:
        """The id names one partition, so only lists need the bound in time."""
        return super().filter_queryset(queryset) if self.action == "list" else queryset
