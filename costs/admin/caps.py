"""Caps and what happened when they were passed."""

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from arm import ids
from arm.admin import AdminCommand, ReasonOnly, ScopedAdmin
from arm.rights import Right
from registry.admin import ReadOnlyInline, ReasonedAdmin

from .. import services
from ..models import Cap, CapBreach


def _sum(amount: Decimal, currency: str) -> str:
    """`50.00 USD`: exact, with at least two decimals and no zeros behind those."""
    exact = amount.normalize()
    decimals = max(2, -int(exact.as_tuple().exponent))
    return f"{exact:,.{decimals}f} {currency}"


@admin.display(description="Spent")
def spent(row: CapBreach) -> str:
    return _sum(row.amount, row.cap.currency)


class BreachInline(ReadOnlyInline):
    model = CapBreach
    fields = readonly_fields = ("day", spent, "restricted", "at")
    ordering = ("-day",)


@admin.register(Cap)
class CapAdmin(ReasonedAdmin):
    view_right = Right.READ_LEDGER
    add_right = Right.SET_BUDGET
    list_display = ("instance", "at_most", "unpriced", "since", "until", "created_by")
    list_select_related = ("instance", "created_by")
    list_filter = (("until", admin.EmptyFieldListFilter), "currency", "instance__environment")
    search_fields = ("instance__name",)
    autocomplete_fields = ("instance",)
    inlines = (BreachInline,)
    made_of = ("instance", "per_day", "currency", "unpriced")
    shown = ("instance", "at_most", "unpriced", "since", "until", "created_by")
    export_columns = (
        ("id", "typeid"),
        ("instance", "instance"),
        ("per day", "per_day"),
        ("currency", "currency"),
        ("since", "since"),
        ("until", "until"),
    )
    commands = (
        AdminCommand(
            "end_cap",
            "End the caps",
            Right.SET_BUDGET,
            lambda row, actor, cleaned: services.end_cap(cap=row, actor=actor, **cleaned),
            ReasonOnly,
            "The instances may spend without a limit from now on.",
        ),
    )

    @admin.display(description="At most per day", ordering="per_day")
    def at_most(self, row: Cap) -> str:
        return _sum(row.per_day, row.currency)

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return () if obj is None else self.inlines

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        return services.set_cap(actor=request.user, **cleaned)  # type: ignore[arg-type]


@admin.register(CapBreach)
class CapBreachAdmin(ScopedAdmin):
    view_right = Right.READ_LEDGER
    list_display = ("cap", "day", spent, "unpriced_model", "restricted", "at")
    list_select_related = ("cap__instance",)
    list_filter = ("restricted",)
    search_fields = ("cap__instance__name",)
    fields = readonly_fields = ("cap", "day", spent, "unpriced_model", "restricted", "at", "incident")
    export_columns = (
        ("id", "typeid"),
        ("instance", "cap.instance"),
        ("day", "day"),
        ("spent", "amount"),
        ("currency", "cap.currency"),
        ("restricted", "restricted"),
    )

    @admin.display(description="Incident")
    def incident(self, row: CapBreach) -> SafeString:
        name = ids.encode("inc", row.incident_id)
        return format_html('<a href="{}">{}</a>', reverse("telemetry:incident_detail", args=[name]), name)
