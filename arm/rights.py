"""The closed list of rights, and the risk classes that a grant may be limited to.

A right is held on a scope (tenant, environment, template, provider) and counts for everything below it.
Which role holds which right is data in `arm.roles`; what a right opens is asked by `arm.permissions`.
"""

from enum import StrEnum
from typing import Any

from django.db.models import TextChoices


class Right(StrEnum):
    """Each value is a permission's codename; each name reads on in “You may not …”."""

    READ_DIRECTORY = "directory_read"
    MANAGE_TENANT = "tenant_manage"
    BIND_ROLE = "role_bind"
    MANAGE_KEYS = "key_manage"
    READ_AUDIT = "audit_read"
    EXPORT = "export"
    MANAGE_DIRECTORY = "directory_manage"
    CREATE_VERSION = "version_create"
    READ_PROMPTS = "prompt_read"
    SUBMIT_VERSION = "version_submit"
    APPROVE_VERSION = "version_approve"
    PROMOTE_RELEASE = "release_promote"
    ROLL_BACK_RELEASE = "release_rollback"
    PROVISION_INSTANCE = "instance_provision"
    RESTRICT_INSTANCE = "instance_restrict"
    RESTRICT_WIDELY = "restrict_widely"
    RELEASE_INSTANCE = "instance_release"
    APPROVE_RELEASE = "release_approve"
    TERMINATE_INSTANCE = "instance_terminate"
    REQUEST_RESTRICTION = "restriction_request"
    READ_POLICY = "policy_read"
    DRAFT_POLICY = "policy_draft"
    ACTIVATE_POLICY = "policy_activate"
    BIND_POLICY = "policy_bind"
    ASK_DECISION = "decision_ask"
    READ_DECISIONS = "decision_read"
    DECIDE_APPROVAL = "approval_decide"
    READ_TELEMETRY = "telemetry_read"
    SEND_TELEMETRY = "telemetry_send"
    READ_INCIDENTS = "incident_read"
    MANAGE_INCIDENT = "incident_manage"
    READ_LEDGER = "ledger_read"
    EDIT_RATES = "rates_edit"
    SET_BUDGET = "budget_set"
    EDIT_SUITE = "suite_edit"
    RUN_EVALUATION = "evaluation_run"
    READ_EVIDENCE = "evidence_read"
    ISSUE_EVIDENCE = "evidence_issue"
    EXPORT_AUDIT_PACK = "audit_pack_export"
    INVITE_PROVIDER = "provider_invite"
    APPROVE_PROVIDER = "provider_approve"

    @property
    def words(self) -> str:
        """As it reads on in a sentence: “manage keys”."""
        return self.name.lower().replace("_", " ")


class Risk(TextChoices):
    """Risk class of a template or a role, lowest first."""

    LOW = "low", "Low"
    MEDIUM = "medium", "Medium"
    HIGH = "high", "High"
    CRITICAL = "critical", "Critical"


RISKS_UP_TO = {risk.value: [low.value for low in list(Risk)[: n + 1]] for n, risk in enumerate(Risk)}

PERMISSIONS: list[tuple[str, Any]] = [(right.value, f"Can {right.words}") for right in Right]
"""`Meta.permissions` of every scope model, so that each right can be granted on each scope."""
