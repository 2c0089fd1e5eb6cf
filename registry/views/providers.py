"""Pages that change, close and reopen a provider, say which are allowed, and empty a slot."""

from typing import Any

from django.urls import reverse, reverse_lazy

from arm.models import User
from arm.rights import Right
from registry import queries, services
from registry.forms import ReasonForm
from registry.forms.providers import MEMBERS, AllowedProvidersForm, EmptySlotForm, ProviderEditForm
from registry.models import DeploymentSlot, DirectoryRules, Provider
from registry.views.commands import Command, Create
from registry.views.places import SLOTS

PROVIDERS = Provider.objects.select_related("tenant")


class _ProviderCommand(Command):
    queryset = PROVIDERS
    form_class: Any = ReasonForm
    act_rights = frozenset({Right.MANAGE_DIRECTORY})


class ProviderEdit(_ProviderCommand):
    form_class = ProviderEditForm
    heading, submit = "Change the provider", "Save"
    intro = "Its short name and its kind stay."
    success_message = "The provider is changed."

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), **{name: getattr(self.object, name) for name in MEMBERS}}

    def run(self, actor: User, cleaned: dict[str, Any]) -> Provider:
        return services.update_provider(provider=self.object, actor=actor, **cleaned)


class CloseProvider(_ProviderCommand):
    heading, submit, tone = "Close the provider", "Close", "danger"
    intro = (
        "Nothing new begins there. Its slots are emptied and its instances retired before; its history stays."
    )
    success_message = "The provider is closed."

    def run(self, actor: User, cleaned: dict[str, Any]) -> Provider:
        return services.close_provider(provider=self.object, actor=actor, reason=cleaned["reason"])


class ReopenProvider(_ProviderCommand):
    heading, submit = "Reopen the provider", "Reopen"
    intro = "It takes something new again."
    success_message = "The provider is open."

    def run(self, actor: User, cleaned: dict[str, Any]) -> Provider:
        return services.reopen_provider(provider=self.object, actor=actor, reason=cleaned["reason"])


class AllowedProviders(Create):
    form_class = AllowedProvidersForm
    act_right = Right.MANAGE_DIRECTORY
    heading, submit = "Allowed providers", "Save"
    intro = (
        "Slots are opened and bound, and instances provisioned and activated, at these only. What works elsewhere works on"
        " and stands in the list of what its environment would refuse now."
    )
    cancel_url = reverse_lazy("registry:provider_list")  # type: ignore[assignment]
    success_message = "The allowed providers are saved."

    def get_initial(self) -> dict[str, Any]:
        held = DirectoryRules.objects.providers_of(self.object.pk)
        return {**super().get_initial(), "providers": sorted(held)}

    def get_success_url(self) -> str:
        return reverse("registry:provider_list")

    def run(self, actor: User, cleaned: dict[str, Any]) -> DirectoryRules:
        return services.allow_providers(tenant=self.object, actor=actor, **cleaned)


class EmptySlot(Command):
    queryset = SLOTS
    form_class = EmptySlotForm
    template_name = "registry/slot_empty.html"
    act_rights = frozenset({Right.PROMOTE_RELEASE})
    heading, submit, tone = "Empty the slot", "Empty it", "danger"
    success_message = "The slot is empty."

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(preview=queries.emptying(self.object), **kwargs)

    def run(self, actor: User, cleaned: dict[str, Any]) -> DeploymentSlot:
        return services.empty_slot(slot=self.object, actor=actor, **cleaned)
