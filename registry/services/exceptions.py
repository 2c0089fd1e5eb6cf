"""Exceptions: a version may pass a gate of a binding once, until a moment, because somebody answers for it."""

from datetime import datetime, timedelta

from django.db import transaction

from arm import changes, clock, tasks
from arm.errors import Conflict, NotAllowed
from arm.models import Membership, User
from arm.permissions import require
from arm.queries import single_handed
from arm.rights import Right

from .. import gates
from ..gates.placed import relied_on
from ..models import AgentInstance, AgentVersion, DeploymentSlot, ReleaseException
from .asking import refuse, require_in_person, require_reason, require_same_tenant
from .locking import locked

LONGEST = timedelta(days=14)


@transaction.atomic
def grant_exception(
    *,
    slot: DeploymentSlot,
    version: AgentVersion,
    gate: str,
    until: datetime,
    actor: User,
    reason: str,
) -> ReleaseException:
    """Let this version into this slot once without what the gate asks, until a moment within a fortnight.

    It takes the right to approve a release there, in person; who grants it cannot use it (two people), unless the
    tenant has one only.
    """
    require(actor, Right.APPROVE_RELEASE, slot)
    require_in_person("grant an exception", "on the slot's page")
    require_reason(reason)
    require_same_tenant(slot=slot, version=version)
    if gate not in gates.EXCEPTED:
        refuse("/gate", "enum", f"An exception is possible from: {', '.join(gates.EXCEPTED)}.")
    now = clock.now()
    if not now < until <= now + LONGEST:
        refuse("/until", "range", f"Between now and {LONGEST.days} days from now.")
    made = ReleaseException.objects.create(
        tenant_id=slot.tenant_id,
        slot=slot,
        version=version,
        gate=gate,
        reason=reason,
        until=until,
        granted_by=actor,
        granted_at=now,
    )
    after = {"slot": slot.typeid, "version": version.typeid, "gate": gate, "until": until}
    record = changes.record(
        actor,
        "registry.exception.granted",
        made,
        after=after,
        reason=reason,
        links=[slot.typeid, version.typeid],
    )
    tasks.announce(record.verb, tenant_id=slot.tenant_id, exception_id=str(made.pk), change_id=str(record.pk))
    return made


@transaction.atomic
def withdraw_exception(*, exception: ReleaseException, actor: User, reason: str) -> ReleaseException:
    """End an exception before anybody uses it. Whoever may grant one there may, and who granted it, as long as they see the
    place; a token, too: nothing is let through by it.

    Conflict where it was used, or has ended, already.
    """
    mine = actor.pk == exception.granted_by_id
    require(actor, Right.READ_DIRECTORY if mine else Right.APPROVE_RELEASE, exception)
    require_reason(reason)
    row = locked(ReleaseException.objects.select_related("slot", "version__template"), exception.pk)
    if row.used_at is not None:
        raise Conflict(
            f"It was used by {row.used_by_label}; what it let in stays until the slot is bound to another version."
        )
    if row.withdrawn_at is not None:
        raise Conflict("It is withdrawn already.")
    if row.until <= clock.now():
        raise Conflict(f"It ended by itself at {row.until:%Y-%m-%d %H:%M} UTC.")
    return _withdraw(row, actor, reason)


@transaction.atomic
def withdraw_all_of(*, member: Membership, actor: User, reason: str) -> list[ReleaseException]:
    """What somebody let through and nobody has used ends, since they answer for it no more: they leave the tenant, or their
    account is closed. Called in the transaction of that, which was allowed already: it asks no right of its own."""
    ours = ReleaseException.objects.unused().filter(tenant=member.tenant_id, granted_by=member.user_id)
    keys = list(ours.order_by("pk").values_list("pk", flat=True))
    rows = ReleaseException.objects.select_related("slot", "version__template")
    held = [locked(rows, pk) for pk in keys]
    return [_withdraw(row, actor, reason) for row in held if row.standing == "open"]


def _withdraw(row: ReleaseException, actor: User, reason: str) -> ReleaseException:
    row.withdrawn_at = clock.now()
    row.save(update_fields=["withdrawn_at"])
    record = changes.record(
        actor,
        "registry.exception.withdrawn",
        row,
        before={"until": row.until},
        after={"withdrawn_at": row.withdrawn_at},
        reason=reason,
        links=[row.slot.typeid, row.version.typeid],
    )
    tasks.announce(record.verb, tenant_id=row.tenant_id, exception_id=str(row.pk), change_id=str(record.pk))
    return row


def others_word(instance: AgentInstance, actor: User) -> list[str]:
    """The exceptions that let the instance work beside the slots, which the gates have asked for: their identifiers, for
    the record of its activation. NotAllowed where all of them are the actor's own: that takes two people, as a binding."""
    held = relied_on(instance)
    mine = bool(held) and all(one.granted_by_id == actor.pk for one in held)
    if mine and not single_handed(instance.tenant_id):
        raise NotAllowed(
            f"You granted the exception that lets {instance.version} into {instance.environment};"
            " another person activates it."
        )
    return [one.typeid for one in held]
