"""A fleet of the size that ARM is made for, and beside it a small one: what benches ask about."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import connections

from arm import clock, crypto, db, ids, services
from arm.models import Tenant, User
from arm.rights import Risk
from registry.lifecycle import InstanceState, VersionState
from registry.models import (
    AgentTemplate,
    AgentVersion,
    DeploymentSlot,
    Environment,
    Ownership,
    Project,
    Provider,
    RoleAssignment,
    RoleDefinition,
    Rollback,
    Rollout,
    RolloutSlot,
    RolloutStep,
    SlotBinding,
    Thing,
)
from registry.services import ensure_tenant_defaults

from .loading import load

TOOLS, MODELS = 500, 20
VERSIONS_EACH, INSTANCES_EACH = 5, 10
PEOPLE = 1000
DESK = 5000
"""How many instances share the word `desk…`; all of them share `instance`."""
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Fleet:
    """`root` is let past every question about rights, `bob` holds a role on the tenant, `carol` one on each of some
    agents, a thousand others on one agent each; `dora` works in the small tenant."""

    tenant: Tenant
    root: User
    bob: User
    carol: User
    dora: User
    popular: Thing
    common: Thing


def build(*, agents: int, granted: int, people: int = PEOPLE) -> Fleet:
    """One large tenant with two people who may read it, and a small one beside it."""
    alice = User.objects.create_superuser("alice")
    bob, carol, dora = (User.objects.create(username=name) for name in ("bob", "carol", "dora"))
    large, small = Tenant(slug="large", name="Large"), Tenant(slug="small", name="Small")
    for tenant, members in ((large, (bob, carol)), (small, (dora,))):
        with db.tenants([tenant.pk]):
            tenant.save(force_insert=True)
            ensure_tenant_defaults(tenant=tenant, actor=alice)
            for person in members:
                services.add_member(tenant=tenant, user=person, actor=alice, reason="bench")
            services.bind(principal=members[0], role="author", scope=tenant, actor=alice, reason="bench")
    with db.tenants([small.pk]):
        fill(small, 10)
    with db.tenants([large.pk]):
        made = fill(large, agents)
        for pk in made[:: agents // granted]:
            scope = AgentTemplate.objects.get(pk=pk)
            services.bind(principal=carol, role="author", scope=scope, actor=alice, reason="bench")
        for number in range(people):
            person = User.objects.create(username=f"person-{number}")
            services.add_member(tenant=large, user=person, actor=alice, reason="bench")
            scope = AgentTemplate.objects.get(pk=made[number * 7 % agents])
            services.bind(principal=person, role="author", scope=scope, actor=alice, reason="bench")
            Ownership.objects.create(tenant=large, template=scope, user=person)
        release(large, alice, made)
    with connections["owner"].cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    with db.tenants([large.pk]):
        popular = Thing.objects.get(kind="model", name="openai/model-0")
        common = Thing.objects.get(kind="tool", name="tool-7")
    return Fleet(large, alice, bob, carol, dora, popular, common)


def fill(tenant: Tenant, agents: int) -> list[UUID]:
    """Agents, genomes, versions, what they use, instances and their status, by COPY; returns the agents."""
    now, places = clock.now(), list(Environment.objects.filter(tenant=tenant).order_by("position"))
    local = Provider.objects.get(tenant=tenant, slug="local")
    made = [ids.uuid7() for _ in range(agents)]
    projects = Project.objects.bulk_create(
        Project(tenant=tenant, slug=f"project-{n}", name=f"Project {n}") for n in range(20)
    )
    load(
        "registry_agenttemplate",
        ("id", "tenant_id", "slug", "name", "description", "intended_use", "out_of_scope", "risk", "tags",
         "cost_center", "created_at", "project_id"),
        ((pk, tenant.pk, f"agent-{n}", f"Agent {n:05}", "", "", "", "medium" if n % 3 else "high",
          json.dumps(["fleet", f"tag-{n}"]), "", now, projects[n % len(projects)].pk)
         for n, pk in enumerate(made)),
    )  # fmt: skip
    builds = [(ids.uuid7(), ids.uuid7(), made[n % agents], n) for n in range(agents * VERSIONS_EACH)]
    load(
        "registry_genome",
        ("id", "tenant_id", "template_id", "digest", "content", "missing", "completeness", "build", "created_at"),
        ((genome, tenant.pk, agent, crypto.digest(content), content, "[]" if n % 5000 else '["/models"]',
          20 if n % 900 else 90, "{}", now)
         for _, genome, agent, n in builds for content in [json.dumps({"number": n}).encode()]),
    )  # fmt: skip
    load(
        "registry_agentversion",
        ("id", "tenant_id", "template_id", "number", "label", "description", "genome_id", "state", "state_since",
         "rolled_back", "accepted", "created_at"),
        ((pk, tenant.pk, agent, 1 + n // agents, "", "", genome,
          VersionState.APPROVED if n % 4 else VersionState.RETIRED, now, n % 5000 == 1, "[]", now)
         for pk, genome, agent, n in builds),
    )  # fmt: skip
    load(
        "registry_dependency",
        ("id", "tenant_id", "version_id", "kind", "name", "detail"),
        ((ids.uuid7(), tenant.pk, pk, kind, name, "{}") for pk, _, _, n in builds for kind, name in used(n)),
    )
    running = [(ids.uuid7(), pk, agent) for pk, _, agent, _ in builds for _ in range(INSTANCES_EACH)]
    load(
        "registry_agentinstance",
        ("id", "tenant_id", "name", "version_id", "template_id", "environment_id", "provider_id", "state",
         "state_since", "generation", "cost_center", "labels", "created_at", "depth"),
        ((pk, tenant.pk, f"instance-{n} desk{n // DESK:05}", version, agent, places[n % len(places)].pk, local.pk,
          state_of(n), now, 1, f"CC{n % 997}" if n % 3 else "",
          json.dumps({"squad": f"s-{n}", "tier": "gold"}) if n % 20 == 0 else "{}", now, 0)
         for n, (pk, version, agent) in enumerate(running)),
    )  # fmt: skip
    load(
        "registry_instanceinterval",
        ("id", "tenant_id", "instance_id", "state", "version_id", "since", "until", "known_from"),
        ((ids.uuid7(), tenant.pk, pk, state, version, now - days * DAY, until, now - days * DAY)
         for pk, version, _ in running
         for state, days, until in ((InstanceState.PROVISIONING, 3, now - 2 * DAY), (InstanceState.ACTIVE, 2, None))),
    )  # fmt: skip
    load(
        "registry_instancestatus",
        ("instance_id", "tenant_id", "state"),
        ((pk, tenant.pk, "active") for pk, *_ in running),
    )
    return made


def release(tenant: Tenant, actor: User, agents: list[UUID]) -> None:
    """A role and its slots for each tenth agent, each bound twice; assignments, and rollouts and rollbacks that ended:
    of four steps and ten slots, one rollout in a hundred of 300."""
    now, local = clock.now(), Provider.objects.get(slug="local")
    places = list(Environment.objects.all())
    roles = RoleDefinition.objects.bulk_create(
        RoleDefinition(tenant=tenant, slug=f"role-{n}", name=f"Role {n:05}", risk=Risk.MEDIUM)
        for n in range(len(agents) // 10)
    )
    builds: dict[UUID, list[UUID]] = {}
    found = AgentVersion.objects.filter(template__in=agents[: 2 * len(roles)], state=VersionState.APPROVED)
    for template, pk in found.order_by("number").values_list("template", "pk"):
        builds.setdefault(template, []).append(pk)
    slots: list[DeploymentSlot] = []
    bindings, given, rollouts, steps, back = [], [], [], [], []
    for (before, after, *_), role in zip(builds.values(), roles, strict=False):
        for place in places:
            slot = DeploymentSlot(
                tenant=tenant, environment=place, role=role, provider=local, current_version_id=after,
                previous_version_id=before, generation=2,
            )  # fmt: skip
            slots.append(slot)
            for version, since, until in ((before, now - DAY, now), (after, now, None)):
                bindings.append(
                    SlotBinding(
                        tenant=tenant, slot=slot, version_id=version, since=since, until=until,
                        actor_label="alice", reason="bench",
                    )
                )  # fmt: skip
        given.append(RoleAssignment(
            tenant=tenant, role=role, environment=places[0], version_id=after, assigned_by=actor, reason="bench"
        ))  # fmt: skip
        rollout = Rollout(
            tenant=tenant, environment=places[0], role=role, version_id=after, strategy="phased", state="completed",
            reason="bench", created_by=actor,
        )  # fmt: skip
        rollouts.append(rollout)
        steps += [
            RolloutStep(
                tenant=tenant, rollout=rollout, number=n, batch=n, state="passed", started_at=now - DAY, ended_at=now
            )
            for n in range(1, 5)
        ]  # fmt: skip
        back.append(Rollback(
            tenant=tenant, slot=slots[-1], from_version_id=before, to_version_id=after, reason="bench", actor=actor,
            actor_label="alice", change_id=ids.uuid7(), dossier={},
        ))  # fmt: skip
    held = [
        RolloutSlot(tenant=tenant, rollout=rollout, slot=slot, batch=1 + n % 4, bound_at=now)
        for number, rollout in enumerate(rollouts)
        for n, slot in enumerate(_some(slots, number, 300 if number % 100 == 0 else 10))
    ]
    for rows in (slots, bindings, given, rollouts, steps, held, back):
        type(rows[0])._default_manager.bulk_create(rows, batch_size=1000)  # type: ignore[attr-defined]


def _some(slots: list[DeploymentSlot], start: int, count: int) -> list[DeploymentSlot]:
    """So many of the slots, each once, from this place on and over the end; all where there are fewer."""
    return [slots[(start + n) % len(slots)] for n in range(min(count, len(slots)))]


def state_of(number: int) -> InstanceState:
    """Of an instance: a fifth has retired, one in a thousand is draining."""
    if number % 5 == 0:
        return InstanceState.RETIRED
    return InstanceState.DRAINING if number % 1000 == 1 else InstanceState.ACTIVE


def used(number: int) -> Iterable[tuple[str, str]]:
    """One of twenty models, and three of five hundred tools: each tool by one version in 170, each model by one in 20."""
    yield "model", f"openai/model-{number % MODELS}"
    for name in {(number * step + step) % TOOLS for step in (1, 7, 31)}:
        yield "tool", f"tool-{name}"
