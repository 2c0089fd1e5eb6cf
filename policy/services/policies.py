"""Policies and their versions: draft, activate, withdraw."""

from typing import Any

from django.db import transaction

from arm import changes, clock, crypto, tasks
from arm.errors import Conflict, Invalid, NotAllowed, Problem
from arm.models import Tenant, User
from arm.permissions import require
from arm.queries import single_handed
from arm.rights import Right
from arm.roles import ROLES
from registry.services.asking import Duplicate, require_reason
from registry.services.locking import locked

from .. import facts
from ..engine import ContentInvalid, Envelope, Loop, compile_envelope
from ..lifecycle import POLICY_MOVES, PolicyState
from ..models import Policy, PolicyVersion


@transaction.atomic
def create_policy(
    *, tenant: Tenant, slug: str, name: str, content: object, actor: User, reason: str, purpose: str = ""
) -> PolicyVersion:
    """A new policy with its first version, a draft. Invalid names every wrong member of the document."""
    require(actor, Right.DRAFT_POLICY, tenant)
    require_reason(reason)
    Tenant.objects.select_for_update().get(pk=tenant.pk)  # one at a time: the slug is unique
    if taken := Policy.objects.filter(tenant=tenant, slug=slug).first():
        raise Duplicate(f"There is already a policy “{slug}”.", taken)
    compiled = check_content(content)
    policy = Policy.objects.create(tenant=tenant, slug=slug, name=name, purpose=purpose, created_by=actor)
    changes.record(actor, "policy.policy.created", policy, after={"slug": slug, "name": name}, reason=reason)
    return _draft(policy, content, compiled, actor, reason)


@transaction.atomic
def draft_version(*, policy: Policy, content: object, actor: User, note: str) -> PolicyVersion:
    """A new draft. Duplicate where the newest version that was not withdrawn says exactly the same."""
    require(actor, Right.DRAFT_POLICY, policy)
    require_reason(note)
    policy = Policy.objects.select_for_update().get(pk=policy.pk)  # one at a time: numbers are consecutive
    compiled = check_content(content)
    newest = policy.versions.exclude(state=PolicyState.WITHDRAWN).order_by("-number").first()
    if newest is not None and newest.digest == compiled.digest:
        raise Duplicate(f"{newest} says exactly this.", newest)
    return _draft(policy, content, compiled, actor, note)


@transaction.atomic
def activate_version(*, version: PolicyVersion, actor: User, reason: str) -> PolicyVersion:
    """Let a draft take effect wherever its policy is bound. Its author cannot do that alone."""
    require(actor, Right.ACTIVATE_POLICY, version)
    require_reason(reason)
    policy = Policy.objects.select_for_update().get(pk=version.policy_id)
    version = policy.versions.get(pk=version.pk)
    _move(version, PolicyState.ACTIVE)
    facts_noted: dict[str, Any] = {}
    if version.created_by_id == actor.pk:
        if not single_handed(version.tenant_id):
            raise NotAllowed("Who wrote a policy does not activate it; ask another approver.")
        facts_noted = {"sod_mode": "reduced"}
    check_content(version.document)
    now = clock.now()
    replaced = policy.versions.active().first()
    if replaced is not None:
        replaced.state, replaced.ended_at = PolicyState.SUPERSEDED, now
        replaced.save(update_fields=["state", "ended_at"])
    version.state, version.activated_by, version.activated_at = PolicyState.ACTIVE, actor, now
    version.save(update_fields=["state", "activated_by", "activated_at"])
    record = changes.record(
        actor,
        "policy.version.activated",
        version,
        before={"digest": replaced.digest, "number": replaced.number} if replaced else {},
        after={"digest": version.digest, "number": version.number, **facts_noted},
        reason=reason,
    )
    tasks.announce(
        "policy.version.activated",
        tenant_id=version.tenant_id,
        version_id=str(version.pk),
        change_id=str(record.pk),
    )
    return version


@transaction.atomic
def withdraw_version(*, version: PolicyVersion, actor: User, reason: str) -> PolicyVersion:
    """A draft that will not take effect."""
    require(actor, Right.DRAFT_POLICY, version)
    require_reason(reason)
    version = locked(PolicyVersion.objects.select_related("policy"), version.pk)
    _move(version, PolicyState.WITHDRAWN)
    version.state, version.ended_at = PolicyState.WITHDRAWN, clock.now()
    version.save(update_fields=["state", "ended_at"])
    changes.record(
        actor, "policy.version.withdrawn", version, before={"digest": version.digest}, reason=reason
    )
    return version


def check_content(content: object) -> Envelope:
    """The compiled document. Invalid with a pointer for everything that is wrong, also for this installation."""
    try:
        compiled = compile_envelope(content)
    except ContentInvalid as refusal:
        problems = [
            Problem(pointer=each.pointer, code=each.code, message=each.message) for each in refusal.problems
        ]
        raise Invalid("The policy document has wrong members.", problems) from refusal
    if not facts.knows("error_streak") and any(key.rule == Loop.ERROR_STREAK for key in compiled.loops):
        sentence = "Nobody reports error streaks here, so this rule would stop every call."
        raise Invalid(sentence, [Problem(pointer="/loops", code="unknown_fact", message=sentence)])
    if problems := _roles_that_cannot(compiled):
        raise Invalid("The policy asks people to decide who may not.", problems)
    return compiled


def _roles_that_cannot(compiled: Envelope) -> list[Problem]:
    """Approvers hold every role of a rule, so one of them must let them decide; an escalation's role must by itself."""
    deciding = {name for name, role in ROLES.items() if Right.DECIDE_APPROVAL in role.rights}
    may = f"Who may decide approvals: {', '.join(sorted(deciding))}."
    found = []
    for number, rule in enumerate(compiled.parts[0].approvals):
        at, terms = f"/approvals/{number}", rule.terms
        if unknown := sorted(terms.roles - ROLES.keys()):
            found.append(_problem(f"{at}/roles", "unknown_role", f"There is no role {', '.join(unknown)}."))
        elif terms.roles and not terms.roles & deciding:
            sentence = f"None of these roles may decide approvals. {may}"
            found.append(_problem(f"{at}/roles", "role_may_not_decide", sentence))
        if terms.escalate_to and terms.escalate_to not in deciding:
            sentence = f"An escalation must reach somebody who may decide; {terms.escalate_to} may not. {may}"
            found.append(_problem(f"{at}/escalate_to", "role_may_not_decide", sentence))
    return found


def _problem(pointer: str, code: str, message: str) -> Problem:
    return Problem(pointer=pointer, code=code, message=message)


def _draft(policy: Policy, content: object, compiled: Envelope, actor: User, note: str) -> PolicyVersion:
    last = policy.versions.order_by("-number").values_list("number", flat=True).first() or 0
    version = PolicyVersion.objects.create(
        tenant_id=policy.tenant_id,
        policy=policy,
        number=last + 1,
        content=crypto.canonical(content),
        digest=compiled.digest,
        tier=compiled.tier,
        note=note[:500],
        created_by=actor,
    )
    after = {"number": version.number, "digest": version.digest, "tier": version.tier}
    changes.record(actor, "policy.version.drafted", version, after=after, reason=note)
    return version


def _move(version: PolicyVersion, to: PolicyState) -> None:
    if to not in POLICY_MOVES[PolicyState(version.state)]:
        raise Conflict(
            f"{version} is {version.get_state_display().lower()} and cannot become {to.label.lower()}."
        )
