"""Endpoints of imports: one file in, one Draft out."""

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.response import Response

from arm.api import Endpoint, Request, tenant_of
from arm.errors import Invalid, Problem
from registry import services
from registry.api import serializers as words
from registry.api.base import Bytes, ShowsExisting, named
from registry.genome.reading import MAX_BYTES
from registry.models import AgentTemplate, AgentVersion


class FileImport(ShowsExisting, Endpoint):
    """One file in, one Draft out: the body itself, or the field `file` of a multipart form."""

    parser_classes = [MultiPartParser, Bytes]
    media_type: ClassVar[str] = ""

    def bring_in(self, request: Request, data: bytes, media_type: str, body: dict[str, Any]) -> Any:
        raise NotImplementedError

    def import_file(self, request: Request) -> Response:
        data, media_type, said = self._file(request)
        checked = words.ImportIn(data={**request.query_params.dict(), **said})
        checked.is_valid(raise_exception=True)
        body = dict(checked.validated_data)
        if pk := body.pop("template", None):
            body["template"] = named(AgentTemplate.objects.all(), "/template", request.user, pk=pk)
        if pk := body.pop("version", None):
            rows = AgentVersion.objects.select_related("template", "genome")
            body["base"] = named(rows, "/version", request.user, pk=pk)
        imported = self.bring_in(request, data, media_type, body)
        version = words.VersionOut(imported.version).data
        answer = {
            "version": version,
            "new_template": imported.new_template,
            "notes": list(imported.notes),
            "url": version["url"],
        }
        return Response(answer, status=201, headers={"Location": version["url"]})

    def _file(self, request: Request) -> tuple[bytes, str, dict[str, Any]]:
        sent: Any = request.data
        if isinstance(sent, bytes):
            return sent, request.content_type or "", {}
        upload = sent.get("file")
        if upload is None or isinstance(upload, str):
            message = "Send the document as the body, or as the field “file” of a multipart form."
            raise Invalid(message, [Problem(pointer="/file", code="required", message=message)])
        said = {name: value for name, value in sent.items() if name != "file"}
        named_yaml = str(upload.name).lower().endswith((".yaml", ".yml"))
        return upload.read(MAX_BYTES + 1), "application/yaml" if named_yaml else "application/json", said


_FILE = {
    "application/json": OpenApiTypes.OBJECT,
    "multipart/form-data": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}},
}
_AROUND = [
    OpenApiParameter("reason", str),
    OpenApiParameter("template", str, description="tpl_…; default: what the file says, or a new agent"),
    OpenApiParameter("name", str, description="Name of a new agent, where the file names none"),
    OpenApiParameter("label", str, description="What its builders call the version"),
]


class ImportGenome(FileImport):
    @extend_schema(
        request={**_FILE, "application/yaml": OpenApiTypes.STR},
        parameters=_AROUND,
        responses={201: words.ImportedOut},
    )
    def post(self, request: Request) -> Response:
        """Import a genome (JSON or YAML) as a Draft."""
        return self.import_file(request)

    def bring_in(self, request: Request, data: bytes, media_type: str, body: dict[str, Any]) -> Any:
        return services.import_genome(
            data=data,
            media_type=media_type,
            name=body["name"],
            label=body["label"],
            **around(request, body),
        )


class ImportAgentCard(FileImport):
    @extend_schema(request=_FILE, parameters=_AROUND[:2], responses={201: words.ImportedOut})
    def post(self, request: Request) -> Response:
        """Import an A2A agent card (0.2 to 1.0) as a Draft with its skills."""
        return self.import_file(request)

    def bring_in(self, request: Request, data: bytes, media_type: str, body: dict[str, Any]) -> Any:
        return services.import_agent_card(data=data, **around(request, body))


class ImportBom(FileImport):
    @extend_schema(request=_FILE, parameters=_AROUND[:2], responses={201: words.ImportedOut})
    def post(self, request: Request) -> Response:
        """Import a CycloneDX ML-BOM (1.5 to 1.7, JSON) as a Draft."""
        return self.import_file(request)

    def bring_in(self, request: Request, data: bytes, media_type: str, body: dict[str, Any]) -> Any:
        return services.import_bom(data=data, **around(request, body))


class ImportRecord(FileImport):
    @extend_schema(request=_FILE, parameters=_AROUND[:2], responses={201: words.ImportedOut})
    def post(self, request: Request) -> Response:
        """Import an OASF record as a Draft."""
        return self.import_file(request)

    def bring_in(self, request: Request, data: bytes, media_type: str, body: dict[str, Any]) -> Any:
        return services.import_record(data=data, **around(request, body))


class ImportServer(FileImport):
    @extend_schema(
        request=_FILE,
        parameters=[
            *_AROUND[:2],
            OpenApiParameter("version", str, description="ver_…: the version whose tools these change"),
        ],
        responses={201: words.ImportedOut},
    )
    def post(self, request: Request) -> Response:
        """Import an MCP server.json: a Draft of `version` with its tools changed, or of `template` with no others."""
        return self.import_file(request)

    def bring_in(self, request: Request, data: bytes, media_type: str, body: dict[str, Any]) -> Any:
        return services.import_server(data=data, base=body.get("base"), **around(request, body))


def around(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    """What every import is told beside its file."""
    return {
        "tenant": tenant_of(request),
        "actor": request.user,
        "reason": body["reason"],
        "template": body.get("template"),
    }
