"""The demo's incidents: what went wrong in these days, who noticed, what stopped it, and what was learned."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Model

from arm.demo import Demo
from registry import services as registry
from registry.lifecycle import InstanceState, VersionState
from registry.models import AgentInstance, AgentTemplate, Environment, Provider

from . import services
from .lifecycle import Detection, IncidentKind, IncidentState, Severity
from .models import Incident

INCIDENTS = 20
K, S, I = IncidentKind, Severity, IncidentState  # a table reads better with short names
NEEDED_BEFORE = timedelta(minutes=30)
"""An instance is at work this long after it was provisioned, at the earliest."""


@dataclass(frozen=True, slots=True)
class Case:
    """One incident of the plan: what it is, what stops it, and how far it has come.

    It is `about` an instance (of `agents`, by the beginning of their short names, where there is one), a retired one, a
    template or an environment. The instance `was` stopped before, and its runtime still `says` that it is in a state.
    """

    kind: IncidentKind
    severity: Severity
    title: str
    reached: IncidentState
    measure: InstanceState | None = None
    cause: str = ""
    remedy: str = ""
    note: str = ""
    by: str = ""
    about: str = "instance"
    agents: tuple[str, ...] = ()
    was: InstanceState | None = None
    says: InstanceState | None = None
    facts: dict[str, Any] = field(default_factory=dict)


PLAN = (
    Case(K.DRIFT, S.S3, "Answers come from a model that the genome does not name", I.REVIEWED, None, "A gateway fell back to another model under load.", "The fallback is now in the genome, and the gateway may use no other.", "Seen in 41 of 2,310 calls.", facts={"model_used": "gpt-4.1-nano", "share": "1.8 %"}),
    Case(K.OUTAGE, S.S2, "No heartbeat from any instance of the agent", I.REVIEWED, None, "A network rule of the cluster was removed.", "The rule is part of the cluster's description now.", about="template"),
    Case(K.SHADOW_AGENT, S.S1, "Spans of an agent that nobody has registered", I.REVIEWED, None, "A team tried a copy with a borrowed ingest key.", "The key was revoked; the team registered its agent.", "Key ends in 9f2c.", "grace", "environment", facts={"spans": 118}),
    Case(K.QUALITY_REGRESSION, S.S2, "Refund proposals are rejected twice as often", I.REVIEWED, InstanceState.PAUSED, "A shorter prompt dropped the exceptions for gift cards.", "The exceptions are back, and a case in the suite holds them.", by="carol", agents=("refund-desk", "support-triage"), facts={"rejected": "14 %", "usual": "6 %"}),
    Case(K.TOOL_MISUSE, S.S2, "Writes to a folder that it should only read", I.REVIEWED, InstanceState.READ_ONLY, "The tool's scope was wider than its description said.", "The scope is now read-only; the catalogue marks writing as YELLOW."),
    Case(K.COST_OVERRUN, S.S3, "Spends four times its usual day", I.REVIEWED, InstanceState.DRAINING, "A loop between two agents, each asking the other.", "A limit of 20 turns; the pair has one owner now.", by="", facts={"spent": "212.40", "usual": "51.10", "currency": "USD"}),
    Case(K.POLICY_VIOLATION, S.S2, "Sent e-mail without the approval that the policy asks for", I.RESOLVED, InstanceState.QUARANTINED, "The runtime cached a decision across two recipients.", "Decisions are bound to the call's digest; the cache is gone.", "Two mails, both to colleagues.", "dan", facts={"tool": "send_email", "calls": 2}),
    Case(K.DATA_LEAK, S.S0, "Card numbers in a prompt to an outside model", I.REVIEWED, InstanceState.QUARANTINED, "An attachment was passed on unredacted.", "Attachments go through the redactor; its test holds card numbers.", "Told by a customer.", "grace", facts={"records": 3}),
    Case(K.DRIFT, S.S3, "A tool answers with another schema than the genome names", I.RESOLVED, None, "The tool's owner deployed without telling.", "The tool's schema digest is part of its release now.", facts={"tool": "query_db"}),
    Case(K.TAMPER, S.S1, "The digest of a stored genome did not match", I.RESOLVED, None, "A restored backup held an older row.", "The backup was made anew and compared, digest by digest.", "The sweep found it at night."),
    Case(K.ENFORCEMENT_FAILURE, S.S1, "Kept calling for 40 s after it was paused", I.RESOLVED, InstanceState.QUARANTINED, "The runtime asked for decisions once a minute.", "It asks before each call now.", was=InstanceState.PAUSED, facts={"calls": 7}),
    Case(K.QUALITY_REGRESSION, S.S3, "Summaries leave out the deadline", I.RESOLVED, None, "The newer model prefers shorter answers.", "The prompt asks for the deadline by name.", by="carol", agents=("contract-review", "release-notes")),
    Case(K.OUTAGE, S.S2, "The model provider answers with errors", I.RESOLVED, InstanceState.PAUSED, "An outage at the provider, 50 minutes.", "The fallback model takes over after five errors.", facts={"error": "529", "share": "83 %"}),
    Case(K.TOOL_MISUSE, S.S2, "Asks the payment tool for a foreign account", I.MITIGATED, InstanceState.QUARANTINED, note="The account number was in the invoice's text.", agents=("payment-runner", "invoice-reader"), facts={"tool": "payment", "denied": 3}),
    Case(K.DATA_LEAK, S.S2, "Personal data in a ticket's public answer", I.MITIGATED, InstanceState.READ_ONLY, by="grace", agents=("support-triage", "refund-desk")),
    Case(K.DRIFT, S.S4, "Uses a cached prompt that is one version old", I.TRIAGED, by="carol"),
    Case(K.COST_OVERRUN, S.S2, "Spent by noon what it usually spends in a week", I.MITIGATED, InstanceState.READ_ONLY, facts={"spent": "40.18", "usual": "5.70", "currency": "USD"}),
    Case(K.POLICY_VIOLATION, S.S1, "A RED tool was called eleven times without an approval", I.TRIAGED, note="All were denied; something retries.", facts={"tool": "rm_rf", "denied": 11}),
    Case(K.ENFORCEMENT_FAILURE, S.S0, "Reports active although it is quarantined", I.OPEN, was=InstanceState.QUARANTINED, says=InstanceState.ACTIVE, facts={"reported": "active", "wanted": "quarantined"}),
    Case(K.SHADOW_AGENT, S.S3, "Telemetry from an instance that was retired", I.OPEN, about="retired", facts={"spans": 9}),
)  # fmt: skip
"""Oldest first. Between them they show every kind, severity and state."""


def build(demo: Demo) -> None:
    """Incidents through the services, each at its own moment, on instances that were at work then."""
    total = min(len(PLAN), demo.count(INCIDENTS))
    cases = [PLAN[round(n * (len(PLAN) - 1) / max(1, total - 1))] for n in range(total)]
    free = list(
        AgentInstance.objects.select_related("template", "version", "environment", "provider")
        .filter(state=InstanceState.ACTIVE, version__state=VersionState.APPROVED)
        .exclude(provider__kind=Provider.Kind.FEDERATED)  # its adapter tells for those
        .order_by("pk")
    )
    demo.random.shuffle(free)
    first = min((one.created_at for one in free), default=demo.start) + NEEDED_BEFORE
    for number, case in enumerate(demo.progress("incidents", cases, total)):
        opened = first + (demo.now - first) * ((number + 0.6) / total)
        subject = _subject(case, free, opened)
        if isinstance(subject, AgentInstance) and subject in free:
            free.remove(subject)
        if case.about == "retired" and isinstance(subject, AgentInstance):
            opened = min(max(opened, subject.state_since + NEEDED_BEFORE), demo.now)
        if subject is not None:
            _tell(demo, case, subject, opened)


def _subject(case: Case, free: list[AgentInstance], at: datetime) -> Model | None:
    """What the case is about. Where nothing is at work it is an agent; None where nothing has been retired."""
    if case.about == "retired":
        return AgentInstance.objects.filter(state=InstanceState.RETIRED).order_by("pk").first()
    if case.about == "environment":
        return Environment.objects.filter(production=True).order_by("pk").first()
    at_work = [one for one in free if one.created_at + NEEDED_BEFORE < at]
    if not at_work:
        return AgentTemplate.objects.order_by("pk").first()
    fitting = [one for one in at_work if one.template.slug.startswith(case.agents)] if case.agents else []
    chosen = (fitting or at_work)[0]
    return chosen.template if case.about == "template" else chosen


def _tell(demo: Demo, case: Case, subject: Model, opened: datetime) -> None:
    """The incident from its opening as far as it has come."""
    dan, grace = demo.people["dan"], demo.people["grace"]
    if case.was is not None and isinstance(subject, AgentInstance):
        with demo.at(opened - timedelta(minutes=10)):
            registry.restrict_instance(
                instance=subject, to=case.was, actor=dan, reason="Its answers are being looked into"
            )
    with demo.at(opened):
        incident = services.open_incident(
            kind=case.kind,
            severity=case.severity,
            title=case.title,
            subject=subject,
            actor=demo.people[case.by] if case.by else None,
            facts=case.facts,
            detected=Detection.PERSON if case.by else Detection.RULE,
            note=case.note if case.by else "",
        )
    _report(incident, case.says)
    if case.reached is I.OPEN:
        return
    owner = demo.people[case.by] if case.by in ("grace", "carol") else dan
    with demo.at(opened + timedelta(minutes=demo.random.randint(4, 45))):
        incident = services.triage(
            incident=incident,
            severity=case.severity,
            owner=owner,
            actor=owner,
            reason=case.note or "Looked at its last runs; it is as the title says.",
        )
    if case.measure is not None:
        _stop(demo, case, incident, opened + timedelta(minutes=50))
    if case.reached not in (I.RESOLVED, I.REVIEWED):
        return
    with demo.at(opened + timedelta(hours=demo.random.randint(20, 40))):
        incident = services.resolve(
            incident=incident, root_cause=case.cause, remediation=case.remedy, actor=owner
        )
    _release(demo, case, incident, opened + timedelta(hours=41))
    if case.reached is I.REVIEWED:
        with demo.at(opened + timedelta(hours=demo.random.randint(70, 90))):
            services.review(
                incident=incident,
                lessons=f"{case.remedy} The same check now runs for its siblings.",
                actor=grace,
            )


def _stop(demo: Demo, case: Case, incident: Incident, at: datetime) -> None:
    """What stopped it, where the incident is about an instance; what was done elsewhere where it is not."""
    measure = case.measure if incident.instance else None
    with demo.at(at):
        reason = case.title if measure else "Its owner took it out of service."
        services.mitigate(incident=incident, measure=measure, actor=demo.people["dan"], reason=reason)
    _report(incident)


def _release(demo: Demo, case: Case, incident: Incident, at: datetime) -> None:
    """Once resolved a drain or a pause is lifted by an operator, read only by an approver; what was quarantined waits
    for two."""
    if incident.instance is None or case.measure in (None, InstanceState.QUARANTINED):
        return
    who = "erin" if case.measure is InstanceState.READ_ONLY else "dan"
    with demo.at(at):
        registry.move_instance(
            instance=incident.instance,
            to=InstanceState.ACTIVE,
            actor=demo.people[who],
            reason=f"Resolved: {case.remedy}",
        )
    _report(incident)


def _report(incident: Incident, says: InstanceState | None = None) -> None:
    """The runtime says that it has followed, or goes on saying what it said before."""
    if incident.instance_id is None:
        return
    instance = AgentInstance.objects.get(pk=incident.instance_id)
    if says is not None:
        registry.heartbeat(instance=instance, state=says, generation=instance.generation - 1)
    elif instance.state != InstanceState.RETIRED:
        registry.heartbeat(instance=instance, state=instance.state, generation=instance.generation)
