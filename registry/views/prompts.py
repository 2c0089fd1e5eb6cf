"""The page of a prompt: its text for who may read it, as the version's genome names it."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.views.generic import DetailView

from arm.errors import NotAllowed, NotFound
from arm.rights import Right
from arm.views import Scoped
from registry import services
from registry.models import AgentVersion
from registry.views.commands import actor_of


class PromptPage(Scoped, DetailView[AgentVersion]):
    """Its digest is computed anew each time; each look is a line of the security log, and so is each refusal."""

    queryset = AgentVersion.objects.select_related("template", "genome", "tenant")
    view_right = Right.READ_DIRECTORY
    template_name = "registry/version_prompt.html"
    http_method_names = ("get",)  # a HEAD reads nothing

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.object = self.get_object()
        digest: str = self.kwargs["digest"]
        context: dict[str, Any] = {"digest": digest}
        status = 200
        try:
            context["read"] = services.read_prompt(
                version=self.object, digest=digest, actor=actor_of(request)
            )
        except NotAllowed as refusal:
            raise PermissionDenied from refusal
        except NotFound:
            raise Http404 from None
        except services.Tampered as problem:
            context["problem"], status = problem, 409
        return self.render_to_response(self.get_context_data(**context), status=status)
