"""Agents with tokens and a policy, ready to ask: made directly, because a bench measures asking, not making."""

import json
from typing import Any

from django.db import transaction

from arm import crypto, db
from arm.ids import uuid7
from arm.models import ApiKey, Tenant, User
from policy.engine import SCHEMA, compile_envelope
from policy.lifecycle import PolicyState
from policy.models import Binding, Policy, PolicyVersion
from registry.lifecycle import InstanceState, VersionState
from registry.models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    Environment,
    Genome,
    InstanceStatus,
    KeyScope,
    Provider,
)

POLICY: dict[str, Any] = {
    "schema": SCHEMA,
    "tier": 3,
    "tools": [
        {"match": {"tool": "*"}, "effect": "allow"},
        {"match": {"tool": "rm_rf"}, "effect": "deny"},
        {"match": {"class": "secrets"}, "effect": "deny"},
        {"match": {"class": "payment"}, "effect": "approve"},
    ],
    "network": [{"host": "*.example.com"}],
    "paths": [{"path": "work", "access": "write"}],
    "limits": [{"per": "day", "unit": "calls", "max": 100_000_000, "on_breach": "throttle"}],
}


def agents(
    count: int, content: dict[str, Any] | None = None
) -> tuple[Tenant, User, list[tuple[AgentInstance, str]]]:
    """A tenant with one policy on it, an administrator, and this many active agents, each with its token."""
    content = content or POLICY
    tenant = Tenant(slug=f"bench-{uuid7().hex[-8:]}", name="Bench")
    with transaction.atomic(), db.tenants([tenant.pk]):
        tenant.save(force_insert=True)
        root = User.objects.create_superuser(f"bench-{uuid7().hex[-8:]}", "", uuid7().hex)
        place = Environment.objects.create(
            tenant=tenant, slug="prod", name="prod", position=1, production=True
        )
        provider = Provider.objects.create(tenant=tenant, slug="local", name="Local")
        template = AgentTemplate.objects.create(tenant=tenant, slug="bench", name="Bench")
        document = crypto.canonical({"schema": "arm.genome/v1", "template": template.typeid, "tools": []})
        genome = Genome.objects.create(
            tenant=tenant, template=template, content=document, digest=crypto.digest(document)
        )
        version = AgentVersion.objects.create(
            tenant=tenant, template=template, genome=genome, number=1, state=VersionState.APPROVED
        )
        made = []
        for number in range(count):
            instance = AgentInstance.objects.create(
                tenant=tenant, version=version, template=template, environment=place, provider=provider,
                name=f"agent-{number}", state=InstanceState.ACTIVE,
            )  # fmt: skip
            InstanceStatus.objects.create(instance=instance, tenant=tenant)
            token = crypto.new_token("w")
            key = ApiKey.objects.create(
                tenant=tenant, kind=ApiKey.Kind.WORKLOAD, name=instance.name,
                digest=crypto.token_digest(token), last4=token[-4:],
            )  # fmt: skip
            KeyScope.objects.create(tenant=tenant, key=key, instance=instance)
            made.append((instance, token))
        policy = Policy.objects.create(tenant=tenant, slug="bench", name="Bench")
        compiled = compile_envelope(content)
        PolicyVersion.objects.create(
            tenant=tenant, policy=policy, number=1, content=crypto.canonical(content), digest=compiled.digest,
            tier=compiled.tier, state=PolicyState.ACTIVE,
        )  # fmt: skip
        Binding.objects.create(tenant=tenant, policy=policy, whole_tenant=True, reason="bench")
    return tenant, root, made


def request(token: str, tool: str, args: dict[str, Any]) -> bytes:
    """The bytes of one decide request."""
    body = json.dumps({"tool": tool, "args": args, "job": "job-7"}).encode()
    head = (
        "POST /api/v1/policy/decide HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


MIX = (
    ("web_search", {"q": "quarterly report", "limit": 10}),
    ("read_file", {"path": "work/notes.md"}),
    ("http_request", {"url": "https://api.example.com/v1/things", "method": "GET"}),
    ("write_file", {"path": "work/out.csv", "content": "a,b\n1,2\n"}),
    ("rm_rf", {"path": "work/old"}),
)
"""Every second request is another tool: mostly allowed, some denied."""
