"""What a draining instance still waits for before ARM retires it by itself."""

from arm import clock

from ..lifecycle import InstanceState
from ..models import AgentInstance, Provider
from . import QUIET, Verdict, for_retirement

KNOWN = "work known"


def waits_for(instance: AgentInstance) -> list[Verdict]:
    """Every verdict that stands in the way, none where it may be retired. Needs `status` and `provider`.

    Stricter than what a person is asked, who may know more: silence counts only from something that was heard."""
    held = [verdict for verdict in for_retirement(instance) if not verdict.passed]
    if clock.now() - instance.state_since < QUIET:
        held.append(Verdict("drained for a minute", False, "It has drained for less than a minute."))
    status = instance.status
    confirmed = (
        status.state in (InstanceState.DRAINING, InstanceState.RETIRED)
        and status.reported_at is not None
        and status.reported_at >= instance.state_since
    )
    if instance.provider.kind == Provider.Kind.FEDERATED and not confirmed:
        said = f"{instance.provider} has not reported since that it drains."
        held.append(Verdict(KNOWN, False, said, instance.provider.get_absolute_url()))
    elif not confirmed and status.telemetry_at is None:
        said = "Nothing was ever heard of what it does: whether it has work is not known."
        held.append(Verdict(KNOWN, False, said))
    return held
