"""Every write of the directory: one function per verb."""

from .asking import Duplicate
from .evidence import export_pack, issue_card, publish_a2a_card, retry_evidence
from .exceptions import grant_exception
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
from .places import (
    create_environment,
    create_project,
    create_provider,
    ensure_tenant_defaults,
    issue_ingest_key,
    issue_workload_token,
)
from .rollbacks import roll_back_slot
from .rollouts import (
    abort_rollout,
    advance_rollout,
    confirm_step,
    due_rollouts,
    pause_rollout,
    plan_rollout,
    resume_rollout,
    start_rollout,
)
from .rules import require_profiles
from .slots import bind_slot, create_role, create_slot
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
    "abort_rollout",
    "advance_rollout",
    "bind_slot",
    "confirm_step",
    "create_environment",
    "create_project",
    "create_provider",
    "create_role",
    "create_slot",
    "create_version",
    "due_rollouts",
    "ensure_tenant_defaults",
    "export_pack",
    "grant_exception",
    "heartbeat",
    "import_agent_card",
    "import_genome",
    "issue_card",
    "issue_ingest_key",
    "issue_workload_token",
    "move_instance",
    "move_version",
    "pause_rollout",
    "plan_rollout",
    "provision_instance",
    "publish_a2a_card",
    "read_genome",
    "register_template",
    "request_instance_release",
    "require_profiles",
    "restrict_instance",
    "resume_rollout",
    "retry_evidence",
    "roll_back_slot",
    "save_genome",
    "set_owners",
    "start_rollout",
    "store_prompt",
    "tell_past",
    "update_template",
]
