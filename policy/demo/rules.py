"""The demo's rules: a baseline for everybody, stricter ones for production and for payments."""

from datetime import datetime, timedelta
from typing import Any

from arm.demo import Demo
from policy import services
from policy.engine import SCHEMA
from policy.models import PolicyVersion
from registry.models import AgentTemplate, Environment

from .stopping import ask_for_stops, stop_and_lift

BASELINE: dict[str, Any] = {
    "schema": SCHEMA,
    "tier": 3,
    "tools": [
        {"match": {"tool": "*"}, "effect": "allow"},
        {
            "match": {"tool": "rm_rf"},
            "effect": "deny",
            "reason": "Nothing is deleted recursively by an agent.",
        },
        {
            "match": {"class": "secrets"},
            "effect": "deny",
            "reason": "Secrets reach agents through the vault only.",
        },
    ],
    "network": [{"host": "*"}],
    "paths": [{"path": ".", "access": "write"}],
    "commands": [{"argv": ["git", "**"]}, {"argv": ["pytest", "**"]}],
    "data": [{"class": "public", "access": "read"}, {"class": "internal", "access": "read"}],
    "loops": [{"rule": "repeat", "window_s": 60, "max": 30, "on_breach": "pause"}],
    "approvals": [
        {"match": {"risk": "red"}, "ttl_s": 3600, "escalate_after_s": 1200, "escalate_to": "approver"}
    ],
}
PRODUCTION = BASELINE | {
    "tier": 2,
    "tools": [
        {"match": {"tool": "*"}, "effect": "allow"},
        {"match": {"class": "deploy"}, "effect": "approve", "reason": "People look at every deployment."},
    ],
    "limits": [{"per": "day", "unit": "calls", "max": 50_000, "on_breach": "throttle"}],
}
MONEY = BASELINE | {
    "tier": 1,
    "tools": [
        {"match": {"tool": "*"}, "effect": "allow"},
        {"match": {"class": "payment"}, "effect": "approve", "reason": "Money moves with two signatures."},
    ],
    "approvals": [{"match": {"class": "payment"}, "quorum": 2, "ttl_s": 3600}],
}


def build(demo: Demo) -> None:
    """Before the directory: slots are bound only below a policy."""
    baseline = _active(
        demo, demo.start, "baseline", "Company baseline", BASELINE, "What holds for every agent."
    )
    with demo.at(demo.start):
        services.bind_policy(
            policy=baseline.policy, target=demo.tenant, actor=demo.people["grace"], reason="Holds everywhere"
        )


def tighten(demo: Demo) -> None:
    """After the directory: stricter rules where they belong, and what happened below them."""
    grace, later = demo.people["grace"], demo.start + timedelta(hours=2)
    strict = _active(
        demo, later, "production", "Production", PRODUCTION, "Fewer freedoms where customers are."
    )
    money = _active(demo, later, "money", "Moving money", MONEY, "Whoever touches payments.")
    with demo.at(later):
        for place in Environment.objects.filter(tenant=demo.tenant, production=True):
            services.bind_policy(
                policy=strict.policy, target=place, actor=grace, reason="Production is production"
            )
        for template in AgentTemplate.objects.filter(tenant=demo.tenant, slug__startswith="payment-runner"):
            services.bind_policy(
                policy=money.policy, target=template, actor=grace, reason="It prepares payments"
            )
        services.set_tool_risk(
            tenant=demo.tenant, tool="crm_*", risk="red", ceiling=2, actor=grace, note="Customer records"
        )
        for place in Environment.objects.filter(tenant=demo.tenant, production=True):
            services.set_tool_risk(
                tenant=demo.tenant, tool="data_export", risk="red", environment=place, actor=grace,
                note="Nothing leaves production unseen",
            )  # fmt: skip
            services.route_approvals(
                environment=place, role="approver", actor=grace, reason="Production asks approvers"
            )
    stop_and_lift(demo)
    ask_for_stops(demo)


def _active(
    demo: Demo, moment: datetime, slug: str, name: str, content: dict[str, Any], purpose: str
) -> PolicyVersion:
    with demo.at(moment):
        version = services.create_policy(
            tenant=demo.tenant, slug=slug, name=name, content=content, purpose=purpose,
            actor=demo.people["grace"], reason="From the risk workshop",
        )  # fmt: skip
        return services.activate_version(version=version, actor=demo.people["erin"], reason="Read and agreed")
