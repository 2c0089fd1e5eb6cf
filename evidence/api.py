"""`/api/v1/evidence/log/…`: the log as other people's tools read it."""

import base64
from typing import Any, ClassVar

from django.http import Http404, HttpResponse
from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from arm.api import Request, tenant_of
from arm.errors import Invalid, Problem
from arm.permissions import visible
from arm.rights import Right

from .models import Checkpoint, Leaf, SigningKey
from .queries import about, consistency_proof, inclusion_proof

ENTRIES_MAX = 1000
TEXT = "text/plain; charset=utf-8"
PLAIN = {(200, "text/plain"): OpenApiTypes.STR}


class LeafOut(serializers.Serializer[Any]):
    """`body` is what was hashed, letter by letter: SHA-256 over a zero byte and its UTF-8."""

    seq = serializers.IntegerField()
    body = serializers.CharField()
    hash = serializers.SerializerMethodField()

    def get_hash(self, leaf: Leaf) -> str:
        return bytes(leaf.hash).hex()


class KeyOut(serializers.Serializer[Any]):
    """A public key, what it signs, and since when; `retired_at` is null while it is in use."""

    kid = serializers.CharField()
    purpose = serializers.CharField()
    jwk = serializers.DictField(child=serializers.CharField())
    certificate = serializers.CharField(help_text="X.509 (PEM) of a key that signs PDFs; else empty.")
    not_before = serializers.DateTimeField()
    retired_at = serializers.DateTimeField()


class ConsistencyOut(serializers.Serializer[Any]):
    """`proof`: base64 hashes in the order of RFC 9162, 2.1.4."""

    proof = serializers.ListField(child=serializers.CharField())


class CheckpointView(APIView):
    @extend_schema(responses=PLAIN)
    def get(self, request: Request) -> HttpResponse:
        """The newest checkpoint: a signed note of C2SP. 404 before the first."""
        found = visible(Checkpoint.objects.all(), request.user, Right.READ_EVIDENCE).first()
        if found is None:
            raise Http404
        return HttpResponse(found.note, content_type=TEXT)


class ProofView(APIView):
    @extend_schema(
        parameters=[
            OpenApiParameter("record", str, description="A change record, chg_…, or a document, evd_…"),
            OpenApiParameter("seq", int, description="Or the number of a leaf."),
        ],
        responses=PLAIN,
    )
    def get(self, request: Request) -> HttpResponse:
        """That a record or document is in the log: `c2sp.org/tlog-proof@v1`. 404 until a checkpoint covers it."""
        leaves = visible(Leaf.objects.all(), request.user, Right.READ_EVIDENCE)
        if "record" in request.query_params:
            try:
                leaf = leaves.filter(**about(request.query_params["record"])).first()
            except ValueError as problem:
                raise _wrong("record", str(problem)) from problem
        else:
            leaf = leaves.filter(seq=_number(request, "seq")).first()
        proof = None if leaf is None else inclusion_proof(leaf)
        if proof is None:
            raise Http404
        return HttpResponse(proof.text, content_type=TEXT)


class ConsistencyView(APIView):
    @extend_schema(
        parameters=[OpenApiParameter("from", int, required=True), OpenApiParameter("to", int, required=True)],
        responses=ConsistencyOut,
    )
    def get(self, request: Request) -> Response:
        """That the log of `to` leaves begins with the log of `from`."""
        old, new = _number(request, "from"), _number(request, "to")
        leaves = visible(Leaf.objects.all(), request.user, Right.READ_EVIDENCE)
        if not 0 < old <= new:
            raise _wrong("from", "Name two sizes: 0 < from ≤ to.")
        if not leaves.filter(seq=new - 1).exists():
            raise Http404
        proof = consistency_proof(tenant_of(request), old, new)
        return Response({"proof": [base64.b64encode(one).decode() for one in proof]})


class EntriesView(APIView):
    @extend_schema(
        parameters=[OpenApiParameter("from", int), OpenApiParameter("count", int)],
        responses=LeafOut(many=True),
    )
    def get(self, request: Request) -> Response:
        """Leaves in order from number `from` (0), at most `count` (1000)."""
        start, count = _number(request, "from", 0), _number(request, "count", ENTRIES_MAX)
        if not 1 <= count <= ENTRIES_MAX:
            raise _wrong("count", f"Ask for 1 to {ENTRIES_MAX} leaves.")
        leaves = visible(Leaf.objects.filter(seq__gte=start), request.user, Right.READ_EVIDENCE)
        return Response(LeafOut(leaves.order_by("seq")[:count], many=True).data)


class KeysView(APIView):
    pagination_class: ClassVar[None] = None

    @extend_schema(responses=KeyOut(many=True))
    def get(self, request: Request) -> Response:
        """Every public key of the tenant, retired ones too: what they have signed stays verifiable."""
        keys = visible(SigningKey.objects.all(), request.user, Right.READ_EVIDENCE)
        return Response(KeyOut(keys, many=True).data)


def _number(request: Request, name: str, default: int | None = None) -> int:
    text = request.query_params.get(name)
    if text is None and default is not None:
        return default
    if not text or not text.isascii() or not text.isdigit() or len(text) > 15:
        raise _wrong(name, "Give a whole number that is not negative.")
    return int(text)


def _wrong(name: str, message: str) -> Invalid:
    problem = Problem(pointer=f"/{name}", code="invalid", message=message)
    return Invalid("The question has wrong members.", [problem])


urlpatterns = [
    path("log/checkpoint", CheckpointView.as_view()),
    path("log/proof", ProofView.as_view()),
    path("log/consistency", ConsistencyView.as_view()),
    path("log/entries", EntriesView.as_view()),
    path("keys", KeysView.as_view()),
]
