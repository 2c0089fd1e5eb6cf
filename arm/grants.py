"""What was granted to whom: guardian's rows, and two questions about them that every request asks.

The questions are functions of the database, which keep their plan: planning a union over all tables of grants took three to
five times as long as running it (ADR 75). They are made of the models whenever a database is prepared.
"""

from collections import defaultdict
from functools import cache
from typing import Any, Final
from uuid import UUID

from django.apps import apps
from django.contrib.auth.models import Permission
from django.db import connection, connections
from django.db.models import Model, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.fields import CharField
from django.db.models.functions import Coalesce, Now
from psycopg import sql

from arm.keys import AmongFound
from arm.models import GroupGrant, UserGrant
from arm.rights import Right

Grants = type[UserGrant] | type[GroupGrant]
Scopes = dict[type[Model], dict[str, set[UUID]]]
"""Scope model → risk limit ('' = any) → ids."""
ANYBODY, ANY_RIGHT = UUID(int=0), "any right"
"""Stand in the questions where their functions have a parameter."""
PARAMETERS: Final = {ANYBODY: "asked_person", ANY_RIGHT: "asked_right"}
"""No column has such a name: PostgreSQL would not know which is meant."""
FUNCTIONS: Final = """
CREATE OR REPLACE FUNCTION arm_rights_anywhere(asked_person uuid) RETURNS TABLE (held text)
  LANGUAGE plpgsql STABLE SET plan_cache_mode TO force_generic_plan
  AS $arm$ BEGIN RETURN QUERY SELECT one.held::text FROM ({rights}) AS one (held); END $arm$;
CREATE OR REPLACE FUNCTION arm_scopes_of(asked_person uuid, asked_right text) RETURNS TABLE (kind text, scope uuid, limited text)
  LANGUAGE plpgsql STABLE SET plan_cache_mode TO force_generic_plan
  AS $arm$ BEGIN RETURN QUERY SELECT one.kind, one.scope, one.limited::text FROM ({scopes}) AS one (kind, scope, limited); END $arm$;
"""


@cache
def grant_models() -> tuple[Grants, ...]:
    return tuple(m for m in apps.get_models() if issubclass(m, UserGrant | GroupGrant))


@cache
def scope_models() -> tuple[type[Model], ...]:
    """The models that a role can be bound on: those with a grant table of their own."""
    return tuple(dict.fromkeys(scope_of(model) for model in grant_models()))


def scope_of(grants: Grants) -> type[Model]:
    """The scope model that a table of grants belongs to."""
    fields = {field.name: field for field in grants._meta.get_fields()}
    scope: type[Model] = fields["content_object"].related_model  # type: ignore[assignment]
    return scope


def current(model: Grants, person: UUID) -> QuerySet[Any]:
    """The grants in this table that hold for the person now, by their own name or by a team of theirs."""
    mine = Q(user=person) if issubclass(model, UserGrant) else Q(group__user=person)
    return model._default_manager.filter(
        mine,
        Q(expires_at=None) | Q(expires_at__gt=Now()),
        Q(not_before=None) | Q(not_before__lte=Now()),
    ).order_by()


def rights_anywhere(person: UUID) -> frozenset[str]:
    """The rights that the person holds on any scope of the tenants that the transaction sees."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT held FROM arm_rights_anywhere(%s)", [person])
        return frozenset(held for (held,) in cursor.fetchall())


def scopes_of(person: UUID, right: Right) -> Scopes:
    """Where in the tenants that the transaction sees the person holds the right now."""
    found: Scopes = defaultdict(lambda: defaultdict(set))
    with connection.cursor() as cursor:
        cursor.execute("SELECT kind, scope, limited FROM arm_scopes_of(%s, %s)", [person, right.value])
        for kind, scope, limited in cursor.fetchall():
            found[_kinds()[kind]][limited].add(scope)
    return {model: dict(by_risk) for model, by_risk in found.items()}


@cache
def _kinds() -> dict[str, type[Model]]:
    return {scope._meta.label_lower: scope for scope in scope_models()}


def prepare(alias: str) -> None:
    """After migrating, on the owner's alias: make the functions as the models are now."""
    with connections[alias].cursor() as cursor:
        cursor.execute(FUNCTIONS.format(rights=_written(_rights()), scopes=_written(_scopes())))


def prepared() -> bool:
    """Whether the functions are there; a database that was restored without them, or only migrated, lets nobody do
    anything."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT to_regprocedure('arm_rights_anywhere(uuid)'), to_regprocedure('arm_scopes_of(uuid, text)')"
        )
        return None not in cursor.fetchone()


def _written(question: QuerySet[Any]) -> str:
    """The question as the body of a function has it, with its parameters by name."""
    text, params = question.query.sql_with_params()
    return text % tuple(PARAMETERS.get(value) or sql.Literal(value).as_string(None) for value in params)


def _rights() -> QuerySet[Any]:
    """By the few rights that there are, each looked for until one grant of it is found: somebody has thousands of grants.

    As values, not as EXISTS: a plan for anybody would read all of somebody's grants at once to know which exist."""
    parts = []
    for scope in scope_models():
        held = Q()
        for model in grant_models():
            if scope_of(model) is scope:
                one = current(model, ANYBODY).filter(permission=OuterRef("pk")).annotate(found=Value(True))
                held |= Q(Coalesce(Subquery(one.values("found")[:1]), Value(False)))
        named = {
            "content_type__app_label": scope._meta.app_label,
            "content_type__model": scope._meta.model_name,
        }
        parts.append(Permission.objects.filter(held, **named).order_by().values_list("codename"))
    return parts[0].union(*parts[1:])


def _scopes() -> QuerySet[Any]:
    """By the permissions of that name, found first: with the person they are what an index of grants begins with."""
    named = Permission.objects.filter(codename=ANY_RIGHT).order_by().values("pk")
    parts = [
        current(model, ANYBODY)
        .filter(AmongFound("permission", named))
        .annotate(kind=Value(scope_of(model)._meta.label_lower, output_field=CharField()))
        .values_list("kind", "content_object_id", "risk_max")
        for model in grant_models()
    ]
    asked: QuerySet[Any] = parts[0].union(*parts[1:], all=True)
    return asked
