"""Costs in the second workplace: caps, breaches and the rate card; every write is a command that calls a service."""

from django import forms
from django.contrib import admin

from arm.admin import AdminCommand, ScopedAdmin
from arm.rights import Right

from . import services
from .models import Cap, CapBreach, CostModel


class Why(forms.Form):
    reason = forms.CharField(max_length=500)


@admin.register(Cap)
class CapAdmin(ScopedAdmin):
    view_right = Right.READ_LEDGER
    list_display = ("instance", "per_day", "currency", "since", "until", "created_by")
    list_select_related = ("instance", "created_by")
    search_fields = ("instance__name",)
    fields = readonly_fields = ("instance", "per_day", "currency", "since", "until", "created_by")
    export_columns = (("instance", "instance"), ("per day", "per_day"), ("currency", "currency"))
    commands = (
        AdminCommand(
            "end_cap",
            "End the caps",
            Right.SET_BUDGET,
            lambda row, actor, cleaned: services.end_cap(cap=row, actor=actor, **cleaned),
            Why,
            "The instances may spend without a limit from now on.",
        ),
    )


@admin.register(CapBreach)
class CapBreachAdmin(ScopedAdmin):
    view_right = Right.READ_LEDGER
    list_display = ("cap", "day", "amount", "restricted", "at")
    list_select_related = ("cap__instance",)
    fields = readonly_fields = ("cap", "day", "amount", "restricted", "at", "incident_id")


@admin.register(CostModel)
class CostModelAdmin(ScopedAdmin):
    """The rate card."""

    view_right = Right.READ_LEDGER
    list_display = ("model", "provider", "currency", "input_mtok", "output_mtok", "starts_at", "ends_at")
    search_fields = ("model", "provider")
    list_filter = ("currency",)
    fields = readonly_fields = (
        "model",
        "provider",
        "currency",
        "input_mtok",
        "cache_read_mtok",
        "cache_write_mtok",
        "output_mtok",
        "per_call",
        "starts_at",
        "ends_at",
        "digest",
        "created_by",
    )
    export_columns = (
        ("model", "model"),
        ("provider", "provider"),
        ("input", "input_mtok"),
        ("output", "output_mtok"),
    )
    commands = (
        AdminCommand(
            "end_rate",
            "End the rates",
            Right.EDIT_RATES,
            lambda row, actor, cleaned: services.end_rate(rate=row, actor=actor, **cleaned),
            Why,
            "Calls are priced from the public list from now on; booked amounts stay.",
        ),
    )
