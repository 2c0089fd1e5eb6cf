"""Certifications: say what can be certified, vouch for a genome, take it back, and tell when one has run out."""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from arm import changes, clock, tasks
from arm.errors import Conflict, NotAllowed
from arm.models import ChangeRecord, Tenant, User
from arm.permissions import require
from arm.ports import incidents
from arm.queries import single_handed
from arm.rights import Right
from registry.models import AgentVersion, DeploymentSlot, RoleAssignment
from registry.services.asking import Duplicate, refuse, require_reason, require_same_tenant
from registry.services.locking import locked
from registry.staffing import SLUG, Certified

from ..lifecycle import RunState
from ..models import Certification, CertificationType, Run, Suite
from ..queries import took_part

LONGEST: Final = 3650
"""Days that anything may be certified for."""


@transaction.atomic
def create_certification_type(
    *, tenant: Tenant, slug: str, name: str, actor: User, reason: str, purpose: str = "", days: int = 365
) -> CertificationType:
    """What can be certified from now on. Duplicate where the slug is taken."""
    require(actor, Right.EDIT_SUITE, tenant)
    require_reason(reason)
    if not SLUG.match(slug) or len(slug) > 80:
        refuse("/slug", "slug", "A short name: small letters and figures, parted by . _ or -.")
    if not 1 <= days <= LONGEST:
        refuse("/days", "range", f"From 1 to {LONGEST} days.")
    Tenant.objects.select_for_update().get(pk=tenant.pk)
    if taken := CertificationType.objects.filter(tenant=tenant, slug=slug).first():
        raise Duplicate(f"There is already a certification “{slug}”.", taken)
    made = CertificationType.objects.create(
        tenant=tenant, slug=slug, name=name, purpose=purpose, days=days, created_by=actor
    )
    after = {"slug": slug, "name": name, "days": days}
    changes.record(actor, "evaluation.certification_type.created", made, after=after, reason=reason)
    return made


@transaction.atomic
def issue_certification(
    *,
    type: CertificationType,
    version: AgentVersion,
    actor: User,
    reason: str,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
) -> Certification:
    """Vouch for exactly the genome of this version, for as long as the type says unless told otherwise.

    NotAllowed for who built or submitted anything with this genome, unless they work here alone.
    """
    require(actor, Right.APPROVE_VERSION, version)
    require_reason(reason)
    require_same_tenant(type=type, version=version)
    version = locked(AgentVersion.objects.select_related("template", "genome"), version.pk)
    if version.genome.missing:
        lacks = ", ".join(version.genome.missing)
        raise Conflict(f"{version} has an incomplete genome, and nobody can vouch for it: it lacks {lacks}.")
    facts = _separation(version, actor)
    now = clock.now()
    start = valid_from or now
    until = valid_until or start + timedelta(days=type.days)
    if until <= max(start, now):
        refuse("/valid_until", "order", "It ends after it has begun, and after today.")
    if until - start > timedelta(days=LONGEST):
        refuse("/valid_until", "range", f"At most {LONGEST} days.")
    made = Certification.objects.create(
        tenant_id=version.tenant_id,
        type=type,
        template_id=version.template_id,
        version=version,
        genome_digest=version.genome.digest,
        issued_by=actor,
        issued_at=now,
        valid_from=start,
        valid_until=until,
        reason=reason,
        evidence=_passed(version),
    )
    after = {
        "type": type.slug,
        "version": version.typeid,
        "genome": made.genome_digest,
        "valid_from": clock.exactly(start),
        "valid_until": clock.exactly(until),
        "evidence": made.evidence,
        **facts,
    }
    record = changes.record(
        actor,
        "evaluation.certification.issued",
        made,
        after=after,
        reason=reason,
        links=[version.typeid, *made.evidence],
    )
    _tell(record, made)
    return made


@transaction.atomic
def revoke_certification(*, certification: Certification, actor: User, reason: str) -> Certification:
    """Nobody vouches any more, at once. A role that asks for it where the version works opens an incident."""
    require(actor, Right.APPROVE_VERSION, certification)
    require_reason(reason)
    rows = Certification.objects.select_related("type", "version__template", "version__genome")
    certification = locked(rows, certification.pk)
    if certification.standing in (Certified.REVOKED, Certified.EXPIRED):
        raise Conflict(f"{certification} is {certification.standing.value} already.")
    certification.revoked_at, certification.revoked_by = clock.now(), actor
    certification.revoked_reason = reason
    certification.save(update_fields=["revoked_at", "revoked_by", "revoked_reason"])
    record = changes.record(
        actor,
        "evaluation.certification.revoked",
        certification,
        before={"valid_until": clock.exactly(certification.valid_until)},
        reason=reason,
        links=[certification.version.typeid],
    )
    _tell(record, certification)
    _raise_where_needed(certification, "was revoked")
    return certification


def expire_certifications(tenant_id: UUID) -> int:
    """Put on the record what has run out since the last time. Returns how many. One that two sweeps see is told once."""
    rows = Certification.objects.filter(
        tenant=tenant_id, revoked_at=None, expiry_told_at=None, valid_until__lte=clock.now()
    )
    keys = list(rows.select_for_update(skip_locked=True).order_by("pk").values_list("pk", flat=True)[:500])
    for row in Certification.objects.for_list().filter(pk__in=keys).select_related("version__genome"):
        row.expiry_told_at = clock.now()
        row.save(update_fields=["expiry_told_at"])
        record = changes.record(
            None,
            "evaluation.certification.expired",
            row,
            before={"valid_until": clock.exactly(row.valid_until)},
            reason="Its time has passed.",
            links=[row.version.typeid],
        )
        _tell(record, row)
        _raise_where_needed(row, "has expired")
    return len(keys)


@transaction.atomic
def declare_capability(*, suite: Suite, capability: str, actor: User, reason: str) -> Suite:
    """Say which capability the suite measures; '' for none. What it asks, and its digest, stay as they are."""
    require(actor, Right.EDIT_SUITE, suite)
    require_reason(reason)
    capability = capability.strip().lower()
    if capability and (len(capability) > 80 or not SLUG.match(capability)):
        refuse("/capability", "slug", "A short name: small letters and figures, parted by . _ or -.")
    suite = Suite.objects.select_for_update().get(pk=suite.pk)
    if suite.capability == capability:
        return suite
    before = {"capability": suite.capability}
    suite.capability = capability
    suite.save(update_fields=["capability"])
    after = {"capability": capability}
    changes.record(
        actor, "evaluation.suite.capability_declared", suite, before=before, after=after, reason=reason
    )
    return suite


# how it is done


def _separation(version: AgentVersion, actor: User) -> dict[str, Any]:
    """Nobody certifies what they have built or submitted themselves, whatever the version is called."""
    if actor.pk not in took_part(version):
        return {}
    if single_handed(version.tenant_id):
        return {"sod_mode": "reduced"}
    message = f"You built or submitted what {version} is made of; somebody else certifies it."
    raise NotAllowed(message, right=Right.APPROVE_VERSION.value)


def _passed(version: AgentVersion) -> list[str]:
    """The newest run of each suite that has passed on this genome: what was known when it was issued."""
    rows = Run.objects.filter(
        template=version.template_id, genome_digest=version.genome.digest, state=RunState.PASSED
    )
    return [run.typeid for run in rows.order_by("suite_id", "-pk").distinct("suite_id")]


def _raise_where_needed(row: Certification, what: str) -> None:
    """An incident about the version, where it does a job that asks for this and holds no other that is valid."""
    others = Certification.objects.standing_as(Certified.VALID).filter(
        type=row.type, template=row.template_id, genome_digest=row.genome_digest
    )
    if others.exists():
        return
    asked = {"role__certifications__contains": [row.type.slug]}
    same = {"version__template": row.template_id, "version__genome__digest": row.genome_digest}
    held = RoleAssignment.objects.in_force().filter(**same, **asked).select_related("role")
    slots = DeploymentSlot.objects.filter(
        **asked,
        current_version__template=row.template_id,
        current_version__genome__digest=row.genome_digest,
    ).select_related("role", "environment")
    works = sorted({one.role.name for one in held} | {str(slot) for slot in slots})
    if works:
        incidents().open(
            tenant_id=row.tenant_id,
            kind="quality_regression",
            severity="s2",
            title=f"{row.type} of {row.version} {what}, and it works as {', '.join(works)[:120]}",
            subject_kind=row.version._meta.label_lower,
            subject_id=row.version.pk,
            facts={"certification": row.typeid, "type": row.type.slug, "works_as": works},
        )


def _tell(record: ChangeRecord, row: Certification) -> None:
    tasks.announce(
        record.verb,
        tenant_id=row.tenant_id,
        certification_id=str(row.pk),
        version_id=str(row.version_id),
        change_id=str(record.pk),
    )
