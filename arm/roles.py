"""The built-in roles: which rights each holds, who may not hold two of them, and who may hand them on.

Source: the permission matrix of the access model. Roles are data; what is stored are guardian grants per right.
"""

from dataclasses import dataclass, field

from arm.rights import Right as R

READ = frozenset(
    {R.READ_DIRECTORY, R.READ_POLICY, R.READ_DECISIONS, R.READ_TELEMETRY, R.READ_INCIDENTS, R.READ_EVIDENCE}
)


@dataclass(frozen=True, slots=True)
class Role:
    """A name, a purpose, the rights, and the roles that one principal may not hold beside it (static SoD)."""

    name: str
    purpose: str
    rights: frozenset[R]
    never_with: frozenset[str] = field(default_factory=frozenset)
    machine: bool = False

    @property
    def label(self) -> str:
        return self.name.replace("_", " ").capitalize()

    @property
    def writes(self) -> bool:
        return bool(
            self.rights - READ - {R.READ_PROMPTS, R.READ_LEDGER, R.READ_AUDIT, R.EXPORT, R.EXPORT_AUDIT_PACK}
        )


_ALL = (
    Role(
        "tenant_admin",
        "Users, roles, keys, providers, environments.",
        READ
        | {R.MANAGE_TENANT, R.BIND_ROLE, R.MANAGE_KEYS, R.READ_AUDIT, R.MANAGE_DIRECTORY, R.READ_LEDGER}
        | {R.RESTRICT_INSTANCE, R.RESTRICT_WIDELY, R.MANAGE_INCIDENT, R.PROVISION_INSTANCE}
        | {R.BIND_POLICY, R.EXPORT, R.ISSUE_EVIDENCE, R.INVITE_PROVIDER, R.APPROVE_PROVIDER},
        never_with=frozenset({"auditor"}),
    ),
    Role(
        "fleet_operator",
        "Run instances, restrict them, handle incidents.",
        READ
        | {
            R.PROVISION_INSTANCE,
            R.RESTRICT_INSTANCE,
            R.RESTRICT_WIDELY,
            R.RELEASE_INSTANCE,
            R.MANAGE_INCIDENT,
        }
        | {R.ROLL_BACK_RELEASE, R.TERMINATE_INSTANCE, R.DRAFT_POLICY, R.READ_LEDGER, R.READ_AUDIT, R.EXPORT}
        | {R.ISSUE_EVIDENCE},
    ),
    Role(
        "author",
        "Create versions, write and run evaluations.",
        READ
        | {R.CREATE_VERSION, R.SUBMIT_VERSION, R.READ_PROMPTS, R.DRAFT_POLICY, R.READ_LEDGER}
        | {R.EDIT_SUITE, R.RUN_EVALUATION, R.ISSUE_EVIDENCE},
    ),
    Role(
        "release_manager",
        "Channels, slots, rollouts, rollback.",
        READ
        | {
            R.SUBMIT_VERSION,
            R.PROMOTE_RELEASE,
            R.ROLL_BACK_RELEASE,
            R.PROVISION_INSTANCE,
            R.RESTRICT_INSTANCE,
        }
        | {
            R.RELEASE_INSTANCE,
            R.EDIT_SUITE,
            R.RUN_EVALUATION,
            R.ISSUE_EVIDENCE,
            R.DRAFT_POLICY,
            R.BIND_POLICY,
            R.READ_LEDGER,
            R.MANAGE_INCIDENT,
        },
    ),
    Role(
        "approver",
        "Decide approvals: actions, versions, returns from a stop, policy activations.",
        READ
        | {R.DECIDE_APPROVAL, R.APPROVE_VERSION, R.APPROVE_RELEASE, R.ACTIVATE_POLICY, R.DRAFT_POLICY}
        | {R.READ_PROMPTS, R.REQUEST_RESTRICTION, R.READ_AUDIT, R.ISSUE_EVIDENCE},
    ),
    Role(
        "grc_analyst",
        "Policies, controls, evidence; requests restrictions rather than triggering them.",
        READ
        | {
            R.READ_PROMPTS,
            R.DRAFT_POLICY,
            R.BIND_POLICY,
            R.REQUEST_RESTRICTION,
            R.MANAGE_INCIDENT,
            R.READ_AUDIT,
            R.READ_LEDGER,
        }
        | {R.EXPORT, R.EXPORT_AUDIT_PACK, R.ISSUE_EVIDENCE},
        never_with=frozenset({"platform_admin"}),
    ),
    Role(
        "auditor",
        "Reads everything in scope with its history, exports, verifies; writes nothing.",
        READ | {R.READ_PROMPTS, R.READ_LEDGER, R.READ_AUDIT, R.EXPORT, R.EXPORT_AUDIT_PACK},
        never_with=frozenset({"tenant_admin"}),
    ),
    Role(
        "finops",
        "Rates, ledger, budgets, cost exports.",
        frozenset({R.READ_DIRECTORY, R.READ_POLICY, R.READ_TELEMETRY, R.READ_INCIDENTS, R.READ_LEDGER})
        | {R.EDIT_RATES, R.SET_BUDGET, R.REQUEST_RESTRICTION, R.DRAFT_POLICY, R.EXPORT},
    ),
    Role("viewer", "Sees the directory, incidents and telemetry.", READ),
    Role(
        "provider_service",
        "A runtime provider's machine account: telemetry for its own provider.",
        frozenset({R.READ_DIRECTORY, R.SEND_TELEMETRY, R.RESTRICT_INSTANCE}),
        machine=True,
    ),
    Role(
        "decision_service",
        "A machine account that asks for decisions on behalf of instances in scope.",
        frozenset({R.READ_DIRECTORY, R.ASK_DECISION, R.READ_DECISIONS}),
        machine=True,
    ),
)

ROLES = {role.name: role for role in _ALL}
CHOICES = [(role.name, role.label) for role in _ALL]


def conflict(role: Role, others: frozenset[str]) -> str:
    """Why a principal that already holds `others` may not also hold `role`; '' when it may (static SoD)."""
    for name in sorted(others):
        other = ROLES[name]
        if name in role.never_with or role.name in other.never_with:
            return f"{role.label} and {other.label} may not be one principal."
        if "auditor" in (role.name, name) and (role.writes or other.writes):
            return "An auditor holds no role that writes."
        if role.machine != other.machine:
            return "A machine account holds no human role, and a person no machine role."
    return ""
