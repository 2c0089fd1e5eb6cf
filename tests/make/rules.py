"""Policies, approvals and stops."""

import json
from datetime import timedelta
from typing import Any

from django.db.models import Model

from arm import clock, crypto, ids
from arm.models import Tenant
from policy.engine import SCHEMA, compile_envelope
from policy.lifecycle import ApprovalKind, PolicyState
from policy.models import (
    ApprovalRequest,
    Binding,
    Decision,
    Policy,
    PolicyVersion,
    Posture,
    RestrictionRequest,
)
from registry.models import AgentInstance

from .core import _n, _tenant, as_the_owner, user
from .directory import instance


def policy_document(**members: Any) -> dict[str, Any]:
    """Tier 2, every tool, hosts, paths and commands anywhere: what `members` do not say otherwise."""
    return {
        "schema": SCHEMA,
        "tier": 2,
        "tools": [{"match": {"tool": "*"}, "effect": "allow"}],
        "network": [{"host": "*"}],
        "paths": [{"path": ".", "access": "write"}],
        "commands": [{"argv": ["**"]}],
    } | members


def policy_version(**kw: Any) -> PolicyVersion:
    """A draft of a new policy (or of `policy`); `content` is its document."""
    content = kw.pop("content", None) or policy_document()
    number = next(_n)
    owner = kw.pop("policy", None)
    if owner is None:
        slug = f"policy-{number}"
        owner = Policy.objects.create(tenant=_tenant(kw), slug=slug, name=kw.pop("name", slug))
    compiled = compile_envelope(content)
    return PolicyVersion.objects.create(
        tenant=owner.tenant,
        policy=owner,
        content=crypto.canonical(content),
        digest=compiled.digest,
        tier=compiled.tier,
        **{"number": owner.versions.count() + 1} | kw,
    )


def policy(**kw: Any) -> Policy:
    """A policy whose first version is active."""
    return policy_version(**{"state": PolicyState.ACTIVE, "activated_at": clock.now()} | kw).policy


def bound(to: Model, **members: Any) -> Policy:
    """An active policy of these members, bound to a target (tenant, environment, template, instance, …)."""
    owner = to if isinstance(to, Tenant) else to.tenant
    row = policy(tenant=owner, content=policy_document(**members))
    Binding.objects.create(tenant=owner, policy=row, reason="test", **Binding.members_for(to))
    return row


def approval(of: AgentInstance | None = None, **kw: Any) -> ApprovalRequest:
    """A pending request of an agent for one payment."""
    instance_ = of or instance()
    number = next(_n)
    now = clock.now()
    return ApprovalRequest.objects.create(
        tenant=instance_.tenant,
        instance=instance_,
        subject_id=instance_.pk,
        **{
            "kind": ApprovalKind.TOOL_CALL,
            "title": f"{instance_}: payment",
            "subject_kind": "registry.agentinstance",
            "action": {"action": "tool_call", "tool": "payment", "args": {"amount": str(number)}},
            "digest": crypto.digest(crypto.canonical({"payment": number})),
            "risk": "red",
            "reasons": [{"code": "tier_approve", "sentence": "Tier 2 asks.", "rule": ""}],
            "created_at": now,
            "expires_at": now + timedelta(hours=1),
        }
        | kw,
    )


def posture(on: Model, **kw: Any) -> Posture:
    """A pause of a scope, set by a rule of ARM."""
    owner = on if isinstance(on, Tenant) else on.tenant
    defaults = {"mode": "paused", "reason": "test", "reach": {"agents": 1}}
    return Posture.objects.create(tenant=owner, **Posture.members_for(on), **(defaults | kw))


def restriction(on: Model, **kw: Any) -> RestrictionRequest:
    """A request to pause a scope, by somebody who is signed in."""
    owner = on if isinstance(on, Tenant) else on.tenant
    now = clock.now()
    asker = kw.pop("asked_by", None) or user(member_of=owner)
    defaults = {
        "mode": "paused",
        "reason_code": "misbehaves",
        "reason": "test",
        "in_person": True,
        "digest": crypto.digest(str(next(_n)).encode()),
        "asked_at": now,
        "expires_at": now + timedelta(minutes=15),
    }
    return RestrictionRequest.objects.create(
        tenant=owner, asked_by=asker, **RestrictionRequest.members_for(on), **(defaults | kw)
    )


@as_the_owner()
def decision(of: AgentInstance | None = None, **kw: Any) -> Decision:
    """A recorded answer: a red tool was allowed."""
    instance_ = of or instance()
    defaults = {
        "at": clock.now(),
        "version_id": instance_.version_id,
        "key_id": ids.uuid7(),
        "action": 3,
        "tool": "payment",
        "risk": 2,
        "decision": 0,
        "reasons": json.dumps([{"code": "approved", "sentence": "A person approved it.", "rule": ""}]),
        "obligations": "",
        "action_digest": b"a" * 32,
        "policy_digest": b"p" * 32,
        "verdict_digest": b"v" * 32,
        "job": "job-7",
        "outcome": "",
        "run": "",
        "age_ms": 3,
        "request_id": "req-00000001",
    } | kw
    return Decision.objects.create(
        tenant=instance_.tenant, instance=instance_, **{"would": defaults["decision"]} | defaults
    )
