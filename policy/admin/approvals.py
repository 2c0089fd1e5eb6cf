"""Requests for a second person's decision. A yes is given on the request's own page, after seeing exactly what is
asked; here one may refuse or take back."""

from typing import Any

from django.contrib import admin

from arm.admin import AdminCommand, ReasonOnly, ScopedAdmin
from arm.models import User
from arm.rights import Right

from .. import services
from ..models import ApprovalDecision, ApprovalRequest
from .answers import Answers


class DecisionInline(Answers):
    model = ApprovalDecision
    fields = readonly_fields = ("at", "person", "approve", "reason", "opened_at")


def _deny(row: ApprovalRequest, actor: User, cleaned: dict[str, Any]) -> object:
    return services.decide_approval(
        request=row, approve=False, actor=actor, reason=cleaned["reason"], digest=row.digest
    )


@admin.register(ApprovalRequest)
class ApprovalRequestAdmin(ScopedAdmin):
    view_right = Right.READ_POLICY
    list_display = ("title", "kind", "risk", "state", "quorum", "requested_by", "created_at", "expires_at")
    list_select_related = ("requested_by",)
    list_filter = ("state", "kind", "risk")
    search_fields = ("title", "digest")
    inlines = (DecisionInline,)
    fields = readonly_fields = (
        "title",
        "kind",
        "state",
        "risk",
        "instance",
        "action",
        "digest",
        "reasons",
        "policy_digest",
        "requested_by",
        "roles",
        "team",
        "quorum",
        "created_at",
        "expires_at",
        "escalates_at",
        "escalates_to",
        "decided_at",
        "closed_at",
    )
    export_columns = (
        ("id", "typeid"),
        ("kind", "kind"),
        ("title", "title"),
        ("risk", "risk"),
        ("state", "state"),
        ("created at", "created_at"),
        ("decided at", "decided_at"),
    )
    commands = (
        AdminCommand("deny", "Deny", Right.DECIDE_APPROVAL, _deny, ReasonOnly, "One no is enough."),
        AdminCommand(
            "cancel",
            "Cancel",
            Right.DECIDE_APPROVAL,
            lambda row, actor, cleaned: services.cancel_approval(request=row, actor=actor, **cleaned),
            ReasonOnly,
        ),
    )
