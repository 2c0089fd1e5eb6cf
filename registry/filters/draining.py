"""The questions that the list of what drains answers: those of instances, and for how long."""

from datetime import timedelta
from typing import Any

import django_filters
from django.db.models import QuerySet

from arm import clock

from . import InstanceFilter

LONG = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}


class DrainingFilter(InstanceFilter):
    state = None
    drained_for = django_filters.ChoiceFilter(
        method="since",
        label="Drains for more than",
        choices=[("hour", "An hour"), ("day", "A day"), ("week", "A week")],
    )

    def since(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return rows.filter(state_since__lt=clock.now() - LONG[value])
