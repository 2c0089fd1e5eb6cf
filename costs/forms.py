"""Forms that parse and validate; services write."""

from datetime import date, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from arm import clock
from arm.models import User
from arm.moments import DayField
from arm.rights import Right
from registry.forms import TypeIDField
from registry.models import AgentInstance

from .models import UNPRICED_HELP, Cap
from .queries import TAGS

LONGEST = timedelta(days=400)


class SpendForm(forms.Form):
    """Which days, and by what."""

    PERIODS = (
        ("30d", "Last 30 days"),
        ("today", "Today"),
        ("7d", "Last 7 days"),
        ("month", "This month"),
        ("last_month", "Last month"),
    )

    group_by = forms.ChoiceField(
        choices=[(tag.name, tag.title) for tag in TAGS.values()], required=False, label="By"
    )
    period = forms.ChoiceField(choices=PERIODS, required=False)
    since = DayField(required=False, label="From")
    until = DayField(required=False, label="Until (included)")
    currency = forms.CharField(required=False, max_length=3)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        since, until = self._days(cleaned)
        if until < since:
            raise ValidationError("The period ends before it begins.")
        if until - since > LONGEST:
            raise ValidationError(f"At most {LONGEST.days} days at a time.")
        return cleaned | {
            "since": since,
            "until": until,
            "tag": TAGS[cleaned.get("group_by") or "environment"],
        }

    def _days(self, cleaned: dict[str, Any]) -> tuple[date, date]:
        today = clock.today()
        first = today.replace(day=1)
        begins, ends = {
            "today": (today, today),
            "7d": (today - timedelta(days=6), today),
            "month": (first, today),
            "last_month": ((first - timedelta(days=1)).replace(day=1), first - timedelta(days=1)),
        }.get(cleaned.get("period") or "", (today - timedelta(days=29), today))
        return cleaned.get("since") or begins, cleaned.get("until") or ends


class CapForm(forms.Form):
    instance = TypeIDField(
        "ins",
        AgentInstance.objects.select_related("template", "environment"),
        Right.READ_DIRECTORY,
        help_text="Identifier (ins_…) of the instance that the cap holds.",
    )
    per_day = forms.DecimalField(max_digits=18, decimal_places=6, min_value=0, label="At most per day (UTC)")
    currency = forms.RegexField(regex=r"^[A-Z]{3}$", initial="USD", help_text="Like USD or EUR.")
    unpriced = forms.ChoiceField(
        choices=Cap.Unpriced.choices,
        initial=Cap.Unpriced.PASSES,
        label="Calls without a price",
        help_text=UNPRICED_HELP,
    )
    reason = forms.CharField(max_length=500, widget=forms.Textarea(attrs={"rows": 2}))

    def __init__(self, *args: Any, actor: User, **kwargs: Any) -> None:
        self.actor = actor
        super().__init__(*args, **kwargs)

    def clean_instance(self) -> AgentInstance:
        field: Any = self.fields["instance"]
        found: AgentInstance = field.found(self.cleaned_data["instance"], self.actor)
        return found


class RateForm(forms.Form):
    model = forms.CharField(
        max_length=200, help_text="A model's name; one ending in * means all that begin so."
    )
    provider = forms.CharField(max_length=80, required=False, help_text="Empty: every provider.")
    currency = forms.RegexField(regex=r"^[A-Z]{3}$", initial="USD")
    input_mtok = forms.DecimalField(max_digits=18, decimal_places=9, label="Input, per million tokens")
    output_mtok = forms.DecimalField(max_digits=18, decimal_places=9, label="Output, per million tokens")
    cache_read_mtok = forms.DecimalField(
        max_digits=18, decimal_places=9, required=False, label="Cache read, per million tokens"
    )
    cache_write_mtok = forms.DecimalField(
        max_digits=18, decimal_places=9, required=False, label="Cache write, per million tokens"
    )
    per_call = forms.DecimalField(max_digits=18, decimal_places=9, required=False, label="Per call")
    reason = forms.CharField(max_length=500, widget=forms.Textarea(attrs={"rows": 2}))

    PRICES = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "per_call")

    def prices(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in self.PRICES}
