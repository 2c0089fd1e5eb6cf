"""`/api/v1/costs/…`: spend by any tag, the ledger, and caps for machines."""

from typing import Any

from django.core.exceptions import ValidationError as FormError
from django.http import Http404
from django.urls import include, path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView

from arm import ids
from arm.api import Request, StrictSerializer, TypeIDField, tenant_of, validated
from arm.errors import Invalid, Problem
from arm.permissions import visible
from arm.rights import Right
from registry.models import AgentInstance
from telemetry.api import AskedViewSet, StreamPage

from . import services
from .filters import CapFilter, LedgerFilter
from .forms import SpendForm
from .models import Cap, LedgerEntry, SpendRollup
from .queries import spend


class LedgerEntryOut(serializers.ModelSerializer[LedgerEntry]):
    """Amounts are exact decimals in text; null tokens were not reported."""

    id = TypeIDField("led", source="pk")
    event = TypeIDField("evt", source="pk")
    instance = TypeIDField("ins", source="instance_id")  # type: ignore[assignment]  # DRF takes it off the class
    version = TypeIDField("ver", source="version_id")
    template = TypeIDField("tpl", source="template_id")
    environment = serializers.CharField(source="environment.slug")
    amount = serializers.SerializerMethodField()
    currency = serializers.CharField(source="currency.text")
    basis = serializers.CharField(source="get_basis_display")
    model = serializers.CharField(source="model.text", default=None)
    cost_center = serializers.CharField(source="cost_center.text", default=None)
    outcome = serializers.CharField(source="outcome.text", default=None)

    class Meta:
        model = LedgerEntry
        fields = (
            "id",
            "event",
            "occurred_at",
            "amount",
            "currency",
            "basis",
            "instance",
            "version",
            "template",
            "environment",
            "model",
            "cost_center",
            "job",
            "outcome",
            "input_tokens",
            "cache_read_tokens",
            "cache_write_tokens",
            "output_tokens",
        )

    def get_amount(self, entry: LedgerEntry) -> str:
        return f"{entry.amount:f}"


class CapOut(serializers.ModelSerializer[Cap]):
    id = TypeIDField("cap", source="pk")
    instance = TypeIDField("ins", source="instance_id")  # type: ignore[assignment]  # DRF takes it off the class

    class Meta:
        model = Cap
        fields = ("id", "instance", "per_day", "currency", "unpriced", "since", "until")


class CapIn(StrictSerializer):
    instance = TypeIDField("ins")
    per_day = serializers.DecimalField(max_digits=18, decimal_places=6)
    currency = serializers.RegexField(r"^[A-Z]{3}$", default="USD")
    unpriced = serializers.ChoiceField(Cap.Unpriced.choices, default=Cap.Unpriced.PASSES)
    reason = serializers.CharField(max_length=500)


class EndIn(StrictSerializer):
    reason = serializers.CharField(max_length=500)


class LedgerViewSet(AskedViewSet[LedgerEntry]):
    """Entries of the last day, or of `?since=&until=`, newest first."""

    queryset = LedgerEntry.objects.for_list()
    view_right = Right.READ_LEDGER
    prefix = "led"
    filterset_class = LedgerFilter
    serializer_class = LedgerEntryOut
    pagination_class = StreamPage

    def get_object(self) -> LedgerEntry:
        try:
            key = ids.decode(self.prefix, self.kwargs["id"])
        except ValueError:
            raise Http404 from None
        rows: Any = self.get_queryset()
        found: LedgerEntry | None = rows.by_id(key).first()  # its time is in its key: no period is needed
        if found is None:
            raise Http404
        return found


class CapViewSet(AskedViewSet[Cap]):
    """Caps in force; `?ended=true` or `all` for others."""

    queryset = Cap.objects.all()
    view_right = Right.READ_LEDGER
    prefix = "cap"
    filterset_class = CapFilter
    serializer_class = CapOut

    @extend_schema(request=CapIn, responses={201: CapOut})
    def create(self, request: Request) -> Response:
        tenant_of(request)
        body = validated(CapIn, request)
        seen = visible(
            AgentInstance.objects.filter(pk=body.pop("instance")), request.user, Right.READ_DIRECTORY
        )
        instance = seen.first()
        if instance is None:
            sentence = "There is no such instance, or it is not yours to see."
            raise Invalid(sentence, [Problem(pointer="/instance", code="unknown", message=sentence)])
        cap = services.set_cap(instance=instance, actor=request.user, **body)
        return Response(CapOut(cap).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=EndIn, responses=CapOut)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, id: str) -> Response:
        cap = self.get_object()
        body = validated(EndIn, request)
        return Response(CapOut(services.end_cap(cap=cap, actor=request.user, **body)).data)


class SpendView(APIView):
    """`?group_by=…&period=…|since=&until=&currency=`: the figures of the spend page."""

    @extend_schema(responses={200: dict[str, Any]})
    def get(self, request: Request) -> Response:
        tenant = tenant_of(request)
        form = SpendForm(request.query_params)
        unknown = sorted(set(request.query_params) - set(form.fields))
        problems = [
            Problem(pointer=f"/{name}", code="unknown", message="There is no such member.")
            for name in unknown
        ]
        if not form.is_valid():
            problems += _problems(form)
        if problems:
            raise Invalid("The question has wrong members.", problems)
        asked = form.cleaned_data
        found = spend(
            visible(SpendRollup.objects.all(), request.user, Right.READ_LEDGER),
            visible(LedgerEntry.objects.all(), request.user, Right.READ_LEDGER),
            tag=asked["tag"],
            since=asked["since"],
            until=asked["until"],
            currency=asked["currency"],
            home=tenant.currency,
        )
        lines = [
            {
                "key": line.key,
                "label": line.label,
                "amount": f"{line.amount:f}",
                "calls": line.calls,
                "input_tokens": line.input_tokens,
                "output_tokens": line.output_tokens,
            }
            for line in found.lines
        ]
        return Response(
            {
                "since": found.since,
                "until": found.until,
                "group_by": asked["tag"].name,
                "currency": found.currency,
                "currencies": found.currencies,
                "total": f"{found.total:f}",
                "calls": found.calls,
                "unattributed": {
                    "amount": f"{found.unattributed.amount:f}",
                    "calls": found.unattributed.calls,
                },
                "unpriced_calls": found.unpriced.calls,
                "lines": lines,
            }
        )


def _problems(form: SpendForm) -> list[Problem]:
    """Every wrong member of the query, by its name."""
    found: list[Problem] = []
    for name, errors in form.errors.as_data().items():
        pointer = "" if name == "__all__" else f"/{name}"
        for error in errors:
            message = " ".join(FormError(error).messages)
            found.append(Problem(pointer=pointer, code=str(error.code or "invalid"), message=message))
    return found


router = SimpleRouter()
router.trailing_slash = "/?"  # both forms answer: a redirected POST is lost data
router.register("ledger", LedgerViewSet, basename="ledger")
router.register("caps", CapViewSet, basename="cap")

urlpatterns = [
    path("spend/", SpendView.as_view()),
    path("spend", SpendView.as_view(schema=None)),
    path("", include(router.urls)),
]
