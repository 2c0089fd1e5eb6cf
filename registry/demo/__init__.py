"""The demo's directory: what the agents are, where they run, and how they came to be what they are."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from arm.demo import Demo
from arm.rights import Risk
from registry import services
from registry.gates.placed import why_not_around
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

from . import genomes, people
from . import roles as jobs
from .promoting import ACCEPTED, promote, tell
from .taking_over import take_over

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
# How far the newest version of a template has come; older ones went all the way.
NEWEST = (
    [VersionState.APPROVED] * 6
    + [VersionState.CANDIDATE] * 2
    + [VersionState.TESTING] * 2
    + [VersionState.DRAFT]
)


def build(demo: Demo) -> None:
    """Environments, providers, roles, templates, versions, slots, and instances that wait for their telemetry."""
    with demo.at(demo.start):
        services.ensure_tenant_defaults(tenant=demo.tenant, actor=demo.admin)
        edge = services.create_provider(
            tenant=demo.tenant, slug="edge-berlin", name="Edge Berlin", actor=demo.people["judy"],
            reason="Close to the warehouse", description="On-prem cluster", heartbeat_seconds=120,
        )  # fmt: skip
        roles = [jobs.define(demo, *role) for role in jobs.ROLES]
    templates = list(_templates(demo))
    _versions(demo, templates)
    people.hand_over(demo, templates)
    fitting = jobs.fitting(roles)
    _slots(demo, roles, [Provider.objects.get(tenant=demo.tenant, slug="local"), edge], fitting)
    jobs.assign(demo, roles, fitting)
    _instances(demo, fitting)


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
            tell(demo, template, True)
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
                genome=genomes.genome(demo, template, step),
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
        last[template.pk] = promote(demo, version, final, began)
    _branch(demo, templates[1 % len(templates)], each)


def _branch(demo: Demo, template: AgentTemplate, step: int) -> None:
    """A line of its own beside the newest version, from the first one on, and where the two come together again."""
    first, *_, newest = AgentVersion.objects.filter(template=template).order_by("number")
    author = demo.people["bob"]
    with demo.at(demo.now - timedelta(days=4)):
        side = services.create_version(
            template=template, genome=genomes.genome(demo, template, step - 1, "Returns are another desk's.\n"), label="1.0.1",
            description="The first build without returns", parents=[first], actor=author, reason="A customer stays on the first one",
        )  # fmt: skip
    side = promote(demo, side, VersionState.CANDIDATE, demo.now - timedelta(days=4))
    with demo.at(demo.now - timedelta(days=2)):
        services.create_version(
            template=template, genome=genomes.genome(demo, template, step), label="2.0.0", description="Both lines in one",
            parents=[newest, side], actor=author, reason="One line is less work",
        )  # fmt: skip


def _slots(demo: Demo, roles: list[RoleDefinition], providers: list[Provider], fitting: jobs.Fitting) -> None:
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
            twice = place.production and role.slug == "engineer"
            for provider in providers if twice else [providers[number % 2]]:
                with demo.at(demo.moment(0.55, 0.6)):
                    slot = services.create_slot(
                        environment=place, role=role, provider=provider, actor=carol, reason="Opened for the role"
                    )  # fmt: skip
                all_the_way = not place.production and (role.slug, place.slug) != ("researcher", "staging")
                for turn, version in enumerate(mine if all_the_way else mine[:1]):
                    with demo.at(demo.start + timedelta(days=demo.days * (0.62 + 0.2 * turn), hours=climbed)):
                        slot = services.bind_slot(
                            slot=slot, version=version, actor=carol, reason="New version for the role" if turn else "First version",
                            acknowledged=ACCEPTED,
                        )  # fmt: skip


def _instances(demo: Demo, fitting: jobs.Fitting) -> None:
    places = {e.slug: e for e in Environment.objects.filter(tenant=demo.tenant)}
    providers = list(Provider.objects.filter(tenant=demo.tenant))
    bound = DeploymentSlot.objects.exclude(current_version=None).select_related(
        "environment", "current_version"
    )
    slots = {(s.current_version_id, s.environment_id): s for s in bound}
    released = {
        s.current_version.template_id: s.current_version.pk
        for s in bound
        if s.current_version and s.environment.production
    }
    versions = list(AgentVersion.objects.select_related("template", "genome").order_by("pk"))
    of = {v.pk: v for v in versions}
    approved = [v for v in versions if v.state == VersionState.APPROVED]
    trying = [v for v in versions if v.state in (VersionState.TESTING, VersionState.CANDIDATE)] or approved
    trying = [v for v in trying if v.template.risk not in (Risk.HIGH, Risk.CRITICAL)] or approved
    total = demo.count(INSTANCES)
    for number in demo.progress("instances", range(total), total):
        where = ("prod", "prod", "prod", "staging", "dev")[number % 5]
        version = demo.random.choice(trying if where == "dev" else approved)
        if where == "prod" and version.template_id in released and why_not_around(version, places[where]):
            version = of[released[version.template_id]]  # nothing goes around the channels
        slot = slots.get((version.pk, places[where].pk))
        provider = slot.provider if slot else providers[number % len(providers)]
        dan = demo.people["dan" if number % 2 else "carol"]
        matter: dict[str, Any] = {
            "name": f"{version.template.slug}-{where}-{number:03d}",
            "role": None if slot else _one_of(fitting[version.pk], number),
            "labels": {"team": version.template.cost_center},
            "actor": dan,
        }
        with demo.at(max(version.state_since, demo.moment(0.2, 0.85))):
            if where == "prod" and why_not_around(version, places[where]):
                take_over(version, places[where], provider, **matter)
                continue
            services.provision_instance(
                version=version,
                environment=places[where],
                provider=provider,
                slot=slot,
                reason="Capacity for the team",
                **matter,
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
    active = [instance for instance in active if not _over(demo, instance)]
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


def _over(demo: Demo, instance: AgentInstance) -> bool:
    """Whether nothing was heard of it for a day: its trial was over long ago, and somebody drained and retired it."""
    heard = instance.status.telemetry_at
    if heard is None or demo.now - heard < timedelta(days=1):
        return False
    dan = demo.people["dan"]
    ended = heard + (demo.now - heard) / 2
    with demo.at(ended):
        instance = services.restrict_instance(
            instance=instance, to=InstanceState.DRAINING, actor=dan, reason="The trial is over"
        )
    with demo.at(ended + timedelta(hours=1)):
        services.move_instance(
            instance=instance, to=InstanceState.RETIRED, actor=dan, reason="It has nothing left to do"
        )
    return True


CARDS = 30


def prove(demo: Demo) -> None:
    """Have cards of what runs in production made. Signer and worker make them while the demo is already looked at."""
    running = AgentInstance.objects.live().filter(environment__production=True).values("version")
    versions = AgentVersion.objects.filter(pk__in=running).order_by("pk")[: demo.count(CARDS)]
    for version in demo.progress("cards", versions, len(versions)):
        services.issue_card(
            version=version, actor=demo.people["grace"], reason="Card of record for production"
        )
