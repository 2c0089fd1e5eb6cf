"""Instances that start others: as far as the genomes above allow it, with what each child has from its parent."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from arm import changes
from arm.errors import Conflict, Problem
from arm.models import User
from arm.permissions import require
from arm.rights import Right

from ..facts import Budget, allowances
from ..gates.open_places import why_not_at
from ..gates.placed import why_no_child
from ..gates.spawning import refusals
from ..lifecycle import InstanceState
from ..models import AgentInstance, AgentVersion, Environment, Provider, RoleDefinition, SpawnTerm
from ..queries import line_above, started_lately
from .asking import refuse_all, require_on_any, require_reason, require_same_tenant
from .locking import locked
from .placing import place_instance, tell_placed, wrong_labels

DEEPEST = 32
"""However much the genomes allow."""


class SpawnRefused(Conflict):
    """`errors` names everything that stands in the way, each with a pointer into the request."""

    code = "spawn_refused"


@transaction.atomic
def spawn_instance(
    *,
    parent: AgentInstance,
    version: AgentVersion,
    name: str,
    actor: User | None,
    reason: str,
    environment: Environment | None = None,
    provider: Provider | None = None,
    cost_center: str = "",
    labels: Mapping[str, str] | None = None,
    budget: Budget | None = None,
    role: RoleDefinition | None = None,
) -> AgentInstance:
    """A child of `parent` in Provisioning, asked for by a person, or by the parent itself (`actor` None).

    What is not given is inherited; the role only by a child of the same agent, where the genomes above let a child have it.
    Only a person grants a child another place, cost centre or role than its parent's, or a `budget` of its own, which is at
    most what the parent has left today; without one it draws on its parent's. A role takes the right to promote there, as
    assigning it does.
    SpawnRefused names at once all that the genomes above, the parent's state, the version or the channels leave no room
    for: nobody brings a version to production by starting it (ADR 64).
    """
    if actor is not None:
        require(actor, Right.PROVISION_INSTANCE, parent)  # whose number of children it uses up
        require_on_any(
            actor,
            Right.PROVISION_INSTANCE,
            version.template,
            environment or parent.environment,
            provider or parent.provider,
        )
    if actor is not None and role is not None:
        require(actor, Right.PROMOTE_RELEASE, environment or parent.environment)
    require_reason(reason)
    refuse_all(wrong_labels(labels))
    require_same_tenant(parent=parent, version=version, environment=environment, provider=provider, role=role)
    rows = AgentInstance.objects.select_related(
        "version__genome", "version__template", "template", "environment", "provider", "role"
    )
    parent = locked(rows, parent.pk)
    line = line_above(parent)
    role_given = role
    if role is None and version.template_id == parent.template_id and parent.role is not None:
        role = None if why_no_role(line, parent.role) else parent.role
    problems = _in_the_way(line, version, role)
    problems += [_problem("", *said) for said in refusals(parent, role, itself=actor is None)]
    if actor is None:
        granted = {
            "environment": environment,
            "provider": provider,
            "cost_center": cost_center,
            "budget": budget,
            "role": role_given,
        }
        problems += [
            _problem(f"/{word}", "granted", "An instance hands on what it has; a person grants another.")
            for word, value in granted.items()
            if value
        ]
    elif budget is not None:
        problems += allowances().refusals(parent, budget, actor)
    if refused := why_no_child(parent, version, environment or parent.environment):
        problems.append(_problem("/version", "released", refused))
    if refused := why_not_at(provider or parent.provider):
        problems.append(_problem("/provider", "closed", refused))
    if problems:
        said = " ".join(problem["message"] for problem in problems)
        raise SpawnRefused(f"{parent} starts no {version.template}: {said}", errors=problems)
    child = place_instance(
        version=version,
        environment=environment or parent.environment,
        provider=provider or parent.provider,
        name=name,
        role=role,
        cost_center=cost_center or parent.cost_center or parent.template.cost_center,
        labels=labels,
        parent=parent,
    )
    if budget is not None and actor is not None:
        allowances().grant(child, parent, budget, actor, reason)
    given = {
        "environment": environment,
        "provider": provider,
        "cost_center": cost_center,
        "budget": budget,
        "role": role_given,
    }
    terms = _terms(parent, child, given)
    SpawnTerm.objects.bulk_create(terms)
    after = {
        "parent": parent.typeid,
        "version": version.typeid,
        "depth": child.depth,
        "state": child.state,
        "asked_by": "" if actor else parent.typeid,
        "terms": {term.kind: {"origin": term.origin, "value": term.value} for term in terms},
    }
    record = changes.record(actor, "registry.instance.spawned", child, after=after, reason=reason)
    tell_placed(record, child, actor, reason)
    return child


def _in_the_way(
    line: Sequence[AgentInstance], version: AgentVersion, role: RoleDefinition | None
) -> list[Problem]:
    """`line`: the parent, and everybody above it."""
    parent, found = line[0], []
    if parent.state != InstanceState.ACTIVE:
        said = f"{parent} is {parent.get_state_display()}; only an active instance starts others."
        found.append(_problem("", "parent_state", said))
    if version.ending:
        said = f"{version} is {version.why_ending}; nothing new is provisioned from it."
        found.append(_problem("/version", "version_state", said))
    if not parent.version.intact:
        found.append(
            _problem("", "tampered", f"The stored genome of {parent.version} is not what was sealed.")
        )
    spawn = _spawn(parent)
    if spawn.get("allowed") is not True:
        found.append(
            _problem("", "not_allowed", f"The genome of {parent.version} does not let it start others.")
        )
    else:
        found += _beyond(line, version, role, spawn)
    return found


def _beyond(
    line: Sequence[AgentInstance], version: AgentVersion, role: RoleDefinition | None, spawn: dict[str, Any]
) -> list[Problem]:
    """What the numbers and names of the genomes above leave no room for."""
    parent, found = line[0], []
    # without a list an agent starts copies of itself only: what is not named is not allowed
    listed = spawn.get("child_templates") or [parent.template.typeid]
    if version.template.typeid not in listed:
        said = f"{version.template} is none of the agents that {parent.version} may start."
        found.append(_problem("/version", "template", said))
    if role is not None and (said := why_no_role(line, role)):
        found.append(_problem("/role", "role", said))
    most = spawn.get("max_children")
    if most is not None and (living := parent.children.exclude(state=InstanceState.RETIRED).count()) >= most:
        said = f"{parent} has {living} living children, and its genome allows {most}."
        found.append(_problem("", "children", said))
    hourly = spawn.get("max_per_hour")
    if hourly is not None and (started := started_lately([parent.pk]).get(parent.pk, 0)) >= hourly:
        said = f"{parent} started {started} in the last hour, and its genome allows {hourly}."
        found.append(_problem("", "rate", said))
    if parent.depth >= DEEPEST:
        found.append(_problem("", "depth", f"No instance stands more than {DEEPEST} below another."))
    for far, above in enumerate(line, 1):
        deepest = _spawn(above).get("max_depth")
        if deepest is not None and far > deepest:
            said = f"The genome of {above} allows {deepest} generations below it; this would be number {far}."
            found.append(_problem("", "depth", said))
    return found


def why_no_role(line: Sequence[AgentInstance], role: RoleDefinition) -> str:
    """Why none below these instances has the role, as a sentence: the genome of each names those that it lets them have.
    Nothing where they let it."""
    for above in line:
        let = _spawn(above).get("child_roles")
        if let is not None and role.slug not in let:
            named = " or ".join(let) or "without a role"
            return f"What {above} starts may be {named} by its genome, not {role.slug}."
    return ""


def _spawn(instance: AgentInstance) -> dict[str, Any]:
    held: dict[str, Any] = instance.version.genome.document().get("spawn") or {}
    return held


def _problem(pointer: str, code: str, message: str) -> Problem:
    return Problem(pointer=pointer, code=code, message=message)


def _terms(parent: AgentInstance, child: AgentInstance, given: Mapping[str, object]) -> list[SpawnTerm]:
    """What the child works under, and whether that is its parent's or was given to it."""
    kinds, origins = SpawnTerm.Kind, SpawnTerm.Origin

    def term(kind: SpawnTerm.Kind, value: str, granted: object) -> SpawnTerm:
        origin = origins.GRANTED if granted else origins.INHERITED
        return SpawnTerm(
            tenant_id=child.tenant_id, instance=child, kind=kind, origin=origin, value=value[:200]
        )

    moved = bool(given["environment"] or given["provider"])
    other_agent = child.template_id != parent.template_id
    agent = child.version.template if other_agent else parent.template
    spent = str(given["budget"] or "") or allowances().drawn_from(child)
    own = child.version.genome.document().get("limits", {}).get("budget")
    budget = own or parent.version.genome.document().get("limits", {}).get("budget")
    words = f"{budget['amount']} {budget['currency']} per {budget['per']}" if budget else ""
    policy = f"What binds {agent} in {child.environment} at {child.provider}, and what binds {parent}"
    return [
        term(kinds.ENVIRONMENT, child.environment.slug, given["environment"]),
        term(kinds.PROVIDER, child.provider.slug, given["provider"]),
        term(kinds.COST_CENTER, child.cost_center, given["cost_center"]),
        term(kinds.ROLE, child.role.slug if child.role else "", given["role"]),
        term(kinds.POLICY, policy, moved or other_agent),
        term(
            kinds.BUDGET,
            "; ".join(filter(None, (spent, words))) or f"Caps of cost centre {child.cost_center or 'none'}",
            given["budget"] or own,
        ),
    ]
