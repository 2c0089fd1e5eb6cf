"""Changes of an environment: what it is called, what it takes, and its place in the order that versions climb."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from django.db import transaction

from arm import changes, tasks
from arm.errors import Conflict, Invalid, Problem
from arm.models import Tenant, User
from arm.permissions import require
from arm.rights import Right, Risk
from arm.words import counted

from ..engine import moved_to, other_rules
from ..models import Environment
from ..queries import channels_of, seen_among, seen_rollouts, slugs_for
from .asking import refuse, require_reason
from .meanwhile import refuse_changed

MEMBERS: Final = frozenset(
    ["name", "production", "risk_default", "retention_days", "aggregate_days", "cost_tags", "position"]
)
STRICT: Final = frozenset(["production", "risk_default"])
"""What a rollout that runs has been judged by."""
DAYS: Final = 3650


@transaction.atomic
def update_environment(
    *,
    environment: Environment,
    actor: User,
    reason: str,
    order: Sequence[str] = (),
    opened: Mapping[str, Any] | None = None,
    **values: Any,
) -> Environment:
    """Change an environment; its slug stays. `position` is its place in the channel order from 1, and the others close up:
    that takes the right on the tenant, since it changes whose version may come where. The record has before and after.

    `order`: the slugs in the order that a preview was of. Conflict where it is another one by now, and, by name, where
    a rollout runs or is paused that asks the rule which would change. Slots keep what they are bound to.

    `opened`: what the editor saw when they began (`as_it_is`). ChangedMeanwhile says what is another by now.
    """
    require(actor, Right.MANAGE_DIRECTORY, environment)
    require_reason(reason)
    _judged(values)
    # One at a time: places are unique. No key of it changes: what refers to the tenant meanwhile does not wait for this,
    # nor this for a rollout that holds its environment and writes rows of the tenant.
    Tenant.objects.select_for_update(no_key=True).get(pk=environment.tenant_id)
    held = list(
        Environment.objects.select_for_update(no_key=True).filter(tenant=environment.tenant_id).order_by("pk")
    )
    environment = next(one for one in held if one.pk == environment.pk)
    places = channels_of(environment.tenant_id)
    slugs = [one.slug for one in places]
    place = places.index(environment) + 1
    refuse_changed(opened, as_it_is(environment, place))
    shown = slugs_for(places, seen_among(places, actor)) if order else ()
    if order and tuple(order) != shown:
        raise Conflict(f"The channels are in another order by now: {', '.join(shown)}. Look again.")
    moved = values.get("position", place) != place
    then, touched = places, set()
    if moved:
        require(actor, Right.MANAGE_DIRECTORY, environment.tenant)
        then = _moved(places, environment, values["position"])
        touched = {one for one, _, _ in other_rules(places, then)}
    changed = {
        name: value
        for name, value in values.items()
        if name != "position" and getattr(environment, name) != value
    }
    if STRICT & changed.keys():
        touched.add(environment)
    if not changed and not moved:
        return environment
    _refuse_running(touched, actor)
    before = {name: getattr(environment, name) for name in changed}
    for name, value in changed.items():
        setattr(environment, name, value)
    environment.save(update_fields=list(changed))
    after = dict(changed)
    if moved:
        before |= {"position": place, "order": slugs}
        after |= {"position": then.index(environment) + 1, "order": [one.slug for one in then]}
        _number(then)
    environment.refresh_from_db()
    record = changes.record(
        actor, "registry.environment.updated", environment, before=before, after=after, reason=reason
    )
    tasks.announce(
        record.verb,
        tenant_id=environment.tenant_id,
        environment_id=str(environment.pk),
        change_id=str(record.pk),
    )
    return environment


def _number(order: Sequence[Environment]) -> None:
    """Places from 1; their uniqueness is asked at the end of the transaction."""
    for number, one in enumerate(order, 1):
        if one.position != number:
            Environment.objects.filter(pk=one.pk).update(position=number)


def _moved(places: list[Environment], environment: Environment, place: int) -> list[Environment]:
    try:
        return moved_to(places, environment, place)
    except ValueError as wrong:
        refuse("/position", "range", str(wrong))
        raise  # `refuse` always raises; this line is for the type checker


def as_it_is(environment: Environment, place: int) -> dict[str, Any]:
    """What an editor sees of an environment, as JSON values."""
    values = {name: getattr(environment, name) for name in sorted(MEMBERS - {"position"})}
    return {**values, "risk_default": str(values["risk_default"]), "position": place}


def _refuse_running(environments: Collection[Environment], actor: User) -> None:
    """Conflict while a rollout asks the rule; it is named to whoever may see it."""
    rollouts, hidden = seen_rollouts(environments, actor)
    if rollouts or hidden:
        names = [f"{one} ({one.get_state_display().lower()})" for one in rollouts]
        names += [f"{counted(hidden, 'rollout')} that you may not see"] if hidden else []
        raise Conflict(
            f"A rollout is under way that asks this rule again: {', '.join(names)}. Let it end, or abort it.",
            rollouts=[one.typeid for one in rollouts],
        )


def _judged(values: dict[str, Any]) -> None:
    problems = []

    def wrong(name: str, code: str, message: str) -> None:
        problems.append(Problem(pointer=f"/{name}", code=code, message=message))

    for name in sorted(values.keys() - MEMBERS):
        wrong(name, "unknown", "An environment has no such member that can be changed.")
    if "name" in values and not 0 < len(str(values["name"]).strip()) <= 120:
        wrong("name", "range", "Between 1 and 120 characters.")
    if "risk_default" in values and values["risk_default"] not in Risk.values:
        wrong("risk_default", "enum", f"Must be one of {', '.join(Risk.values)}.")
    for name in ("retention_days", "aggregate_days"):
        if name in values and not (isinstance(values[name], int) and 1 <= values[name] <= DAYS):
            wrong(name, "range", f"Between 1 and {DAYS} days.")
    tags = values.get("cost_tags", {})
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        wrong("cost_tags", "type", "Names and texts.")
    if problems:
        raise Invalid("The environment is not changed.", problems)
