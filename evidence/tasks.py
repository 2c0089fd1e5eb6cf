"""Scheduled work of evidence: the worker finds what waits, the signer seals and signs."""

from typing import Any
from uuid import UUID

from django.db.models import Q
from django_q.models import OrmQ

from arm import clock, db, ports
from arm.models import Tenant
from arm.tasks import SIGNER, enqueue

from .lifecycle import LATE, STUCK, TAKEN_BY, ArtefactState, Place, following
from .models import Artefact, PendingLeaf
from .services import enqueue_next
from .services import seal_log as seal
from .services.steps import take_step as take

WAITING = 50
"""Tasks in a queue; where so many wait already its cluster is away, and more of them would help nobody."""


def tend_logs(**_: Any) -> str:
    """Ask the signer to seal the log of every tenant with records that wait for their leaf."""
    asked = 0
    for tenant_id in db.all_tenants():
        if _is_away(SIGNER):
            break
        with db.tenants([tenant_id]):
            if PendingLeaf.objects.exists():
                enqueue("evidence.tasks.seal_log", tenant_id=tenant_id, cluster=SIGNER)
                asked += 1
    return f"{asked} logs"


def seal_log(*, tenant_id: UUID, **_: Any) -> str:
    """For the signer: leaves for what waits, and a checkpoint. May run at any time, twice."""
    done = seal(tenant=Tenant.objects.get(pk=tenant_id))
    return f"{done.leaves} leaves"


def take_step(*, tenant_id: UUID, artefact: str, step: str, **_: Any) -> str:
    """For whoever takes this step of an artefact. May run at any time, twice."""
    return take(artefact_id=UUID(artefact), step=ArtefactState(step))


def tend_artefacts(**_: Any) -> str:
    """Ask again for steps that failed and are due, or that nobody took; tell of artefacts that are overdue."""
    asked = 0
    for tenant_id in db.all_tenants():
        with db.tenants([tenant_id]):
            asked += _tend(Tenant.objects.get(pk=tenant_id))
    return f"{asked} steps"


def _tend(tenant: Tenant) -> int:
    now, asked = clock.now(), 0
    going = Artefact.objects.for_list().filter(tenant=tenant, abandoned_at=None)
    going = going.exclude(state=ArtefactState.VERIFIED)
    due = Q(retry_at__lte=now) | Q(retry_at=None, problem="", state_since__lte=now - STUCK)
    for artefact in going.filter(due).order_by("pk")[:WAITING]:
        step = following(artefact.kind, artefact.state)
        if step is not None and not _is_away(SIGNER if TAKEN_BY[step] is Place.SIGNER else "arm"):
            enqueue_next(artefact)
            asked += 1
    late = going.filter(requested_at__lte=now - LATE, overdue_at=None)
    for artefact in late.order_by("pk")[:WAITING]:  # told once: who closes the incident is not told again
        Artefact.objects.filter(pk=artefact.pk).update(overdue_at=now)
        ports.incidents().open(
            tenant_id=tenant.pk,
            kind="outage",
            severity="s3",
            title=f"{artefact} is not finished",
            subject_kind=artefact.subject_kind,
            subject_id=artefact.subject_id,
            facts={"artefact": artefact.typeid, "state": artefact.state, "problem": artefact.problem},
        )
    return asked


def _is_away(cluster: str) -> bool:
    waiting: int = OrmQ.objects.filter(key=cluster).count()
    return waiting >= WAITING
