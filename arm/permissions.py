"""Who may do what to which object. `visible` ("which ones?") and `require` ("this one?") are one rule.

A right is granted on a scope (a tenant, or an environment, template or provider) and holds for everything below it.
A model names the scopes above it in `permission_scopes`; grants are guardian rows with an expiry and a risk limit.
The actor's scope ids are resolved first (one query), then the list is filtered by plain `IN`.
"""

from collections.abc import Collection, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db.models import Model, Q, QuerySet

from arm.errors import NotAllowed
from arm.grants import Scopes, current, grant_models, rights_anywhere, scope_of, scopes_of
from arm.keys import Among
from arm.models import User
from arm.rights import RISKS_UP_TO, Right

M = TypeVar("M", bound=Model)
Actor = User | AnonymousUser
FEW = 8


class Asked(NamedTuple):
    """A right that was asked of one object, and held; without a model, on whatever there is."""

    actor: Any
    right: Right
    model: type[Model] | None
    key: Any


rests_on: ContextVar[set[Asked] | None] = ContextVar("arm_rests_on", default=None)
"""Every right that was asked and held, while somebody wants to know what an answer rests on (`arm.api.again`)."""


def visible(queryset: QuerySet[M], actor: Actor, right: Right, held: "Scopes | None" = None) -> QuerySet[M]:
    """The rows on which the actor holds the right, by any grant on them or on a scope above them.

    `held` is what `scopes` has answered for this very actor and right, where a page asks for many lists at once.

    Row-level security already confines the query to the request's tenant; this is the first wall, that the second.
    """
    if not actor.is_active:  # anonymous users are not active either
        return queryset.none()
    if actor.is_superuser:
        return queryset
    held = scopes(actor, right) if held is None else held
    rights = Q(pk__in=[])
    for path, model in chain(queryset.model):
        for risk_max, ids in held.get(model, {}).items():
            within = _among(path, ids)
            if risk_max:
                risk_path = getattr(queryset.model, "risk_path", "")
                if not risk_path:
                    continue  # a limited grant says nothing about rows that have no risk class
                within &= Q(**{f"{risk_path}__in": RISKS_UP_TO[risk_max]})
            rights |= within
    return queryset.filter(rights)


def _among(path: str, ids: Collection[UUID]) -> Q:
    """A single id stays an equality, which an index can answer in the order of its next column."""
    return Q(**{f"{path}__in": ids}) if len(ids) <= FEW else Q(Among(path, tuple(ids)))


def allowed(actor: Actor, right: Right, obj: Model) -> bool:
    """Whether the actor holds the right on this very object, in the database as it is now."""
    held = visible(type(obj)._default_manager.filter(pk=obj.pk), actor, right).exists()
    if held:
        note(actor, right, [obj])
    return held


def note(actor: Actor, right: Right, held: Iterable[Model]) -> None:
    """The actor was asked for the right on these objects, and holds it: for who asks `visible` in place of `allowed`."""
    if (noted := rests_on.get()) is not None:
        noted.update(Asked(actor.pk, right, type(obj), obj.pk) for obj in held)


def require(actor: Actor, right: Right, obj: Model) -> None:
    """NotAllowed, naming right and object, unless `allowed`."""
    if not allowed(actor, right, obj):
        raise NotAllowed(f"You may not {right.words}: {obj}.", right=right.value, on=str(obj))


def require_anywhere(actor: Actor, right: Right, what: str) -> None:
    """NotAllowed unless the actor holds the right on some scope of the request's tenant. `what` of whom: “open Agents”."""
    if right.value not in held_anywhere(actor):
        raise NotAllowed(f"You may not {what}.", right=right.value)
    if (noted := rests_on.get()) is not None:
        noted.add(Asked(actor.pk, right, None, ""))


def held_on(actor: Actor, obj: Model) -> frozenset[Right]:
    """Every right that the actor holds on this very object, in one query: for the buttons of its page.

    The same rule as `allowed`, asked once for all rights.
    """
    if not actor.is_active:
        return frozenset()
    if actor.is_superuser:
        return frozenset(Right)
    above = {model: key for path, model in chain(type(obj)) if (key := _reach(obj, path)) is not None}
    risk_path = getattr(type(obj), "risk_path", "")
    risk = _reach(obj, risk_path) if risk_path else ""
    parts = []
    model: Any
    for model in grant_models():
        scope = scope_of(model)
        if scope in above:
            held = current(model, actor.pk).filter(content_object_id=above[scope])
            parts.append(held.values_list("permission__codename", "risk_max"))
    if not parts:
        return frozenset()
    return frozenset(
        Right(codename)
        for codename, risk_max in parts[0].union(*parts[1:])
        if not risk_max or risk in RISKS_UP_TO[risk_max]
    )


def _reach(obj: Model, path: str) -> Any:
    """What lies at the end of a path of foreign keys: a key for a scope, a value for a risk class, or None."""
    found: Any = obj
    for part in path.split("__"):
        if found is None:
            return None
        found = getattr(found, part)
    return found.pk if isinstance(found, Model) else found


def held_anywhere(actor: Actor) -> frozenset[str]:
    """The rights that the actor holds on any scope of the request's tenant, in one query: for menus and buttons."""
    if not actor.is_active:
        return frozenset()
    if actor.is_superuser:
        return frozenset(right.value for right in Right)
    return rights_anywhere(actor.pk)


def scopes(actor: User, right: Right) -> Scopes:
    """Where the actor holds the right now, by own grants and by their teams', in one query."""
    return scopes_of(actor.pk, right)


def chain(model: type[Model]) -> Iterator[tuple[str, type[Model]]]:
    """The model itself and every scope above it: ("pk", AgentVersion), ("template", …), ("tenant", Tenant)."""
    yield "pk", model
    for scope in getattr(model, "permission_scopes", ()):
        target: type[Model] = model
        for part in scope.split("__"):
            target = target._meta.get_field(part).related_model  # type: ignore[assignment]
        yield scope, target
