"""Every write of the directory: one function per verb."""

from .activating import activate_replacement, replacements_waiting
from .answering import hold_people, people_named
from .applying import apply_files
from .approving import approve_version, withdraw_approval
from .asking import Duplicate
from .boms import sign_bom
from .bulk import provision_instances, refuse_many
from .bulk_templates import register_templates
from .card_keys import end_card_keys, trust_card_keys
from .dossiers import issue_dossier
from .draining import drained_after, end_drain_round, retire_drained, take_drain_round, touch_drain_round
from .emptying import empty_slot
from .environments import as_it_is, update_environment
from .evidence import export_pack, issue_card, publish_a2a_card, retry_evidence
from .exceptions import grant_exception, withdraw_all_of, withdraw_exception
from .exchange import (
    Exported,
    Format,
    Tampered,
    export_version,
    import_bom,
    import_record,
    import_server,
    take_genome,
)
from .exporting import export_files
from .forced import SEVERITIES, deprecate_for, deprecate_from
from .genomes import ReadGenome, read_genome, read_version, store_prompt
from .handovers import drain_at_once, settle_slot, slots_handing_over
from .history import tell_past
from .instances import (
    ApprovalNeeded,
    heartbeat,
    move_instance,
    provision_instance,
    request_instance_release,
    restrict_instance,
)
from .integrity import begin_sweep, note_tampered, recount_live, sweep_on
from .lacking import tell_lacking
from .lifecycles import drain_left, recheck_candidates, set_rebind_date, slots_of, supersede, tell_overdue
from .lineage import name_parents
from .many import BULK_ACTIONS, apply_bulk, preview_bulk
from .meanwhile import ChangedMeanwhile
from .places import (
    create_environment,
    create_project,
    create_provider,
    ensure_tenant_defaults,
    issue_ingest_key,
    issue_workload_token,
    update_project,
)
from .placing import provisioning_problems
from .planning import plan_rollout
from .projects import move_agents
from .prompts import ReadPrompt, read_prompt, take_prompt
from .providers import allow_providers, close_provider, reopen_provider, update_provider
from .roles import assign_role, assigning_problems, create_role, end_assignment, update_role
from .rollbacks import hold_for_rollback, roll_back_slot
from .rollouts import (
    abort_rollout,
    advance_rollout,
    confirm_step,
    due_rollouts,
    pause_rollout,
    resume_rollout,
    start_rollout,
)
from .rules import require_approvals, require_evidence, require_profiles, set_rules
from .settling import Line
from .sheets import issue_missing, issue_sheet
from .slots import bind_slot, create_slot
from .spawn import SpawnRefused, spawn_instance
from .succession import pass_on, set_successors
from .tables import (
    TASK,
    apply_table,
    cancel_table,
    next_step,
    send_table,
    take_table_step,
    wake_stalled_tables,
)
from .templates import register_template, set_owners, update_template
from .versions import (
    ImportedVersion,
    create_version,
    import_agent_card,
    import_genome,
    move_version,
    save_genome,
)
from .working_off import wake_stalled_bulk, work_off_bulk

__all__ = [
    "BULK_ACTIONS",
    "SEVERITIES",
    "TASK",
    "ApprovalNeeded",
    "ChangedMeanwhile",
    "Duplicate",
    "Exported",
    "Format",
    "ImportedVersion",
    "Line",
    "ReadGenome",
    "ReadPrompt",
    "SpawnRefused",
    "Tampered",
    "abort_rollout",
    "activate_replacement",
    "advance_rollout",
    "allow_providers",
    "apply_bulk",
    "apply_files",
    "apply_table",
    "approve_version",
    "as_it_is",
    "assign_role",
    "assigning_problems",
    "begin_sweep",
    "bind_slot",
    "cancel_table",
    "close_provider",
    "confirm_step",
    "create_environment",
    "create_project",
    "create_provider",
    "create_role",
    "create_slot",
    "create_version",
    "deprecate_for",
    "deprecate_from",
    "drain_at_once",
    "drain_left",
    "drained_after",
    "due_rollouts",
    "empty_slot",
    "end_assignment",
    "end_card_keys",
    "end_drain_round",
    "ensure_tenant_defaults",
    "export_files",
    "export_pack",
    "export_version",
    "grant_exception",
    "heartbeat",
    "hold_for_rollback",
    "hold_people",
    "import_agent_card",
    "import_bom",
    "import_genome",
    "import_record",
    "import_server",
    "issue_card",
    "issue_dossier",
    "issue_ingest_key",
    "issue_missing",
    "issue_sheet",
    "issue_workload_token",
    "move_agents",
    "move_instance",
    "move_version",
    "name_parents",
    "next_step",
    "note_tampered",
    "pass_on",
    "pause_rollout",
    "people_named",
    "plan_rollout",
    "preview_bulk",
    "provision_instance",
    "provision_instances",
    "provisioning_problems",
    "publish_a2a_card",
    "read_genome",
    "read_prompt",
    "read_version",
    "recheck_candidates",
    "recount_live",
    "refuse_many",
    "register_template",
    "register_templates",
    "reopen_provider",
    "replacements_waiting",
    "request_instance_release",
    "require_approvals",
    "require_evidence",
    "require_profiles",
    "restrict_instance",
    "resume_rollout",
    "retire_drained",
    "retry_evidence",
    "roll_back_slot",
    "save_genome",
    "send_table",
    "set_owners",
    "set_rebind_date",
    "set_rules",
    "set_successors",
    "settle_slot",
    "sign_bom",
    "slots_handing_over",
    "slots_of",
    "spawn_instance",
    "start_rollout",
    "store_prompt",
    "supersede",
    "sweep_on",
    "take_drain_round",
    "take_genome",
    "take_prompt",
    "take_table_step",
    "tell_lacking",
    "tell_overdue",
    "tell_past",
    "touch_drain_round",
    "trust_card_keys",
    "update_environment",
    "update_project",
    "update_provider",
    "update_role",
    "update_template",
    "wake_stalled_bulk",
    "wake_stalled_tables",
    "withdraw_all_of",
    "withdraw_approval",
    "withdraw_exception",
    "work_off_bulk",
]
