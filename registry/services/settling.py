"""One thing of a directory of files becomes what the registry holds: made where it is missing, changed where it is otherwise."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from django.db import transaction

from arm.errors import DomainError, Invalid, Problem
from arm.models import Tenant, User
from arm.permissions import visible
from arm.rights import Right, Risk

from .. import staffing
from ..models import Environment, Project, RoleDefinition
from ..protocol.files import BUDGETS, PLACES, Item, decimal_of
from ..queries import channels_of
from .environments import update_environment
from .places import create_environment, create_project, update_project
from .roles import create_role, update_role

Fields = tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """What becomes of one thing: `create`, `change` or `same`; `fields` are (name, before, after) of a change."""

    verb: str
    kind: str
    name: str
    where: str
    fields: Fields = ()


def tried(item: Item, problems: list[Problem], act: Callable[[], Line]) -> list[Line]:
    """The line, or a problem at the item's place for what its service refuses."""
    try:
        with transaction.atomic():
            return [act()]
    except DomainError as refusal:
        errors: Any = refusal.extra.get("errors") or [{"pointer": "", "message": refusal.message}]
        for error in errors:
            problems.append(
                Problem(
                    pointer=f"{item.where}{error['pointer']}",
                    code=error.get("code", refusal.code),
                    message=error["message"],
                )
            )
        return []


def named(model: Any, tenant: Tenant, member: str, slug: str, actor: User) -> Any:
    """The row of this short name that the actor sees; Invalid at the member where there is none."""
    found = _held(model, tenant, slug, actor)
    if found is None:
        message = f"There is no {member} “{slug}”, or it is not yours to use."
        raise Invalid(message, [Problem(pointer=f"/{member}", code="unknown", message=message)])
    return found


def _held(model: Any, tenant: Tenant, slug: str, actor: User) -> Any:
    rows = model._default_manager.filter(tenant=tenant, slug=slug)
    return visible(rows, actor, Right.READ_DIRECTORY).first()


def settle_environment(tenant: Tenant, item: Item, actor: User, reason: str) -> Line:
    """Its place among the channels is left to `settle_order`, which sees all of them."""
    said = {name: value for name, value in item.body.items() if name not in ("slug", "position")}
    if "risk_default" in said:
        said["risk_default"] = Risk(said["risk_default"])
    held = _held(Environment, tenant, item.body["slug"], actor)
    if held is None:
        later = {name: said.pop(name) for name in ("aggregate_days",) if name in said}
        held = create_environment(tenant=tenant, slug=item.body["slug"], actor=actor, reason=reason, **said)
        if later:
            update_environment(environment=held, actor=actor, reason=reason, **later)
        return Line("create", item.kind, held.slug, item.where)
    return _changed(
        item,
        held,
        said,
        lambda values: update_environment(environment=held, actor=actor, reason=reason, **values),
    )


def settle_order(
    tenant: Tenant, items: Sequence[Item], actor: User, reason: str, problems: list[Problem]
) -> list[Line]:
    """Bring environments to the places that the files say; those that they say nothing of fill the others in their order.
    From the first place on, so that what has its place is not moved again."""
    wanted: dict[int, Item] = {}
    before = [place.slug for place in channels_of(tenant.pk)]
    for item in items:
        place = item.body.get("position")
        if place is None:
            continue
        taken = [held.where for held in wanted.values() if held.body["slug"] == item.body["slug"]]
        if place in wanted or taken:
            message = f"{wanted[place].where if place in wanted else taken[0]} says otherwise."
            problems.append(Problem(pointer=f"{item.where}/position", code="duplicate", message=message))
        elif place > len(before):
            message = f"There are {len(before)} places."
            problems.append(Problem(pointer=f"{item.where}/position", code="range", message=message))
        wanted.setdefault(place, item)
    if problems or not wanted:
        return []
    said = {item.body["slug"] for item in wanted.values()}
    others = iter([slug for slug in before if slug not in said])
    target = [
        wanted[place].body["slug"] if place in wanted else next(others) for place in range(1, len(before) + 1)
    ]
    lines = [
        Line("change", item.kind, slug, item.where, (("position", str(before.index(slug) + 1), str(place)),))
        for place, item in sorted(wanted.items())
        if before[place - 1] != (slug := item.body["slug"])
    ]
    if not lines:
        return []

    def move() -> Line:
        for place, slug in enumerate(target, 1):
            if channels_of(tenant.pk)[place - 1].slug != slug:
                held = Environment.objects.get(tenant=tenant, slug=slug)
                update_environment(environment=held, actor=actor, reason=reason, position=place)
        return lines[0]

    first = next(item for item in wanted.values() if item.where == lines[0].where)
    return lines if tried(first, problems, move) else []


def settle_project(tenant: Tenant, item: Item, actor: User, reason: str) -> Line:
    said = {name: value for name, value in item.body.items() if name != "slug"}
    held = _held(Project, tenant, item.body["slug"], actor)
    if held is None:
        create_project(tenant=tenant, slug=item.body["slug"], actor=actor, reason=reason, **said)
        return Line("create", item.kind, item.body["slug"], item.where)
    return _changed(
        item, held, said, lambda values: update_project(project=held, actor=actor, reason=reason, **values)
    )


def settle_role(tenant: Tenant, item: Item, actor: User, reason: str) -> Line:
    said = {name: _spoken(name, value) for name, value in item.body.items() if name != "slug"}
    held = _held(RoleDefinition, tenant, item.body["slug"], actor)
    if said.get("currency") and all(said.get(name, getattr(held, name, None)) is None for name in BUDGETS):
        message = "There is no budget that this would be the currency of."
        raise Invalid(message, [Problem(pointer="/currency", code="currency", message=message)])
    if held is None:
        create_role(tenant=tenant, slug=item.body["slug"], actor=actor, reason=reason, **said)
        return Line("create", item.kind, item.body["slug"], item.where)
    return _changed(
        item, held, said, lambda values: update_role(role=held, actor=actor, reason=reason, **values)
    )


def _spoken(name: str, value: Any) -> Any:
    if name in PLACES or name == "latency_ms":
        if value == "":
            return None
        return decimal_of(value) if name in PLACES else value
    return Risk(value) if name == "risk" else value


def _changed(item: Item, held: Any, said: Mapping[str, Any], change: Callable[[dict[str, Any]], Any]) -> Line:
    """The line of something that is there: its service is called with what the file says otherwise, if anything."""
    values = {name: value for name, value in said.items() if not _alike(name, getattr(held, name), value)}
    if not values:
        return Line("same", item.kind, held.slug, item.where)
    kept = [field.attname for field in held._meta.concrete_fields if field.editable]
    before = {name: getattr(held, name) for name in kept}
    change(values)
    held.refresh_from_db()
    fields = tuple(
        (name, shown(before[name]), shown(getattr(held, name)))
        for name in kept
        if before[name] != getattr(held, name)
    )
    return Line("change", item.kind, held.slug, item.where, fields)


def _alike(name: str, now: Any, said: Any) -> bool:
    """Whether the file says what is so; lists of what a role asks in their normal form."""
    try:
        return bool(now == staffing.normal({name: said})[name])
    except (TypeError, KeyError, AttributeError, ValueError):
        return False  # what is wrong with it is named by the service


def shown(value: Any) -> str:
    """A value as a plan prints it."""
    if value is None or value in ([], {}):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(shown(one) for one in value)
    if isinstance(value, dict):
        words = cast("Mapping[str, Any]", value)
        if words.keys() in ({"name", "least"}, {"environment", "least"}):
            return f"{words.get('name') or words.get('environment')} ≥ {words['least']}"
        return ", ".join(f"{name}={one}" for name, one in sorted(words.items()))
    return f"{value:f}".rstrip("0").rstrip(".") if hasattr(value, "as_tuple") and value else str(value)
