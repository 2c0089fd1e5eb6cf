"""Recorded decisions as people read them: never counted, never read further back than asked."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q, QuerySet

from arm import clock
from arm.models import ApiKey, User
from arm.permissions import visible
from arm.rights import Right
from registry.models import AgentInstance, AgentVersion

from ..models import ApprovalRequest, Decision, PolicyVersion

LATEST = 8
WINDOW = timedelta(days=7)
"""How far back the last decisions of one agent are looked for: partitions older than that stay shut."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why, with the policy version the rule stands in, if it is one of this tenant's."""

    code: str
    sentence: str
    rule: str
    version: PolicyVersion | None

    @property
    def pointer(self) -> str:
        """Where in the document: the part behind `#`."""
        return self.rule.partition("#")[2] if self.version else ""

    @property
    def anchor(self) -> str:
        """The fragment of that rule on the page of its version."""
        return f"#rule{self.pointer.replace('/', '-')}" if self.pointer else ""


@dataclass(frozen=True, slots=True)
class DecisionPage:
    decision: Decision
    instance: AgentInstance
    build: AgentVersion | None
    reasons: tuple[Reason, ...]
    versions: tuple[PolicyVersion, ...]
    approval: ApprovalRequest | None
    key: ApiKey | None
    action_digest: str
    policy_digest: str
    verdict_digest: str


def first_key_at(moment: datetime) -> UUID:
    """The smallest UUIDv7 of that millisecond: a time as a bound on keys, so that only its partitions are read."""
    return UUID(int=(int(moment.timestamp() * 1000) << 80) | (0x7 << 76) | (0b10 << 62))


def latest(rows: QuerySet[Decision], count: int = LATEST) -> tuple[Decision, ...]:
    """The newest of the last days."""
    recent = rows.filter(pk__gte=first_key_at(clock.now() - WINDOW))
    return tuple(recent.select_related("instance").order_by("-pk")[:count])


def decision_page(decision: Decision, actor: User) -> DecisionPage:
    """Everything about one decision that `actor`, who may see it, may see."""
    reasons, versions = explained(stored_reasons(decision.reasons))
    policy = f"sha256:{bytes(decision.policy_digest).hex()}"
    approvals = visible(ApprovalRequest.objects.all(), actor, Right.READ_DECISIONS)
    about = Q(decision_id=decision.pk)
    if decision.approval_id:
        about |= Q(pk=decision.approval_id)
    return DecisionPage(
        decision=decision,
        instance=decision.instance,
        build=AgentVersion.objects.select_related("template").filter(pk=decision.version_id).first(),
        reasons=reasons,
        versions=versions or tuple(_versions([policy]).values()),
        approval=approvals.filter(about).order_by("-pk").first(),
        key=ApiKey.objects.filter(pk=decision.key_id).first(),
        action_digest=f"sha256:{bytes(decision.action_digest).hex()}",
        policy_digest=policy,
        verdict_digest=f"sha256:{bytes(decision.verdict_digest).hex()}",
    )


def explained(
    reasons: Iterable[dict[str, str]],
) -> tuple[tuple[Reason, ...], tuple[PolicyVersion, ...]]:
    """Reasons as they were stored, each with the policy version that its rule names by digest."""
    found = list(reasons)
    versions = _versions(
        rule.partition("#")[0] for each in found if (rule := each.get("rule", "")).startswith("sha256:")
    )
    told = tuple(
        Reason(
            each.get("code", ""),
            each.get("sentence", ""),
            each.get("rule", ""),
            versions.get(each.get("rule", "").partition("#")[0]),
        )
        for each in found
    )
    return told, tuple(versions.values())


def _versions(digests: Iterable[str]) -> dict[str, PolicyVersion]:
    wanted = sorted(set(digests))
    if not wanted:
        return {}
    rows = PolicyVersion.objects.filter(digest__in=wanted).select_related("policy").defer("content")
    return {row.digest: row for row in rows.order_by("pk")}


def stored_reasons(text: str) -> Sequence[dict[str, str]]:
    """The reasons as the record keeps them: code, sentence and the rule each came from."""
    return [
        {name: str(each.get(name, "")) for name in ("code", "sentence", "rule")}
        for each in json.loads(text or "[]")
    ]
