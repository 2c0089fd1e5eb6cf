"""The record of answers and what is used of limits: to read, filter and export; nobody writes here."""

from django.contrib import admin

from arm.admin import ScopedAdmin
from arm.rights import Right

from ..models import Decision, LimitUsage


@admin.register(Decision)
class DecisionAdmin(ScopedAdmin):
    view_right = Right.READ_DECISIONS
    list_display = ("at", "decision", "risk", "action", "tool", "instance", "job")
    list_select_related = ("instance",)
    list_filter = ("decision", "risk", "action")
    search_fields = ("=tool", "=job", "=outcome", "=run")
    fields = readonly_fields = (
        "at",
        "decision",
        "would",
        "risk",
        "action",
        "tool",
        "instance",
        "version_id",
        "reasons",
        "obligations",
        "job",
        "outcome",
        "run",
        "approval_id",
        "age_ms",
        "request_id",
    )
    export_columns = (
        ("id", "typeid"),
        ("at", "at"),
        ("decision", "get_decision_display"),
        ("risk", "get_risk_display"),
        ("action", "get_action_display"),
        ("tool", "tool"),
        ("instance", "instance"),
        ("job", "job"),
        ("outcome", "outcome"),
        ("reasons", "reasons"),
    )


@admin.register(LimitUsage)
class LimitUsageAdmin(ScopedAdmin):
    view_right = Right.READ_POLICY
    list_display = ("instance", "per", "unit", "currency", "window", "used", "updated_at")
    list_select_related = ("instance",)
    list_filter = ("per", "unit")
    search_fields = ("instance__name", "=window")
    fields = readonly_fields = ("instance", "per", "unit", "currency", "window", "used", "updated_at")
