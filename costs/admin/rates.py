"""The rate card: lines are added and ended, never changed."""

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from arm.admin import AdminCommand, ReasonOnly
from arm.rights import Right
from registry.admin import ReasonedAdmin

from .. import services
from ..forms import RateForm
from ..models import CostModel


@admin.register(CostModel)
class CostModelAdmin(ReasonedAdmin):
    view_right = Right.READ_LEDGER
    add_right = Right.EDIT_RATES
    list_display = ("model", "provider", "currency", "input_mtok", "output_mtok", "starts_at", "ends_at")
    search_fields = ("model", "provider")
    list_filter = ("currency", ("ends_at", admin.EmptyFieldListFilter))
    made_of = ("model", "provider", "currency", *RateForm.PRICES)
    shown = (*made_of, "starts_at", "ends_at", "price_ref", "created_by")
    export_columns = (
        ("id", "typeid"),
        ("model", "model"),
        ("provider", "provider"),
        ("currency", "currency"),
        ("input", "input_mtok"),
        ("output", "output_mtok"),
        ("starts at", "starts_at"),
        ("ends at", "ends_at"),
    )
    commands = (
        AdminCommand(
            "end_rate",
            "End the rates",
            Right.EDIT_RATES,
            lambda row, actor, cleaned: services.end_rate(rate=row, actor=actor, **cleaned),
            ReasonOnly,
            "Calls are priced from the public list from now on; booked amounts stay.",
        ),
    )

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        prices = {name: cleaned.pop(name) for name in RateForm.PRICES}
        return services.add_rate(
            tenant=request.tenant,  # type: ignore[attr-defined]
            actor=request.user,  # type: ignore[arg-type]
            prices=prices,
            **cleaned,
        )
