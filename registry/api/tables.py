"""Endpoints of tables that somebody sends."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.response import Response

from arm.api import Request, StrictSerializer, TypeIDField, tenant_of, validated
from arm.errors import Problem, TooLarge
from arm.rights import Right
from registry import services
from registry.api.base import DirectoryViewSet, StrictJSON
from registry.api.serializers import also_shows
from registry.filters.exchange import TableImportFilter
from registry.models import TableImport
from registry.protocol import sheet


@also_shows(TableImport)
class TableImportOut(serializers.Serializer[Any]):
    """`counts`: rows by what they would do or did; `same` are unchanged. `problems` point to rows, counted from 0, and
    columns; `passed_over` are columns of our own lists that no table sets."""

    id = TypeIDField("tim", source="pk")
    kind = serializers.CharField()
    file_name = serializers.CharField()
    digest = serializers.CharField()
    state = serializers.CharField()
    total = serializers.IntegerField()
    done = serializers.IntegerField()
    wrong = serializers.IntegerField(source="bad")
    counts = serializers.DictField(child=serializers.IntegerField())
    problems = serializers.ListField(child=serializers.DictField(child=serializers.CharField()))
    passed_over = serializers.ListField(child=serializers.CharField())
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class TableIn(StrictSerializer):
    kind = serializers.ChoiceField(TableImport.Kind.choices)
    file = serializers.FileField()


class TableReasonIn(StrictSerializer):
    reason = serializers.CharField(max_length=500)


class TableImportViewSet(DirectoryViewSet[TableImport]):
    """Tables of agents and instances: sent, judged, applied."""

    queryset = TableImport.objects.defer("content")
    serializer_class = TableImportOut
    filterset_class = TableImportFilter
    view_right = Right.READ_DIRECTORY
    prefix = "tim"
    parser_classes = [MultiPartParser, StrictJSON]

    @extend_schema(request={"multipart/form-data": TableIn}, responses={201: TableImportOut})
    def create(self, request: Request) -> Response:
        """Keep a table and judge it; nothing of it is stored in the directory yet."""
        body = validated(TableIn, request)
        upload = body["file"]
        if upload.size > sheet.MAX_BYTES:
            message = f"The file has {upload.size:,} bytes; at most {sheet.MAX_BYTES:,} are read."
            raise TooLarge(message, errors=[Problem(pointer="/file", code="too_large", message=message)])
        made = services.send_table(
            tenant=tenant_of(request),
            kind=TableImport.Kind(body["kind"]),
            file_name=str(upload.name),
            data=upload.read(),
            actor=request.user,
        )
        return Response(TableImportOut(made).data, status=201)

    @extend_schema(request=TableReasonIn, responses=TableImportOut)
    @action(detail=True, methods=["post"])
    def apply(self, request: Request, id: str) -> Response:
        """Do what the table says; a long one goes on in the background."""
        table = self.get_object()
        body = validated(TableReasonIn, request)
        done = services.apply_table(table=table, actor=request.user, reason=body["reason"])
        return Response(TableImportOut(done).data)

    @extend_schema(request=TableReasonIn, responses=TableImportOut)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, id: str) -> Response:
        """Leave what is not applied yet undone."""
        table = self.get_object()
        body = validated(TableReasonIn, request)
        done = services.cancel_table(table=table, actor=request.user, reason=body["reason"])
        return Response(TableImportOut(done).data)
