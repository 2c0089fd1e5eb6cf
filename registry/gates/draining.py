"""What a draining instance still waits for before ARM retires it by itself."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from arm import clock
from arm.addresses import page_of
from arm.ports import implementations
from arm.words import counted

from ..lifecycle import InstanceState
from ..models import AgentInstance, InstanceStatus, Provider
from . import Verdict, for_retirement, working

SILENCE: Final = timedelta(minutes=15)
"""A person waits for a minute (`QUIET`), and may know more than ARM does. ARM knows an instance by what it sends, and an
event is sent when a call ends: what is silent for less than this may be in the middle of one."""
LEFT, KNOWN, ARM_HEARS, CHILDREN = "replaced or left", "work known", "ARM hears", "nothing it started lives"


class Holds(Protocol):
    """Port (settings.DRAINED_GATES): what an app above knows that stands in the way of ARM, though not of a person."""

    def of(self, instances: Sequence[AgentInstance]) -> Mapping[UUID, Verdict]:
        """The verdict about each that is to stay, by its key."""
        ...


def waits_for(instance: AgentInstance) -> list[Verdict]:
    """Every verdict that stands in the way, none where it may be retired. Needs `status` and `provider`.

    Stricter than what a person is asked: only what was replaced, or left by its slot, is retired by a rule; silence
    counts after `SILENCE` only, from something that was heard and has said nothing else; and apps above may hold it
    (settings.DRAINED_GATES)."""
    held = [verdict for verdict in for_retirement(instance) if not verdict.passed]
    if not instance.leaving:
        return [_stays(instance), *held]
    own = [verdict for verdict in (_silent(instance), _known(instance)) if verdict is not None]
    others = instance.holds if instance.holds is not None else held_by_others([instance])[instance.pk]
    return [*held, *own, *others]


def held_by_others(instances: Sequence[AgentInstance]) -> Mapping[UUID, Sequence[Verdict]]:
    """What stands in the way of each that leaves, but does not stand in its own rows, with one question to each who
    knows."""
    found: dict[UUID, list[Verdict]] = defaultdict(list)
    leaving = [instance for instance in instances if instance.leaving]
    by_key = {instance.pk: instance for instance in leaving}
    if not leaving:
        return found
    for key, (heard, children) in _around(leaving).items():
        instance = by_key[key]
        if instance.status.telemetry_at is not None and not heard:
            said = "No event of anybody here has come for 15 minutes: it may be that none arrive."
            found[key].append(Verdict(ARM_HEARS, False, said))
        if children:
            found[key].append(_parent(instance, children))
    above: Sequence[Holds] = implementations("DRAINED_GATES")
    for port in above:
        for key, verdict in port.of(leaving).items():
            found[key].append(verdict)
    return found


def noted(rows: QuerySet[AgentInstance]) -> QuerySet[AgentInstance]:
    """Rows of a list, each with what would have to be asked to say what it waits for: `read_ahead` then asks little."""
    ports = (*implementations("WORK_IN_FLIGHT"), *implementations("DRAINED_GATES"))
    return working.noted(_with_around(rows), *ports)


def _with_around(rows: QuerySet[AgentInstance]) -> QuerySet[Any]:
    started = AgentInstance.objects.live().filter(parent=OuterRef("pk")).order_by().values("parent")
    anybody = heard_since(clock.now() - SILENCE).filter(tenant=OuterRef("tenant"))
    return rows.annotate(
        around_hears=Exists(anybody),
        around_children=Coalesce(Subquery(started.annotate(n=Count("pk")).values("n")), 0),
    )


def _around(instances: Sequence[AgentInstance]) -> dict[UUID, tuple[bool, int]]:
    """Whether anybody is heard where each is, and how many live that it has started."""
    if not all(hasattr(instance, "around_hears") for instance in instances):
        rows = _with_around(AgentInstance.objects.filter(pk__in=[instance.pk for instance in instances]))
        told = rows.order_by().values_list("pk", "around_hears", "around_children")
        return {key: (heard, children) for key, heard, children in told}
    return {one.pk: (one.around_hears, one.around_children) for one in instances}  # type: ignore[attr-defined]


def read_ahead(instances: Sequence[AgentInstance]) -> None:
    """For a list: what all of them have in flight, and what else holds them, kept with each."""
    working.read_ahead(instances)
    found = held_by_others(instances)
    for instance in instances:
        instance.holds = found[instance.pk]


def anybody_heard(tenant_id: UUID) -> bool:
    """Whether an event of anybody local in the tenant has come within `SILENCE`: one that did is a heartbeat, too, whose
    index answers this."""
    return heard_since(clock.now() - SILENCE).filter(tenant=tenant_id).exists()


def heard_since(since: datetime) -> QuerySet[InstanceStatus]:
    """Of whom an event came since then."""
    return InstanceStatus.objects.filter(heartbeat_at__gte=since, telemetry_at__gte=since)


def _stays(instance: AgentInstance) -> Verdict:
    said = "It drains for another reason than that it was replaced: it stays until somebody retires it, or lets it work again."
    return Verdict(LEFT, False, said)


def _silent(instance: AgentInstance) -> Verdict | None:
    now, last = clock.now(), instance.status.telemetry_at
    if now - instance.state_since < SILENCE:
        return Verdict("drained for 15 minutes", False, "It has drained for less than 15 minutes.")
    if last is not None and now - last < SILENCE:
        said = f"Its last event came at {last:%H:%M:%S}: a call that takes longer than a minute looks the same as none."
        return Verdict("silent for 15 minutes", False, said)
    return None


def _known(instance: AgentInstance) -> Verdict | None:
    """What it said of itself counts for more than that nothing came."""
    status = instance.status
    since = status.reported_at is not None and status.reported_at >= instance.state_since
    if since and status.state in (InstanceState.DRAINING, InstanceState.RETIRED):
        return None
    if instance.provider.kind == Provider.Kind.FEDERATED:
        said = f"{instance.provider} has not reported since that it drains."
        return Verdict(KNOWN, False, said, instance.provider.get_absolute_url())
    if status.state:
        label = InstanceState(status.state).label
        said = f"Its last word is that it is {label}; it has not said since that it drains."
        return Verdict(KNOWN, False, said)
    if status.telemetry_at is None:
        return Verdict(
            KNOWN, False, "Nothing was ever heard of what it does: whether it has work is not known."
        )
    if status.heartbeat_at is not None and clock.now() - status.heartbeat_at < SILENCE:
        said = f"It lives (its heartbeat came at {status.heartbeat_at:%H:%M:%S}) and does not say that it drains."
        return Verdict(KNOWN, False, said)
    return None


def _parent(instance: AgentInstance, children: int) -> Verdict:
    one = children == 1
    said = f"{counted(children, 'instance')} that it has started {'lives' if one else 'live'}: it may wait for {'it' if one else 'them'}."
    return Verdict(CHILDREN, False, said, page_of("registry:spawn_tree", instance.typeid))
