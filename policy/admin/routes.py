"""Who is asked for the approvals of environments, in the admin: to look at and to end."""

from typing import Any

from django.contrib import admin

from arm.admin import AdminCommand, ReasonOnly, ScopedAdmin
from arm.models import User
from arm.rights import Right

from .. import services
from ..models import ApprovalRoute


def _end(row: ApprovalRoute, actor: User, cleaned: dict[str, Any]) -> object:
    return services.end_route(route=row, actor=actor, reason=cleaned["reason"])


@admin.register(ApprovalRoute)
class ApprovalRouteAdmin(ScopedAdmin):
    view_right = Right.READ_POLICY
    list_display = ("environment", "team", "role", "since", "until", "set_by")
    list_select_related = ("environment", "team", "set_by")
    search_fields = ("environment__name", "team__name", "reason")
    fields = readonly_fields = ("environment", "team", "role", "since", "until", "set_by", "reason")
    export_columns = (
        ("id", "typeid"),
        ("environment", "environment.slug"),
        ("role", "role"),
        ("since", "since"),
    )
    commands = (
        AdminCommand(
            "end",
            "Ask everybody again",
            Right.ACTIVATE_POLICY,
            _end,
            ReasonOnly,
            "Whoever may decide is asked.",
        ),
    )
