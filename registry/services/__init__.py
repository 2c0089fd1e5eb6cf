"""Every write of the directory: one function per verb."""

from .asking import Duplicate
from .evidence import export_pack, issue_card, publish_a2a_card, retry_evidence
from .genomes import ReadGenome, read_genome, store_prompt
from .history import tell_past
from .instances import (
    ApprovalNeeded,
    heartbeat,
    move_instance,
    provision_instance,
    request_instance_release,
    restrict_instance,
)
from .lifecycles import drain_left, recheck_candidates, set_rebind_date, slots_of, supersede, tell_overdue
from .places import (
    create_environment,
    create_project,
    create_provider,
    ensure_tenant_defaults,
    issue_ingest_key,
    issue_workload_token,
)
from .roles import assign_role, create_role, end_assignment, update_role
from .rules import require_evidence, require_profiles
from .slots import bind_slot, create_slot, roll_back_slot
from .succession import pass_on, set_successors
from .templates import register_template, set_owners, update_template
from .versions import (
    ImportedVersion,
    create_version,
    import_agent_card,
    import_genome,
    move_version,
    save_genome,
)

__all__ = [
    "ApprovalNeeded",
    "Duplicate",
    "ImportedVersion",
    "ReadGenome",
    "assign_role",
    "bind_slot",
    "create_environment",
    "create_project",
    "create_provider",
    "create_role",
    "create_slot",
    "create_version",
    "drain_left",
    "end_assignment",
    "ensure_tenant_defaults",
    "export_pack",
    "heartbeat",
    "import_agent_card",
    "import_genome",
    "issue_card",
    "issue_ingest_key",
    "issue_workload_token",
    "move_instance",
    "move_version",
    "pass_on",
    "provision_instance",
    "publish_a2a_card",
    "read_genome",
    "recheck_candidates",
    "register_template",
    "request_instance_release",
    "require_evidence",
    "require_profiles",
    "restrict_instance",
    "retry_evidence",
    "roll_back_slot",
    "save_genome",
    "set_owners",
    "set_rebind_date",
    "set_successors",
    "slots_of",
    "store_prompt",
    "supersede",
    "tell_overdue",
    "tell_past",
    "update_role",
    "update_template",
]
