"""Endpoints of certifications and their types."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from arm.api import Request, TypeIDField, tenant_of, validated
from registry.models import AgentVersion
from registry.staffing import Certified

from .. import filters, services
from ..models import Certification, CertificationType
from .base import EvaluationViewSet, created, seen
from .serializers import EvaluationReasonIn


class CertificationTypeOut(serializers.ModelSerializer[CertificationType]):
    id = TypeIDField("cty", source="pk")

    class Meta:
        model = CertificationType
        fields = ("id", "slug", "name", "purpose", "days", "created_at")


class CertificationTypeIn(EvaluationReasonIn):
    slug = serializers.SlugField(max_length=80)
    name = serializers.CharField(max_length=200)
    purpose = serializers.CharField(default="", allow_blank=True)
    days = serializers.IntegerField(default=365)


class CertificationOut(serializers.ModelSerializer[Certification]):
    """`evidence` names the runs that had passed on this genome when it was issued."""

    id = TypeIDField("crt", source="pk")
    type = serializers.CharField(source="type.slug")
    template = TypeIDField("tpl", source="template_id")
    version = TypeIDField("ver", source="version_id")
    state = serializers.ChoiceField([one.value for one in Certified], source="standing")
    issued_by = serializers.CharField(source="issued_by.username")

    class Meta:
        model = Certification
        fields = (
            *("id", "type", "template", "version", "genome_digest", "state", "issued_by", "issued_at"),
            *("valid_from", "valid_until", "reason", "evidence", "revoked_at", "revoked_reason"),
        )


class CertificationIn(EvaluationReasonIn):
    """`type` by its slug; without `valid_until` it is valid for as long as its type says."""

    type = serializers.CharField(max_length=80)
    version = TypeIDField("ver")
    valid_from = serializers.DateTimeField(required=False)
    valid_until = serializers.DateTimeField(required=False)


class CertificationTypeViewSet(EvaluationViewSet[CertificationType]):
    """What can be certified of versions."""

    queryset = CertificationType.objects.all()
    serializer_class = CertificationTypeOut
    filterset_class = filters.CertificationTypeFilter
    prefix = "cty"

    @extend_schema(request=CertificationTypeIn, responses={201: CertificationTypeOut})
    def create(self, request: Request) -> Response:
        """A new type; roles ask for it by its slug."""
        body = validated(CertificationTypeIn, request)
        made = services.create_certification_type(tenant=tenant_of(request), actor=request.user, **body)
        return created(CertificationTypeOut(made))


class CertificationViewSet(EvaluationViewSet[Certification]):
    """Who vouches for which genome until when."""

    queryset = Certification.objects.for_list()
    serializer_class = CertificationOut
    filterset_class = filters.CertificationFilter
    prefix = "crt"

    @extend_schema(request=CertificationIn, responses={201: CertificationOut})
    def create(self, request: Request) -> Response:
        """Certify the genome of a version; nobody certifies what they have built."""
        tenant_of(request)
        body = validated(CertificationIn, request)
        body["type"] = seen(request, CertificationType.objects.all(), body["type"], "/type", "slug")
        versions = AgentVersion.objects.select_related("template", "genome")
        body["version"] = seen(request, versions, body["version"], "/version")
        return created(CertificationOut(services.issue_certification(actor=request.user, **body)))

    @extend_schema(request=EvaluationReasonIn, responses=CertificationOut)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, id: str) -> Response:
        """It counts no more."""
        return self.carried_out(services.revoke_certification, "certification")
