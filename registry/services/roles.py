"""Roles: define the job, change what it asks, assign versions and instances to it and end that."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import IntegrityError, transaction
from psycopg import errors

from arm import changes, clock, tasks
from arm.errors import Conflict, Invalid, Problem
from arm.models import ChangeRecord, Tenant, User
from arm.permissions import require
from arm.rights import Right, Risk

from .. import fitness, gates, staffing
from ..lifecycle import InstanceState
from ..models import AgentInstance, AgentVersion, Environment, RoleAssignment, RoleDefinition
from ..queries import line_above, role_problems
from .asking import Duplicate, refuse_all, require_reason, strangers, without_reason, wrong
from .binding import locked_version
from .locking import locked
from .meanwhile import tell_changed
from .spawn import why_no_role

DESCRIBING: Final = frozenset({"name", "purpose", "tier", "risk", "cost_center"})
LATE: Final = timedelta(minutes=5)
"""How far back an assignment may begin: while its form was open, not in another past."""
WHO: Final = "Name a version, or an instance."


@transaction.atomic
def create_role(
    *,
    tenant: Tenant,
    slug: str,
    name: str,
    actor: User,
    reason: str,
    purpose: str = "",
    tier: int = 2,
    risk: Risk = Risk.MEDIUM,
    cost_center: str = "",
    **asks: Any,
) -> RoleDefinition:
    """A job that agents can be given. `asks`: members of `staffing.ASKS`, as RoleDefinition has them.

    Duplicate where the slug is taken; Invalid names every wrong member of what it asks.
    """
    require(actor, Right.MANAGE_DIRECTORY, tenant)
    require_reason(reason)
    _known(asks, staffing.ASKS)
    Tenant.objects.select_for_update().get(pk=tenant.pk)
    if taken := RoleDefinition.objects.filter(tenant=tenant, slug=slug).first():
        raise Duplicate(f"There is already a role “{slug}”.", taken)
    told = _judged(tenant, {**asks, "tier": tier})
    role = RoleDefinition(
        tenant=tenant, slug=slug, name=name, purpose=purpose, risk=risk, cost_center=cost_center, **told
    )
    role.save(force_insert=True)
    changes.record(actor, "registry.role.created", role, after=_shown(role), reason=reason)
    return role


@transaction.atomic
def update_role(
    *, role: RoleDefinition, actor: User, reason: str, seen: int | None = None, **values: Any
) -> RoleDefinition:
    """Change what the role is called and what it asks; its slug stays. The record has before and after.

    `seen`: the revision that the editor saw; ChangedMeanwhile names what was changed since.

    Who is assigned already stays so: the page names whom it no longer fits, and no new one is let in.
    """
    require(actor, Right.MANAGE_DIRECTORY, role)
    require_reason(reason)
    _known(values, DESCRIBING | staffing.ASKS)
    role = RoleDefinition.objects.select_for_update().get(pk=role.pk)
    if seen is not None and seen != role.revision:
        tell_changed(_since(role, seen))
    whole = {name: getattr(role, name) for name in (*staffing.ASKS, "tier")} | values
    told = _judged(role.tenant, whole)
    wanted = {name: told.get(name, value) for name, value in values.items()} | {"currency": told["currency"]}
    changed = {name: value for name, value in wanted.items() if getattr(role, name) != value}
    if not changed:
        return role
    before = {name: getattr(role, name) for name in changed} | {"revision": role.revision}
    for name, value in changed.items():
        setattr(role, name, value)
    role.revision += 1
    role.save(update_fields=[*changed, "revision"])
    after = changed | {"revision": role.revision}
    record = changes.record(actor, "registry.role.updated", role, before=before, after=after, reason=reason)
    tasks.announce(record.verb, tenant_id=role.tenant_id, role_id=str(role.pk), change_id=str(record.pk))
    return role


@transaction.atomic
def assign_role(
    *,
    role: RoleDefinition,
    environment: Environment,
    actor: User,
    reason: str,
    version: AgentVersion | None = None,
    instance: AgentInstance | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> RoleAssignment:
    """Give the job in an environment to a version, or to one instance of it, from `since` (now) until `until` (ended).

    Invalid names every member that is wrong; GateRefused everything that the version lacks for the role; Duplicate where it
    is assigned in that time.
    """
    require(actor, Right.PROMOTE_RELEASE, environment)
    since = since or clock.now()
    foreign = strangers(role=role, environment=environment, version=version, instance=instance)
    problems = assigning_problems(
        environment=environment,
        version=version,
        instance=instance,
        role=role,
        since=since,
        until=until,
        somebody=version is not None or instance is not None,
    )
    refuse_all([*without_reason(reason), *foreign, *([] if foreign else problems)])
    version = version or (instance.version if instance else None)
    role = RoleDefinition.objects.select_for_update().get(pk=role.pk)  # what it asks stands still meanwhile
    assert version is not None
    version = locked_version(version.pk)
    verdicts = fitness.for_assignment(role, environment, version)
    gates.refuse_unless_passed(verdicts, f"{version} is not assigned to {role} in {environment}")
    made = RoleAssignment(
        tenant_id=role.tenant_id,
        role=role,
        environment=environment,
        version=version,
        instance=instance,
        since=since,
        until=until,
        assigned_by=actor,
        reason=reason,
    )
    _stored(made)
    after = {
        "role": role.typeid,
        "revision": role.revision,
        "environment": environment.slug,
        "version": version.typeid,
        "genome": version.genome.digest,
        "instance": instance.typeid if instance else "",
        "since": clock.exactly(since),
        "until": clock.exactly(until) if until else "",
        "gates": [{"gate": verdict.gate, "reason": verdict.reason} for verdict in verdicts],
    }
    links = [role.typeid, version.typeid]
    record = changes.record(actor, "registry.role.assigned", made, after=after, reason=reason, links=links)
    _tell(record, made)
    return made


@transaction.atomic
def end_assignment(*, assignment: RoleAssignment, actor: User, reason: str) -> RoleAssignment:
    """It does the job no more, from now on; one that has not begun never does. What runs is not stopped by it.

    As assigning, it takes the right in the environment: one on the agent alone reaches no other place's staff.
    """
    require(actor, Right.PROMOTE_RELEASE, assignment.environment)
    require_reason(reason)
    rows = RoleAssignment.objects.select_related("role", "environment", "version__template", "instance")
    assignment = locked(rows, assignment.pk)
    now = clock.now()
    if assignment.until is not None and assignment.until <= now:
        raise Conflict(f"This assignment ended on {assignment.until:%Y-%m-%d %H:%M}.")
    before = {"until": clock.exactly(assignment.until) if assignment.until else ""}
    assignment.until = max(now, assignment.since)
    assignment.save(update_fields=["until"])
    record = changes.record(
        actor,
        "registry.role.unassigned",
        assignment,
        before=before,
        after={"until": clock.exactly(assignment.until)},
        reason=reason,
        links=[assignment.role.typeid, assignment.version.typeid],
    )
    _tell(record, assignment)
    return assignment


# how it is done


def _known(values: Mapping[str, Any], names: frozenset[str]) -> None:
    if unknown := values.keys() - names:
        raise TypeError(f"A role has no {', '.join(sorted(unknown))}")


def _since(role: RoleDefinition, seen: int) -> dict[str, Any]:
    """What was changed after this revision, by what the records tell, as it is by now; and the revision."""
    told = ChangeRecord.objects.about(role).filter(verb="registry.role.updated", after__revision__gt=seen)
    names = {name for after in told.values_list("after", flat=True) for name in after}
    return {name: getattr(role, name) for name in sorted(names - {"revision"})} | {"revision": role.revision}


def _judged(tenant: Tenant, values: dict[str, Any]) -> dict[str, Any]:
    """What a role shall ask, in its normal form; Invalid names every wrong member."""
    if wrong := role_problems(tenant, values):
        raise Invalid("A role cannot ask this.", wrong)
    return staffing.normal(staffing.priced(values, tenant.currency))


def _shown(role: RoleDefinition) -> dict[str, Any]:
    """What the record of a new role says: who it is, and all that it asks."""
    names = ("slug", "name", "purpose", "tier", "risk", "cost_center", *sorted(staffing.ASKS), "revision")
    return {name: value for name in names if (value := getattr(role, name)) not in (None, "", [], False)}


def assigning_problems(
    *,
    environment: Environment | None = None,
    version: AgentVersion | None = None,
    instance: AgentInstance | None = None,
    role: RoleDefinition | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    somebody: bool = True,
    **_: Any,
) -> list[Problem]:
    """What `assign_role` refuses of these, as far as they are given: for doors that name what is wrong with a request before
    all of its rows are found. `somebody`: whether a version or an instance is named at all."""
    found = [] if somebody else [wrong("version", "required", WHO)]
    if instance is not None and environment is not None and instance.environment_id != environment.pk:
        found.append(wrong("instance", "place", f"{instance} runs in another environment."))
    if instance is not None and instance.state == InstanceState.RETIRED:
        found.append(wrong("instance", "retired", f"{instance} is retired."))
    if instance is not None and version is not None and version.pk != instance.version_id:
        found.append(wrong("version", "instance", f"{instance} runs another version."))
    above = line_above(instance)[1:] if instance is not None and instance.parent_id is not None else ()
    if role is not None and (said := why_no_role(above, role)):
        found.append(wrong("role", "spawn", said))
    now = clock.now()
    if since is not None and since < now - LATE:
        found.append(wrong("since", "past", "An assignment begins now or later."))
    if until is not None and until <= (since or now):
        found.append(wrong("until", "order", "It ends after it has begun."))
    return found


def _stored(made: RoleAssignment) -> None:
    """The row, unless the database knows one of the same that overlaps with it."""
    try:
        with transaction.atomic():
            made.save(force_insert=True)
    except IntegrityError as problem:
        if not isinstance(problem.__cause__, errors.ExclusionViolation):
            raise
        held = _overlapping(made)
        raise Duplicate(f"{made} is assigned already in that time.", held) from problem


def _overlapping(made: RoleAssignment) -> RoleAssignment:
    rows = RoleAssignment.objects.for_list().filter(
        role=made.role, environment=made.environment, version=made.version, instance=made.instance
    )
    if made.until is not None:
        rows = rows.filter(since__lt=made.until)
    return rows.exclude(until__lte=made.since)[0]


def _tell(record: ChangeRecord, row: RoleAssignment) -> None:
    tasks.announce(
        record.verb,
        tenant_id=row.tenant_id,
        assignment_id=str(row.pk),
        role_id=str(row.role_id),
        version_id=str(row.version_id),
        change_id=str(record.pk),
    )
