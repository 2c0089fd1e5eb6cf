"""Versions as files of other formats."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.generic import DetailView

from arm.errors import DomainError
from arm.rights import Right
from arm.views import Scoped
from registry import services
from registry.models import AgentVersion
from registry.views.commands import actor_of


class VersionExport(Scoped, DetailView[AgentVersion]):
    """`?format=cyclonedx-1.7`: the file, or the version's page with what keeps it from being one."""

    queryset = AgentVersion.objects.select_related("template__tenant", "genome")
    view_right = Right.READ_DIRECTORY

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        version = self.get_object()
        asked = request.GET.get("format", "")
        if asked not in list(services.Format):
            raise Http404
        try:
            file = services.export_version(
                version=version,
                format=services.Format(asked),
                server=request.GET.get("server", ""),
                actor=actor_of(request),
            )
        except DomainError as refusal:
            messages.error(request, refusal.message)
            return redirect(version)
        answer = HttpResponse(file.content, content_type=file.media_type)
        answer["Content-Disposition"] = f'attachment; filename="{file.name}"'
        answer["ETag"] = f'"{file.digest}"'
        return answer
