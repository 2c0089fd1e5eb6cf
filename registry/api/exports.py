"""Endpoint of exports: a version as a file of another format."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.negotiation import DefaultContentNegotiation

from arm.api import Request
from arm.errors import Invalid, Problem
from registry import services


class OneAnswer(DefaultContentNegotiation):
    """`?format=` names what is exported; what the framework would read into it is another thing."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class Exports:
    """For the endpoint of versions."""

    @extend_schema(
        parameters=[
            OpenApiParameter("format", str, enum=[format.value for format in services.Format], required=True),
            OpenApiParameter(
                "server", str, description="With `mcp-server`: which server, where there are several"
            ),
        ],
        responses={
            (200, "application/json"): OpenApiTypes.OBJECT,
            (200, "application/vnd.cyclonedx+json"): OpenApiTypes.OBJECT,
            (200, "application/yaml"): OpenApiTypes.OBJECT,
            304: None,
        },
    )
    @action(
        detail=True,
        methods=["get"],
        pagination_class=None,
        filterset_class=None,
        content_negotiation_class=OneAnswer,
    )
    def export(self, request: Request, id: str) -> HttpResponse:
        """The version as a file; the same version is the same bytes, and the ETag is their digest."""
        version = self.get_object()  # type: ignore[attr-defined]
        asked = request.query_params.get("format", "")
        known = [format.value for format in services.Format]
        if asked not in known:
            message = f"Must be one of {', '.join(known)}."
            raise Invalid(message, [Problem(pointer="/format", code="choice", message=message)])
        held = request.headers.get("If-None-Match", "").strip('"')
        file = services.export_version(
            version=version,
            format=services.Format(asked),
            server=request.query_params.get("server", ""),
            actor=request.user,
            held=held,
        )
        return file_answer(file, held)


def file_answer(file: services.Exported, held: str) -> HttpResponse:
    """The file to keep, or 304 for who has it."""
    answer = HttpResponse(b"", status=304) if held == file.digest else HttpResponse(file.content)
    answer["Content-Type"] = file.media_type
    answer["Content-Disposition"] = f'attachment; filename="{file.name}"'
    answer["ETag"] = f'"{file.digest}"'
    return answer
