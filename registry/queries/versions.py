"""A version as its page shows it: genome in words, next steps, differences, lineage, what runs it."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q

from arm import ids
from arm.errors import Problem
from arm.models import ChangeRecord, User
from arm.permissions import held_on, visible
from arm.queries import single_handed
from arm.rights import Right

from .. import gates, genome
from ..diagrams import Diagram, layout
from ..genome import Change, Flag, Json, Operation, Summary
from ..lifecycle import VERSION_MOVES, Phase, VersionState, version_moves, version_track
from ..models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    DeploymentSlot,
    DirectoryRules,
    IntegrityFinding,
    Prompt,
)
from .related import SHOWN, changes_of, owners, with_staleness


@dataclass(frozen=True, slots=True)
class Step:
    """A move that the lifecycle knows from here: may this person make it, and what is in the way?"""

    to: str
    label: str
    allowed: bool
    verdicts: tuple[gates.Verdict, ...] = ()
    kind: str = ""
    right: str = ""
    verb: str = ""

    @property
    def missing(self) -> tuple[gates.Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if not verdict.passed)

    @property
    def ready(self) -> bool:
        return self.allowed and not self.missing


@dataclass(frozen=True, slots=True)
class GenomeView:
    """A genome in words. Empty parts where the stored bytes are no longer a genome."""

    document: dict[str, Json]
    summary: Summary | None
    flags: tuple[Flag, ...]
    tools: tuple[dict[str, Json], ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a version differs from another one."""

    other: AgentVersion
    changes: tuple[Change, ...]
    patch: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class VersionPage:
    genome: GenomeView
    unkept: tuple[tuple[Problem, str], ...]
    profiles: tuple[tuple[str, str, str], ...]
    steps: tuple[Step, ...]
    track: tuple[dict[str, str], ...]
    diagram: Diagram
    comparison: Comparison | None
    parents: tuple[AgentVersion, ...]
    children: tuple[AgentVersion, ...]
    instances: tuple[tuple[AgentInstance, bool], ...]
    instance_count: int
    slots: tuple[DeploymentSlot, ...]
    still_bound: tuple[DeploymentSlot, ...]
    owners: tuple[User, ...]
    changes: tuple[ChangeRecord, ...]
    rights: frozenset[Right]

    @property
    def forward(self) -> Step | None:
        """The step that leads on; none from where a version has arrived."""
        towards = {item["label"] for item in self.track if item["phase"] == Phase.NEXT}
        return next((step for step in self.steps if step.label in towards), None)

    @property
    def sideways(self) -> tuple[Step, ...]:
        """Every other move that this person may make."""
        return tuple(step for step in self.steps if step.allowed and step != self.forward)


def genome_view(document: dict[str, Json]) -> GenomeView:
    """A document in words. What is wrong by today's schema (tampered, or of an older one) is shown raw only."""
    if genome.wrong(document):
        return GenomeView(document, None, (), ())
    return GenomeView(
        document=document,
        summary=genome.summary(document),
        flags=tuple(genome.risk_flags(document)),
        tools=tuple(document.get("tools", ())),
    )


def stored_document(version: AgentVersion) -> dict[str, Json]:
    """The genome's bytes as JSON; nothing where they are none any more."""
    return version.genome.document()


def tampered_among(genomes: Collection[UUID]) -> frozenset[UUID]:
    """Which of these genomes were found not to match their digest, and not seen to match since."""
    found = IntegrityFinding.objects.filter(genome__in=genomes, restored_at=None)
    return frozenset(found.values_list("genome_id", flat=True))


def compare(version: AgentVersion, document: dict[str, Json], other: AgentVersion) -> Comparison | None:
    """Field by field against another version; None where one of the two cannot be read."""
    before = stored_document(other)
    if not before or not document or genome.wrong(before) or genome.wrong(document):
        return None
    return Comparison(other, tuple(genome.diff(before, document)), tuple(genome.patch(before, document)))


def comparable(version: AgentVersion, text: str, actor: User) -> tuple[AgentVersion, ...]:
    """Versions that the actor may see and that `text` names: by identifier, digest, label or the agent's name; without
    a text the latest of the same agent."""
    rows = visible(AgentVersion.objects.for_list(), actor, Right.READ_DIRECTORY).exclude(pk=version.pk)
    text = text.strip()
    if not text:
        return tuple(rows.filter(template=version.template_id).order_by("-number")[:SHOWN])
    wanted = Q(
        template__in=AgentTemplate.objects.filter(Q(name__icontains=text) | Q(slug__icontains=text)).values(
            "pk"
        )
    )
    wanted |= Q(label__icontains=text)
    if text.startswith("ver_"):
        try:
            wanted = Q(pk=ids.decode("ver", text))
        except ValueError:
            return ()
    elif text.startswith("sha256:"):
        wanted = Q(genome__digest__startswith=text)
    return tuple(rows.filter(wanted)[: 2 * SHOWN])


def predecessor(version: AgentVersion) -> AgentVersion | None:
    """What to compare with unless told otherwise: the first parent, else the version numbered before."""
    versions = AgentVersion.objects.select_related("template", "genome")
    parent = versions.filter(children__version=version).order_by("pk").first()
    if parent is not None:
        return parent
    return (
        versions.filter(template=version.template_id, number__lt=version.number).order_by("-number").first()
    )


def version_page(version: AgentVersion, document: dict[str, Json], actor: User) -> VersionPage:
    """Everything about a version that `actor`, who may see it, may see."""
    rights = held_on(actor, version)
    steps = _version_steps(version, rights, actor)
    related = AgentVersion.objects.select_related("template")
    running = visible(AgentInstance.objects.for_list().filter(version=version), actor, Right.READ_DIRECTORY)
    bound = DeploymentSlot.objects.filter(Q(current_version=version) | Q(previous_version=version))
    other = predecessor(version)
    view = genome_view(document)
    return VersionPage(
        genome=view,
        unkept=tuple(Prompt.objects.lacking(version.tenant_id, document)) if view.summary else (),
        profiles=_profiles(version, document),
        steps=steps,
        track=_track(version, steps),
        diagram=_diagram(version),
        comparison=compare(version, document, other) if other else None,
        parents=tuple(visible(related.filter(children__version=version), actor, Right.READ_DIRECTORY)),
        children=tuple(visible(related.filter(parents__parent=version), actor, Right.READ_DIRECTORY)[:SHOWN]),
        instances=with_staleness(running[:SHOWN]),
        instance_count=running.count(),
        slots=tuple(
            visible(bound, actor, Right.READ_DIRECTORY).select_related("environment", "role", "provider")[
                :SHOWN
            ]
        ),
        still_bound=_still_bound(version, actor),
        owners=owners(version.template),
        changes=changes_of(version, rights),
        rights=rights,
    )


def _profiles(version: AgentVersion, document: dict[str, Json]) -> tuple[tuple[str, str, str], ...]:
    """(profile, look of its pill, word): whether it is there, and whether the tenant requires it."""
    wanted = DirectoryRules.objects.profiles_of(version.tenant_id)
    held = genome.prune(document)
    found = []
    for name in genome.PROFILES:
        required, words = ", required" if name in wanted else "", name.replace("_", " ")
        if name in held:
            found.append((name, "passed", f"{words}{required}"))
        else:
            found.append((name, "missing" if required else "disabled", f"{words}{required or ', absent'}"))
    return tuple(found)


def version_steps(version: AgentVersion, actor: User) -> tuple[Step, ...]:
    """Every move from here, with what is in its way."""
    return _version_steps(version, held_on(actor, version), actor)


def _version_steps(version: AgentVersion, rights: frozenset[Right], actor: User) -> tuple[Step, ...]:
    return tuple(
        Step(
            to.value,
            to.label,
            right in rights,
            (*gates.for_promotion(version, to), *_somebody_else(version, to, actor)),
            right=right.value,
            verb=_verb(version.state, to),
        )
        for to, right in version_moves(version.state).items()
    )


def _verb(state: str, to: VersionState) -> str:
    if to is VersionState.RETIRED and state != VersionState.DEPRECATED:
        return "Withdraw"
    if to is VersionState.DEPRECATED:
        return "Deprecate"
    order = list(VersionState)
    back = order.index(to) < order.index(VersionState(state))
    return f"Back to {to.label}" if back else f"Move to {to.label}"


def _somebody_else(version: AgentVersion, to: VersionState, actor: User) -> list[gates.Verdict]:
    """What `services.move_version` asks of who moves it, said before they try."""
    if to is not VersionState.APPROVED:
        return []
    took_part = actor.pk in (version.created_by_id, version.submitted_by_id)
    if not took_part:
        return [gates.Verdict("another person", True, "You neither built nor submitted it.")]
    if single_handed(version.tenant_id):
        return [gates.Verdict("another person", True, "You work here alone; the record will say so.")]
    return [gates.Verdict("another person", False, "You built or submitted it; somebody else approves it.")]


def _track(version: AgentVersion, steps: tuple[Step, ...]) -> tuple[dict[str, str], ...]:
    """The lifecycle as `{% track %}` draws it; the next step says how much is missing and links to it."""
    left = ""
    if version.state == VersionState.RETIRED:
        moved = ChangeRecord.objects.about(version).filter(verb="registry.version.moved").first()
        left = moved.before["state"] if moved else ""
    missing = {step.to: len(step.missing) for step in steps}

    def note(state: VersionState, phase: Phase) -> str:
        if phase is not Phase.NEXT:
            return ""
        return f"{missing[state]} missing" if missing[state] else "nothing is missing"

    return tuple(
        {
            "label": state.label,
            "phase": phase.value,
            "note": note(state, phase),
            "url": "#missing" if phase is Phase.NEXT else "",
        }
        for state, phase in version_track(version.state, left)
    )


def _still_bound(version: AgentVersion, actor: User) -> tuple[DeploymentSlot, ...]:
    """Of a version that ends: the slots that have to be rebound."""
    if not version.ending:
        return ()
    rows = DeploymentSlot.objects.filter(current_version=version).select_related(
        "environment", "role", "provider", "current_version__template", "previous_version__template"
    )
    return tuple(visible(rows, actor, Right.READ_DIRECTORY)[:SHOWN])


def _diagram(version: AgentVersion) -> Diagram:
    done = [state.value for state, phase in version_track(version.state) if phase is Phase.DONE]
    moves = {state.value: [to.value for to in ways] for state, ways in VERSION_MOVES.items()}
    return layout(VersionState.choices, moves, version.state, done)


def version_targets(version: AgentVersion) -> tuple[VersionState, ...]:
    """Where the lifecycle lets a version go from here."""
    return tuple(version_moves(version.state))
