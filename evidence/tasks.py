"""Scheduled work of evidence: the worker finds what waits, the signer seals it."""

from typing import Any
from uuid import UUID

from django_q.models import OrmQ

from arm import db
from arm.models import Tenant
from arm.tasks import SIGNER, enqueue

from .models import PendingLeaf
from .services import seal_log as seal

WAITING = 50
"""Tasks in the signer's queue; where so many wait already it is away, and more of them would help nobody."""


def tend_logs(**_: Any) -> str:
    """Ask the signer to seal the log of every tenant with records that wait for their leaf."""
    asked = 0
    for tenant_id in db.all_tenants():
        if OrmQ.objects.filter(key=SIGNER).count() >= WAITING:
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
