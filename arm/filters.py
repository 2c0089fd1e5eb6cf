"""Filters of the core's lists: one set per list, used by the page and its CSV."""

from typing import Any

import django_filters
from django import forms

from arm.models import ChangeRecord, SavedView
from arm.moments import MomentField


class YesNoField(forms.NullBooleanField):
    """`true` or `false` (1, 0); what is neither is wrong, and not: no filter."""

    def to_python(self, value: Any) -> bool | None:  # type: ignore[override]
        said = str(value or "").strip().lower()
        if said not in _YES_OR_NO:
            raise forms.ValidationError("Must be true or false.", code="invalid")
        return _YES_OR_NO[said]


_YES_OR_NO = {"": None, "true": True, "1": True, "on": True, "false": False, "0": False}


class YesNo(django_filters.BooleanFilter):  # type: ignore[misc]
    """A filter of a question that is answered with yes or no."""

    field_class = YesNoField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("widget", forms.TextInput)
        super().__init__(*args, **kwargs)


class TickBox(forms.CheckboxInput):
    """Asks a `YesNo` on a page: ticked it sends `true`, else nothing; what an address says goes to the field as it is, where a
    checkbox would take every word for yes."""

    def __init__(self) -> None:
        super().__init__(check_test=lambda value: _YES_OR_NO.get(str(value or "").strip().lower()) is True)

    def format_value(self, value: Any) -> str:
        return "true"

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        return data.get(name)


class MomentFilter(django_filters.IsoDateTimeFilter):  # type: ignore[misc]
    """A filter by a moment."""

    field_class = MomentField


class ChangeFilter(django_filters.FilterSet):  # type: ignore[misc]
    """The governance stream by who, what, on what, and when."""

    target = django_filters.CharFilter("target_label", "icontains", label="On")
    actor = django_filters.CharFilter("actor_label", "icontains", label="Who")
    verb = django_filters.CharFilter("verb", "startswith", label="What")
    request_id = django_filters.CharFilter(label="Request")
    since = MomentFilter("at", "gte", label="Since")
    until = MomentFilter("at", "lt", label="Until")

    class Meta:
        model = ChangeRecord
        fields: list[str] = []


class ViewFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Saved views of a list, shared or not."""

    list = django_filters.CharFilter("list_name")
    shared = YesNo()

    class Meta:
        model = SavedView
        fields: list[str] = []
