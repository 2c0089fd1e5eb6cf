"""The demo's directory: what the agents are, where they run, and how they came to be what they are."""

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string

from arm.demo import Demo
from arm.rights import Risk
from registry import fitness, services
from registry.lifecycle import InstanceState, VersionState
from registry.models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    DeploymentSlot,
    Environment,
    Provider,
    RoleDefinition,
)

TEMPLATES, VERSIONS, INSTANCES = 40, 120, 400
KINDS = (
    (
        "invoice-reader",
        "Invoice reader",
        "Reads supplier invoices and proposes postings.",
        "finance",
        Risk.HIGH,
    ),
    ("support-triage", "Support triage", "Sorts tickets and drafts first answers.", "support", Risk.MEDIUM),
    (
        "contract-review",
        "Contract review",
        "Marks clauses that differ from our standard.",
        "legal",
        Risk.HIGH,
    ),
    ("release-notes", "Release notes", "Drafts release notes from merged changes.", "engineering", Risk.LOW),
    ("lead-research", "Lead research", "Collects public facts about companies.", "sales", Risk.MEDIUM),
    ("payment-runner", "Payment runner", "Prepares payment runs for approval.", "finance", Risk.CRITICAL),
    ("incident-scribe", "Incident scribe", "Keeps the timeline while people work.", "engineering", Risk.LOW),
    ("refund-desk", "Refund desk", "Decides refunds within a limit.", "support", Risk.HIGH),
    ("data-steward", "Data steward", "Finds and reports columns without owners.", "data", Risk.MEDIUM),
    ("onboarding-guide", "Onboarding guide", "Answers new colleagues' questions.", "people", Risk.LOW),
)
REGIONS = ("", "emea", "apac", "americas")
MODELS = (
    ("openai", "gpt-4o", "2024-08-06"),
    ("openai", "gpt-4o-mini", "2024-07-18"),
    ("anthropic", "claude-sonnet-4-5", "20250929"),
    ("google", "gemini-2.5-flash", "floating"),
)
TOOLS = (
    ("search", "GREEN", False),
    ("read_file", "GREEN", False),
    ("query_db", "GREEN", False),
    ("create_doc", "GREEN", True),
    ("http_request", "YELLOW", True),
    ("write_file", "YELLOW", True),
    ("send_email", "RED", True),
    ("payment", "RED", True),
    ("deploy_prod", "RED", True),
)
ROLES = (
    ("bookkeeper", "Bookkeeper", 2, Risk.HIGH, "finance", {"bookkeeping": 90}, ("data-protection",)),
    ("first-line", "First-line support", 3, Risk.MEDIUM, "support", {"support": 80}, ()),
    ("researcher", "Researcher", 3, Risk.LOW, "sales", {"daily-work": 80}, ()),
    ("reviewer", "Reviewer", 2, Risk.HIGH, "legal", {"daily-work": 90}, ("data-protection",)),
    ("engineer", "Engineering assistant", 3, Risk.MEDIUM, "engineering", {"daily-work": 70}, ()),
)
"""Short name, name, tier, risk, team, capabilities, certifications: apps above measure and issue them."""
Fitting = dict[UUID, list[RoleDefinition]]
# How far the newest version of a template has come; older ones went all the way.
NEWEST = (
    [VersionState.APPROVED] * 6
    + [VersionState.CANDIDATE] * 2
    + [VersionState.TESTING] * 2
    + [VersionState.DRAFT]
)
ACCEPTED = "Callers were told; the tools that went were not used."
WAY = (VersionState.TESTING, VersionState.CANDIDATE, VersionState.APPROVED)


def build(demo: Demo) -> None:
    """Environments, providers, roles, templates, versions, slots, and instances that wait for their telemetry."""
    with demo.at(demo.start):
        services.ensure_tenant_defaults(tenant=demo.tenant, actor=demo.admin)
        edge = services.create_provider(
            tenant=demo.tenant, slug="edge-berlin", name="Edge Berlin", actor=demo.people["judy"],
            reason="Close to the warehouse", description="On-prem cluster", heartbeat_seconds=120,
        )  # fmt: skip
        roles = [_role(demo, *role) for role in ROLES]
    templates = list(_templates(demo))
    _versions(demo, templates)
    fitting = _fitting(roles)
    _slots(demo, roles, [Provider.objects.get(tenant=demo.tenant, slug="local"), edge], fitting)
    _assignments(demo, roles, fitting)
    _instances(demo, fitting)


def _role(
    demo: Demo, slug: str, name: str, tier: int, risk: Risk, cost_center: str, needs: dict[str, int], certified: tuple[str, ...]
) -> RoleDefinition:  # fmt: skip
    return services.create_role(
        tenant=demo.tenant, slug=slug, name=name, tier=tier, risk=risk, cost_center=cost_center,
        purpose=f"{name} for the {cost_center} team.", actor=demo.people["judy"], reason="The first job list",
        capabilities=[{"name": name, "least": least} for name, least in needs.items()], certifications=list(certified),
        budget_per_day=Decimal(40), budget_per_month=Decimal(900), budget_per_outcome=Decimal("0.60"),
        success_rate=Decimal("97.5"), latency_ms=8000, availability=Decimal("99.5"), failover=risk is Risk.HIGH,
        coverage=[
            {"environment": slug, "least": max(1, round(most * demo.scale))} for slug, most in (("prod", 12), ("staging", 20))
        ],
    )  # fmt: skip


def _fitting(roles: list[RoleDefinition]) -> Fitting:
    """By version, the roles whose every gate lets it in; asked once."""
    runnable = (VersionState.TESTING, VersionState.CANDIDATE, VersionState.APPROVED)
    versions = AgentVersion.objects.filter(state__in=runnable).select_related("template", "genome")
    return {
        version.pk: [
            role for role in roles if not fitness.lacking(fitness.for_role(role, Environment(), version))
        ]
        for version in versions
    }


def _assignments(demo: Demo, roles: list[RoleDefinition], fitting: Fitting) -> None:
    """The newest approved version of an agent that fits does the job in staging, too."""
    staging = Environment.objects.get(tenant=demo.tenant, slug="staging")
    approved = list(
        AgentVersion.objects.filter(state=VersionState.APPROVED)
        .select_related("template", "genome")
        .order_by("-number", "template_id")
    )
    for role in roles:
        for version in [one for one in approved if role in fitting[one.pk]][:2]:
            with demo.at(max(version.state_since, demo.moment(0.62, 0.7))):
                services.assign_role(
                    role=role, environment=staging, version=version, actor=demo.people["carol"],
                    reason=f"Trial as {role.name.lower()}",
                )  # fmt: skip


def _templates(demo: Demo) -> Iterator[AgentTemplate]:
    total = demo.count(TEMPLATES)
    for number in demo.progress("templates", range(total), total):
        slug, name, purpose, team, risk = KINDS[number % len(KINDS)]
        region = REGIONS[number // len(KINDS) % len(REGIONS)]
        author = demo.people["alice" if number % 3 else "bob"]
        with demo.at(demo.start + timedelta(hours=number)):
            template = services.register_template(
                tenant=demo.tenant,
                slug=f"{slug}-{region}" if region else slug,
                name=f"{name} {region.upper()}".strip(),
                description=purpose,
                intended_use=f"{purpose} Works for the {team} team.",
                out_of_scope="Anything that binds the company without a person.",
                risk=risk,
                tags=[team, region or "global"],
                cost_center=team,
                owners=[author],
                actor=author,
                reason=f"Asked for by the {team} team",
            )
            services.set_successors(
                template=template, successors=[demo.people["bob" if number % 3 else "alice"]], actor=demo.people["judy"],
                reason="Whoever works on it, too",
            )  # fmt: skip
            _tell(demo, template, True)
        yield template


def _versions(demo: Demo, templates: list[AgentTemplate]) -> None:
    total = demo.count(VERSIONS)
    newest = {template.pk: number for number, template in enumerate(templates)}
    each = max(1, total // len(templates))
    plan = [(template, step) for step in range(each) for template in templates]
    last: dict[Any, AgentVersion] = {}
    for template, step in demo.progress("versions", plan, len(plan)):
        began = demo.start + timedelta(days=1 + step * (demo.days - 6) / each, hours=newest[template.pk] % 20)
        author = demo.people["alice" if newest[template.pk] % 3 else "bob"]
        parent = last.get(template.pk)
        with demo.at(began):
            version = services.create_version(
                template=template,
                genome=_genome(demo, template, step),
                label=f"{1 + step // 2}.{step % 2}.0",
                description=(
                    "First build",
                    "Newer model and a shorter prompt",
                    "Fewer tools, tighter limits",
                )[min(step, 2)],
                parents=[parent] if parent else [],
                actor=author,
                reason="Built by the pipeline",
            )
        final = VersionState.APPROVED if step < each - 1 else NEWEST[newest[template.pk] % len(NEWEST)]
        last[template.pk] = _promote(demo, version, final, began)


def _promote(demo: Demo, version: AgentVersion, final: VersionState, began: datetime) -> AgentVersion:
    movers = ("alice", "carol", "erin")  # submits, promotes, approves: three people
    if final is VersionState.DRAFT:
        return version
    for hours, (state, mover) in enumerate(zip(WAY, movers, strict=True), 1):
        with demo.at(began + timedelta(hours=6 * hours)):
            version = services.move_version(
                version=version,
                to=state,
                actor=demo.people[mover],
                reason=f"Ready to be {state.label.lower()}",
                acknowledged=ACCEPTED if state is VersionState.CANDIDATE else "",
            )
            if state is VersionState.TESTING:
                _tell(demo, version, final is not state)
        if state is final:
            break
    return version


def _tell(demo: Demo, subject: AgentTemplate | AgentVersion, ready: bool) -> None:
    """Let the apps above do their part before it goes on; `ready` says whether it will."""
    for path in settings.DEMO_OBSERVERS:
        import_string(path)(demo, subject, ready)


def _genome(demo: Demo, template: AgentTemplate, step: int) -> dict[str, Any]:
    vendor, model, revision = MODELS[(step + len(template.slug)) % len(MODELS)]
    spare = MODELS[(step + len(template.slug) + 1) % len(MODELS)]
    risky = template.risk in (Risk.HIGH, Risk.CRITICAL)
    chosen = [
        tool for n, tool in enumerate(TOOLS) if n < 4 or ((n + step) % 2 == 0 and (tool[1] != "RED" or risky))
    ]
    seed = f"{template.slug}/{step}"
    return {
        "schema": "arm.genome/v1",
        "template": template.typeid,
        "models": [
            {"role": "primary", "provider": vendor, "name": model, "revision": revision, "parameters": {"temperature": 0.2}},
            {"role": "fallback", "provider": spare[0], "name": spare[1], "revision": spare[2]},
        ],
        "prompts": [
            {"role": "system", "media_type": "text/plain", "digest": _sha(seed + "/prompt"), "size": 1800 + 97 * step}
        ],
        "tools": [
            {
                "name": name, "kind": "function", "schema_digest": _sha(f"{name}/schema/{step // 2}"),
                "description_digest": _sha(f"{name}/text"), "risk": risk, "side_effect": acts, "scopes": [],
            }
            for name, risk, acts in chosen
        ],
        "provenance": {
            "source_repo": f"https://git.example.com/agents/{template.slug}",
            "commit": hashlib.sha1(seed.encode(), usedforsecurity=False).hexdigest(),
            "builder": "https://ci.example.com/pipelines/agents",
        },
        "limits": {"max_turns": 20 - 2 * step, "max_tokens_per_run": 60_000, "timeout_s": 600},
        "behavior": {"autonomy_tier_max": 2 if risky else 3},
        "spawn": {"allowed": not risky} | ({} if risky else {"max_depth": 2, "max_children": 4}),
    }  # fmt: skip


def _sha(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _slots(demo: Demo, roles: list[RoleDefinition], providers: list[Provider], fitting: Fitting) -> None:
    """Each role has a slot in each channel. The first version climbs all of them; the second waits before production,
    where `releases.release` takes it."""
    places = Environment.objects.filter(tenant=demo.tenant, slug__in=["dev", "staging", "prod"])
    approved = list(
        AgentVersion.objects.filter(state=VersionState.APPROVED)
        .select_related("template", "genome")
        .order_by("template_id", "number")
    )
    carol = demo.people["carol"]
    for number, role in enumerate(roles):
        able = [version for version in approved if role in fitting[version.pk]]
        chosen = able[number * 3 % len(able)].template_id if able else None  # a small fleet lacks somebody
        mine = [version for version in able if version.template_id == chosen][:2]
        for climbed, place in enumerate(places.order_by("position")):
            with demo.at(demo.moment(0.55, 0.6)):
                slot = services.create_slot(
                    environment=place, role=role, provider=providers[number % 2], actor=carol, reason="Opened for the role"
                )  # fmt: skip
            all_the_way = not place.production and (role.slug, place.slug) != ("researcher", "staging")
            for turn, version in enumerate(mine if all_the_way else mine[:1]):
                with demo.at(demo.start + timedelta(days=demo.days * (0.62 + 0.2 * turn), hours=climbed)):
                    slot = services.bind_slot(
                        slot=slot, version=version, actor=carol, reason="New version for the role" if turn else "First version",
                        acknowledged=ACCEPTED
                    )  # fmt: skip


def _instances(demo: Demo, fitting: Fitting) -> None:
    places = {e.slug: e for e in Environment.objects.filter(tenant=demo.tenant)}
    providers = list(Provider.objects.filter(tenant=demo.tenant))
    bound = DeploymentSlot.objects.exclude(current_version=None)
    slots = {(s.current_version_id, s.environment_id): s for s in bound}
    versions = list(AgentVersion.objects.select_related("template", "genome").order_by("pk"))
    approved = [v for v in versions if v.state == VersionState.APPROVED]
    trying = [v for v in versions if v.state in (VersionState.TESTING, VersionState.CANDIDATE)] or approved
    trying = [v for v in trying if v.template.risk not in (Risk.HIGH, Risk.CRITICAL)] or approved
    total = demo.count(INSTANCES)
    for number in demo.progress("instances", range(total), total):
        where = ("prod", "prod", "prod", "staging", "dev")[number % 5]
        version = demo.random.choice(trying if where == "dev" else approved)
        slot = slots.get((version.pk, places[where].pk))
        provider = slot.provider if slot else providers[number % len(providers)]
        with demo.at(max(version.state_since, demo.moment(0.2, 0.85))):
            services.provision_instance(
                version=version,
                environment=places[where],
                provider=provider,
                slot=slot,
                role=None if slot else _one_of(fitting[version.pk], number),
                name=f"{version.template.slug}-{where}-{number:03d}",
                labels={"team": version.template.cost_center},
                actor=demo.people["dan" if number % 2 else "carol"],
                reason="Capacity for the team",
            )


def _one_of(roles: list[RoleDefinition], number: int) -> RoleDefinition | None:
    return roles[number % len(roles)] if roles else None


# How the fleet stands at the end: most work, some are stopped for a reason, some wait.
STOPS = (
    (InstanceState.PAUSED, 0.03, "Model provider announces maintenance"),
    (InstanceState.READ_ONLY, 0.03, "Error rate above its usual band"),
    (InstanceState.DRAINING, 0.03, "A newer version takes over from it"),
    (InstanceState.QUARANTINED, 0.02, "Called a tool with a foreign account number"),
)


def settle(demo: Demo) -> None:
    """Activate what has shown telemetry, then restrict, drain and retire some of it, each for a reason."""
    waiting = list(
        AgentInstance.objects.select_related("status", "version", "provider")
        .filter(state=InstanceState.PROVISIONING)
        .order_by("pk")
    )
    dan = demo.people["dan"]
    active: list[AgentInstance] = []
    silent: list[AgentInstance] = []
    for instance in demo.progress("activations", waiting, len(waiting)):
        if instance.status.telemetry_at is None:
            silent.append(
                instance
            )  # provisioned and never reported: some are withdrawn, some wait and say so
            continue
        with demo.at(instance.created_at + timedelta(minutes=20)):
            active.append(
                services.move_instance(
                    instance=instance, to=InstanceState.ACTIVE, actor=dan, reason="Telemetry is linked"
                )
            )
    demo.random.shuffle(active)
    for state, share, why in STOPS:
        for _ in range(round(len(active) * share)):
            with demo.at(demo.moment(0.95, 0.995)):
                services.restrict_instance(instance=active.pop(), to=state, actor=dan, reason=why)
    for instance in silent[: len(silent) * 2 // 3]:
        with demo.at(demo.moment(0.96, 0.99)):
            services.move_instance(
                instance=instance, to=InstanceState.RETIRED, actor=dan, reason="Never reported; withdrawn"
            )
    ours = [one for one in active if one.provider.kind == Provider.Kind.LOCAL]  # others' tell for themselves
    for number, instance in enumerate(ours):
        if number % 25:  # one in twenty-five has gone silent, and the fleet page says so
            services.heartbeat(instance=instance, state="active", generation=instance.generation)
    for instance in ours[:3]:  # they ran before ARM knew of them, as was found later
        services.tell_past(
            instance=instance, state=InstanceState.ACTIVE, since=instance.created_at - timedelta(days=2),
            actor=demo.people["judy"], reason="The host's log shows it at work before it was registered",
        )  # fmt: skip


CARDS = 30


def prove(demo: Demo) -> None:
    """Have cards of what runs in production made. Signer and worker make them while the demo is already looked at."""
    running = AgentInstance.objects.live().filter(environment__production=True).values("version")
    versions = AgentVersion.objects.filter(pk__in=running).order_by("pk")[: demo.count(CARDS)]
    for version in demo.progress("cards", versions, len(versions)):
        services.issue_card(
            version=version, actor=demo.people["grace"], reason="Card of record for production"
        )
