"""Policies as people read them: versions in words, what differs, where they hold, and which tools are how dangerous."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Max, Prefetch, Q, QuerySet

from arm.models import ChangeRecord, User
from arm.permissions import allowed
from arm.queries import single_handed
from arm.rights import Right
from registry.models import AgentInstance, AgentVersion

from ..engine import CATALOGUE
from ..engine.wording import Difference, Section, differences, sections
from ..lifecycle import PolicyState
from ..models import Binding, Policy, PolicyVersion, TenantPolicy, ToolRisk
from .people import holders
from .reach import what_stands_above

SHOWN = 10


@dataclass(frozen=True, slots=True)
class PolicyPage:
    versions: tuple[PolicyVersion, ...]
    active: PolicyVersion | None
    bindings: tuple[Binding, ...]
    may_draft: bool
    may_unbind: bool
    changes: tuple[ChangeRecord, ...]


@dataclass(frozen=True, slots=True)
class VersionPage:
    sections: tuple[Section, ...]
    document: dict[str, Any]
    predecessor: PolicyVersion | None
    changes_in_words: tuple[Difference, ...]
    may_activate: bool
    why_not: str
    who_may: tuple[str, ...]
    may_withdraw: bool
    records: tuple[ChangeRecord, ...]


@dataclass(frozen=True, slots=True)
class Bound:
    """A policy that holds for something, by which binding, with what it says now."""

    binding: Binding
    version: PolicyVersion | None


@dataclass(frozen=True, slots=True)
class ToolRow:
    """One name of the catalogue: what everybody has, and what this tenant adds."""

    tool: str
    seeded: str
    seeded_class: str
    entry: ToolRisk | None


def for_list(policies: QuerySet[Policy]) -> QuerySet[Policy]:
    """With the active version, the number of drafts and of bindings in force."""
    active = PolicyVersion.objects.active().defer("content")
    return policies.annotate(
        drafts=Count("versions", filter=Q(versions__state=PolicyState.DRAFT), distinct=True),
        bound=Count("bindings", filter=Q(bindings__until=None), distinct=True),
        newest=Max("versions__number"),
    ).prefetch_related(Prefetch("versions", queryset=active, to_attr="in_force"))


def policy_page(policy: Policy, actor: User) -> PolicyPage:
    people = ("created_by", "activated_by")
    versions = tuple(policy.versions.select_related("policy", *people).defer("content").order_by("-number"))
    return PolicyPage(
        versions=versions,
        active=next((row for row in versions if row.state == PolicyState.ACTIVE), None),
        bindings=tuple(with_target(policy.bindings.in_force()).order_by("-since")),
        may_draft=allowed(actor, Right.DRAFT_POLICY, policy),
        may_unbind=allowed(actor, Right.ACTIVATE_POLICY, policy),
        changes=tuple(ChangeRecord.objects.about(policy)[:SHOWN]),
    )


def version_page(version: PolicyVersion, actor: User) -> VersionPage:
    """A version in words, against the one that is active (or was before it), and what this person may do with it."""
    before = predecessor(version)
    draft = version.state == PolicyState.DRAFT
    activates = draft and allowed(actor, Right.ACTIVATE_POLICY, version)
    author = version.created_by_id == actor.pk
    may = activates and (not author or single_handed(version.tenant_id))
    why = ""
    if draft and not may:
        why = (
            "Who wrote a policy does not activate it."
            if activates
            else "Your roles do not let you activate it."
        )
    without = [version.created_by_id] if version.created_by_id else []
    return VersionPage(
        sections=sections(version.document),
        document=version.document,
        predecessor=before,
        changes_in_words=differences(before.document, version.document) if before else (),
        may_activate=may,
        why_not=why,
        who_may=holders(Right.ACTIVATE_POLICY, version, version.tenant_id, without=without) if why else (),
        may_withdraw=draft and allowed(actor, Right.DRAFT_POLICY, version),
        records=tuple(ChangeRecord.objects.about(version)[:SHOWN]),
    )


def predecessor(version: PolicyVersion) -> PolicyVersion | None:
    """What a draft would replace; otherwise the version before it that took effect."""
    others = (
        PolicyVersion.objects.filter(policy=version.policy_id).exclude(pk=version.pk).select_related("policy")
    )
    if version.state == PolicyState.DRAFT:
        return others.active().first()
    effective = others.filter(state__in=[PolicyState.ACTIVE, PolicyState.SUPERSEDED])
    return effective.filter(number__lt=version.number).order_by("-number").first()


def with_target(bindings: QuerySet[Binding]) -> QuerySet[Binding]:
    """With everything that a binding's row names."""
    return bindings.select_related(
        "policy",
        "tenant",
        "environment",
        "role",
        "template",
        "version__template",
        "slot__role",
        "slot__environment",
        "instance",
        "bound_by",
        "ended_by",
    )


def bound_to(subject: AgentVersion | AgentInstance) -> tuple[Bound, ...]:
    """The policies that hold for an instance, or for a version wherever it runs, widest first."""
    if isinstance(subject, AgentVersion):
        about = Q(whole_tenant=True) | Q(template=subject.template_id) | Q(version=subject.pk)
        about &= Q(tenant=subject.tenant_id)
    else:
        about = what_stands_above(subject)
    found = with_target(Binding.objects.in_force().filter(about)).order_by("since")
    bindings = list(found)
    active = _active(binding.policy_id for binding in bindings)
    return tuple(Bound(binding, active.get(binding.policy_id)) for binding in bindings)


def default_of(tenant_id: UUID) -> Policy | None:
    """The policy that holds for what none is bound to."""
    return Policy.objects.filter(
        pk__in=TenantPolicy.objects.filter(tenant=tenant_id).values("default_policy")
    ).first()


def bound_at(instance: AgentInstance, version_id: UUID, then: datetime) -> tuple[Bound, ...]:
    """The policies that held for an instance at a moment that has passed, each with the version that was active."""
    held = Q(since__lte=then) & (Q(until=None) | Q(until__gt=then))
    found = Binding.objects.filter(held, what_stands_above(instance, version_id))
    bindings = list(with_target(found).order_by("since"))
    was_active = Q(activated_at__lte=then) & (Q(ended_at=None) | Q(ended_at__gt=then))
    rows = PolicyVersion.objects.filter(was_active, policy__in={one.policy_id for one in bindings})
    active = {
        row.policy_id: row for row in rows.select_related("policy").defer("content").order_by("activated_at")
    }
    return tuple(Bound(binding, active.get(binding.policy_id)) for binding in bindings)


def catalogue(entries: Iterable[ToolRisk]) -> tuple[ToolRow, ...]:
    """What counts in one environment only, the tenant's own names and globs, then every known name with the tenant's entry
    for it."""
    held = list(entries)
    by_name = {entry.tool: entry for entry in held if entry.environment_id is None}
    local = [
        ToolRow(entry.tool, known.risk.word if known else "", known.tool_class.value if known else "", entry)
        for entry in held
        if entry.environment_id is not None
        for known in [CATALOGUE.get(entry.tool)]
    ]
    rows = [
        ToolRow(name, tool.risk.word, tool.tool_class.value, by_name.pop(name, None))
        for name, tool in sorted(CATALOGUE.items())
    ]
    own = [ToolRow(name, "", "", entry) for name, entry in sorted(by_name.items())]
    return (*local, *own, *rows)


def _active(policies: Iterable[UUID]) -> Mapping[UUID, PolicyVersion]:
    rows = PolicyVersion.objects.active().filter(policy__in=set(policies)).select_related("policy")
    return {row.policy_id: row for row in rows.defer("content")}
