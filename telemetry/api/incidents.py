"""Incidents for machines: list, one with its timeline, and the same verbs as the pages."""

from typing import Any

from django.core.exceptions import ValidationError as FormError
from django.db.models import Model, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from arm.api import Request, StrictSerializer, TypeIDField, tenant_of
from arm.rights import Right
from registry.lifecycle import InstanceState

from .. import services
from ..filters import IncidentFilter
from ..forms import people_of, subject_of
from ..lifecycle import Detection, IncidentKind, Severity
from ..models import Incident, IncidentEntry
from .asking import AskedViewSet

ROWS = Incident.objects.select_related("environment", "owner", "opened_by", "template")


class EntryOut(serializers.ModelSerializer[IncidentEntry]):
    author = serializers.CharField(source="author.username", default=None)

    class Meta:
        model = IncidentEntry
        fields = ("at", "kind", "author", "text", "before", "after", "links")


class IncidentOut(serializers.ModelSerializer[Incident]):
    """One row of the list."""

    id = TypeIDField("inc", source="pk")
    instance = TypeIDField("ins", source="instance_id")  # type: ignore[assignment]  # DRF takes it off the class
    version = TypeIDField("ver", source="version_id")
    template = TypeIDField("tpl", source="template_id")
    environment = serializers.CharField(source="environment.slug", default=None)
    owner = serializers.CharField(source="owner.username", default=None)
    opened_by = serializers.CharField(source="opened_by.username", default=None)
    recurrence_of = TypeIDField("inc", source="recurrence_of_id", default=None)

    class Meta:
        model = Incident
        fields: tuple[str, ...] = (
            "id",
            "kind",
            "severity",
            "harm",
            "vouched",
            "state",
            "state_since",
            "title",
            "subject_kind",
            "subject_id",
            "subject_label",
            "instance",
            "version",
            "template",
            "environment",
            "opened_at",
            "opened_by",
            "detected",
            "owner",
            "recurrence_of",
        )


class IncidentDetailOut(IncidentOut):
    """One incident with what was found and its timeline, oldest first."""

    entries = EntryOut(many=True)

    class Meta(IncidentOut.Meta):
        fields: tuple[str, ...] = (
            *IncidentOut.Meta.fields,
            "root_cause",
            "remediation",
            "lessons",
            "facts",
            "entries",
        )


class IncidentReasonIn(StrictSerializer):
    reason = serializers.CharField(max_length=4000)


class OwnerField(serializers.CharField):
    """A member of the tenant, by user name."""

    def to_internal_value(self, data: Any) -> Any:
        name = super().to_internal_value(data)
        found = people_of(tenant_of(self.context["request"])).filter(username=name).first()
        if found is None:
            raise serializers.ValidationError("Nobody of that name works here.", code="unknown")
        return found


class OpenIn(StrictSerializer):
    subject = serializers.CharField(max_length=60, help_text="ins_…, ver_…, tpl_…, env_…, prov_… or ten_….")
    kind = serializers.ChoiceField(choices=IncidentKind.choices)
    severity = serializers.ChoiceField(choices=Severity.choices)
    title = serializers.CharField(max_length=250)
    detected = serializers.ChoiceField(choices=Detection.choices, default=Detection.PERSON)
    note = serializers.CharField(max_length=4000, default="")
    facts = serializers.DictField(default=dict)
    harm = serializers.BooleanField(
        default=None,
        allow_null=True,
        help_text="The version does harm wherever it runs; null takes it from the kind, about a version.",
    )

    def validate_subject(self, value: str) -> Model:
        try:
            return subject_of(value, self.context["request"].user)
        except FormError as problem:
            raise serializers.ValidationError(problem.messages, code="unknown") from problem


class TriageIn(IncidentReasonIn):
    severity = serializers.ChoiceField(choices=Severity.choices)
    owner = OwnerField(required=False, allow_null=True, default=None)
    harm = serializers.BooleanField(
        default=None,
        allow_null=True,
        help_text="The version does harm wherever it runs, or does not after all; null leaves what was said.",
    )


class AssignIn(StrictSerializer):
    owner = OwnerField()
    reason = serializers.CharField(max_length=4000, default="", allow_blank=True)


class MitigateIn(IncidentReasonIn):
    measure = serializers.ChoiceField(
        choices=[m.value for m in services.MEASURES],
        required=False,
        allow_null=True,
        default=None,
        help_text="What is done to the incident's instance; without it, `reason` says what was done elsewhere.",
    )


class ResolveIn(StrictSerializer):
    root_cause = serializers.CharField(max_length=4000)
    remediation = serializers.CharField(max_length=4000)


class ReviewIn(StrictSerializer):
    lessons = serializers.CharField(max_length=4000)


class NoteIn(StrictSerializer):
    text = serializers.CharField(max_length=4000)
    links = serializers.ListField(child=serializers.CharField(max_length=80), max_length=20, default=list)


class IncidentViewSet(AskedViewSet[Incident]):
    """What went wrong. `?state=` and `?severity=` may be given several times."""

    queryset = ROWS
    view_right = Right.READ_INCIDENTS
    prefix = "inc"
    filterset_class = IncidentFilter
    serializer_class = IncidentOut

    def get_queryset(self) -> QuerySet[Incident]:
        rows = super().get_queryset()
        return rows.prefetch_related("entries__author") if self.action == "retrieve" else rows

    def get_serializer_class(self) -> type[Serializer[Any]]:
        return IncidentDetailOut if self.action == "retrieve" else IncidentOut

    @extend_schema(request=OpenIn, responses={201: IncidentDetailOut, 200: IncidentDetailOut})
    def create(self, request: Request) -> Response:
        """Open an incident; where one of this kind stands on the subject, that one is the answer (200)."""
        tenant_of(request)
        body = self._body(OpenIn, request)
        subject = body["subject"]
        standing = Incident.objects.live().filter(
            kind=body["kind"], subject_kind=subject._meta.label_lower, subject_id=subject.pk
        )
        known = standing.values_list("pk", flat=True).first()
        incident = services.open_incident(
            kind=IncidentKind(body["kind"]),
            severity=Severity(body["severity"]),
            title=body["title"],
            subject=subject,
            actor=request.user,
            facts=body["facts"],
            detected=Detection(body["detected"]),
            note=body["note"],
            harm=body["harm"],
        )
        return self._answer(incident, status.HTTP_200_OK if incident.pk == known else status.HTTP_201_CREATED)

    @extend_schema(request=TriageIn, responses=IncidentDetailOut)
    @action(detail=True, methods=["post"])
    def triage(self, request: Request, id: str) -> Response:
        incident = self.get_object()
        body = self._body(TriageIn, request)
        return self._answer(
            services.triage(
                incident=incident,
                severity=Severity(body["severity"]),
                owner=body["owner"],
                actor=request.user,
                reason=body["reason"],
                harm=body["harm"],
            )
        )

    @extend_schema(request=AssignIn, responses=IncidentDetailOut)
    @action(detail=True, methods=["post"])
    def assign(self, request: Request, id: str) -> Response:
        incident = self.get_object()
        body = self._body(AssignIn, request)
        return self._answer(
            services.assign(incident=incident, owner=body["owner"], actor=request.user, reason=body["reason"])
        )

    @extend_schema(request=MitigateIn, responses=IncidentDetailOut)
    @action(detail=True, methods=["post"])
    def mitigate(self, request: Request, id: str) -> Response:
        incident = self.get_object()
        body = self._body(MitigateIn, request)
        measure = InstanceState(body["measure"]) if body["measure"] else None
        return self._answer(
            services.mitigate(incident=incident, measure=measure, actor=request.user, reason=body["reason"])
        )

    @extend_schema(request=IncidentReasonIn, responses=IncidentDetailOut)
    @action(detail=True, methods=["post"], url_path="deprecate-version")
    def deprecate_version(self, request: Request, id: str) -> Response:
        """Nothing new is bound to its version or provisioned from it; what binds it keeps it until its due date."""
        incident = self.get_object()
        body = self._body(IncidentReasonIn, request)
        return self._answer(services.deprecate_version(incident=incident, actor=request.user, **body))

    @extend_schema(request=ResolveIn, responses=IncidentDetailOut)
    @action(detail=True, methods=["post"])
    def resolve(self, request: Request, id: str) -> Response:
        incident = self.get_object()
        body = self._body(ResolveIn, request)
        return self._answer(services.resolve(incident=incident, actor=request.user, **body))

    @extend_schema(request=ReviewIn, responses=IncidentDetailOut)
    @action(detail=True, methods=["post"])
    def review(self, request: Request, id: str) -> Response:
        incident = self.get_object()
        body = self._body(ReviewIn, request)
        return self._answer(services.review(incident=incident, actor=request.user, **body))

    @extend_schema(request=IncidentReasonIn, responses=IncidentDetailOut)
    @action(detail=True, methods=["post"])
    def reopen(self, request: Request, id: str) -> Response:
        incident = self.get_object()
        body = self._body(IncidentReasonIn, request)
        return self._answer(services.reopen(incident=incident, actor=request.user, **body))

    @extend_schema(request=NoteIn, responses={201: EntryOut})
    @action(detail=True, methods=["post"])
    def notes(self, request: Request, id: str) -> Response:
        incident = self.get_object()
        body = self._body(NoteIn, request)
        entry = services.add_note(incident=incident, actor=request.user, **body)
        return Response(EntryOut(entry).data, status=status.HTTP_201_CREATED)

    def _body(self, serializer: type[Serializer[Any]], request: Request) -> dict[str, Any]:
        """The parsed body; some fields name rows that only this caller may name."""
        body = serializer(data=request.data, context={"request": request})
        body.is_valid(raise_exception=True)
        return dict(body.validated_data)

    def _answer(self, incident: Incident, code: int = status.HTTP_200_OK) -> Response:
        row = ROWS.prefetch_related("entries__author").get(pk=incident.pk)
        return Response(IncidentDetailOut(row).data, status=code)
