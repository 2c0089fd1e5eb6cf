"""Ingest keys: issue (the secret is shown once), rotate, revoke."""

from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.urls import reverse
from django.views.generic import ListView

from arm import services as core
from arm.forms import ReasonForm
from arm.models import ApiKey, User
from arm.panels import rights_of_visitor
from arm.permissions import held_anywhere
from arm.rights import Right
from arm.views import CommandView, CreateView, Scoped, ShownOnce
from registry.models import KeyScope
from registry.services import issue_ingest_key

from .. import services
from ..forms import KeyForm, RotateForm

INGEST_KEYS = ApiKey.objects.filter(kind=ApiKey.Kind.INGEST)


class KeyList(Scoped, ListView[KeyScope]):
    """Which keys may send telemetry, for whom, until when, and when each was last used."""

    queryset = (
        KeyScope.objects.filter(key__kind=ApiKey.Kind.INGEST)
        .select_related("key", "environment", "provider")
        .order_by("-key__pk")
    )
    view_right = Right.MANAGE_KEYS
    template_name = "telemetry/key_list.html"
    paginate_by = 50

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        may_issue = self.view_right.value in rights_of_visitor(self.request)
        return super().get_context_data(may_issue=may_issue, **kwargs)


class KeyShownOnce(ShownOnce):
    """The new key, and how an exporter is told of it."""

    shown_template = "telemetry/key_issued.html"
    back_name = "telemetry:key_list"


class IssueKey(KeyShownOnce, CreateView):
    form_class = KeyForm
    template_name = "telemetry/key_form.html"

    def get_object(self, queryset: QuerySet[Any] | None = None) -> Any:
        if Right.MANAGE_KEYS.value not in held_anywhere(self.request.user):
            raise Http404
        return super().get_object(queryset)

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"actor": self.request.user}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(heading="Issue an ingest key", submit="Issue the key", **kwargs)

    def run(self, actor: User, cleaned: dict[str, Any]) -> core.Issued:
        return issue_ingest_key(actor=actor, **cleaned)


class RotateKey(KeyShownOnce):
    queryset = INGEST_KEYS
    view_right = Right.MANAGE_KEYS
    form_class = RotateForm
    template_name = "telemetry/key_form.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(heading=f"Rotate {self.object}", submit="Rotate the key", **kwargs)

    def run(self, actor: User, cleaned: dict[str, Any]) -> core.Issued:
        return services.rotate_ingest_key(key=self.object, actor=actor, **cleaned)


class RevokeKey(CommandView):
    queryset = INGEST_KEYS
    view_right = Right.MANAGE_KEYS
    form_class = ReasonForm
    template_name = "telemetry/key_form.html"
    success_message = "Revoked; whoever uses it is refused from now on."

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            heading=f"Revoke {self.object}", submit="Revoke the key", tone="danger", **kwargs
        )

    def get_success_url(self) -> str:
        return reverse("telemetry:key_list")

    def run(self, actor: User, cleaned: dict[str, Any]) -> ApiKey:
        return core.revoke_key(key=self.object, actor=actor, reason=cleaned["reason"])
