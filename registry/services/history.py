"""What was so before ARM was told: history that arrives late, by both clocks."""

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from arm import changes, clock
from arm.errors import Conflict
from arm.models import User
from arm.permissions import require
from arm.rights import Right

from ..lifecycle import InstanceState
from ..models import AgentInstance, AgentVersion, InstanceInterval, InstanceStatus, Observation
from .asking import refuse, require_reason, require_same_tenant
from .locking import locked


@transaction.atomic
def tell_past(
    *,
    instance: AgentInstance,
    state: InstanceState,
    since: datetime,
    actor: User,
    reason: str,
    version: AgentVersion | None = None,
) -> InstanceInterval:
    """Write down what an instance was from `since` (aware) until the next thing that is known of it, told only now.

    What it is now is untouched, and so is who may release it. Invalid for a moment that has not come; Conflict where
    that is no past (it is the present, which `move_instance` changes), says nothing new, or has something come back from
    Retired.
    """
    require(actor, Right.MANAGE_DIRECTORY, instance)
    require_reason(reason)
    now = clock.now()
    if since > now:
        refuse("/since", "future", "That moment has not come yet.")
    instance = locked(AgentInstance.objects.select_related("version__template"), instance.pk)
    rows = InstanceInterval.objects.filter(instance=instance)
    follows = rows.filter(since__gt=since).order_by("since", "known_from", "pk").first()
    if follows is None:
        raise Conflict(
            f"{instance} has been {instance.get_state_display()} since {instance.state_since:%Y-%m-%d %H:%M:%S} UTC: what it"
            " became after that is its present. Move it instead."
        )
    before = rows.filter(since__lte=since).order_by("-since", "-known_from", "-pk").first()
    version = version or (before or follows).version
    require_same_tenant(instance=instance, version=version)
    if version.template_id != instance.template_id:
        refuse("/version", "template", f"{version} is a version of another agent.")
    if before is not None and (before.state, before.version_id) == (state, version.pk):
        raise Conflict(f"{instance} is known to have been {state.label} with {version} at that moment.")
    _refuse_return(instance, rows, before, state, since)
    if before is not None:
        rows.filter(pk=before.pk).update(until=since)
    told = InstanceInterval.objects.create(
        tenant_id=instance.tenant_id,
        instance=instance,
        state=state,
        version=version,
        since=since,
        until=follows.since,
        known_from=now,
    )
    changes.record(
        actor,
        "registry.instance.past_told",
        instance,
        before={"state": before.state, "version": before.version.typeid} if before else {},
        after={
            "state": state,
            "version": version.typeid,
            "since": clock.exactly(since),
            "until": clock.exactly(follows.since),
        },
        reason=reason,
    )
    return told


def _refuse_return(
    instance: AgentInstance,
    rows: QuerySet[InstanceInterval],
    before: InstanceInterval | None,
    state: InstanceState,
    since: datetime,
) -> None:
    """Nothing comes back from Retired, nor did it then."""
    gone = InstanceState.RETIRED
    if before is not None and before.state == gone and state != gone:
        raise Conflict(
            f"{instance} is known to have been Retired since {before.since:%Y-%m-%d %H:%M:%S} UTC."
        )
    if state == gone and (
        later := rows.filter(since__gt=since).exclude(state=gone).order_by("since").first()
    ):
        was = f"{later.get_state_display()} from {later.since:%Y-%m-%d %H:%M:%S} UTC on"
        raise Conflict(f"{instance} is known to have been {was}: it was not Retired before.")


def note_late(
    status: InstanceStatus,
    state: str,
    generation: int | None,
    at: datetime,
    confirmed: datetime | None = None,
) -> bool:
    """Keep a report of what an instance was at `at`, if something later is known of it already. Whether it was late.
    `confirmed`: the moment for which its present was last said, where that is not what its status says.

    `status` is locked: of two reports at once the second is held against the first. What was said again since, without
    a change, has no row yet; it gets one, so that the history ends with the present and not with the late word.
    """
    last = confirmed or status.observed_at or status.reported_at
    rows = Observation.objects.filter(instance=status.instance_id)
    changed_since = rows.filter(at__gt=at).exists()
    said_since = last if last is not None and last > at else None
    if not changed_since and said_since is None:
        return False
    of = {"tenant_id": status.tenant_id, "instance_id": status.instance_id}
    Observation.objects.create(**of, state=state, generation=generation, at=at)
    if not changed_since and said_since is not None:
        now = {"state": status.state, "generation": status.generation}
        Observation.objects.create(**of, **now, at=said_since, told_at=status.reported_at or said_since)
    return True
