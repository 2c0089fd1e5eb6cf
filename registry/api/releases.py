"""Endpoints of releases: rollouts, rollbacks, exceptions, and which version a runtime should run."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from django.db.models import Prefetch, QuerySet, prefetch_related_objects
from django.http import Http404
from django.utils.http import parse_etags
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from arm.api import Request, TypeIDField
from arm.api import validated as parsed
from arm.api.again import etag_of
from arm.models import User
from arm.permissions import Actor, visible
from arm.rights import Right
from registry import gates, queries, services
from registry.api.base import DirectoryViewSet, created
from registry.api.directory import row_of, rows_of
from registry.api.evidence import EvidenceOut
from registry.api.serializers import Out, Reasoned
from registry.api.serializers.rollbacks import PreviewAsked, RollBackIn, RollbackPreviewOut
from registry.api.serializers.rollouts import (
    AbortIn,
    ConfirmIn,
    MoveRolloutIn,
    PlanIn,
    RolloutOut,
    RolloutRow,
    StartIn,
)
from registry.engine import Drain, StepSays
from registry.filters.releases import ExceptionFilter, RollbackFilter, RolloutFilter
from registry.models import (
    AgentVersion,
    DeploymentSlot,
    ReleaseException,
    Rollback,
    Rollout,
    VersionEvidence,
)


class RollbackOut(Out):
    noun = "rollbacks"
    id = TypeIDField("rbk", source="pk")
    slot = TypeIDField("slt", source="slot_id")
    from_version = TypeIDField("ver", source="from_version_id")
    to_version = TypeIDField("ver", source="to_version_id")
    incident = TypeIDField("inc", source="incident_id", allow_null=True)
    change = TypeIDField("chg", source="change_id")
    actor = serializers.CharField(source="actor_label")
    evidence = serializers.ListField(
        child=TypeIDField("evd"),
        source="evidence.all",
        help_text="Its signed dossier, where there is one that you see.",
    )
    dossier = serializers.JSONField(
        source="dossier_seen", help_text="As the caller may read it; whole where `carried_hidden` is 0."
    )
    carried_hidden = serializers.IntegerField(
        help_text="Caps and policies that were carried over to replacements, and that the caller may not see."
    )

    class Meta:
        model = Rollback
        fields = (
            *("id", "url", "slot", "from_version", "to_version", "reason", "incident", "actor", "at"),
            *("drained", "provisioned", "change", "dossier", "carried_hidden", "evidence"),
        )


class ExceptionOut(Out):
    noun = "exceptions"
    id = TypeIDField("rex", source="pk")
    slot = TypeIDField("slt", source="slot_id")
    version = TypeIDField("ver", source="version_id")
    granted_by = serializers.CharField(source="granted_by.username")

    class Meta:
        model = ReleaseException
        fields = (
            *("id", "url", "slot", "version", "gate", "reason", "until", "granted_by", "granted_at"),
            *("used_at", "used_by_label", "withdrawn_at"),
        )


class ExceptionIn(Reasoned):
    slot = TypeIDField("slt")
    version = TypeIDField("ver")
    gate = serializers.ChoiceField(gates.EXCEPTED)
    until = serializers.DateTimeField()


def acts_of(told: Mapping[str, Any]) -> str:
    """A digest of what people and the worker did to a rollout, of its representation: not of what was known or when."""
    steps = [
        [step[name] for name in ("number", "state", "started_at", "confirmed_by")] for step in told["steps"]
    ]
    slots = [[slot[name] for name in ("slot", "held", "bound_at")] for slot in told["slots"]]
    return etag_of([told["state"], told["state_since"], steps, slots]).strip('"')


class RolloutViewSet(DirectoryViewSet[Rollout]):
    """Versions on their way into slots, step by step."""

    queryset = Rollout.objects.for_list()
    serializer_class = RolloutOut
    filterset_class = RolloutFilter
    prefix = "rlt"

    def etags(self, found: Rollout) -> list[str]:
        """What the worker notes at each look is no change that an act must have seen: of the ETag that `If-Match` names,
        only the part of the acts counts."""
        acts = acts_of(self.get_serializer(found).data)
        named = parse_etags(self.request.headers.get("If-Match", ""))
        return [tag for tag in named if tag.startswith(f'"{acts}.')] or [f'"{acts}."']

    @extend_schema(responses=RolloutOut)
    def retrieve(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """One rollout with its steps and slots. The first part of its ETag changes with acts, the second with anything."""
        answer = super().retrieve(request, *args, **kwargs)
        whole = etag_of(answer.data).strip('"')
        answer["ETag"] = f'"{acts_of(answer.data)}.{whole}"'
        return answer

    def get_queryset(self) -> QuerySet[Rollout]:
        rows: QuerySet[Rollout] = super().get_queryset()
        return queries.with_counts(rows) if self.action == "list" else rows.prefetch_related("steps", "slots")

    def get_serializer_class(self) -> Any:
        return RolloutRow if self.action == "list" else RolloutOut

    @extend_schema(request=PlanIn, responses={201: RolloutOut})
    def create(self, request: Request) -> Response:
        """Plan a rollout. Nothing changes before it is started."""
        body = parsed(PlanIn, request)
        slots = [(DeploymentSlot, f"/slots/{n}", pk) for n, pk in enumerate(body.pop("slots"))]
        version, *rows = rows_of(request, (AgentVersion, "/version", body.pop("version")), *slots)
        for name in ("bake", "within"):
            if f"{name}_seconds" in body:
                body[name] = timedelta(seconds=body.pop(f"{name}_seconds"))
        body["steps"] = [StepSays(**one) for one in body.get("steps", ())]
        made = services.plan_rollout(slots=rows, version=version, actor=request.user, **body)
        return created(RolloutOut(made))

    @extend_schema(request=StartIn, responses=RolloutOut)
    @action(detail=True, methods=["post"])
    def start(self, request: Request, id: str) -> Response:
        """Begin its first step. A refusal names every gate and every breaking difference at once."""
        rollout, body = self.get_object(), parsed(StartIn, request)
        return self._moved(services.start_rollout(rollout=rollout, actor=request.user, **body))

    @extend_schema(request=MoveRolloutIn, responses=RolloutOut)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, id: str) -> Response:
        """No step follows until it is resumed."""
        rollout, body = self.get_object(), parsed(MoveRolloutIn, request)
        return self._moved(services.pause_rollout(rollout=rollout, actor=request.user, **body))

    @extend_schema(request=MoveRolloutIn, responses=RolloutOut)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, id: str) -> Response:
        """Go on; the step bakes again from now on."""
        rollout, body = self.get_object(), parsed(MoveRolloutIn, request)
        return self._moved(services.resume_rollout(rollout=rollout, actor=request.user, **body))

    @extend_schema(request=AbortIn, responses=RolloutOut)
    @action(detail=True, methods=["post"])
    def abort(self, request: Request, id: str) -> Response:
        """End it: its slots return to the versions they had."""
        rollout, body = self.get_object(), parsed(AbortIn, request)
        return self._moved(services.abort_rollout(rollout=rollout, actor=request.user, **body))

    @extend_schema(request=ConfirmIn, responses=RolloutOut)
    @action(detail=True, methods=["post"])
    def confirm(self, request: Request, id: str) -> Response:
        """Vouch for a step that has baked and for whose health nobody else does: people do, signed in; a token is
        refused. `step` says for which one: 409 where another one waits by now."""
        rollout, body = self.get_object(), parsed(ConfirmIn, request)
        return self._moved(services.confirm_step(rollout=rollout, actor=request.user, **body))

    def _moved(self, rollout: Rollout) -> Response:
        return Response(RolloutOut(Rollout.objects.for_list().get(pk=rollout.pk)).data)


def _evidence_seen_by(actor: Actor) -> Prefetch[Any]:
    return Prefetch("evidence", visible(VersionEvidence.objects.order_by("-pk"), actor, Right.READ_EVIDENCE))


class RollbackViewSet(DirectoryViewSet[Rollback]):
    """Slots that went back, with the document of what happened."""

    queryset = Rollback.objects.select_related("slot").order_by("-pk")
    serializer_class = RollbackOut
    filterset_class = RollbackFilter
    prefix = "rbk"

    def get_queryset(self) -> QuerySet[Rollback]:
        return super().get_queryset().prefetch_related(_evidence_seen_by(self.request.user))

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        if args:
            queries.with_dossiers(args[0] if kwargs.get("many") else [args[0]], cast(User, self.request.user))
        return super().get_serializer(*args, **kwargs)

    @extend_schema(request=Reasoned, responses={201: EvidenceOut})
    @action(detail=True, methods=["post"])
    def dossier(self, request: Request, id: str) -> Response:
        """Have its dossier signed and rendered, in the background. 409 with the one that is there."""
        rollback, body = self.get_object(), parsed(Reasoned, request)
        return created(EvidenceOut(services.issue_dossier(rollback=rollback, actor=request.user, **body)))


class ExceptionViewSet(DirectoryViewSet[ReleaseException]):
    """Versions that may pass a gate of a binding once."""

    queryset = ReleaseException.objects.select_related("granted_by").order_by("-pk")
    serializer_class = ExceptionOut
    filterset_class = ExceptionFilter
    prefix = "rex"

    @extend_schema(request=ExceptionIn, responses={201: ExceptionOut})
    def create(self, request: Request) -> Response:
        """Grant one: people do, signed in; a token is refused."""
        body = parsed(ExceptionIn, request)
        rows = {
            "slot": row_of(DeploymentSlot, "/slot", request, pk=body.pop("slot")),
            "version": row_of(AgentVersion, "/version", request, pk=body.pop("version")),
        }
        return created(ExceptionOut(services.grant_exception(**rows, **body, actor=request.user)))

    @extend_schema(request=Reasoned, responses=ExceptionOut)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, id: str) -> Response:
        """End it before it is used."""
        exception = self.get_object()
        body = parsed(Reasoned, request)
        row = services.withdraw_exception(exception=exception, actor=request.user, **body)
        return Response(ExceptionOut(row).data)


class SlotReleases:
    """What a slot's endpoint has of releases."""

    def hold(self, found: DeploymentSlot) -> None:
        if self.action != "roll_back":  # type: ignore[attr-defined]
            super().hold(found)  # type: ignore[misc]
            return
        request: Request = self.request  # type: ignore[attr-defined]
        _, also = self._rows(request, parsed(RollBackIn, request))
        services.hold_for_rollback(slots=[found, *also], actor=request.user)

    @staticmethod
    def _rows(request: Request, body: Mapping[str, Any]) -> tuple[AgentVersion, list[DeploymentSlot]]:
        """The version that is left, and the other slots; Invalid names every one that the caller does not see."""
        slots = [(DeploymentSlot, f"/also/{n}", pk) for n, pk in enumerate(body.get("also", ()))]
        leaving, *also = rows_of(request, (AgentVersion, "/leaving", body["leaving"]), *slots)
        return leaving, also

    @extend_schema(request=RollBackIn, responses={201: RollbackOut})
    @action(detail=True, methods=["post"], url_path="roll-back")
    def roll_back(self, request: Request, id: str) -> Response:
        """Bind to the previous version again; the version left is deprecated and its instances here drain."""
        slot = self.get_object()  # type: ignore[attr-defined]
        body = parsed(RollBackIn, request)
        leaving, also = self._rows(request, body)
        made = services.roll_back_slot(
            slot=slot,
            leaving=leaving,
            also=also,
            incident=body.get("incident"),
            seen=body.get("targets"),
            drain=body.get("drain", ""),
            within=timedelta(seconds=body["within_seconds"]) if "within_seconds" in body else None,
            actor=request.user,
            reason=body["reason"],
        )
        prefetch_related_objects([made], _evidence_seen_by(request.user))
        return created(RollbackOut(*queries.with_dossiers([made], request.user)))

    @extend_schema(
        parameters=[
            OpenApiParameter("drain", str, enum=Drain.values, description="`replaced` by default."),
            OpenApiParameter("also", str, many=True, description="Slots that go back with it (slt_…)."),
        ],
        responses=RollbackPreviewOut,
    )
    @action(
        detail=True,
        methods=["get"],
        url_path="roll-back-preview",
        pagination_class=None,
        filterset_class=None,
    )
    def roll_back_preview(self, request: Request, id: str) -> Response:
        """What a rollback would do, in numbers. 404 where there is nothing to go back to."""
        slot = self.get_object()  # type: ignore[attr-defined]
        query = request.query_params
        asked = PreviewAsked(
            data={**query.dict(), **({"also": query.getlist("also")} if "also" in query else {})}
        )
        asked.is_valid(raise_exception=True)
        also = [
            row_of(DeploymentSlot, f"/also/{n}", request, pk=pk)
            for n, pk in enumerate(asked.validated_data.get("also", ()))
        ]
        drain = asked.validated_data.get("drain", Drain.REPLACED)
        preview = queries.rollback_preview(
            slot, request.user, drain=drain, also=[one for one in also if one.pk != slot.pk]
        )
        if preview is None:
            raise Http404
        return Response(RollbackPreviewOut(preview).data)
