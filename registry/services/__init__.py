"""Every write of the directory: one function per verb."""

from .asking import Duplicate
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
    create_provider,
    ensure_tenant_defaults,
    issue_ingest_key,
    issue_workload_token,
)

__all__ = [
    "ApprovalNeeded",
    "Duplicate",
    "create_environment",
    "create_provider",
    "ensure_tenant_defaults",
    "heartbeat",
    "issue_ingest_key",
    "issue_workload_token",
    "move_instance",
    "provision_instance",
    "request_instance_release",
    "restrict_instance",
]
