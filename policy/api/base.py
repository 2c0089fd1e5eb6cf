"""What policy's endpoints share: strict bodies, rows named in bodies, workload tokens where an agent may ask."""

from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model
from rest_framework import status
from rest_framework.request import Request as DRFRequest
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from arm.api import Request, ScopedViewSet, tenant_of
from arm.errors import Invalid, Problem
from arm.models import ApiKey
from arm.permissions import visible
from arm.rights import Right
from policy.forms import scope_by_id
from registry.api.base import StrictJSON, Workload, WorkloadScheme, WorkloadToken

M = TypeVar("M", bound=Model)


class PolicyViewSetBase(ScopedViewSet[M]):
    """Rows of policy: read by whoever may read it, written by @actions and `create`, one service call each."""

    view_right = Right.READ_POLICY
    parser_classes = [StrictJSON]


class WorkloadIfAny(WorkloadToken):
    """A workload token where there is one; whoever comes with something else is asked by the next in line."""

    def authenticate(self, request: DRFRequest) -> tuple[Workload, ApiKey] | None:
        _, _, token = request.headers.get("Authorization", "").partition(" ")
        return super().authenticate(request) if token.strip().startswith("armw_") else None


class WorkloadIfAnyScheme(WorkloadScheme):  # type: ignore[no-untyped-call]
    """Tells the OpenAPI document that an agent may come with its token, too."""

    target_class = "policy.api.base.WorkloadIfAny"
    name = "workload_or_other"


def created(data: BaseSerializer[Any]) -> Response:
    """201 with the representation, and where to find it."""
    body: Any = data.data
    return Response(body, status=status.HTTP_201_CREATED, headers={"Location": body["url"]})


def scope_of(pointer: str, text: str, request: Request) -> Any:
    """The tenant or the thing below it that this identifier names, as far as the caller may see it."""
    try:
        return scope_by_id(text, tenant_of(request), request.user)
    except ValidationError as problem:
        sentence = " ".join(problem.messages)
        raise Invalid(sentence, [Problem(pointer=pointer, code="choice", message=sentence)]) from problem


def row_of(model: type[M], pointer: str, request: Request, right: Right, **key: Any) -> M:
    """A row that a body names, as far as the caller may see it. Invalid otherwise."""
    found = visible(model._default_manager.filter(**key), request.user, right).first()
    if found is None:
        sentence = "There is no such row, or it is not yours to use."
        raise Invalid(sentence, [Problem(pointer=pointer, code="choice", message=sentence)])
    return found
