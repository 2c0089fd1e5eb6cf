"""The core's own pages: the fleet, changes, people and their roles, search, the component gallery."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.views.generic import DetailView, ListView, TemplateView

from arm import clock, services
from arm.crypto import canonical, digest
from arm.filters import ChangeFilter
from arm.forms import BindForm, ReasonForm
from arm.models import ChangeRecord, Membership, RoleBinding, User
from arm.panels import panels, search
from arm.permissions import allowed
from arm.rights import Right
from arm.templatetags.ui.gallery import samples
from arm.views.base import CommandView, CreateView, FilteredList, Scoped, current_tenant


class Home(TemplateView):
    """The fleet page: panels of every app, refreshed by themselves."""

    template_name = "arm/home.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found = panels("HOME_PANELS", self.request, self.request.tenant) if self.request.tenant else []  # type: ignore[attr-defined]
        return super().get_context_data(panels=found, at=clock.now(), **kwargs)

    def get_template_names(self) -> list[str]:
        partial = getattr(self.request, "htmx", False) and not self.request.htmx.boosted  # type: ignore[attr-defined]
        return ["arm/_home_panels.html" if partial else self.template_name]


class ChangeList(FilteredList):
    """The governance stream of the tenant, newest first."""

    queryset = ChangeRecord.objects.all()
    view_right = Right.READ_AUDIT
    filterset_class = ChangeFilter
    template_name = "arm/change_list.html"
    columns = (
        ("at", "at"),
        ("actor", "actor_label"),
        ("verb", "verb"),
        ("target", "target_label"),
        ("reason", "reason"),
        ("request", "request_id"),
        ("digest", "digest"),
    )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(csv_url=self.request.path, **kwargs)


class ChangeDetail(Scoped, DetailView[ChangeRecord]):
    """One record, and whether its digest still is the digest of what it says."""

    queryset = ChangeRecord.objects.all()
    view_right = Right.READ_AUDIT
    template_name = "arm/change_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        record: ChangeRecord = self.object
        return super().get_context_data(intact=digest(canonical(record.body())) == record.digest, **kwargs)


class MemberList(Scoped, ListView[Membership]):
    """Who works here, with which roles on which scopes."""

    queryset = Membership.objects.select_related("user").order_by("user__username")
    view_right = Right.MANAGE_TENANT
    template_name = "arm/member_list.html"
    paginate_by = 50

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        users = [member.user_id for member in context["object_list"]]
        by_user: dict[Any, list[RoleBinding]] = {}
        for binding in RoleBinding.objects.filter(user__in=users, ended_at=None).order_by("role"):
            by_user.setdefault(binding.user_id, []).append(binding)
        context["rows"] = [(m, by_user.get(m.user_id, [])) for m in context["object_list"]]
        context["may_bind"] = allowed(self.request.user, Right.BIND_ROLE, current_tenant(self.request))
        return context


class BindRole(CreateView):
    """Give somebody a role on the whole tenant; narrower scopes have their own permission page in the admin."""

    view_right = Right.BIND_ROLE
    form_class = BindForm
    template_name = "arm/command.html"
    success_message = "The role is bound."
    extra_context = {
        "heading": "Bind a role",
        "explanation": "On the whole tenant. Narrower: the object's permission page in the admin.",
    }

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "tenant": self.object}

    def get_success_url(self) -> str:
        return reverse("member_list")

    def run(self, actor: User, cleaned: dict[str, Any]) -> RoleBinding:
        return services.bind(scope=self.object, actor=actor, **cleaned)


class UnbindRole(CommandView):
    """End a binding; its rights are gone at once."""

    queryset = RoleBinding.objects.filter(ended_at=None).select_related("user", "group", "tenant")
    view_right = Right.BIND_ROLE
    form_class = ReasonForm
    template_name = "arm/command.html"
    success_message = "The binding has ended."

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            heading="End a binding", explanation=str(self.object), cancel_url=reverse("member_list"), **kwargs
        )

    def get_success_url(self) -> str:
        return reverse("member_list")

    def run(self, actor: User, cleaned: dict[str, Any]) -> None:
        services.unbind(binding=self.object, actor=actor, reason=cleaned["reason"])


class Search(TemplateView):
    """Everything the visitor may see whose name, identifier or digest matches."""

    template_name = "arm/search.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        text = self.request.GET.get("q", "").strip()[:200]
        hits = search(self.request, text) if text else []
        return super().get_context_data(query=text, search_query=text, hits=hits, **kwargs)


class Gallery(TemplateView):
    """Every component in every state: what a page may be built from."""

    template_name = "arm/gallery.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        query: HttpRequest = self.request
        return super().get_context_data(**samples(query.GET.dict()), **kwargs)
