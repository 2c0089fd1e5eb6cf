"""Boxes for moments and days: what they show, and what they refuse."""

from datetime import UTC, date, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django_filters.fields import IsoDateTimeField


class MomentInput(forms.DateTimeInput):
    """A box for a moment in UTC. It shows whatever ISO 8601 was asked for, a date or another offset too: the browser
    shows one form only, and a box that looks empty while it filters is cleared by the next click."""

    def __init__(self) -> None:
        super().__init__(attrs={"type": "datetime-local", "step": "any"}, format="%Y-%m-%dT%H:%M")

    def format_value(self, value: Any) -> str | None:
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                return str(value)
        if isinstance(value, datetime):
            try:
                moment = value.astimezone(UTC) if value.tzinfo else value
            except (
                OverflowError
            ):  # at the edge of the calendar: refused by its field, and shown as it was sent
                return value.isoformat()
            return moment.replace(tzinfo=None).isoformat(timespec="seconds" if moment.second else "minutes")
        shown: str | None = super().format_value(value)
        return shown


FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def within_reach(moment: datetime | date) -> None:
    """Refuse what no clock here will ever show; at the edges of the calendar another time zone would be no date."""
    inside = (
        FIRST <= moment <= LAST if isinstance(moment, datetime) else FIRST.date() <= moment <= LAST.date()
    )
    if not inside:
        raise ValidationError(f"Must be between {FIRST.year} and {LAST.year}.", code="out_of_reach")


class MomentField(IsoDateTimeField):  # type: ignore[misc]
    """A moment in ISO 8601, in UTC where it names no offset."""

    widget = MomentInput
    default_validators = [within_reach]


class DayField(forms.DateField):
    """A day of the calendar."""

    widget = forms.DateInput(attrs={"type": "date"})
    default_validators = [within_reach]
