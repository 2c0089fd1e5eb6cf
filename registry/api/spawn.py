"""Instances that start others, for machines: by a person, or by the instance itself with its workload token."""

from decimal import Decimal
from typing import Any

from django.db.models import Model
from django.http import Http404
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request as AnyRequest
from rest_framework.response import Response
from rest_framework.settings import api_settings

from arm import ids
from arm.api import StrictSerializer, TypeIDField, validated
from arm.errors import Invalid, Problem
from arm.models import ApiKey, User
from registry import queries, services
from registry.api.base import Workload, WorkloadToken, created, with_rows
from registry.api.serializers import InstanceOut, Reasoned
from registry.facts import Budget
from registry.models import AgentInstance, AgentVersion, Environment, Provider, RoleDefinition

PLACED: dict[str, type[Model]] = {"environment": Environment, "provider": Provider, "role": RoleDefinition}
"""What a person grants a child by its name."""
NAMED: dict[str, tuple[type[Model], str]] = {
    "version": (AgentVersion, "pk"),
    **{word: (model, "slug") for word, model in PLACED.items()},
}


class BudgetIn(StrictSerializer):
    """What a child may spend in a day (UTC)."""

    amount = serializers.DecimalField(max_digits=18, decimal_places=6, min_value=Decimal("0.000001"))
    currency = serializers.RegexField("^[A-Z]{3}$")


class SpawnIn(Reasoned):
    """What the child runs; what is left out it has from its parent."""

    version = TypeIDField("ver")
    name = serializers.CharField(max_length=160)
    environment = serializers.SlugField(required=False)
    provider = serializers.SlugField(required=False)
    role = serializers.SlugField(
        required=False, help_text="Left out: its parent's, for a child of the same agent; none for another's."
    )
    cost_center = serializers.CharField(max_length=80, required=False)
    labels = serializers.DictField(child=serializers.CharField(max_length=200), required=False)
    budget = BudgetIn(required=False, help_text="A limit of its own; left out, it draws on its parent's.")


class TermOut(serializers.Serializer[Any]):
    """What an instance works under, and whether that is its parent's."""

    kind = serializers.CharField()
    origin = serializers.ChoiceField(["inherited", "granted"])
    value = serializers.CharField()


class SpawnAllowanceOut(serializers.Serializer[Any]):
    """What it may spend today: `own` limit, or the nearest one above, which is that `of` an instance. `left` is the least
    that any limit of its line leaves."""

    granted = serializers.DecimalField(max_digits=24, decimal_places=6)
    used = serializers.DecimalField(max_digits=24, decimal_places=6)
    left = serializers.DecimalField(max_digits=24, decimal_places=6)
    currency = serializers.CharField()
    of = TypeIDField("ins")
    own = serializers.BooleanField()


class SpawnNode(serializers.Serializer[Any]):
    """One instance of a tree: `living` children of at most `most`, `lately` started within an hour of at most `hourly`, at most
    `deepest` generations below it."""

    id = TypeIDField("ins", source="instance.pk")
    name = serializers.CharField(source="instance.name")
    state = serializers.CharField(source="instance.state")
    depth = serializers.IntegerField(source="instance.depth")
    parent = TypeIDField("ins", source="instance.parent_id", allow_null=True)  # type: ignore[assignment]
    role = TypeIDField("rol", source="instance.role_id", allow_null=True)
    may_spawn = serializers.BooleanField(source="allowed")
    living = serializers.IntegerField()
    most = serializers.IntegerField(allow_null=True)
    lately = serializers.IntegerField()
    hourly = serializers.IntegerField(allow_null=True)
    deepest = serializers.IntegerField(allow_null=True)
    budget = SpawnAllowanceOut(allow_null=True)


class SpawnTreeOut(serializers.Serializer[Any]):
    nodes = SpawnNode(many=True, source="rows")
    terms = TermOut(many=True)
    hidden = serializers.IntegerField(help_text="Instances of the tree that you may not see.")
    cut = serializers.BooleanField()
    more = serializers.IntegerField(help_text="Below it, beyond the nearest, that you may see.")


class WorkloadOrPerson(WorkloadToken):
    """A workload token, or whatever else the API takes."""

    def authenticate(self, request: AnyRequest) -> tuple[Workload, ApiKey] | None:
        _, _, token = request.headers.get("Authorization", "").partition(" ")
        return super().authenticate(request) if token.strip().startswith("armw_") else None


class WorkloadOrPersonScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Tells the OpenAPI document that a workload token is one of the ways."""

    target_class = "registry.api.spawn.WorkloadOrPerson"
    name = "workloadOrPerson"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "armw_…"}


class SpawnActions:
    """For the viewset of instances."""

    get_object: Any

    @extend_schema(request=SpawnIn, responses={201: InstanceOut})
    @action(
        detail=True,
        methods=["post"],
        authentication_classes=[WorkloadOrPerson, *api_settings.DEFAULT_AUTHENTICATION_CLASSES],
    )
    def spawn(self, request: Any, id: str) -> Response:
        """Start a child below this instance; 409 `spawn_refused` names everything that stands in the way."""
        actor = request.user if isinstance(request.user, User) else None
        parent = self.get_object() if actor else _itself(request.user, id)
        body = with_rows(SpawnIn, request, NAMED, _nothing_more) if actor else _own_words(request)
        if (said := body.pop("budget", None)) is not None:
            body["budget"] = Budget(said["amount"], said["currency"])
        made = services.spawn_instance(parent=parent, actor=actor, **body)
        return created(InstanceOut(made))

    @extend_schema(responses=SpawnTreeOut)
    @action(detail=True, methods=["get"], url_path="spawn-tree", pagination_class=None, filterset_class=None)
    def spawn_tree(self, request: Any, id: str) -> Response:
        """Who started it, whom it and they started, and how much of what they may is used."""
        return Response(SpawnTreeOut(queries.spawn_tree(self.get_object(), request.user)).data)


def _itself(speaker: Workload, id: str) -> AgentInstance:
    """The instance that the token speaks for, which is the one in the address or none."""
    try:
        asked = ids.decode("ins", id)
    except ValueError:
        raise Http404 from None
    if speaker.instance.pk != asked:
        raise Http404
    return speaker.instance


def _nothing_more(**_: Any) -> list[Problem]:
    """What else is wrong the service says, all at once."""
    return []


def _own_words(request: Any) -> dict[str, Any]:
    """What an instance asks for: a version of its tenant, of which its genome says whether it may start it, and nothing
    that a person grants."""
    body = validated(SpawnIn, request)
    held = AgentVersion.objects.select_related("template", "genome").filter(pk=body["version"]).first()
    if held is None:
        message = "There is no such version."
        raise Invalid(message, [Problem(pointer="/version", code="unknown", message=message)])
    if given := [word for word in PLACED if word in body]:
        message = "An instance hands on what it has; a person grants another."
        raise Invalid(message, [Problem(pointer=f"/{w}", code="granted", message=message) for w in given])
    return {**body, "version": held}
