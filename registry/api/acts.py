"""Endpoints of acts on many rows: previewed, looked at row by row, then applied once."""

from typing import Any, NoReturn, cast

from django.db.models import Count, QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from arm import ids, listing
from arm.api import Request, StrictSerializer, TypeIDField, tenant_of, validated
from arm.errors import Invalid, Problem
from arm.models import User
from arm.rights import Right
from registry import queries, services
from registry.api.base import DirectoryViewSet, created
from registry.api.serializers import API, Reasoned
from registry.filters.acts import ActFilter, ActRowFilter
from registry.models import BulkRow, BulkRun
from registry.services.many import MOST, BulkAction


class ActIn(StrictSerializer):
    """`rows`: identifiers; or `list` and `query`: all that the list shows the caller for the question (as a saved view
    has them). `tag` and `owners` (user names) as the act asks for them."""

    action = serializers.ChoiceField(sorted(services.BULK_ACTIONS))
    rows = serializers.ListField(child=serializers.CharField(max_length=60), max_length=MOST, required=False)
    list = serializers.CharField(max_length=80, required=False)
    query = serializers.CharField(max_length=4000, required=False, allow_blank=True)
    tag = serializers.CharField(max_length=60, required=False)
    owners = serializers.ListField(child=serializers.CharField(max_length=150), max_length=50, required=False)


class ActOut(serializers.Serializer[Any]):
    """`foreseen` and `outcomes`: how many rows came to what; rows that nobody has looked at yet are in neither."""

    id = TypeIDField("blk", source="pk")
    url = serializers.SerializerMethodField()
    action = serializers.CharField()
    params = serializers.DictField()
    actor = serializers.CharField(source="actor.username")
    state = serializers.ChoiceField(BulkRun.State.choices)
    total = serializers.IntegerField()
    foreseen = serializers.DictField(child=serializers.IntegerField(), source="counted_foreseen")
    outcomes = serializers.DictField(child=serializers.IntegerField(), source="counted_outcomes")
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()
    applied_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)

    def get_url(self, run: BulkRun) -> str:
        return f"{API}/acts/{run.typeid}/"


class ActRowOut(serializers.Serializer[Any]):
    """One row: what was foreseen for it, and once the act is applied, what became of it."""

    target = serializers.SerializerMethodField()
    label = serializers.CharField()  # type: ignore[assignment]
    foreseen = serializers.ChoiceField(BulkRow.Foreseen.choices)
    foreseen_says = serializers.CharField()
    outcome = serializers.ChoiceField(BulkRow.Outcome.choices)
    outcome_says = serializers.CharField()
    attempts = serializers.IntegerField()

    def get_target(self, row: BulkRow) -> str:
        act = services.BULK_ACTIONS.get(row.run.action)
        return ids.encode(act.model.prefix, row.target_id) if act else str(row.target_id)  # type: ignore[attr-defined]


def counted(runs: list[BulkRun]) -> list[BulkRun]:
    """The runs with the numbers of their rows, in one statement for each kind of number."""
    for name, column in (("counted_foreseen", "foreseen"), ("counted_outcomes", "outcome")):
        found: dict[Any, dict[str, int]] = {run.pk: {} for run in runs}
        rows = BulkRow.objects.filter(run__in=runs).exclude(**{column: ""}).order_by()
        for run_id, word, number in rows.values_list("run", column).annotate(Count("pk")):
            found[run_id][word] = number
        for run in runs:
            setattr(run, name, found[run.pk])
    return runs


class ActViewSet(DirectoryViewSet[BulkRun]):
    """Acts on many rows: the caller's own, and everybody's for who reads the changes."""

    queryset = BulkRun.objects.select_related("actor")
    serializer_class = ActOut
    filterset_class = ActFilter
    view_right = Right.READ_DIRECTORY
    prefix = "blk"

    def get_queryset(self) -> QuerySet[BulkRun]:
        return queries.runs_seen(cast(User, self.request.user)).select_related("actor", "tenant")

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        if args:
            counted(list(args[0]) if kwargs.get("many") else [args[0]])
        return super().get_serializer(*args, **kwargs)

    @extend_schema(request=ActIn, responses={201: ActOut})
    def create(self, request: Request) -> Response:
        """Preview an act: each row is foreseen by its own service, and nothing is changed. A large one goes on in the
        background; look again until its state is `previewed`."""
        body = validated(ActIn, request)
        act = services.BULK_ACTIONS[body["action"]]
        run = services.preview_bulk(
            tenant=tenant_of(request),
            action=act.name,
            targets=self._targets(request, act, body),
            params={name: body[name] for name in ("tag", "owners") if name in body},
            actor=request.user,
        )
        return created(self.get_serializer(run))

    def _targets(self, request: Request, act: BulkAction, body: dict[str, Any]) -> list[Any]:
        if ("rows" in body) == ("list" in body):
            refuse("/rows", "required", "Name the rows, or a list and its query; one of the two.")
        if "list" not in body:
            return [self._key(act, text, place) for place, text in enumerate(body["rows"])]
        found = listing.listings().get(body["list"])
        if found is None or found.view.queryset.model is not act.model:
            refuse("/list", "unknown", f"There is no such list of rows that the act is on: {body['list']}.")
        query = listing.canonical(body.get("query", ""))
        return queries.rows_of_list(found, query, request.user, tenant_of(request), act.most)

    def _key(self, act: BulkAction, text: str, place: int) -> Any:
        try:
            return ids.decode(act.model.prefix, text)  # type: ignore[attr-defined]
        except ValueError as problem:
            refuse(f"/rows/{place}", "invalid", str(problem))

    @extend_schema(
        responses=ActRowOut(many=True),
        parameters=[
            OpenApiParameter("foreseen", str, enum=[v for v in BulkRow.Foreseen.values if v]),
            OpenApiParameter("outcome", str, enum=[v for v in BulkRow.Outcome.values if v]),
        ],
    )
    @action(detail=True, methods=["get"], filterset_class=None)
    def rows(self, request: Request, id: str) -> Response:
        """Its rows, page by page, in a fixed order."""
        run = self.get_object()
        rows = BulkRow.objects.filter(run=run).select_related("run")
        chosen = ActRowFilter(request.query_params, queryset=rows, request=request)
        if not chosen.is_valid():
            raise Invalid(
                "The question has wrong members.",
                [
                    Problem(pointer=f"/{name}", code="invalid", message=str(error["message"]))
                    for name, errors in chosen.form.errors.get_json_data().items()
                    for error in errors
                ],
            )
        page = self.paginate_queryset(chosen.qs)
        return self.get_paginated_response(ActRowOut(page, many=True).data)

    @extend_schema(request=Reasoned, responses=ActOut)
    @action(detail=True, methods=["post"])
    def apply(self, request: Request, id: str) -> Response:
        """Do what was previewed, each row by its own service; what has changed since is left alone. Asked again, it is
        what it is. A large one goes on in the background until its state is `done`."""
        run = self.get_object()
        body = validated(Reasoned, request)
        done = services.apply_bulk(run=run, actor=request.user, reason=body["reason"])
        return Response(self.get_serializer(done).data)


def refuse(pointer: str, code: str, message: str) -> NoReturn:
    """Invalid with one problem."""
    raise Invalid(message, [Problem(pointer=pointer, code=code, message=message)])
