"""What the endpoints of evaluation share: verbs that ask for a reason, rows that a body names."""

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet
from rest_framework import status
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from arm.api import Request, validated
from arm.crypto import canonical
from arm.errors import Invalid, Problem
from arm.permissions import visible
from arm.rights import Right
from registry.api.base import StrictJSON
from telemetry.api import AskedViewSet

from ..scoring import read_suite
from . import serializers as words

M = TypeVar("M", bound=Model)


class EvaluationViewSet(AskedViewSet[M]):
    view_right = Right.READ_DIRECTORY
    parser_classes = [StrictJSON]

    def carried_out(self, service: Callable[..., M], row: str) -> Response:
        """A verb on this row that asks for nothing but a reason; `row` is what the service calls it."""
        subject = self.get_object()
        body = validated(words.EvaluationReasonIn, self.request)
        done = service(**{row: subject}, actor=self.request.user, **body)
        return Response(self.get_serializer(done).data)


def seen(request: Request, rows: QuerySet[Any], pk: UUID | str, pointer: str, by: str = "pk") -> Any:
    """The row that a member names, among those that the caller may see; Invalid with the member's pointer."""
    return named(visible(rows, request.user, Right.READ_DIRECTORY), pk, pointer, by)


def named(rows: QuerySet[Any], pk: UUID | str, pointer: str, by: str = "pk") -> Any:
    """The row that a member names; Invalid with the member's pointer where it is none of these."""
    row = rows.filter(**{by: pk}).first()
    if row is None:
        sentence = "There is no such row, or it is not yours to see."
        raise Invalid(sentence, [Problem(pointer=pointer, code="unknown", message=sentence)])
    return row


def held(document: Any) -> Any:
    """The document, if it is a suite; else Invalid with pointers into the body."""
    try:
        read_suite(canonical(document))
    except Invalid as refusal:
        for problem in refusal.errors:
            problem["pointer"] = f"/document{problem['pointer']}"
        raise
    return document


def created(answer: BaseSerializer[Any]) -> Response:
    return Response(answer.data, status=status.HTTP_201_CREATED)
