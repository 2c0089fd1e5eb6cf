"""What is done where a provider will not do what is wanted."""

from arm import changes, ports
from registry.models import AgentInstance

from ..models import Command


def not_carried_out(command: Command) -> None:
    """It will not be enforced: on the record, and where it was to hold something back, people hear of it."""
    after_ = {"state": command.state, "code": command.error_code, "said": command.error_text}
    changes.record(None, "federation.command.refused", command, after=after_, links=[command.instance.typeid])
    if command.restrictive:
        ports.incidents().open(
            tenant_id=command.tenant_id,
            kind="enforcement_failure",
            severity="s1",
            title=f"{command.provider} does not carry out: {command.instance} {command.to_state}",
            subject_kind="registry.agentinstance",
            subject_id=command.instance_id,
            facts={"command": command.typeid, "code": command.error_code, "said": command.error_text},
        )


def nobody_told(instance: AgentInstance, to_state: str) -> None:
    """A restriction of an instance for whose provider no client speaks: people must see to it."""
    ports.incidents().open(
        tenant_id=instance.tenant_id,
        kind="enforcement_failure",
        severity="s1",
        title=f"No client speaks for {instance.provider}: {instance} {to_state} is told to nobody",
        subject_kind="registry.agentinstance",
        subject_id=instance.pk,
        facts={"wanted": to_state, "provider": instance.provider.typeid},
    )
