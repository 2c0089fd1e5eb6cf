"""Suites: make, change by another version, assign to agents and end that."""

from typing import Any, Final

from django.db import transaction
from django.db.models import Q

from arm import changes, clock, tasks
from arm.errors import Conflict, NotAllowed
from arm.models import Tenant, User
from arm.permissions import require
from arm.queries import single_handed
from arm.rights import Right
from registry.lifecycle import VersionState
from registry.models import AgentTemplate, AgentVersion
from registry.services.asking import Duplicate, refuse, require_reason, require_same_tenant

from ..models import Assignment, Suite, SuiteVersion
from ..queries import newest_version
from ..scoring import Category, read_suite
from ..scoring import Suite as Document

ON_ITS_WAY: Final = [VersionState.DRAFT, VersionState.TESTING, VersionState.CANDIDATE]
"""From a draft on: a version goes back there in one step, and comes again when the suite is gone."""


@transaction.atomic
def create_suite(
    *,
    tenant: Tenant,
    slug: str,
    name: str,
    document: Any,
    actor: User,
    reason: str,
    purpose: str = "",
) -> SuiteVersion:
    """A new suite with its first version, from bytes or JSON values. Invalid names every problem of the document."""
    require(actor, Right.EDIT_SUITE, tenant)
    require_reason(reason)
    read = read_suite(document)
    Tenant.objects.select_for_update().get(pk=tenant.pk)  # one at a time: the slug is unique
    if taken := Suite.objects.filter(tenant=tenant, slug=slug).first():
        raise Duplicate(f"There is already a suite “{slug}”.", taken)
    suite = Suite.objects.create(
        tenant=tenant, slug=slug, name=name, purpose=purpose, category=read.category, created_by=actor
    )
    after = {"slug": slug, "name": name, "category": read.category}
    changes.record(actor, "evaluation.suite.created", suite, after=after, reason=reason)
    return _add(suite, read, 1, actor, reason)


@transaction.atomic
def save_version(*, suite: Suite, document: Any, actor: User, reason: str) -> SuiteVersion:
    """Another version. What was run so far is outdated by it; Duplicate where a version says exactly this."""
    require(actor, Right.EDIT_SUITE, suite)
    require_reason(reason)
    read = read_suite(document)
    suite = Suite.objects.select_for_update().get(pk=suite.pk)  # numbers are given one at a time
    if read.category != suite.category:
        refuse("/category", "category", f"{suite} is a {suite.category} suite, and stays one.")
    newest = newest_version(suite)
    if newest is not None and newest.digest == read.digest:
        raise Duplicate(f"{newest} says exactly this.", newest)
    if held := suite.versions.filter(digest=read.digest).first():
        raise Duplicate(f"{held} said exactly this; change something, or leave {newest} as it is.", held)
    return _add(suite, read, newest.number + 1 if newest else 1, actor, reason)


def _add(suite: Suite, read: Document, number: int, actor: User, reason: str) -> SuiteVersion:
    version = SuiteVersion.objects.create(
        tenant_id=suite.tenant_id,
        suite=suite,
        number=number,
        content=read.content,
        digest=read.digest,
        threshold=read.threshold,
        case_count=len(read.cases),
        created_by=actor,
    )
    after = {"number": number, "digest": read.digest, "cases": len(read.cases), "threshold": read.threshold}
    record = changes.record(
        actor,
        "evaluation.suite.versioned",
        version,
        after=after,
        reason=reason,
        links=[suite.typeid],
    )
    tasks.announce(record.verb, tenant_id=suite.tenant_id, suite_id=str(suite.pk), change_id=str(record.pk))
    return version


@transaction.atomic
def assign_suite(
    *, suite: Suite, template: AgentTemplate, actor: User, reason: str, mandatory: bool = True
) -> Assignment:
    """Ask the suite of an agent's versions from now on. An assignment in force is replaced where it said otherwise; a
    mandatory safety suite becomes optional only by somebody who has no version of the agent on its way."""
    require(actor, Right.EDIT_SUITE, template)
    require_reason(reason)
    require_same_tenant(suite=suite, template=template)
    Suite.objects.select_for_update().get(pk=suite.pk)  # one assignment at a time
    held = Assignment.objects.filter(suite=suite, template=template, until=None).first()
    if held is not None and held.mandatory == mandatory:
        how = "mandatory" if mandatory else "optional"
        raise Duplicate(f"{suite} is already assigned to {template}, as {how}.", held)
    now = clock.now()
    if held is not None:
        _require_another(held, actor)
        Assignment.objects.filter(pk=held.pk).update(until=now)
    made = Assignment.objects.create(
        tenant_id=suite.tenant_id,
        suite=suite,
        template=template,
        mandatory=mandatory,
        since=now,
        created_by=actor,
    )
    record = changes.record(
        actor,
        "evaluation.suite.assigned",
        made,
        before={"mandatory": held.mandatory} if held else {},
        after={"suite": suite.typeid, "template": template.typeid, "mandatory": mandatory},
        reason=reason,
        links=[suite.typeid, template.typeid],
    )
    tasks.announce(
        record.verb, tenant_id=suite.tenant_id, template_id=str(template.pk), change_id=str(record.pk)
    )
    return made


@transaction.atomic
def end_assignment(*, assignment: Assignment, actor: User, reason: str) -> Assignment:
    """The suite is asked of the agent no more. What has failed of it stays failed. Of a mandatory safety suite this takes
    somebody who has no version of the agent on its way."""
    require(actor, Right.EDIT_SUITE, assignment)
    require_reason(reason)
    assignment = Assignment.objects.select_for_update().get(pk=assignment.pk)
    if assignment.until is not None:
        raise Conflict("This assignment has already ended.")
    _require_another(assignment, actor)
    assignment.until = clock.now()
    assignment.save(update_fields=["until"])
    changes.record(
        actor,
        "evaluation.suite.unassigned",
        assignment,
        before={"mandatory": assignment.mandatory},
        reason=reason,
        links=[assignment.suite.typeid, assignment.template.typeid],
    )
    return assignment


def _require_another(held: Assignment, actor: User) -> None:
    """Nobody lets a safety suite go that still stands before a version which they built or submitted themselves."""
    if not held.mandatory or held.suite.category != Category.SAFETY:
        return
    versions = AgentVersion.objects.filter(template=held.template_id, state__in=ON_ITS_WAY)
    own = versions.filter(Q(created_by=actor) | Q(submitted_by=actor)).select_related("template").first()
    if own is not None and not single_handed(held.tenant_id):
        part = "built" if own.created_by_id == actor.pk else "submitted"
        message = f"You {part} {own}, which “{held.suite}” still stands before; somebody else lets it go."
        raise NotAllowed(message, right=Right.EDIT_SUITE.value)
