"""Full inventories: open, page by page, commit. What is absent is missing; where too much is absent, a person looks."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from arm import changes, clock
from arm.errors import Conflict, Invalid, NotFound, Problem
from arm.models import User
from arm.permissions import require
from arm.rights import Right
from registry.models import AgentInstance, InstanceStatus
from registry.services.asking import require_reason
from registry.services.locking import locked

from ..models import AdapterSession, InstanceReport, ProviderClient, Snapshot, SnapshotPage
from ..protocol.documents import fleet_digest
from ..protocol.refusals import Refused, stale_session
from .fencing import hold_session
from .orders import hold
from .reports import Said, take

HELD_FROM = 5
HELD_SHARE = 0.2
"""A snapshot in which at least five instances and more than a fifth of them are absent waits for a person."""
State = Snapshot.State


@transaction.atomic
def open_snapshot(*, session: AdapterSession) -> Snapshot:
    """A new inventory; an unfinished one of this session is thrown away."""
    hold_session(session)
    Snapshot.objects.filter(session=session, state=State.OPEN).delete()
    return Snapshot.objects.create(tenant_id=session.tenant_id, session=session)


@transaction.atomic
def put_page(
    *, session: AdapterSession, snapshot: UUID, number: int, instances: Sequence[Mapping[str, Any]]
) -> None:
    """One page; sent again, it replaces itself."""
    hold_session(session)
    row = _open(session, snapshot)
    SnapshotPage.objects.update_or_create(
        snapshot=row,
        number=number,
        defaults={"tenant_id": row.tenant_id, "instances": [dict(one) for one in instances]},
    )


@transaction.atomic
def commit_snapshot(*, session: AdapterSession, snapshot: UUID, said: Mapping[str, Any]) -> Snapshot:
    """Take the inventory as a whole. Committed again, it is answered as it was. 422 where count or digest do not fit."""
    hold_session(session)
    AdapterSession.objects.select_for_update().get(pk=session.pk)  # heartbeats wait
    row = Snapshot.objects.select_for_update().filter(session__client=session.client_id, pk=snapshot).first()
    if row is not None and row.state != State.OPEN:
        return row
    row = _open(session, snapshot)
    items = [one for page in row.pages.order_by("number") for one in page.instances]
    lines = [
        (one.get("id") or one["external_id"], one["version_id"], one["state"], one["generation"])
        for one in items
    ]
    count, digest = len(items), fleet_digest(lines)
    if (count, digest) != (said["count"], said["digest"]):
        raise Refused(
            "digest-mismatch", 422, f"The pages hold {count} instances with the digest {digest}.", count=count, digest=digest
        )  # fmt: skip
    if double := _twice([one["external_id"] for one in items]):
        text = f"“{double}” stands in the inventory twice."
        raise Invalid(text, [Problem(pointer="/instances", code="twice", message=text)])
    row.count, row.digest, row.closed_at = count, digest, clock.now()
    row.missing = _absent(session.client, items, row.closed_at).count()
    known = InstanceReport.objects.filter(provider=session.client.provider_id).present().count()
    held = row.missing >= HELD_FROM and row.missing > HELD_SHARE * known
    row.state = State.HELD if held else State.COMMITTED
    if not held:
        row.rejected = _apply(row, items, session.client)
    row.save()
    earlier = Snapshot.objects.filter(session__client=session.client_id, state=State.HELD).exclude(pk=row.pk)
    earlier.update(state=State.ENDED)
    return row


@transaction.atomic
def release_snapshot(*, snapshot: Snapshot, actor: User, reason: str) -> Snapshot:
    """A person has looked: what the held inventory leaves out is missing indeed."""
    require(actor, Right.APPROVE_PROVIDER, snapshot)
    require_reason(reason)
    ProviderClient.objects.select_for_update().only("pk").get(sessions=snapshot.session_id)  # handshakes wait
    AdapterSession.objects.select_for_update().get(pk=snapshot.session_id)
    row = locked(Snapshot.objects.select_related("session__client"), snapshot.pk)
    if row.state == State.ENDED:
        raise Conflict("The provider has sent a later inventory, which counts.")
    if row.state != State.HELD:
        raise Conflict(f"This inventory is {row.get_state_display().lower()}; there is nothing to release.")
    if row.session.closed_at is not None:
        raise Conflict("The adapter has made another handshake since; its next inventory counts.")
    items = [one for page in row.pages.order_by("number") for one in page.instances]
    row.state = State.COMMITTED
    row.rejected = _apply(row, items, row.session.client)
    row.save()
    changes.record(
        actor,
        "federation.snapshot.released",
        row,
        before={"state": State.HELD},
        after={"state": row.state, "missing": row.missing},
        reason=reason,
    )
    return row


def _open(session: AdapterSession, pk: UUID) -> Snapshot:
    row = Snapshot.objects.select_for_update().filter(session__client=session.client_id, pk=pk).first()
    if row is None:
        raise NotFound("There is no such inventory of this client.")
    if row.session_id != session.pk:
        raise stale_session("This inventory was begun in an earlier session; begin another.")
    if row.state != State.OPEN:
        raise Conflict(f"This inventory is {row.get_state_display().lower()}.")
    return row


def _absent(
    client: ProviderClient, items: Sequence[Mapping[str, Any]], by: datetime
) -> QuerySet[InstanceReport]:
    """Known instances that the inventory, which was whole at `by`, leaves out. A name that now stands for another instance
    is not the one it was; of what was spoken of since, the inventory says nothing."""
    here = InstanceReport.objects.filter(provider=client.provider_id, reported_at__lte=by).present()
    shown = {one["id"] for one in items if one.get("id")}
    nameless = {one["external_id"] for one in items if not one.get("id")}
    names = {one["external_id"] for one in items}
    gone = [
        row.pk
        for row in here
        if row.shown_id not in shown and row.external_id not in (nameless if row.instance_id else names)
    ]
    return InstanceReport.objects.filter(pk__in=gone, reported_at__lte=by)


def _apply(row: Snapshot, items: Sequence[Mapping[str, Any]], client: ProviderClient) -> list[Problem]:
    session, now = row.session, clock.now()
    said = [Said.of(one) for one in items]
    assert row.closed_at is not None
    absent = _absent(client, items, row.closed_at)
    hold(AgentInstance.objects.filter(pk__in=absent.exclude(instance=None).values("instance")))
    gone = dict(absent.values_list("pk", "instance"))  # proofs that came meanwhile have been written
    InstanceStatus.objects.filter(instance__in=[key for key in gone.values() if key]).update(state="")
    InstanceReport.objects.filter(pk__in=gone).update(missing=True)
    problems = take(client=client, said=said, epoch=session.epoch, now=now)
    names = [one["external_id"] for one in items]
    present = InstanceReport.objects.filter(provider=client.provider_id, external_id__in=names).present()
    present.update(confirmed_at=now)
    InstanceStatus.objects.filter(instance__in=present.exclude(instance=None).values("instance")).update(
        heartbeat_at=now
    )
    AdapterSession.objects.filter(pk=session.pk).update(full_wanted=False)
    return problems


def _twice(names: Sequence[str]) -> str:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""
