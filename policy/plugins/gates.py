"""Gates before agents start and slots are bound, second persons' approvals and their end, and limits."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.urls import reverse

from arm import clock, crypto, db
from arm.models import User
from arm.rights import Right
from registry.gates import Verdict
from registry.gates.returning import POLICY_BOUND
from registry.lifecycle import VersionState
from registry.models import AgentInstance, AgentVersion, DeploymentSlot

from .. import services
from ..engine import LimitKey
from ..facts import Lease
from ..lifecycle import OPEN, ApprovalKind
from ..models import ApprovalRequest, Binding, Policy
from ..queries.standing import load_agents, load_rules


class PolicyBound:
    """Before Active: at least one policy holds for the agent, else it could do nothing anyway."""

    name = "policy bound"

    def check(self, instance: AgentInstance) -> Verdict:
        agent = load_agents([instance.pk])[instance.pk]
        count = len(load_rules(instance.tenant_id).policies_of(agent))
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


class SlotHasPolicy:
    """Before a slot is bound: what runs there will stand below a policy."""

    name = POLICY_BOUND

    def check(self, slot: DeploymentSlot, version: AgentVersion) -> Verdict:
        if not _holds(slot, version):
            mend = reverse("policy:binding_create")
            return Verdict(
                self.name,
                False,
                f"No policy would hold for {version} in {slot}.",
                mend,
                Right.BIND_POLICY.value,
            )
        return Verdict(self.name, True, "A policy holds there.")


class PolicyValidates:
    """Testing → Candidate: where policies are bound to the version, all of them have an active version, which compiles."""

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
        return Verdict(self.name, True, _compiled(len(bound)))


def _compiled(count: int) -> str:
    if not count:
        return "No policy is bound to it yet."
    return f"{count} {'policy' if count == 1 else 'policies'} bound to it, and every one compiles."


def _holds(slot: DeploymentSlot, version: AgentVersion) -> bool:
    above: Mapping[str, Any] = {
        "environment_id": slot.environment_id,
        "role_id": slot.role_id,
        "slot_id": slot.pk,
        "template_id": version.template_id,
        "version_id": version.pk,
    }
    in_force = Binding.objects.in_force().filter(tenant_id=slot.tenant_id)
    rows = in_force.values("whole_tenant", *above)
    return any(row["whole_tenant"] or any(row[name] == id for name, id in above.items()) for row in rows)


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
