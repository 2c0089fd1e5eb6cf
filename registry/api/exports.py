"""Endpoints of what leaves as a file: a version in another format, and a prompt that its genome names."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.negotiation import DefaultContentNegotiation

from arm.api import Request
from arm.errors import Invalid, NotFound, Problem
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
        held = held_by(request)
        file = services.export_version(
            version=version,
            format=services.Format(asked),
            server=request.query_params.get("server", ""),
            actor=request.user,
            held=held,
        )
        return file_answer(file, held)

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY, 304: None})
    @action(
        detail=True,
        methods=["get"],
        url_path="prompts/(?P<digest>sha256:[0-9a-f]{64})",
        pagination_class=None,
        filterset_class=None,
    )
    def prompt(self, request: Request, id: str, digest: str) -> HttpResponse:
        """The text of a prompt that the version's genome names, for who may read prompts on this version, digest as ETag;
        each look is a line of the security log. 404 where its text is kept elsewhere, 409 where it does not match."""
        version = self.get_object()  # type: ignore[attr-defined]
        held = held_by(request)
        read = services.read_prompt(version=version, digest=digest, actor=request.user, held=held)
        if read.content is None:
            raise NotFound(f"The text of the prompt {digest} is kept elsewhere.")
        name = f"{digest.removeprefix('sha256:')}.prompt"
        return file_answer(services.Exported(read.content, "application/octet-stream", name, digest), held)


def held_by(request: Request) -> str:
    """The digest of what the asker says to have already; empty where nothing is said."""
    return request.headers.get("If-None-Match", "").strip('"')


def file_answer(file: services.Exported, held: str) -> HttpResponse:
    """The file to keep, or 304 for who has it."""
    answer = HttpResponse(b"", status=304) if held == file.digest else HttpResponse(file.content)
    answer["Content-Type"] = file.media_type
    answer["Content-Disposition"] = f'attachment; filename="{file.name}"'
    answer["ETag"] = f'"{file.digest}"'
    return answer
