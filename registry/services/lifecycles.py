"""What the lifecycles do by rule: send a candidate back, let a newer version supersede, drain what was left behind.

No person moves anything here: the record says `rule`, and the reason which one.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet

from arm import changes, clock
from arm.errors import Conflict
from arm.models import User
from arm.permissions import require
from arm.ports import incidents
from arm.rights import Right
from arm.words import counted

from .. import gates
from ..lifecycle import InstanceState, VersionState
from ..models import (
    AgentInstance,
    AgentVersion,
    DeploymentSlot,
    Handover,
    RoleAssignment,
    Rollout,
    RolloutSlot,
)
from .asking import refuse, require_reason
from .instances import restrict_instance
from .locking import locked
from .news import tell

REBIND_WITHIN: Final = timedelta(days=14)
"""How long slots may go on binding a version after it was deprecated, unless somebody says otherwise."""


def carry_out(
    version: AgentVersion,
    to: VersionState,
    actor: User | None,
    reason: str,
    *,
    links: Sequence[str] = (),
    **facts: Any,
) -> AgentVersion:
    """Move the locked version, with its record and its news; whether it may move was asked before."""
    before = {"state": version.state}
    version.state, version.state_since = to, clock.now()
    fields = ["state", "state_since"]
    if to is VersionState.TESTING and before["state"] == VersionState.DRAFT:
        version.submitted_by = actor
        fields.append("submitted_by")
    if to is VersionState.CANDIDATE:
        version.candidate_round += 1  # what was approved before counts no more
        fields.append("candidate_round")
    if to is VersionState.DEPRECATED:
        fields += set_due(version, version.state_since, facts)
    version.save(update_fields=fields)
    after = {"state": to, "genome": version.genome.digest, **facts}
    tell(
        changes.record(
            actor, "registry.version.moved", version, before=before, after=after, reason=reason, links=links
        ),
        version,
    )
    return version


def set_due(version: AgentVersion, since: datetime, facts: dict[str, Any]) -> list[str]:
    """Give slots that still bind the version, which ends, their due date. Returns the fields that it has set."""
    if not _bound(version).exists():
        return []
    version.rebind_by = since + REBIND_WITHIN
    facts["rebind_by"] = clock.exactly(version.rebind_by)
    return ["rebind_by"]


def give_time(version: AgentVersion, reason: str, links: Sequence[str]) -> AgentVersion:
    """A version that ends is bound again, by an abort: its slots have a due date from now on, where there was none or it
    has passed, since nothing of it could begin to work otherwise. The due date is told as any."""
    version = _locked(version.pk)
    now = clock.now()
    if version.rebind_by is not None and version.rebind_by > now:
        return version
    before = {"rebind_by": clock.exactly(version.rebind_by) if version.rebind_by else ""}
    after: dict[str, Any] = {}
    version.overdue_told_at = None
    version.save(update_fields=["overdue_told_at", *set_due(version, now, after)])
    changes.record(
        None,
        "registry.version.rebind_date_set",
        version,
        before=before,
        after=after,
        reason=reason,
        links=links,
    )
    return version


@transaction.atomic
def set_rebind_date(*, version: AgentVersion, by: datetime, actor: User, reason: str) -> AgentVersion:
    """Give the slots that still bind a deprecated version until `by`. Past that, an incident says which still do."""
    require(actor, Right.PROMOTE_RELEASE, version)
    require_reason(reason)
    version = _locked(version.pk)
    if not version.ending or version.state == VersionState.RETIRED:
        raise Conflict(
            f"{version} is {version.get_state_display()}; only a deprecated version has a due date."
        )
    if by <= clock.now():
        refuse("/by", "past", "That moment has passed.")
    before = {"rebind_by": clock.exactly(version.rebind_by) if version.rebind_by else ""}
    version.rebind_by, version.overdue_told_at = by, None
    version.save(update_fields=["rebind_by", "overdue_told_at"])
    after = {"rebind_by": clock.exactly(by)}
    changes.record(
        actor, "registry.version.rebind_date_set", version, before=before, after=after, reason=reason
    )
    return version


@transaction.atomic
def recheck_candidates(*, tenant_id: UUID, template_id: UUID | None = None) -> list[AgentVersion]:
    """Send back to Testing every candidate (of an agent) that would not become one now, by what has changed since it
    passed. Returns those. What the gates say stands on the record."""
    rows = AgentVersion.objects.filter(tenant=tenant_id, state=VersionState.CANDIDATE)
    if template_id is not None:
        rows = rows.filter(template=template_id)
    sent = []
    for key in rows.order_by("pk").values_list("pk", flat=True):
        # Every gate of every candidate is asked under these locks: events of the versions are stored meanwhile.
        version = _locked(key, referable=True)
        if version.state != VersionState.CANDIDATE:
            continue  # somebody has moved it meanwhile
        missing = [one for one in gates.for_promotion(version, VersionState.CANDIDATE) if not one.passed]
        if missing:
            why = " ".join(one.reason for one in missing)
            told = [{"gate": one.gate, "reason": one.reason} for one in missing]
            sent.append(carry_out(version, VersionState.TESTING, None, why, lost=told))
    return sent


@transaction.atomic
def supersede(*, tenant_id: UUID, template_id: UUID) -> list[AgentVersion]:
    """Deprecate every approved version of the agent that a newer approved one has taken the place of: no slot has it as
    current, previous or canary, no rollout or assignment waits for it, and no live instance runs it. One that works outside
    slots keeps its way, and so does one that was approved after the newer. Returns those."""
    rows = AgentVersion.objects.filter(
        tenant=tenant_id, template=template_id, state=VersionState.APPROVED
    ).order_by("-number")
    newest = rows.first()
    if newest is None:
        return []
    held = DeploymentSlot.objects.filter(tenant=tenant_id)
    older = (
        rows.filter(number__lt=newest.number, state_since__lte=newest.state_since)
        .exclude(pk__in=held.exclude(current_version=None).values("current_version"))
        .exclude(pk__in=held.exclude(previous_version=None).values("previous_version"))
        .exclude(pk__in=held.exclude(canary_version=None).values("canary_version"))
        .exclude(pk__in=Rollout.objects.open().values("version"))
        .exclude(
            pk__in=RolloutSlot.objects.filter(held=True).exclude(from_version=None).values("from_version")
        )
        .exclude(pk__in=RoleAssignment.objects.open().values("version"))
        .exclude(pk__in=AgentInstance.objects.live().filter(template=template_id).values("version"))
    )
    done = []
    for key in older.order_by("pk").values_list("pk", flat=True):
        version = _locked(key)
        if older.filter(pk=key).exists():  # as it is now that nobody else binds or moves it
            said = f"Superseded: {newest} is approved, and no slot or instance has this version any more."
            done.append(carry_out(version, VersionState.DEPRECATED, None, said, superseded_by=newest.typeid))
    return done


@transaction.atomic
def drain_left(*, slots: QuerySet[DeploymentSlot]) -> int:
    """Drain what these slots have left behind: their active instances of a deprecated version that they bind no more. What runs
    in a slot that still binds it, or in none, is not touched. Returns how many were drained."""
    rows = AgentInstance.objects.filter(
        slot__in=slots.exclude(current_version=None),
        state=InstanceState.ACTIVE,  # draining would let a stopped one do more than it may
        version__in=AgentVersion.objects.to_be_rebound(),
    )
    left = rows.exclude(version=F("slot__current_version")).exclude(
        slot__canary_version__isnull=False, version=F("slot__canary_version")
    )
    open_ = Handover.objects.open().filter(slot=OuterRef("slot"), version=OuterRef("version"))
    left = left.exclude(Exists(open_))  # these drain as they are replaced
    drained = 0
    for instance in left.select_related("version__template", "slot").order_by("pk"):
        restrict_instance(
            instance=instance,
            to=InstanceState.DRAINING,
            actor=None,
            leaving=True,
            reason=f"{instance.version} is {instance.version.why_ending.lower()}, and {instance.slot} has been rebound away from it.",
        )
        drained += 1
    return drained


@transaction.atomic
def tell_overdue(*, tenant_id: UUID) -> int:
    """Open an incident for every deprecated version that slots still bind past its due date, once. Returns how many."""
    rows = AgentVersion.objects.to_be_rebound().filter(
        tenant=tenant_id,
        rebind_by__lte=clock.now(),
        overdue_told_at=None,
    )
    told = 0
    for key in rows.order_by("pk").values_list("pk", flat=True):
        version = _locked(key)
        slots = list(_bound(version).select_related("environment", "role"))
        if version.overdue_told_at is not None or not slots:
            continue
        version.overdue_told_at = clock.now()
        version.save(update_fields=["overdue_told_at"])
        incidents().open(
            tenant_id=tenant_id,
            kind="drift",
            severity="s3",
            title=f"{version} is {version.why_ending.lower()}, and still bound in {counted(len(slots), 'slot')} past the due date",
            subject_kind=version._meta.label_lower,
            subject_id=version.pk,
            facts={"slots": [str(slot) for slot in slots], "due": clock.exactly(version.rebind_by)},  # type: ignore[arg-type]
        )
        told += 1
    return told


def _bound(version: AgentVersion) -> QuerySet[DeploymentSlot]:
    return DeploymentSlot.objects.filter(current_version=version)


def _locked(key: UUID, *, referable: bool = False) -> AgentVersion:
    return locked(AgentVersion.objects.select_related("template", "genome"), key, referable=referable)


def slots_of(version: AgentVersion) -> QuerySet[DeploymentSlot]:
    """Every slot that something of this version may have been left in."""
    lived = AgentInstance.objects.live().filter(version=version).exclude(slot=None)
    return DeploymentSlot.objects.filter(pk__in=lived.values("slot"))
