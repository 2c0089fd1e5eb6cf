"""The settings of the directory: which genome profiles the tenant requires."""

from typing import Any

from django.urls import reverse, reverse_lazy

from arm.models import User
from arm.rights import Right
from registry import forms, services
from registry.models import DirectoryRules
from registry.views.commands import Create


class ProfileSettings(Create):
    form_class = forms.ProfilesForm
    act_right = Right.MANAGE_DIRECTORY
    heading, submit = "Genome profiles", "Save"
    intro = (
        "Models, prompts, tools and provenance belong to every genome. Beyond them, a genome may describe ten more things; "
        "choose which of them every version of yours must describe. Versions keep the state that they are in."
    )
    cancel_url = reverse_lazy("home")  # type: ignore[assignment]
    success_message = "The required profiles are saved."

    def get_initial(self) -> dict[str, Any]:
        rules = DirectoryRules.objects
        held = {
            "profiles": list(rules.profiles_of(self.object.pk)),
            "prompts_kept": rules.prompts_kept_by(self.object.pk),
        }
        return {**super().get_initial(), **held}

    def get_success_url(self) -> str:
        return reverse("registry:profiles")

    def run(self, actor: User, cleaned: dict[str, Any]) -> DirectoryRules:
        return services.require_profiles(tenant=self.object, actor=actor, **cleaned)
