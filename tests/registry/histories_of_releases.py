"""Acts of random histories with everything that releases do to a fleet, each through its service."""

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

from django.db import transaction

from arm import clock
from policy.services import bind_policy
from registry import services
from registry.facts import Budget
from registry.gates import GateRefused
from registry.lifecycle import InstanceState, VersionState
from registry.models import (
    AgentInstance,
    AgentVersion,
    DeploymentSlot,
    Handover,
    InstanceStatus,
    Prompt,
    Rollout,
    VersionApproval,
)
from registry.tasks import slot_bound, version_moved
from tests import make
from tests.registry.histories import MINUTE, NOON, Fleet
from tests.registry.releasing import Told as Health

I, V = InstanceState, VersionState
GATE = "errors"


class Releases(Fleet):
    """Two slots of a role and what works in them, three approved versions that may start copies of themselves, two that
    climb, and three people: alice builds, releases and runs, bob and carol approve."""

    made = 0

    def __init__(self) -> None:
        super().__init__()
        tenant = self.template.tenant
        self.people.append(make.everything(make.user("carol", member_of=tenant), tenant))
        with clock.at(NOON - 60 * MINUTE):
            services.require_approvals(
                tenant=tenant, by_risk={"medium": 2}, actor=self.people[1], reason="four eyes"
            )
            bind_policy(policy=self.policy, target=self.template, actor=self.alice, reason="first")
        other = make.provider("other")
        self.slots = [self.slot, make.slot(environment=self.place, role=self.roles[0], provider=other)]
        for nth, version in enumerate((self.versions[1], self.versions[0])):
            for slot in self.slots:
                with clock.at(NOON - (30 - nth) * MINUTE):
                    services.bind_slot(slot=slot, version=version, actor=self.alice, reason="first")
        with clock.at(NOON):
            for _ in range(2):
                self.do_place(1, 0, 0)
            self.versions.append(self.approved())
            self.versions += [
                services.create_version(
                    template=self.template,
                    genome=make.genome_document(self.template, **self.document(n)),
                    actor=self.alice,
                    reason="next",
                )
                for n in (4, 5)
            ]
        self.known |= {one.typeid: one for one in self.versions}
        self.by_id = {slot.typeid: slot.pk for slot in self.slots}

    def approved(self) -> AgentVersion:
        number = self.template.versions.count()
        genome = make.genome(template=self.template, members=self.document(number))
        return make.approved(template=self.template, genome=genome)

    def document(self, number: int) -> dict[str, Any]:
        spawn = {"allowed": True, "max_children": 2, "max_depth": 2}
        held = Prompt.objects.first() or make.prompt("Be kind.")
        prompt = {"role": "system", "media_type": "text/plain", "digest": held.digest, "size": held.size}
        return {"prompts": [prompt], "spawn": spawn, "x_serial": str(number)}

    def do(self, verb: str, which: int, choice: int, minutes: int) -> None:
        self.rows = list(AgentInstance.objects.filter(tenant=self.template.tenant).order_by("pk"))
        act: Callable[[int, int, int], None] | None = getattr(self, f"do_{verb}", None)
        if act is None:
            super().do(verb, which, choice, minutes)
        else:
            act(which, choice, minutes)

    @property
    def said(self) -> dict[str, Any]:
        return {"actor": self.alice, "reason": "test"}

    def built(self, choice: int) -> AgentVersion:
        return AgentVersion.objects.get(pk=self.versions[choice % len(self.versions)].pk)

    def placed(self, which: int) -> DeploymentSlot:
        return DeploymentSlot.objects.get(pk=self.slots[which % 2].pk)

    def fit(self, slot: DeploymentSlot, which: int) -> AgentVersion:
        """An approved version that the slot does not have."""
        rows = AgentVersion.objects.filter(template=self.template, state=V.APPROVED, rolled_back=False)
        found = list(rows.exclude(pk=slot.current_version_id).order_by("number"))
        if not found:
            raise Nothing
        return found[which % len(found)]

    def rollout(self) -> Rollout:
        """The one that is open."""
        return self.one(Rollout.objects.open().order_by("-pk"))

    def one(self, rows: Any) -> Any:
        row = rows.first()
        if row is None:
            raise Nothing
        return row

    def do_begin(self, which: int, choice: int, minutes: int) -> None:
        """Everything lives and is heard of, and what waits begins to work, as far as its gates let it; what it replaces
        drains then."""
        now = clock.now()
        live = InstanceStatus.objects.exclude(instance__state__in=(I.RETIRED, I.DRAINING))
        live.update(telemetry_at=now, heartbeat_at=now)
        begun = 0
        for row in [row for row in self.rows if row.state == I.PROVISIONING]:
            with suppress(GateRefused), transaction.atomic():
                services.move_instance(instance=row, to=I.ACTIVE, **self.said)
                begun += 1
        if not begun:
            raise Nothing
        self.do_settle(which, choice, minutes)

    def among(self, rows: list[AgentInstance], which: int) -> AgentInstance:
        if not rows:
            raise Nothing
        return rows[which % len(rows)]

    def do_bind(self, which: int, choice: int, minutes: int) -> None:
        slot = self.placed(which)
        services.bind_slot(slot=slot, version=self.fit(slot, choice), **self.said)
        self.hear(which)

    def do_empty(self, which: int, choice: int, minutes: int) -> None:
        services.empty_slot(slot=self.placed(which), **self.said)

    def do_place(self, which: int, choice: int, minutes: int) -> None:
        slot = self.placed(which)
        services.provision_instance(
            version=slot.current_version or self.built(choice), environment=self.place, provider=slot.provider,
            slot=slot, name=self.name("desk"), **self.said,
        )  # fmt: skip

    def name(self, stem: str) -> str:
        self.made += 1
        return f"{stem} {self.made}"

    def do_roll(self, which: int, choice: int, minutes: int) -> None:
        """Plan and start one: of each strategy, of one slot or both, drained at once or as they are replaced, judged by
        a fact or by a person, pausing or aborting when it is unhealthy."""
        how: dict[str, Any] = [
            {"strategy": "all"},
            {"strategy": "canary", "percents": [50, 100]},
            {"strategy": "phased", "batch_size": 1},
        ][choice % 3]
        drain = "at_once" if minutes % 2 else "replaced"
        if Rollout.objects.open().exists():
            raise Nothing
        rollout = services.plan_rollout(
            slots=self.slots if minutes % 3 else [self.placed(which)],
            version=self.fit(self.placed(which), which),
            bake=5 * MINUTE,
            health_gates=[GATE] if choice % 2 else [],
            reaction=("pause", "abort")[minutes % 2],
            drain=drain,
            **how,
            **self.said,
        )
        services.start_rollout(rollout=rollout, **self.said)

    def do_step(self, which: int, choice: int, minutes: int) -> None:
        rollout = self.rollout()
        services.confirm_step(rollout=rollout, step=rollout.steps.get(state="baking").number, **self.said)

    def do_look(self, which: int, choice: int, minutes: int) -> None:
        """What the worker does in each round, with facts that speak for the rollout or against it."""
        Health.said = {GATE: (True, True, False, None)[choice % 4]}
        if not services.advance_rollout(rollout_id=self.rollout().pk):
            raise Nothing

    def do_halt(self, which: int, choice: int, minutes: int) -> None:
        services.pause_rollout(rollout=self.rollout(), **self.said)

    def do_resume(self, which: int, choice: int, minutes: int) -> None:
        services.resume_rollout(rollout=self.rollout(), **self.said)

    def do_abort(self, which: int, choice: int, minutes: int) -> None:
        drain = ("", "at_once", "replaced")[choice % 3]
        services.abort_rollout(rollout=self.rollout(), drain=drain, **self.said)

    def do_back(self, which: int, choice: int, minutes: int) -> None:
        slot = self.placed(which)
        also = [one for one in self.slots if one.pk != slot.pk] if choice % 3 == 0 else []
        drain = ("at_once", "replaced")[choice % 2]
        services.roll_back_slot(slot=slot, also=also, drain=drain, **self.said)
        self.hear(which)

    def do_settle(self, which: int, choice: int, minutes: int) -> None:
        for slot in self.slots:
            services.settle_slot(slot_id=slot.pk)

    def do_hurry(self, which: int, choice: int, minutes: int) -> None:
        handover = self.one(Handover.objects.open())
        services.drain_at_once(slot=handover.slot, **self.said)

    def do_spawn(self, which: int, choice: int, minutes: int) -> None:
        """A copy, by the parent itself or by a person, who may give it an amount of its own."""
        parent = self.among([row for row in self.rows if row.state == I.ACTIVE], which)
        budget = Budget(Decimal(1), "USD") if choice % 3 == 0 else None
        who = None if choice % 3 == 1 else self.alice
        services.spawn_instance(
            parent=parent, version=parent.version, name=self.name("child"), actor=who, reason="test", budget=budget
        )  # fmt: skip

    def do_climb(self, which: int, choice: int, minutes: int) -> None:
        """Up to candidate, and back again now and then."""
        version = self.built(3 + which % 2)
        if version.state == V.CANDIDATE and choice % 3:
            raise Nothing
        to = {V.DRAFT: V.TESTING, V.TESTING: V.CANDIDATE, V.CANDIDATE: V.TESTING}.get(V(version.state), V.RETIRED)  # fmt: skip
        services.move_version(version=version, to=to, acknowledged="known", **self.said)

    def do_approve(self, which: int, choice: int, minutes: int) -> None:
        person = self.people[1 + choice % 2]
        version = self.built(3 + which % 2)
        services.approve_version(version=version, actor=person, reason="test")
        self.moved(version)

    def do_withdraw(self, which: int, choice: int, minutes: int) -> None:
        given = self.one(VersionApproval.objects.filter(withdrawal=None).order_by("-pk"))
        services.withdraw_approval(version=given.version, actor=given.person, reason="test")

    def do_deprecate(self, which: int, choice: int, minutes: int) -> None:
        version = self.built(which)
        services.move_version(version=version, to=V.DEPRECATED, **self.said)
        self.moved(version)

    def do_retire(self, which: int, choice: int, minutes: int) -> None:
        """By a person, or by ARM after it has said that it drains and nothing came from it."""
        row = self.among([row for row in self.rows if row.state in (I.DRAINING, I.QUARANTINED)], which)
        if choice % 2:
            services.move_instance(instance=row, to=I.RETIRED, **self.said)
            return
        services.heartbeat(instance=row, state="draining")
        InstanceStatus.objects.filter(instance=row).update(telemetry_at=None)
        if not services.retire_drained(instance_id=row.pk):
            raise Nothing

    def moved(self, version: AgentVersion) -> None:
        """What the worker does on the news of it."""
        version_moved(tenant_id=version.tenant_id, version_id=str(version.pk))

    def hear(self, which: int) -> None:
        slot_bound(tenant_id=self.template.tenant_id, slot_id=str(self.placed(which).pk))


class Nothing(Exception):
    """There is nothing that this act could be done to."""
