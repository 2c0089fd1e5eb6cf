"""The page that changes an environment and its place in the order; another order is shown before it is made."""

from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpResponse

from arm.models import User
from arm.permissions import allowed
from arm.rights import Right
from registry import queries, services
from registry.forms.environments import EnvironmentEditForm
from registry.models import Environment
from registry.views.commands import Command, actor_of


class EnvironmentEdit(Command):
    queryset = Environment.objects.select_related("tenant")
    form_class = EnvironmentEditForm
    template_name = "registry/environment_edit.html"
    act_rights = frozenset({Right.MANAGE_DIRECTORY})
    heading, submit = "Change the environment", "Save"
    intro = "Slots keep what they are bound to; what they may be bound to next follows the new rule."
    success_message = "The environment is changed."

    def get_initial(self) -> dict[str, Any]:
        place = queries.place_of(self.object)
        return {**super().get_initial(), **EnvironmentEditForm.initial_of(self.object), "position": place}

    def get_form_kwargs(self) -> dict[str, Any]:
        actor = actor_of(self.request)
        places = queries.channels_of(self.object.tenant_id)
        movable = allowed(actor, Right.MANAGE_DIRECTORY, self.object.tenant)
        return {**super().get_form_kwargs(), "places": places, "movable": movable}

    def form_valid(self, form: Any) -> HttpResponse:
        """Another order is shown first: what was asked for is done when the same was seen."""
        cleaned = form.cleaned_data
        place = cleaned.get("position")
        if place is not None and place != queries.place_of(self.object):
            preview = queries.order_preview(self.object, place, actor_of(self.request))
            wanted = f"{place} {preview.token}"
            if cleaned["seen"] != wanted:
                form.data = form.data.copy()
                form.data["seen"] = wanted
                form.add_error(
                    None, ValidationError("Nothing is changed yet: see what this order changes, and save.")
                )
                return self.render_to_response(self.get_context_data(form=form, preview=preview))
        return super().form_valid(form)

    def run(self, actor: User, cleaned: dict[str, Any]) -> Environment:
        _, *order = cleaned.pop("seen").split() or [""]
        return services.update_environment(environment=self.object, actor=actor, order=order, **cleaned)
