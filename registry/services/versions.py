"""Versions: create, import, give another genome while a draft, and move through the lifecycle."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils.text import slugify

from arm import changes, clock, crypto, ids
from arm.errors import Conflict, Invalid, Problem
from arm.models import Tenant, User
from arm.permissions import require, visible
from arm.rights import Right

from .. import gates, parsing
from .. import genome as genomes
from ..gates.approving import as_counted
from ..gates.compatibility import breaking, drift_from, standard_of
from ..genome import Json
from ..lifecycle import VersionState, version_moves
from ..models import AgentTemplate, AgentVersion
from .approving import give_last, separation
from .asking import Duplicate, require_on_any, require_reason, require_same_tenant
from .card_keys import check_signatures
from .genomes import digests_of, list_dependencies, store_genome
from .lifecycles import carry_out
from .lineage import link_parents, one_at_a_time
from .locking import hold_agent, hold_with_agent, locked
from .news import tell
from .templates import register_template

SLUG_STEM: Final = 72
"""Characters of a short name before the number that tells it from another's."""


@dataclass(frozen=True, slots=True)
class ImportedVersion:
    """What an import made, and what the reader should know about it."""

    version: AgentVersion
    new_template: bool
    notes: tuple[str, ...] = ()


@transaction.atomic
def create_version(
    *,
    template: AgentTemplate,
    genome: dict[str, Json],
    actor: User,
    reason: str,
    label: str = "",
    description: str = "",
    parents: Sequence[AgentVersion] = (),
) -> AgentVersion:
    """A new Draft. The genome may lack required members (they are listed), but nothing in it may be wrong.

    Duplicate, with the version that is there, when the template has one with the same digest.
    """
    require(actor, Right.CREATE_VERSION, template)
    require_reason(reason)
    require_same_tenant(template=template, **{f"parents/{n}": parent for n, parent in enumerate(parents)})
    template = hold_agent(template)
    stored = store_genome(template, genome, actor)
    same = AgentVersion.objects.filter(template=template, genome__digest__in=digests_of(genome, template))
    if held := same.order_by("number").first():
        raise Duplicate(f"{held} has exactly this genome.", held)
    last = AgentVersion.objects.filter(template=template).aggregate(last=Max("number"))["last"] or 0
    version = AgentVersion.objects.create(
        tenant_id=template.tenant_id,
        template=template,
        number=last + 1,
        label=label,
        description=description,
        genome=stored,
        created_by=actor,
    )
    link_parents(version, parents)
    list_dependencies(version)
    after = {
        "number": version.number,
        "label": label,
        "genome": stored.digest,
        "missing": stored.missing,
        "parents": [parent.typeid for parent in parents],
    }
    tell(changes.record(actor, "registry.version.created", version, after=after, reason=reason), version)
    return version


@transaction.atomic
def save_genome(*, version: AgentVersion, genome: dict[str, Json], actor: User, reason: str) -> AgentVersion:
    """Give a Draft another genome. A Draft that has been tested before keeps its genome: a new version is made."""
    require(actor, Right.CREATE_VERSION, version)
    require_reason(reason)
    if version.submitted_by_id is not None:
        one_at_a_time(version)  # the new version comes from it
    version = hold_with_agent(version)
    if version.state != VersionState.DRAFT:
        raise Conflict(
            f"{version} is {version.get_state_display()}; its genome is fixed. Create a version from it instead."
        )
    if version.submitted_by_id is not None:
        return create_version(
            template=version.template, genome=genome, actor=actor, reason=reason, parents=[version]
        )
    stored = store_genome(version.template, genome, actor)
    if stored.pk == version.genome_id:
        return version
    others = AgentVersion.objects.filter(template=version.template_id, genome=stored)
    if held := others.order_by("number").first():
        raise Duplicate(f"{held} has exactly this genome.", held)
    before = {"genome": version.genome.digest, "missing": version.genome.missing}
    version.genome, version.repeats = stored, False
    version.save(update_fields=["genome", "repeats"])
    list_dependencies(version)
    after = {"genome": stored.digest, "missing": stored.missing}
    record = changes.record(
        actor, "registry.version.repointed", version, before=before, after=after, reason=reason
    )
    tell(record, version)
    return version


@transaction.atomic
def import_genome(
    *,
    tenant: Tenant,
    data: bytes,
    media_type: str,
    actor: User,
    reason: str,
    template: AgentTemplate | None = None,
    name: str = "",
    label: str = "",
) -> ImportedVersion:
    """A Draft out of a JSON or YAML genome: for `template`, for the one that the file names, or for a new agent
    called `name`."""
    document = genomes.read(data, media_type=media_type).document
    made = False
    named: tuple[str, ...] = ()
    if template is None and document.get("template"):
        template = _named_template(tenant, document["template"], actor)
    if template is None:
        if not name.strip():
            message = "The file names no template: choose one, or name the new agent."
            nobody = ids.encode("tpl", ids.uuid7())
            wrong = [
                p for p in genomes.wrong({**document, "template": nobody}) if p["pointer"] != "/template"
            ]
            raise Invalid(
                "The genome is not imported.",
                [Problem(pointer="/name", code="required", message=message), *wrong],
            )
        template, made, named = template_called(tenant, name.strip(), "", actor, reason)
    version = create_version(template=template, genome=document, actor=actor, reason=reason, label=label)
    missing = version.genome.missing
    notes = (f"Still missing before it can be tested: {', '.join(missing)}.",) if missing else ()
    return ImportedVersion(version, made, (*named, *notes, *required_here(version)))


def required_here(version: AgentVersion) -> tuple[str, ...]:
    """A note for each profile that this tenant requires and the imported genome lacks."""
    return tuple(
        f"Your organisation requires the profile “{problem['pointer'][1:]}”; it is missing at {problem['pointer']}."
        for problem in gates.missing_profiles(version)
    )


@transaction.atomic
def import_agent_card(
    *, tenant: Tenant, data: bytes, actor: User, reason: str, template: AgentTemplate | None = None
) -> ImportedVersion:
    """A Draft out of an A2A agent card, for `template` or for an agent of the card's name. Invalid names every
    wrong member of the card, and a signature that does not hold by the keys at an address that this tenant has listed;
    what other addresses sign is noted as not verified. Unavailable where a listed one does not answer."""
    card = parsing.read_a2a_card(data)
    if card.problems:
        raise Invalid("The agent card is not imported.", card.problems)
    scope = template or _held(tenant, card.name, actor) or tenant
    require_on_any(actor, Right.CREATE_VERSION, scope)  # before somebody else is called
    signed, said = check_signatures(tenant, data)
    made = False
    named: tuple[str, ...] = ()
    if template is None:
        template, made, named = template_called(tenant, card.name, card.description, actor, reason)
    version = create_version(
        template=template,
        genome=card.genome_draft,
        actor=actor,
        reason=reason,
        label=card.version_label,
        description=card.description,
    )
    if signed:
        after = {
            "signatures": [{"kid": one.kid, "jku": one.url} for one in signed],
            "card": crypto.digest(data),
        }
        changes.record(actor, "registry.version.card_verified", version, after=after, reason=reason)
    return ImportedVersion(version, made, (*named, *card.notes, *said, *required_here(version)))


@transaction.atomic
def move_version(
    *, version: AgentVersion, to: VersionState, actor: User, reason: str, acknowledged: str = ""
) -> AgentVersion:
    """Move a version along its lifecycle. GateRefused names everything that is missing at once. `acknowledged`: why
    it may become a candidate although it breaks what callers or tools of the approved version rely on."""
    version = _locked(version)
    moves = version_moves(version.state)
    require(actor, moves.get(to, Right.SUBMIT_VERSION), version)
    require_reason(reason)
    if to not in moves:
        ways = ", ".join(state.label for state in moves) or "nothing else"
        raise Conflict(f"{version} is {version.get_state_display()}; from there it can become {ways}.")
    facts = separation(version, actor) if to is VersionState.APPROVED else {}
    if to is VersionState.APPROVED:
        give_last(version, actor, reason)
    if to is VersionState.CANDIDATE:
        facts |= _accepted(version, actor, acknowledged)
    verdicts = gates.for_promotion(version, to)
    gates.refuse_unless_passed(verdicts, f"{version} is not ready to be {to.label}")
    passed = [{"gate": verdict.gate, "reason": verdict.reason} for verdict in verdicts]
    if to is VersionState.APPROVED:
        facts |= as_counted(version)
    return carry_out(version, to, actor, reason, gates=passed, **facts)


def _accepted(version: AgentVersion, actor: User, acknowledged: str) -> dict[str, Any]:
    """Keep with the version what breaks and why that is accepted, for the gate and for whoever approves it."""
    standard = standard_of(version)
    broken = breaking(drift_from(standard, version))
    if not broken or not acknowledged.strip():
        return {}
    version.accepted = {
        "why": acknowledged.strip(),
        "by": str(actor),
        "at": clock.exactly(clock.now()),
        "against": [one.typeid for one in standard],
        "differences": broken,
    }
    version.save(update_fields=["accepted"])
    return {"breaking": broken, "acknowledged": acknowledged.strip()}


def _locked(version: AgentVersion) -> AgentVersion:
    """The row as it is now, for this transaction alone."""
    return locked(AgentVersion.objects.select_related("template", "genome"), version.pk)


def _named_template(tenant: Tenant, typeid: Json, actor: User) -> AgentTemplate:
    template = template_of(tenant, str(typeid), actor)
    if template is None:
        message = "There is no such template here; choose one, or take this member out of the file."
        raise Invalid(message, [Problem(pointer="/template", code="template", message=message)])
    return template


def template_of(tenant: Tenant, typeid: str, actor: User) -> AgentTemplate | None:
    """The agent of this identifier; None where there is none, and alike where it is not the actor's to see."""
    try:
        pk = ids.decode("tpl", typeid)
    except ValueError:
        return None
    return _known(AgentTemplate.objects.filter(tenant=tenant, pk=pk), actor).first()


def _known(rows: QuerySet[AgentTemplate], actor: User) -> QuerySet[AgentTemplate]:
    """Those that the actor may see, or make versions of."""
    return visible(rows, actor, Right.READ_DIRECTORY) | visible(rows, actor, Right.CREATE_VERSION)


def template_called(
    tenant: Tenant, name: str, description: str, actor: User, reason: str
) -> tuple[AgentTemplate, bool, tuple[str, ...]]:
    """The agent of this name, registered if it is not there yet: a file imported twice, or twice at once, is one agent.
    Whether it was, and a note where another agent has the short name that it would have had."""
    held = _held(tenant, name, actor)
    if held is None:
        require(actor, Right.CREATE_VERSION, tenant)
        Tenant.objects.select_for_update().get(pk=tenant.pk)  # names are given one at a time
        held = _held(tenant, name, actor)
    if held is not None:
        return held, False, ()
    slug, free = _slug(name), _free_slug(tenant, name)
    made = register_template(
        tenant=tenant, slug=free, name=name[:200], description=description, actor=actor, reason=reason
    )
    note = f"Another agent has the short name “{slug}”, so the new one has “{free}”."
    return made, True, () if free == slug else (note,)


def _held(tenant: Tenant, name: str, actor: User) -> AgentTemplate | None:
    """That of this very name which the actor knows: many names have one short name, and a version goes to no agent by that
    alone."""
    slug = _slug(name)
    ours = rf"^({slug}|{slug[:SLUG_STEM].strip('-')}-[0-9]+)$"
    rows = AgentTemplate.objects.filter(tenant=tenant, name__in=[name[:200], name[:200].strip()])
    return _known(rows.filter(slug__regex=ours), actor).order_by("pk").first()


def _free_slug(tenant: Tenant, name: str) -> str:
    slug = _slug(name)
    stem = slug[:SLUG_STEM].strip("-")
    rows = AgentTemplate.objects.filter(tenant=tenant, slug__startswith=stem)
    taken = set(rows.values_list("slug", flat=True))
    if slug not in taken:
        return slug
    return next(free for n in count(2) if (free := f"{stem}-{n}") not in taken)


def _slug(name: str) -> str:
    return slugify(name)[:80].strip("-") or "agent"
