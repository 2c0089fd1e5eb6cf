"""Endpoints of the past: `fleet-at/`, two instants compared, and what one instance was."""

from datetime import datetime
from typing import Any

from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from arm import clock
from arm.api import Page, Request, ScopedViewSet, TypeIDField, refuse_unknown
from arm.errors import Invalid, Problem
from arm.rights import Right
from registry import queries
from registry.api.serializers import Reasoned
from registry.filters.past import PastFilter
from registry.lifecycle import InstanceState
from registry.models import AgentInstance

MOMENT = [
    OpenApiParameter("at", OpenApiTypes.DATETIME, description="The moment; now where it is left out."),
    OpenApiParameter("known", OpenApiTypes.DATETIME, description="As ARM had been told by then; now where it is left out."),
]  # fmt: skip
BOTH = [
    OpenApiParameter(name, OpenApiTypes.DATETIME, required=needed)
    for name, needed in (("from", True), ("to", True), ("from_known", False), ("to_known", False))
]


NARROWS = frozenset({"q", "environment", "provider", "template", "version"})
OF_COMPARED = NARROWS.union((one.name for one in BOTH), {"format"})


class TellPastIn(Reasoned):
    state = serializers.ChoiceField(InstanceState.choices)
    since = serializers.DateTimeField()
    version = TypeIDField("ver", required=False)

    def validate_state(self, value: str) -> InstanceState:
        return InstanceState(value)


class ToldOut(serializers.Serializer[Any]):
    """One part of an instance's history: from when until when by the first clock, and when ARM was told."""

    instance = TypeIDField("ins", source="instance_id")
    state = serializers.CharField()
    version = TypeIDField("ver", source="version_id")
    since = serializers.DateTimeField()
    until = serializers.DateTimeField(allow_null=True)
    known_from = serializers.DateTimeField()


class ObservedThenOut(serializers.Serializer[Any]):
    state = serializers.CharField(help_text="Empty: unknown.", allow_blank=True)
    generation = serializers.IntegerField(allow_null=True)
    at = serializers.DateTimeField()
    told_at = serializers.DateTimeField()


class ThenOut(serializers.Serializer[Any]):
    """An instance as it was. `observed` is null where nothing had been reported of it."""

    id = TypeIDField("ins", source="instance.pk")
    name = serializers.CharField(source="instance.name")
    template = TypeIDField("tpl", source="instance.template_id")
    environment = serializers.CharField(source="instance.environment.slug")
    provider = serializers.CharField(source="instance.provider.slug")
    state = serializers.CharField()
    version = TypeIDField("ver", source="version.pk")
    since = serializers.DateTimeField()
    told = serializers.DateTimeField()
    observed = ObservedThenOut(allow_null=True)
    slot = TypeIDField("slt", source="binding.slot_id", default=None)
    slot_version = TypeIDField("ver", source="binding.version_id", default=None)


class SideOut(serializers.Serializer[Any]):
    state = serializers.CharField()
    version = TypeIDField("ver", source="version.pk")
    observed = serializers.CharField(source="report", allow_blank=True)


class ChangedOut(serializers.Serializer[Any]):
    """An instance that was otherwise, with what it was at both moments; a side is null where it was not there, or
    retired, and never for the version that is asked for."""

    id = TypeIDField("ins", source="instance.pk")
    name = serializers.CharField(source="instance.name")
    words = serializers.CharField()
    before = SideOut(allow_null=True)
    after = SideOut(allow_null=True)


SETTLED = "False where one of the clocks stands in the last 60 seconds: what is on its way may still change the answer."


class ExactlyField(serializers.DateTimeField):
    """To the microsecond, always in as many digits: as permalinks say it."""

    def to_representation(self, value: datetime) -> str:
        return clock.exactly(value)


class MomentOut(serializers.Serializer[Any]):
    at = ExactlyField()
    known = ExactlyField()
    settled = serializers.BooleanField(help_text=SETTLED)


class ComparedOut(serializers.Serializer[Any]):
    """Two moments and what was otherwise. Give all four clocks for an answer that stays."""

    to = MomentOut()
    changed = ChangedOut(many=True)

    def get_fields(self) -> dict[str, Any]:
        return {"from": MomentOut(), **super().get_fields()}  # no name for an attribute


class LineOut(serializers.Serializer[Any]):
    label = serializers.CharField()  # type: ignore[assignment]
    text = serializers.CharField()
    url = serializers.CharField(allow_blank=True)
    since = serializers.DateTimeField(allow_null=True)


class SectionOut(serializers.Serializer[Any]):
    title = serializers.CharField()
    lines = LineOut(many=True)


class PastOut(MomentOut):
    then = ThenOut()
    genome = serializers.CharField()
    owners = serializers.ListField(child=serializers.CharField())
    roles = serializers.ListField(child=serializers.CharField(), help_text="Short names of the roles it did.")
    sections = SectionOut(many=True)


def asked_moment(request: Request) -> queries.Moment:
    """The moment of the query; Invalid names what is wrong with it."""
    return _valid(
        PastFilter(request.query_params, queryset=AgentInstance.objects.none(), request=request)
    ).moment


def _valid(asked: PastFilter, **renamed: str) -> PastFilter:
    if not asked.is_valid():
        wrong = [
            Problem(pointer=f"/{renamed.get(name, name)}", code="invalid", message=str(message))
            for name, messages in asked.form.errors.items()
            for message in messages
        ]
        raise Invalid("The question has wrong members.", wrong)
    return asked


def past_out(page: queries.PastPage, moment: queries.Moment) -> dict[str, Any]:
    if page.then is None:
        raise Http404
    answer: dict[str, Any] = PastOut(
        {
            "at": moment.at,
            "known": moment.known,
            "settled": moment.settled,
            "then": page.then,
            "genome": page.then.version.genome.digest,
            "owners": [person.username for person in page.owners],
            "roles": sorted({held.role.slug for held in page.roles}),
            "sections": page.sections,
        }
    ).data
    return answer


class MomentPage(Page):
    """A page of what was so at a moment: it names both clocks, and whether its answer stays."""

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        told: dict[str, Any] = super().get_paginated_response_schema(schema)
        for name in ("at", "known"):
            told["properties"][name] = {"type": "string", "format": "date-time"}
        told["properties"]["settled"] = {"type": "boolean", "description": SETTLED}
        told["required"] = [*told.get("required", ()), "at", "known", "settled"]
        return told


class FleetAtViewSet(ScopedViewSet[AgentInstance]):
    """Which instances there were at `at`, as ARM had been told by `known`. Give both for an answer that stays."""

    queryset = AgentInstance.objects.select_related("template", "environment", "provider")
    view_right = Right.READ_DIRECTORY
    serializer_class = ThenOut
    filterset_class = PastFilter
    pagination_class = MomentPage
    prefix = "ins"

    def list(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """Instances that were not retired, unless `state` asks for these; newest first. `at` and `known` are the two clocks
        that were asked for, or now; `settled` says whether the answer stays."""
        rows: Any = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        moment = queries.Moment(rows[0].then_at, rows[0].then_known) if rows else asked_moment(request)
        shown = queries.seen_then(moment, rows) if rows else []
        clocks = {"at": clock.exactly(moment.at), "known": clock.exactly(moment.known)}
        pages: Any = self.paginator
        for name, value in clocks.items():  # the pages that follow are of the same moment
            pages.base_url = replace_query_param(pages.base_url, name, value)
        answer = self.get_paginated_response(ThenOut(shown, many=True).data)
        answer.data = {**clocks, "settled": moment.settled, **answer.data}
        return answer

    @extend_schema(parameters=BOTH, responses=ComparedOut)
    def changed(self, request: Request) -> Response:
        """What was otherwise at `to` than at `from`, both with both clocks and whether they are settled; `environment`, `provider`, `template` and `version` narrow it.
        `version` keeps what ran it at either moment, with both sides."""
        refuse_unknown(request, OF_COMPARED)
        now = clock.now()
        first, second = (self._side(request, name, now) for name in ("from", "to"))
        before, after = first.whatever_runs, second.whatever_runs
        if before is None or after is None:
            message = f"More than {queries.COUNTED:,} instances: narrow the question."
            raise Invalid(message, [Problem(pointer="", code="too_many", message=message)])
        found = queries.difference((first.moment, before), (second.moment, after), first.runs)
        answer = {"from": first.moment, "to": second.moment, "changed": found.rows}
        return Response(ComparedOut(answer).data)

    def _side(self, request: Request, name: str, now: datetime) -> PastFilter:
        query = request.query_params.copy()
        if not query.get(name):
            message = f"Say “{name}”."
            raise Invalid(message, [Problem(pointer=f"/{name}", code="required", message=message)])
        query["at"], query["known"] = query.get(name, ""), query.get(f"{name}_known", "")
        query.pop("state", None)
        asked = PastFilter(query, queryset=self.get_queryset(), request=request)
        asked.now = now
        return _valid(asked, at=name, known=f"{name}_known")
