"""Every write of the directory: one function per verb."""

from .asking import Duplicate
from .bulk import BULK_ACTIONS, apply_bulk, preview_bulk, work_off_bulk
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
from .places import (
    create_environment,
    create_project,
    create_provider,
    ensure_tenant_defaults,
    issue_ingest_key,
    issue_workload_token,
)
from .rules import require_profiles
from .slots import bind_slot, create_role, create_slot, roll_back_slot
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
    "BULK_ACTIONS",
    "ApprovalNeeded",
    "Duplicate",
    "ImportedVersion",
    "ReadGenome",
    "apply_bulk",
    "bind_slot",
    "create_environment",
    "create_project",
    "create_provider",
    "create_role",
    "create_slot",
    "create_version",
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
    "preview_bulk",
    "provision_instance",
    "publish_a2a_card",
    "read_genome",
    "register_template",
    "request_instance_release",
    "require_profiles",
    "restrict_instance",
    "retry_evidence",
    "roll_back_slot",
    "save_genome",
    "set_owners",
    "store_prompt",
    "tell_past",
    "update_template",
    "work_off_bulk",
]
