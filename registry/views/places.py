"""Pages of environments, providers and slots."""

from typing import Any

from django.urls import reverse_lazy
from django.views.generic import DetailView

from arm.models import User
from arm.panels import panels, scopes_of_visitor
from arm.permissions import visible
from arm.rights import Right
from arm.views import FilteredList, Scoped
from registry import forms, queries, services
from registry.filters import EnvironmentFilter, ProviderFilter, SlotFilter
from registry.models import DeploymentSlot, Environment, Provider
from registry.views.commands import Create, SeenCommand, actor_of, may_anywhere

SLOTS = DeploymentSlot.objects.select_related(
    "environment", "role", "provider", "current_version__template", "previous_version__template"
).select_related("canary_version__template")


class PlaceList(FilteredList):
    """A short list with the number of live instances beside each row."""

    view_right = Right.READ_DIRECTORY
    create_right = Right.MANAGE_DIRECTORY

    def counts(self, rows: Any) -> dict[Any, int]:
        return {}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        found = list(context["object_list"])
        counts = self.counts(found)
        context["most"] = queries.LIVE_COUNTED
        context["rows"] = [(row, counts.get(row.pk, 0)) for row in found]
        context["may_create"] = may_anywhere(self.request, self.create_right)
        return context


class EnvironmentList(PlaceList):
    queryset = Environment.objects.order_by("position")
    filterset_class = EnvironmentFilter
    template_name = "registry/environment_list.html"
    columns = (
        ("id", "typeid"),
        ("slug", "slug"),
        ("name", "name"),
        ("position", "position"),
        ("production", "production"),
    )

    def counts(self, rows: Any) -> dict[Any, int]:
        held = scopes_of_visitor(self.request, self.view_right)
        return queries.instance_counts(rows, actor_of(self.request), held)


class EnvironmentDetail(Scoped, DetailView[Environment]):
    queryset = Environment.objects.all()
    view_right = Right.READ_DIRECTORY
    template_name = "registry/environment_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = queries.place_page(self.object, actor_of(self.request))
        slots = visible(SLOTS.filter(environment=self.object), self.request.user, self.view_right)
        shown = panels("ENVIRONMENT_PANELS", self.request, self.object)
        return super().get_context_data(page=page, slots=slots[: queries.SHOWN], panels=shown, **kwargs)


class EnvironmentCreate(Create):
    form_class = forms.EnvironmentForm
    act_right = Right.MANAGE_DIRECTORY
    heading, submit = "Add an environment", "Add"
    intro = "It stands last in the channel order, which versions climb."
    cancel_url = reverse_lazy("registry:environment_list")  # type: ignore[assignment]
    success_message = "The environment is added."

    def run(self, actor: User, cleaned: dict[str, Any]) -> Environment:
        return services.create_environment(tenant=self.object, actor=actor, **cleaned)


class ProviderList(PlaceList):
    queryset = Provider.objects.order_by("slug")
    filterset_class = ProviderFilter
    template_name = "registry/provider_list.html"
    columns = (
        ("id", "typeid"),
        ("slug", "slug"),
        ("name", "name"),
        ("kind", "kind"),
        ("heartbeat", "heartbeat_seconds"),
    )

    def counts(self, rows: Any) -> dict[Any, int]:
        held = scopes_of_visitor(self.request, self.view_right)
        return queries.instance_counts(rows, actor_of(self.request), held)


class ProviderDetail(Scoped, DetailView[Provider]):
    queryset = Provider.objects.all()
    view_right = Right.READ_DIRECTORY
    template_name = "registry/provider_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = queries.place_page(self.object, actor_of(self.request))
        shown = panels("PROVIDER_PANELS", self.request, self.object)
        return super().get_context_data(page=page, panels=shown, **kwargs)


class ProviderCreate(Create):
    form_class = forms.ProviderForm
    act_right = Right.MANAGE_DIRECTORY
    heading, submit = "Add a provider", "Add"
    intro = "Whose machines run instances, and how long one may be silent there."
    cancel_url = reverse_lazy("registry:provider_list")  # type: ignore[assignment]
    success_message = "The provider is added."

    def run(self, actor: User, cleaned: dict[str, Any]) -> Provider:
        return services.create_provider(tenant=self.object, actor=actor, **cleaned)


class SlotList(PlaceList):
    queryset = SLOTS.order_by("environment__position", "role__slug", "ordinal")
    filterset_class = SlotFilter
    template_name = "registry/slot_list.html"
    create_right = Right.PROMOTE_RELEASE
    columns = (
        ("id", "typeid"),
        ("environment", "environment.slug"),
        ("role", "role.slug"),
        ("provider", "provider.slug"),
        ("ordinal", "ordinal"),
        ("current", lambda row: row.current_version and row.current_version.typeid),
        ("previous", lambda row: row.previous_version and row.previous_version.typeid),
    )


class SlotDetail(Scoped, DetailView[DeploymentSlot]):
    queryset = SLOTS
    view_right = Right.READ_DIRECTORY
    template_name = "registry/slot_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = queries.slot_page(self.object, actor_of(self.request))
        return super().get_context_data(page=page, **kwargs)


class SlotCreate(Create):
    form_class = forms.SlotForm
    act_right = Right.PROMOTE_RELEASE
    heading, submit = "Open a slot", "Open"
    intro = "A place for one version: a role, in an environment, at a provider."
    cancel_url = reverse_lazy("registry:slot_list")  # type: ignore[assignment]
    success_message = "The slot is open."

    def run(self, actor: User, cleaned: dict[str, Any]) -> DeploymentSlot:
        return services.create_slot(actor=actor, **cleaned)


class BindSlot(SeenCommand):
    queryset = SLOTS
    form_class = forms.BindSlotForm
    act_rights = frozenset({Right.PROMOTE_RELEASE})
    heading, submit = "Bind a version", "Bind"
    intro = (
        "What is bound now becomes the previous version, which a rollback returns to. Binding moves no instance: those of"
        " the version left finish their runs and start none. A rollout replaces them as well."
    )

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), "version": self.request.GET.get("version", "")}

    def shown(self) -> str:
        has = self.object.current_version
        return has.typeid if has else ""

    def run(self, actor: User, cleaned: dict[str, Any]) -> DeploymentSlot:
        bound = services.bind_slot(slot=self.object, actor=actor, **cleaned)
        left = queries.left_behind(bound)
        said = f"{left or 'No'} instance{' is' if left in (0, 1) else 's are'} left on another version"
        more = ": they finish their runs and start none." if left else "."
        self.success_message = f"The slot is bound. {said}{more}"
        return bound
