"""Gates before agents start and slots are bound, second persons' approvals and their end, and limits."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import UUIDField, Value
from django.urls import reverse

from arm import clock, crypto, db
from arm.models import User
from arm.rights import Right
from registry.gates import Verdict
from registry.gates.draining import SILENCE
from registry.gates.many import OneOfMany, Pairs
from registry.gates.returning import POLICY_BOUND
from registry.lifecycle import VersionState
from registry.models import AgentInstance, AgentVersion, DeploymentSlot

from .. import services
from ..engine import LimitKey
from ..facts import Lease
from ..lifecycle import OPEN, ApprovalKind
from ..models import ApprovalRequest, Binding, Policy, Posture, TenantPolicy
from ..queries import stops
from ..queries.standing import load_agents, load_rules
from ..queries.tools import Tools, tools_of

NAMED = 8
"""Tools that a verdict names; the simulator shows all."""


class PolicyBound:
    """Before Active: at least one policy holds for the agent, else it could do nothing anyway."""

    name = "policy bound"

    def check(self, instance: AgentInstance) -> Verdict:
        agent = load_agents([instance.pk])[instance.pk]
        count = len(load_rules(instance.tenant_id).bound_to(agent))
        if not count:
            mend = reverse("policy:binding_create")
            return Verdict(
                self.name,
                False,
                "No policy is bound to it or to anything above it.",
                mend,
                Right.BIND_POLICY.value,
            )
        return Verdict(
            self.name, True, f"{count} {'policy holds' if count == 1 else 'policies hold'} for it."
        )


class StopsAbove:
    """`registry.gates.draining.Holds`: what stands below a stop is silent because it is denied everything, and who stopped
    it may want it as it is. After a stop has ended it is given time to go on with its work."""

    def of(self, instances: Sequence[AgentInstance]) -> Mapping[UUID, Verdict]:
        found = stops.silenced(instances, clock.now() - SILENCE)
        return {key: self._verdict(stop) for key, stop in found.items()}

    def _verdict(self, stop: Posture) -> Verdict:
        if stop.in_force:
            said = f"A stop stands above it ({stop}): it is silent because of that, and is not retired by a rule meanwhile."
        else:
            said = f"A stop above it ({stop}) ended less than 15 minutes ago: it may go on with its work."
        return Verdict("no stop above", False, said, stop.get_absolute_url())


class SlotHasPolicy(OneOfMany):
    """Before a slot is bound: what runs there will stand below a policy."""

    name = POLICY_BOUND

    def check_all(self, pairs: Pairs) -> list[Verdict]:
        held = {tenant: _held_in(tenant) for tenant in {slot.tenant_id for slot, _ in pairs}}
        return [self._verdict(slot, version, held[slot.tenant_id](slot, version)) for slot, version in pairs]

    def _verdict(self, slot: DeploymentSlot, version: AgentVersion, holds: bool) -> Verdict:
        if holds:
            return Verdict(self.name, True, "A policy holds there.")
        said = f"No policy would hold for {version} in {slot}."
        return Verdict(self.name, False, said, reverse("policy:binding_create"), Right.BIND_POLICY.value)


class PolicyValidates:
    """Testing → Candidate → Approved: where policies are bound to the version, all of them have an active version, which
    compiles, and leave it a tool that can be allowed or asked about. Those that are denied in every case are named."""

    name = "policy validates"

    def check(self, version: AgentVersion, to: VersionState) -> Verdict:
        if to not in (VersionState.CANDIDATE, VersionState.APPROVED):
            return Verdict(self.name, True, "Asked before Candidate and Approved only.", applies=False)
        rules = load_rules(version.tenant_id)
        bound = [
            row["policy_id"]
            for row in rules.bindings
            if row["whole_tenant"]
            or version.template_id == row["template_id"]
            or version.pk == row["version_id"]
        ]
        if missing := [policy for policy in bound if policy not in rules.documents]:
            said = f"{len(missing)} of its policies have no active version."
            page = Policy.objects.get(pk=missing[0]).get_absolute_url()
            return Verdict(self.name, False, said, page, Right.READ_POLICY.value)
        return self._tools(tools_of(version, rules), _compiled(len(bound)))

    def _tools(self, found: Tools, said: str) -> Verdict:
        if not found.denied:
            return Verdict(self.name, True, said)
        shown = "; ".join(f"“{one.name}”: {one.why}" for one in found.denied[:NAMED])
        more = f" and {len(found.denied) - NAMED} more" if len(found.denied) > NAMED else ""
        if found.none_left:
            said = f"Its policies deny every one of its tools in every case. {shown}{more}"
            return Verdict(self.name, False, said, reverse("policy:simulator"), Right.READ_POLICY.value)
        said = f"{said} They deny {len(found.denied)} of its {found.total} tools in every case. {shown}{more}"
        return Verdict(self.name, True, said, warning=True)


def _compiled(count: int) -> str:
    if not count:
        return "No policy is bound to it yet."
    return f"{count} {'policy' if count == 1 else 'policies'} bound to it, and every one compiles."


def _held_in(tenant_id: UUID) -> Callable[[DeploymentSlot, AgentVersion], bool]:
    """Whether a policy would hold for a version in a slot of the tenant: one statement, whoever is asked about. The default
    policy holds for all to whom none is bound."""
    names = ("environment_id", "role_id", "slot_id", "template_id", "version_id")
    bound = Binding.objects.in_force().filter(tenant_id=tenant_id).order_by()
    default = TenantPolicy.objects.filter(tenant=tenant_id, default_policy__isnull=False).order_by()
    nowhere = {f"no_{name}": Value(None, UUIDField()) for name in names}
    everywhere = default.annotate(whole=Value(True), **nowhere).values_list("whole", *nowhere)
    rows = list(bound.values_list("whole_tenant", *names).union(everywhere, all=True))
    whole = any(row[0] for row in rows)
    targets = {target for row in rows for target in zip(names, row[1:], strict=True) if target[1] is not None}

    def holds(slot: DeploymentSlot, version: AgentVersion) -> bool:
        above = (slot.environment_id, slot.role_id, slot.pk, version.template_id, version.pk)
        return whole or not targets.isdisjoint(zip(names, above, strict=True))

    return holds


class Approvals:
    """registry's port: second persons' decisions about releases, kept as approval requests."""

    def request(
        self,
        *,
        tenant_id: UUID,
        kind: str,
        title: str,
        subject_kind: str,
        subject_id: UUID,
        action: Mapping[str, Any],
        requested_by: UUID,
        needs: int,
        excluded: frozenset[UUID],
    ) -> UUID:
        instance = None
        if subject_kind == "registry.agentinstance":
            instance = AgentInstance.objects.get(pk=subject_id)
        return services.request_approval(
            tenant_id=tenant_id,
            kind=ApprovalKind(kind),
            title=title,
            subject_kind=subject_kind,
            subject_id=subject_id,
            action=action,
            requested_by=User.objects.get(pk=requested_by),
            reason="A second person must agree.",
            quorum=max(1, needs),
            excluded=excluded,
            instance=instance,
        ).request.pk

    def granted(self, *, subject_kind: str, subject_id: UUID, action: Mapping[str, Any]) -> frozenset[UUID]:
        found = _requests(subject_kind, subject_id, action)
        yes = found.filter(decisions__approve=True).values_list("decisions__person_id", flat=True)
        return frozenset(person for person in yes if person is not None)

    def requested(self, *, subject_kind: str, subject_id: UUID, action: Mapping[str, Any]) -> frozenset[UUID]:
        asked = _requests(subject_kind, subject_id, action).values_list("requested_by_id", flat=True)
        return frozenset(person for person in asked if person is not None)

    def consume(self, *, subject_kind: str, subject_id: UUID, action: Mapping[str, Any]) -> None:
        for request in _requests(subject_kind, subject_id, action):
            services.close_approval(request=request, used_by=subject_id)


class ApprovalsVoided:
    """registry's port: what a stopped agent was allowed, or asked for, counts no more when it returns."""

    def stopped(self, *, instance: AgentInstance, actor: User | None, reason: str) -> None:
        services.void_approvals(instances=[instance.pk], actor=actor, reason=reason)


def _requests(subject_kind: str, subject_id: UUID, action: Mapping[str, Any]) -> Any:
    return ApprovalRequest.objects.filter(
        subject_kind=subject_kind,
        subject_id=subject_id,
        digest=crypto.digest(crypto.canonical(action)),
        state__in=OPEN,
        expires_at__gt=clock.now(),
    )


class Limits:
    """The port's own implementation: counters in policy's tables, fed by what requests say they will use."""

    def reserve(
        self,
        *,
        tenant_id: UUID,
        instance_id: UUID,
        key: LimitKey,
        most: Decimal,
        wanted: Decimal,
        window: str,
        holder: str,
    ) -> Lease:
        with db.tenants([tenant_id]):
            return services.reserve_limit(
                tenant_id=tenant_id,
                instance_id=instance_id,
                key=key,
                most=most,
                wanted=wanted,
                window=window,
                holder=holder,
            )

    def settle(self, *, tenant_id: UUID, lease_id: UUID, left: Decimal) -> None:
        with db.tenants([tenant_id]):
            services.settle_limit(lease_id=lease_id, left=left)
