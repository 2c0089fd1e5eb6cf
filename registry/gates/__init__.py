"""What stands between a version, an instance or a slot and its next state. Which gates: settings.*_GATES.

A gate reads, never writes and never calls the network. All of them are asked, so that a refusal names everything
that is missing; one that has nothing to say passes with its reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

from django.conf import settings
from django.urls import reverse

from arm import clock
from arm.errors import Conflict, Problem
from arm.models import User
from arm.ports import implementation, implementations
from arm.rights import Right, Risk

from .. import genome
from ..lifecycle import ALLOWS, RUNNABLE, InstanceState, VersionState
from ..models import (
    AgentInstance,
    AgentVersion,
    DeploymentSlot,
    DirectoryRules,
    Environment,
    Prompt,
    recorded_genome,
)
from .working import WorkInFlight as WorkInFlight
from .working import begun_by

APPROVAL = "apr"
"""How identifiers of approval requests begin, for who is told of one."""
QUIET = timedelta(seconds=60)
TESTED_ON = (VersionState.TESTING, VersionState.CANDIDATE, VersionState.APPROVED)
"""The steps of a version that ask what it is made of."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One gate's answer. `reason` is a sentence about what is missing, or why it passes; `mend` the address of the
    page where what is missing can be supplied, if there is one, and `right` the right that this takes.
    A gate that has nothing to ask of this step passes with `applies` False; one that passes with a `warning` says so."""

    gate: str
    passed: bool
    reason: str
    mend: str = ""
    right: str = ""
    applies: bool = True
    warning: bool = False


class GateRefused(Conflict):
    """`gates` in the answer holds every verdict that stands in the way."""

    code = "gate_refused"


class PromotionGate(Protocol):
    name: str

    def check(self, version: AgentVersion, to: VersionState) -> Verdict: ...


class InstanceGate(Protocol):
    """For activation (every move to Active) and for retirement."""

    name: str

    def check(self, instance: AgentInstance) -> Verdict: ...


class BindingGate(Protocol):
    name: str

    def check(self, slot: DeploymentSlot, version: AgentVersion) -> Verdict: ...


class Approvals(Protocol):
    """Effect port (settings.APPROVALS): where second persons decide about a release."""

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
        """The id of a pending request bound to exactly this action; the pending one is returned, not doubled.
        Nobody in `excluded` counts as an approver."""
        ...

    def granted(self, *, subject_kind: str, subject_id: UUID, action: Mapping[str, Any]) -> frozenset[UUID]:
        """Who has approved exactly this action in a request that is neither expired nor used."""
        ...

    def requested(self, *, subject_kind: str, subject_id: UUID, action: Mapping[str, Any]) -> frozenset[UUID]:
        """Who has asked for exactly this action in a request that is neither expired nor used."""
        ...

    def consume(self, *, subject_kind: str, subject_id: UUID, action: Mapping[str, Any]) -> None:
        """The action is being carried out, in this transaction: the approval counts no more."""
        ...


class RestrictionEffect(Protocol):
    """Effect port (settings.RESTRICTION_EFFECTS): what else ends when an instance is stopped by its own state."""

    def stopped(self, *, instance: AgentInstance, actor: User | None, reason: str) -> None:
        """Called in the transaction of the stop, after it was written and before it is visible to anybody."""
        ...


class DesiredEffect(Protocol):
    """Effect port (settings.DESIRED_EFFECTS): who else must hear that something else may be wanted of instances."""

    def changed(self, *, instances: Sequence[UUID], actor: User | None, reason: str) -> None:
        """Called in the transaction of the change, after it was written."""
        ...


class Certainty(Protocol):
    """Port (settings.CERTAINTIES): how it is known what instances are."""

    def of(self, instances: Sequence[AgentInstance]) -> Mapping[UUID, str]:
        """A word for each instance of which this app knows it, as it stands in brackets behind a state: “attested”."""
        ...


class NoApprovals:
    """Where no app takes approvals, nobody has approved anything: only who acts in person counts."""

    def request(self, **action: Any) -> UUID:
        raise Conflict("This installation takes no approval requests; ask an approver to act in person.")

    def granted(self, **action: Any) -> frozenset[UUID]:
        return frozenset()

    def requested(self, **action: Any) -> frozenset[UUID]:
        return frozenset()

    def consume(self, **action: Any) -> None:
        """Nothing was granted, so nothing is used up."""


def approvals() -> Approvals:
    if not settings.APPROVALS:
        return NoApprovals()
    port: Approvals = implementation("APPROVALS")
    return port


def tell_stopped(instance: AgentInstance, actor: User | None, reason: str) -> None:
    """Ask every effect of a stop, in this transaction."""
    effects: Sequence[RestrictionEffect] = implementations("RESTRICTION_EFFECTS")
    for effect in effects:
        effect.stopped(instance=instance, actor=actor, reason=reason)


def tell_changed(instances: Sequence[UUID], actor: User | None, reason: str) -> None:
    """Tell every effect that something else may be wanted of these instances, in this transaction."""
    effects: Sequence[DesiredEffect] = implementations("DESIRED_EFFECTS")
    for effect in effects:
        effect.changed(instances=instances, actor=actor, reason=reason)


def certainties(instances: Sequence[AgentInstance]) -> dict[UUID, str]:
    """How it is known what these instances are, as far as an app says so."""
    ports: Sequence[Certainty] = implementations("CERTAINTIES")
    return {key: word for port in ports for key, word in port.of(instances).items()}


def for_promotion(version: AgentVersion, to: VersionState) -> list[Verdict]:
    return [gate.check(version, to) for gate in implementations("PROMOTION_GATES")]


def for_activation(instance: AgentInstance) -> list[Verdict]:
    return [gate.check(instance) for gate in implementations("ACTIVATION_GATES")]


def for_release(instance: AgentInstance, to: InstanceState) -> list[Verdict]:
    """What is asked before a stop is lifted: to begin work, the gates of Active, read only, too; to finish it, that there
    was any."""
    if ALLOWS[to].new_work:
        return for_activation(instance)
    worked = instance.has_worked()
    said = f"{instance} has worked here."
    if not worked:
        said = f"{instance} has never worked here: there is nothing that it could finish."
    return [Verdict("has worked", worked, said)]


def for_retirement(instance: AgentInstance) -> list[Verdict]:
    return [gate.check(instance) for gate in implementations("RETIREMENT_GATES")]


def for_binding(slot: DeploymentSlot, version: AgentVersion) -> list[Verdict]:
    return [gate.check(slot, version) for gate in implementations("BINDING_GATES")]


def refuse_unless_passed(verdicts: Sequence[Verdict], what: str) -> None:
    """GateRefused with every verdict that does not pass, in one sentence each."""
    if refused := [verdict for verdict in verdicts if not verdict.passed]:
        said = " ".join(verdict.reason for verdict in refused)
        raise GateRefused(f"{what}: {said}", gates=[asdict(verdict) for verdict in refused])


# registry's own gates


def missing_profiles(version: AgentVersion) -> list[Problem]:
    """The profiles that the tenant requires and this genome lacks, each with the pointer to where it belongs."""
    wanted = DirectoryRules.objects.profiles_of(version.tenant_id)
    if not wanted:
        return []
    document = version.genome.document()
    lacking = {problem["pointer"]: problem for problem in genome.missing(document, required_profiles=wanted)}
    return [lacking[f"/{name}"] for name in wanted if f"/{name}" in lacking]


class PromptsKept:
    """Before Testing, Candidate and Approved, where the tenant wants its prompts here: every one of them is."""

    name = "prompts stored"

    def check(self, version: AgentVersion, to: VersionState) -> Verdict:
        if to not in TESTED_ON or not DirectoryRules.objects.prompts_kept_by(version.tenant_id):
            said = "Asked before Testing, Candidate and Approved, where prompts must be stored here."
            return Verdict(self.name, True, said, applies=False)
        if lacking := Prompt.objects.lacking(version.tenant_id, version.genome.document()):
            said = " ".join(f"{problem['message']} ({problem['pointer']})" for problem, _ in lacking)
            mend = f"{reverse('registry:prompt_store')}?digest={lacking[0][1]}"
            return Verdict(self.name, False, said, mend, Right.CREATE_VERSION.value)
        return Verdict(self.name, True, "Every prompt of it is stored here.")


class GenomeIntact:
    """Before anything is promoted, bound or activated: the stored genome still is what its digest says."""

    name = "genome intact"

    def check(
        self,
        subject: AgentVersion | AgentInstance | DeploymentSlot,
        to: VersionState | AgentVersion | None = None,
    ) -> Verdict:
        """As a gate of promotion, of activation or of binding."""
        if isinstance(to, VersionState) and to not in TESTED_ON:
            said = "Asked before Testing, Candidate and Approved only."
            return Verdict(self.name, True, said, applies=False)
        if isinstance(to, AgentVersion):
            version = to
        else:
            version = subject if isinstance(subject, AgentVersion) else subject.version  # type: ignore[union-attr]
        return self._verdict(version, version.intact)

    def check_all(self, pairs: Sequence[tuple[DeploymentSlot, AgentVersion]]) -> list[Verdict]:
        """As a gate of bindings, of many: what was recorded of all of them is read at once."""
        rows = AgentVersion.objects.filter(pk__in={version.pk for _, version in pairs}).order_by()
        recorded = dict(rows.values_list("pk", recorded_genome()))
        return [self._verdict(version, version.intact_by(recorded[version.pk])) for _, version in pairs]

    def _verdict(self, version: AgentVersion, intact: bool) -> Verdict:
        if not intact:
            said = (
                f"The stored genome of {version} is not the one that was sealed: it was changed behind ARM."
            )
            return Verdict(self.name, False, said, version.get_absolute_url())
        return Verdict(self.name, True, "The stored genome is the one that was sealed, recomputed just now.")


class GenomeComplete:
    """Before Testing, Candidate and Approved: the genome has every required member, and every profile that the tenant
    requires."""

    name = "genome complete"

    def check(self, version: AgentVersion, to: VersionState) -> Verdict:
        if to not in TESTED_ON:
            return Verdict(
                self.name, True, "Asked before Testing, Candidate and Approved only.", applies=False
            )
        missing, profiles = version.genome.missing, missing_profiles(version)
        if missing or profiles:
            said = [f"The genome lacks {', '.join(missing)}."] if missing else []
            said += [
                f"The profile “{problem['pointer'][1:]}” is required here and missing at {problem['pointer']}."
                for problem in profiles
            ]
            draft = version.state == VersionState.DRAFT
            page = reverse(f"registry:version_{'genome' if draft else 'move'}", args=[version.typeid])
            mend = page if draft else f"{page}?to={VersionState.DRAFT}"
            right = Right.CREATE_VERSION if draft else Right.SUBMIT_VERSION
            return Verdict(self.name, False, " ".join(said), mend, right.value)
        return Verdict(self.name, True, "Every required member of the genome is there.")


def strict(version: AgentVersion, environment: Environment) -> str:
    """Why an environment takes only approved versions here, as it reads on after its name; nothing where it takes less."""
    if environment.production:
        return "is production"
    if environment.risk_default in (Risk.HIGH, Risk.CRITICAL):
        return f"is of {environment.risk_default} risk"
    if version.template.risk in (Risk.HIGH, Risk.CRITICAL):
        return f"holds a template of {version.template.risk} risk"
    return ""


def version_fits(version: AgentVersion, environment: Environment) -> tuple[bool, str]:
    """Whether a version in its state may run in the environment, and the sentence that says why."""
    state = VersionState(version.state)
    if version.rolled_back:
        return False, f"{version} was rolled back and runs nowhere anew."
    why = strict(version, environment)
    if why and state is not VersionState.APPROVED:
        return False, f"{version} is {state.label}; {environment} {why}, which takes approved versions only."
    if state not in RUNNABLE:
        return False, f"{version} is {state.label} and may not run."
    return True, f"{version} is {state.label}, which {environment} takes."


class VersionMayRun:
    """Before Active: the instance's version is approved, or the environment takes less. What has worked on a deprecated
    version may again, and a slot that still binds it is filled up until its due date."""

    name = "version may run"

    def check(self, instance: AgentInstance) -> Verdict:
        version = instance.version
        fits, said = version_fits(version, instance.environment)
        if version.state == VersionState.DEPRECATED and not version.rolled_back:
            refused = "" if instance.has_worked() else version.why_nothing_new(instance.slot)
            fits, said = not refused, refused or f"{version} is Deprecated; what is there of it may work."
        return Verdict(self.name, fits, said, "" if fits else version.get_absolute_url())


class TelemetrySeen:
    """Before Active: at least one linked event has arrived, so that its work will be seen."""

    name = "telemetry linked"

    def check(self, instance: AgentInstance) -> Verdict:
        if instance.status.telemetry_at is None:
            mend = reverse("registry:instance_token", args=[instance.typeid])
            said = "No linked telemetry of it has arrived yet."
            return Verdict(self.name, False, said, mend, Right.MANAGE_KEYS.value)
        said = f"Its last event came on {instance.status.telemetry_at:%Y-%m-%d %H:%M}."
        return Verdict(self.name, True, said)


class NoWorkInFlight:
    """Before a draining instance is retired: it has been silent for a minute, and nobody knows of work that it has begun
    and not ended."""

    name = "no work in flight"

    def check(self, instance: AgentInstance) -> Verdict:
        if instance.state != InstanceState.DRAINING:
            return Verdict(self.name, True, "Asked of draining instances only.", applies=False)
        last, said = instance.status.telemetry_at, []
        if last is not None and clock.now() - last < QUIET:
            said.append(f"Its last event came at {last:%H:%M:%S}; it may still be at work.")
        if begun := begun_by(instance):
            counts = " and ".join(f"{count} {name}" for name, count in begun.items())
            said.append(f"It has {counts} in flight.")
        if said:
            return Verdict(self.name, False, " ".join(said))
        return Verdict(self.name, True, "No event has come for a minute, and no work is in flight.")


class VersionMayBeBound:
    """Before a binding: what would run there may run there."""

    name = "version may run"

    def check(self, slot: DeploymentSlot, version: AgentVersion) -> Verdict:
        fits, said = version_fits(version, slot.environment)
        return Verdict(self.name, fits, said, "" if fits else version.get_absolute_url())


CHANNEL_ORDER, EVIDENCE_VERIFIED = "channel order", "evidence verified"
EXCEPTED = (CHANNEL_ORDER,)
"""The gates of a binding that an exception may stand in for (registry.models.ReleaseException)."""
