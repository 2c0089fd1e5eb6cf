"""One rollback of a slot with 1,000 instances: everything it writes, in one transaction.

The ratio is to the bare statements that write the same rows of instances, intervals and statuses, in the same run.
"""

import time
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction

from arm import clock, db
from arm.ids import uuid7
from arm.models import Membership, Tenant, User
from registry import services
from registry.lifecycle import InstanceState, VersionState
from registry.models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    DeploymentSlot,
    Environment,
    Genome,
    InstanceInterval,
    InstanceStatus,
    Provider,
    RoleDefinition,
    SlotBinding,
)

from .harness import Figure, percentile

LIMIT_S = 2.0


def run(quick: bool) -> list[Figure]:
    """p95 of some rollbacks, each of a slot of its own."""
    instances, rounds = (100, 2) if quick else (1000, 5)
    # Whether a policy holds there is asked once, however many run; the bench has none.
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound", "registry.plugins.ChannelOrder"]
    tenant, rolls, plain = Tenant(slug="bench-rollback", name="Bench"), [], []
    with db.tenants([tenant.pk]):
        tenant.save(force_insert=True)
        actor = User.objects.create(username="bench-rollback", is_superuser=True)
        Membership.objects.create(tenant=tenant, user=actor)
        places = place(tenant)
    for number in range(rounds):
        with db.tenants([tenant.pk]):
            slot = fill(tenant, places, number, instances)
        began = time.perf_counter()
        with db.tenants([tenant.pk]):
            made = services.roll_back_slot(slot=slot, actor=actor, reason="bench", drain="at_once")
        rolls.append(time.perf_counter() - began)
        if (made.drained, made.provisioned) != (instances, instances):
            raise RuntimeError(f"{made.drained} drained, {made.provisioned} provisioned of {instances}")
        with db.tenants([tenant.pk]):
            twin = fill(tenant, places, 1000 + number, instances)
            plain.append(bare(twin))
    taken = percentile(rolls, 0.95)
    return [Figure("rollback_1000", taken, "s", LIMIT_S, taken / percentile(plain, 0.95))]


def place(tenant: Tenant) -> tuple[Environment, Provider]:
    """An environment and a provider."""
    return (
        Environment.objects.create(tenant=tenant, slug="dev", name="dev", position=1),
        Provider.objects.create(tenant=tenant, slug="local", name="local"),
    )


def fill(tenant: Tenant, places: tuple[Environment, Provider], number: int, instances: int) -> DeploymentSlot:
    """A slot with two bindings behind it and instances of its version at work."""
    environment, provider = places
    template = AgentTemplate.objects.create(tenant=tenant, slug=f"agent-{number}", name=f"Agent {number}")
    role = RoleDefinition.objects.create(tenant=tenant, slug=f"role-{number}", name=f"Role {number}")
    versions = []
    for n in (1, 2):
        genome = Genome.objects.create(
            tenant=tenant, template=template, content=b"{}", digest=f"sha256:{uuid7().hex * 2}"
        )
        versions.append(
            AgentVersion.objects.create(
                tenant=tenant, template=template, number=n, genome=genome, state=VersionState.APPROVED
            )
        )
    now = clock.now()
    slot = DeploymentSlot.objects.create(
        tenant=tenant, environment=environment, provider=provider, role=role,
        current_version=versions[1], previous_version=versions[0],
    )  # fmt: skip
    for n, version in enumerate(versions):
        SlotBinding.objects.create(
            tenant=tenant, slot=slot, version=version, reason="bench", since=now - timedelta(hours=2 - n),
            until=None if n else now,
        )  # fmt: skip
    made = [
        AgentInstance(
            tenant=tenant, name=f"agent-{number}-{n}", version=versions[1], template=template, slot=slot,
            environment=environment, provider=provider, state=InstanceState.ACTIVE,
        )
        for n in range(instances)
    ]  # fmt: skip
    AgentInstance.objects.bulk_create(made)
    write(made)
    return slot


def write(rows: list[AgentInstance]) -> None:
    now = clock.now()
    InstanceStatus.objects.bulk_create(
        [InstanceStatus(instance=one, tenant_id=one.tenant_id) for one in rows]
    )
    InstanceInterval.objects.bulk_create(
        [
            InstanceInterval(
                tenant_id=one.tenant_id, instance=one, version_id=one.version_id, state=one.state, since=now,
                known_from=now,
            )
            for one in rows
        ]
    )  # fmt: skip


def bare(slot: DeploymentSlot) -> float:
    """UPDATE and INSERT of the same rows, without rules, records or news."""
    began = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE registry_agentinstance SET state = 'draining', generation = generation + 1, state_since = now()"
            " WHERE slot_id = %s",
            [slot.pk],
        )
        cursor.execute(
            "UPDATE registry_instanceinterval i SET until = now() FROM registry_agentinstance a"
            " WHERE a.id = i.instance_id AND a.slot_id = %s AND i.until IS NULL",
            [slot.pk],
        )
        rows = list(AgentInstance.objects.filter(slot=slot))
        made = [
            AgentInstance(
                tenant_id=one.tenant_id, name=one.name, version_id=one.version_id, template_id=one.template_id,
                slot_id=one.slot_id, environment_id=one.environment_id, provider_id=one.provider_id,
            )
            for one in rows
        ]  # fmt: skip
        AgentInstance.objects.bulk_create(made)
        write(made)
    return time.perf_counter() - began
