"""Filters of the core's lists: one set per list, used by the page and its CSV."""

import django_filters

from arm.models import ChangeRecord, SavedView


class ChangeFilter(django_filters.FilterSet):  # type: ignore[misc]
    """The governance stream by who, what, on what, and when."""

    target = django_filters.CharFilter("target_label", "icontains", label="On")
    actor = django_filters.CharFilter("actor_label", "icontains", label="Who")
    verb = django_filters.CharFilter("verb", "startswith", label="What")
    request_id = django_filters.CharFilter(label="Request")
    since = django_filters.IsoDateTimeFilter("at", "gte", label="Since")
    until = django_filters.IsoDateTimeFilter("at", "lt", label="Until")

    class Meta:
        model = ChangeRecord
        fields: list[str] = []


class ViewFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Saved views of a list, shared or not."""

    list = django_filters.CharFilter("list_name")
    shared = django_filters.BooleanFilter()

    class Meta:
        model = SavedView
        fields: list[str] = []
