"""Artefacts are asked for in the transaction of whoever needs them, and made step by step afterwards."""

from django.db import transaction

from arm import changes, clock
from arm.crypto import digest
from arm.errors import Conflict
from arm.models import TenantRow, User
from arm.tasks import SIGNER, enqueue

from ..lifecycle import TAKEN_BY, ArtefactKind, ArtefactState, Place, following
from ..models import Artefact


@transaction.atomic
def request_artefact(
    *,
    kind: ArtefactKind,
    subject: TenantRow,
    actor: User | None,
    reason: str,
    statement: bytes | None = None,
    scratch: bytes | None = None,
) -> Artefact:
    """Have an artefact made about `subject`. For services of the apps above, which have asked the right and hold the
    subject: its identifier is in every file, and its content is what `statement` says, from now on.

    An Audit Pack has no statement yet: its files are gathered first. `scratch` is for the first step. Conflict while one
    of this kind is on its way; one whose step keeps failing is given up for the new one.
    """
    now = clock.now()
    pending = Artefact.objects.filter(subject_id=subject.pk, kind=kind, abandoned_at=None)
    for held in pending.exclude(state=ArtefactState.VERIFIED).for_list().select_for_update():
        if not held.problem:
            said = held.get_state_display().lower()
            raise Conflict(f"{held} is being made already ({said}).", id=held.typeid)
        held.abandoned_at, held.retry_at = now, None
        held.save(update_fields=["abandoned_at", "retry_at"])
        changes.record(
            actor, "evidence.artefact.abandoned", held, after={"problem": held.problem}, reason=reason
        )
    artefact = Artefact.objects.create(
        tenant_id=subject.tenant_id,
        kind=kind,
        state_since=now,
        subject_kind=subject._meta.label_lower,
        subject_id=subject.pk,
        subject_label=str(subject)[:250],
        statement=statement,
        scratch=scratch,
        times={ArtefactState.REQUESTED: now.isoformat()},
        requested_by_id=actor.pk if actor else None,
        requested_by=str(actor) if actor else "ARM",
        requested_at=now,
    )
    after = {"kind": kind, "about": subject.typeid}
    if statement is not None:
        after["statement"] = digest(statement)
    changes.record(
        actor, "evidence.artefact.requested", artefact, after=after, reason=reason, links=[subject.typeid]
    )
    enqueue_next(artefact)
    return artefact


@transaction.atomic
def retry_artefact(*, artefact: Artefact, actor: User, reason: str) -> Artefact:
    """Try the step that failed once more, now. For services of the apps above, which have asked the right.

    Conflict where none has failed.
    """
    artefact = Artefact.objects.select_for_update().get(pk=artefact.pk)
    if artefact.arrived or not artefact.problem or artefact.abandoned_at is not None:
        raise Conflict(f"Nothing of {artefact} has failed.")
    before = {"problem": artefact.problem, "attempts": artefact.attempts}
    artefact.attempts, artefact.problem, artefact.retry_at = 0, "", None
    artefact.state_since = clock.now()
    artefact.save(update_fields=["attempts", "problem", "retry_at", "state_since"])
    changes.record(actor, "evidence.artefact.retried", artefact, before=before, reason=reason)
    enqueue_next(artefact)
    return artefact


def enqueue_next(artefact: Artefact) -> None:
    """Have the next step taken by whoever takes it, once this transaction has committed."""
    step = following(artefact.kind, artefact.state)
    if step is not None:
        enqueue(
            "evidence.tasks.take_step",
            tenant_id=artefact.tenant_id,
            cluster=SIGNER if TAKEN_BY[step] is Place.SIGNER else None,
            artefact=str(artefact.pk),
            step=step.value,
        )
