"""Pages about what is stored: the rounds that looked at it, what they found, and prompts."""

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse, reverse_lazy

from arm.models import User
from arm.permissions import visible
from arm.rights import Right
from arm.views import FilteredList
from registry import forms, services
from registry.models import IntegrityFinding, IntegritySweep, Prompt
from registry.views.commands import Create


class Integrity(FilteredList):
    """When everything that is stored was last looked at, how much that was, and what does not match its digest."""

    queryset = IntegritySweep.objects.order_by("-began_at", "-pk")
    view_right = Right.READ_DIRECTORY
    template_name = "registry/integrity.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(findings=self._open()[: self.shown], **kwargs)

    shown = 100

    def _open(self) -> QuerySet[IntegrityFinding]:
        rows = IntegrityFinding.objects.filter(restored_at=None).select_related(
            "genome__template", "prompt", "version__template"
        )
        return visible(rows.defer("genome__content", "prompt__content"), self.request.user, self.view_right)


class StorePrompt(Create):
    form_class = forms.PromptForm
    act_right = Right.CREATE_VERSION
    heading, submit = "Store a prompt", "Store"
    intro = "It is kept once under its digest. Reading its text takes a right of its own."
    cancel_url = reverse_lazy("registry:version_list")  # type: ignore[assignment]
    success_message = "The prompt is stored."

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), "digest": self.request.GET.get("digest", "")}

    def run(self, actor: User, cleaned: dict[str, Any]) -> Prompt:
        return services.store_prompt(
            tenant=self.object,
            content=cleaned["file"],
            media_type=cleaned["media_type"],
            actor=actor,
            reason=cleaned["reason"],
        )

    def get_success_url(self) -> str:
        return f"{reverse('registry:uses_list')}?q={self.result.digest}"
