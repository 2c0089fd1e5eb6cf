"""The demo's rules: a baseline for everybody, stricter rules for production, stops that came and went, and requests
of every outcome."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import cycle, islice
from typing import Any

from arm.demo import Demo
from arm.ids import uuid7
from policy import services
from policy.engine import SCHEMA, Action, Count, Effect, Facts, Mode, Request, evaluate
from policy.models import ApprovalRequest, PolicyVersion, RestrictionRequest
from policy.queries.standing import load_agents, load_rules
from registry.models import AgentInstance, AgentTemplate, Environment

APPROVALS = 60
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
ASKED: tuple[tuple[str, dict[str, object]], ...] = (
    ("send_email", {"to": "customer@example.com", "subject": "Your refund"}),
    ("payment", {"amount": "420.00", "currency": "EUR", "iban": "DE02 1203 0000 0000 2020 51"}),
    ("deploy_prod", {"service": "checkout", "target": "prod-eu-1"}),
    ("post_social", {"text": "We are hiring in Berlin."}),
    ("database_write", {"sql": "update invoices set booked = true where id = 4711"}),
)
OUTCOMES = ("consumed",) * 5 + (
    "approved",
    "denied",
    "denied",
    "expired",
    "cancelled",
    "voided",
    "escalated",
    "pending",
)


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
    _requests(demo)
    _stops(demo)
    _two_people(demo)


def _active(
    demo: Demo, moment: datetime, slug: str, name: str, content: dict[str, Any], purpose: str
) -> PolicyVersion:
    with demo.at(moment):
        version = services.create_policy(
            tenant=demo.tenant, slug=slug, name=name, content=content, purpose=purpose,
            actor=demo.people["grace"], reason="From the risk workshop",
        )  # fmt: skip
        return services.activate_version(version=version, actor=demo.people["erin"], reason="Read and agreed")


def _requests(demo: Demo) -> None:
    total = demo.count(APPROVALS)
    rows = AgentInstance.objects.filter(tenant=demo.tenant, environment__production=True)
    agents = list(rows.select_related("version", "template").order_by("pk"))
    rules, known = load_rules(demo.tenant.pk), load_agents([agent.pk for agent in agents])
    for number in demo.progress("approvals", range(total), total):
        instance = demo.random.choice(agents)
        outcome = OUTCOMES[number % len(OUTCOMES)]
        tool, args = ASKED[number % len(ASKED)]
        waits = outcome in ("pending", "escalated", "approved")
        earliest = max(instance.created_at, demo.start + timedelta(hours=3))
        moment = earliest + (demo.now - earliest) * demo.random.uniform(0.05, 0.95)
        if waits:
            moment = demo.now - timedelta(
                minutes=25 + number % 20 if outcome == "escalated" else 5 + number % 10
            )
        agent = replace(known[instance.pk], state="active", version_state="approved", slot_id=None)
        asked = Request(Action.TOOL_CALL, tool, {**args, "reference": f"case-{number}"}, job=f"job-{number}")
        envelope = rules.envelope_of(agent)
        facts = Facts(
            now=1.0,
            as_of=1.0,
            standing=rules.standing_of(agent),
            limits={key: Count(limit.most, 1.0) for key, limit in envelope.limits.items()},
            loops={key: Count(1, 1.0) for key in envelope.loops},
        )
        verdict = evaluate(envelope, asked, facts)
        if verdict.decision != Effect.APPROVE:
            continue
        with demo.at(moment):
            request = services.request_tool_approval(
                instance=instance, asked=asked, verdict=verdict, decision_id=uuid7(), on_behalf_of=None
            ).request
        _settle(demo, request, outcome, moment)


def _settle(demo: Demo, request: ApprovalRequest, outcome: str, moment: datetime) -> None:
    erin, frank = demo.people["erin"], demo.people["frank"]
    after = moment + timedelta(seconds=demo.random.uniform(20, 900))
    if outcome in ("consumed", "approved", "denied"):
        for person in (erin, frank)[: request.quorum if outcome != "denied" else 1]:
            with demo.at(after):
                services.decide_approval(
                    request=request, approve=outcome != "denied", actor=person, digest=request.digest,
                    reason="Checked against the case." if outcome != "denied" else "The case does not say so.",
                    opened_at=after - timedelta(seconds=demo.random.uniform(2, 90)),
                )  # fmt: skip
    if outcome == "consumed":
        with demo.at(after + timedelta(seconds=30)):
            services.consume_approval(request_id=request.pk, digest=request.digest, used_by=uuid7())
    elif outcome in ("expired", "escalated"):
        wait = timedelta(hours=2) if outcome == "expired" else timedelta(minutes=21)
        with demo.at(min(moment + wait, demo.now)):
            services.expire_approvals(tenant_id=demo.tenant.pk)
    elif outcome == "cancelled":
        with demo.at(after):
            services.cancel_approval(request=request, actor=frank, reason="Overtaken by events")
    elif outcome == "voided":
        with demo.at(after):
            services.close_approval(request=request, used_by=request.pk)


def _stops(demo: Demo) -> None:
    dan, erin = demo.people["dan"], demo.people["erin"]
    for mode, why, mended in _history():
        template = demo.random.choice(list(AgentTemplate.objects.filter(tenant=demo.tenant)))
        moment = demo.moment(0.3, 0.9)
        with demo.at(moment):
            posture = services.set_posture(scope=template, mode=mode, actor=dan, reason=why)
        with demo.at(moment + timedelta(hours=demo.random.uniform(0.2, 6))):
            services.lift_posture(
                posture=posture, actor=erin if mode == Mode.READ_ONLY else dan, reason=mended
            )


def _two_people(demo: Demo) -> None:
    """Stops that took two, and requests for one: confirmed, declined, taken back, unanswered, and two that wait."""
    people = demo.people
    prod = Environment.objects.get(tenant=demo.tenant, slug="prod")
    found = AgentTemplate.objects.filter(tenant=demo.tenant).order_by("pk")
    templates = list(islice(cycle(found), 3))  # a small fleet has one, which is then asked about three times
    minute = timedelta(minutes=1)

    def ask(by: str, scope: Any, moment: datetime, code: str, reason: str) -> RestrictionRequest:
        with demo.at(moment):
            return services.request_restriction(
                scope=scope, mode=Mode.DRAINING, actor=people[by], reason_code=code, reason=reason
            )

    drill = demo.moment(0.2, 0.4)
    for by, second, scope, moment, code, reason in (
        ("dan", "judy", demo.tenant, drill, "drill", "The quarter's drill: everything drains once"),
        ("judy", "dan", prod, demo.moment(0.5, 0.7), "maintenance", "The database moves to new machines"),
        ("grace", "dan", templates[0], demo.moment(0.6, 0.8), "compliance", "Its consent text has no source"),
    ):
        request = ask(by, scope, moment, code, reason)
        with demo.at(moment + 4 * minute):
            services.confirm_restriction(
                request=request, actor=people[second], digest=request.digest, reason="Seen it, too"
            )
        if by != "grace":  # what took two to set takes two to end
            with demo.at(moment + 50 * minute):
                services.request_lift(posture=request.posture, actor=people["carol"], reason="It is over")
        with demo.at(moment + 55 * minute):
            services.lift_posture(posture=request.posture, actor=people["dan"], reason="Done and checked")
    declined = ask("dan", prod, demo.moment(0.7, 0.75), "quality", "Answers of one agent repeat themselves")
    with demo.at(declined.asked_at + 9 * minute):
        services.decline_restriction(
            request=declined, actor=people["judy"], reason="One agent: pause that one, not production"
        )
    mistaken = ask("grace", templates[1], demo.moment(0.75, 0.8), "data", "Names of customers in its output")
    with demo.at(mistaken.asked_at + 3 * minute):
        services.withdraw_restriction(
            request=mistaken, actor=people["grace"], reason="They are names of test accounts"
        )
    missed = ask(
        "ivan", _busy(demo), demo.now - timedelta(days=2), "cost", "Twice its usual spend since noon"
    )
    with demo.at(missed.asked_at + 16 * minute):
        services.expire_restrictions(tenant_id=demo.tenant.pk)
    ask("dan", prod, demo.now - 6 * minute, "security", "A provider reports a leaked key")
    ask("grace", templates[2], demo.now - 2 * minute, "compliance", "Its last review has lapsed")


def _busy(demo: Demo) -> AgentInstance:
    found = AgentInstance.objects.filter(tenant=demo.tenant, environment__production=True)
    return found.select_related("template", "environment").order_by("pk")[0]


def _history() -> Iterator[tuple[Mode, str, str]]:
    yield Mode.PAUSED, "Answers in the wrong language since the last release", "Rolled back"
    yield Mode.READ_ONLY, "Wrote into the wrong ledger", "Binding corrected and checked"
    yield Mode.DRAINING, "Maintenance of the database", "Maintenance is over"
