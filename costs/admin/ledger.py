"""The ledger and its sums by day: to read, filter and export; nobody writes here."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from arm.admin import ScopedAdmin
from arm.rights import Right
from telemetry.admin import Period, StreamAdmin

from ..models import LedgerEntry, SpendRollup, money

NAMES = ("currency", "price_ref", "model_provider", "model", "cost_center", "outcome")


@admin.register(LedgerEntry)
class LedgerEntryAdmin(StreamAdmin):
    view_right = Right.READ_LEDGER
    list_display = (
        "occurred_at",
        "typeid_",
        "amount_",
        "basis",
        "instance",
        "environment",
        "model",
        "cost_center",
        "job",
        "outcome",
    )
    list_select_related = ("instance", "environment", "model", "cost_center", "outcome", "currency")
    list_filter = (Period, "basis", "environment", "provider")
    fields = readonly_fields = (
        "typeid_",
        "occurred_at",
        "amount_",
        "reported",
        "basis",
        "price_ref",
        "instance",
        "version",
        "template",
        "environment",
        "provider",
        "role",
        "model_provider",
        "model",
        "input_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "output_tokens",
        "cost_center",
        "job",
        "outcome",
    )
    export_columns = (
        ("id", "typeid"),
        ("occurred at", "occurred_at"),
        ("amount", lambda entry: f"{entry.amount:f}"),
        ("currency", "currency"),
        ("basis", "get_basis_display"),
        ("instance", "instance.name"),
        ("environment", "environment.slug"),
        ("model", "model"),
        ("cost centre", "cost_center"),
        ("job", "job"),
        ("outcome", "outcome"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        if request.resolver_match and "object_id" in request.resolver_match.kwargs:
            return rows.select_related("instance", "version__template", "template", "role", *NAMES)
        return rows

    @admin.display(description="Amount")
    def amount_(self, row: LedgerEntry) -> str:
        return f"{row.amount:f} {row.currency}"

    @admin.display(description="Reported by the runtime")
    def reported(self, row: LedgerEntry) -> str:
        return "" if row.reported_picos is None else f"{money(row.reported_picos):f} {row.currency}"


@admin.register(SpendRollup)
class SpendRollupAdmin(ScopedAdmin):
    """The ledger summed by day and tags."""

    view_right = Right.READ_LEDGER
    list_display = (
        "day",
        "amount",
        "calls",
        "instance",
        "environment",
        "model",
        "cost_center",
        "outcome",
        "attributed",
    )
    list_select_related = ("instance", "environment", "model", "cost_center", "outcome", "currency")
    list_filter = ("attributed", "basis", "environment")
    search_fields = ("instance__name",)
    ordering = ("-day", "-pk")
    sortable_by = ()
    fields = readonly_fields = (
        "day",
        "amount",
        "calls",
        "input_tokens",
        "cached_tokens",
        "output_tokens",
        "basis",
        "attributed",
        "instance",
        "version",
        "template",
        "environment",
        "role",
        "model_provider",
        "model",
        "cost_center",
        "outcome",
    )
    export_columns = (
        ("day", "day"),
        ("amount", lambda row: f"{money(row.amount_picos):f}"),
        ("currency", "currency"),
        ("calls", "calls"),
        ("instance", "instance"),
        ("environment", "environment.slug"),
        ("model", "model"),
        ("cost centre", "cost_center"),
        ("outcome", "outcome"),
        ("attributed", "attributed"),
    )

    @admin.display(description="Amount")
    def amount(self, row: SpendRollup) -> str:
        return f"{money(row.amount_picos):f} {row.currency}"
