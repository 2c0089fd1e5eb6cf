"""The page that changes an environment and its place in the order; another order is shown before it is made."""

import json
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.views.generic import DetailView

from arm.errors import DomainError
from arm.models import User
from arm.permissions import allowed
from arm.rights import Right
from arm.views import Scoped
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
        opened = services.as_it_is(self.object, place)
        held = {**EnvironmentEditForm.initial_of(self.object), "position": place, "opened": opened}
        return {**super().get_initial(), **held}

    def get_form_kwargs(self) -> dict[str, Any]:
        actor = actor_of(self.request)
        places = queries.channels_of(self.object.tenant_id)
        seen = queries.seen_among(places, actor)
        names = [str(one) if one.pk in seen else "one that you may not see" for one in places]
        movable = allowed(actor, Right.MANAGE_DIRECTORY, self.object.tenant)
        return {**super().get_form_kwargs(), "places": names, "movable": movable}

    def form_valid(self, form: Any) -> HttpResponse:
        """Another order, and another rule of the place, is shown first: what was asked for is done when the same was
        seen."""
        cleaned, actor = form.cleaned_data, actor_of(self.request)
        now = queries.place_of(self.object)
        place = cleaned.get("position") or now
        rules = {name: cleaned[name] for name in ("production", "risk_default")}
        other = {name for name, value in rules.items() if getattr(self.object, name) != value}
        if place == now and not other:
            return super().form_valid(form)
        order = queries.order_preview(self.object, place, actor)
        said = f" {'production' if rules['production'] else 'not'}:{rules['risk_default']}" if other else ""
        wanted = f"{place} {order.token}{said}"
        if cleaned["seen"] == wanted:
            return super().form_valid(form)
        form.data = form.data.copy()
        form.data["seen"] = wanted
        form.add_error(None, ValidationError("Nothing is changed yet: see what this changes, and save."))
        context = {
            "preview": order if place != now else None,
            "lacks": queries.change_preview(self.object, actor, **rules) if other else None,
        }
        return self.render_to_response(self.get_context_data(form=form, **context))

    def refused(self, form: Any, refusal: DomainError) -> HttpResponse:
        """What is there now is what the next save is compared with: whoever saves again has read what was changed."""
        self.object.refresh_from_db()
        opened = services.as_it_is(self.object, queries.place_of(self.object))
        form.data = form.data.copy()
        form.data.update({"opened": json.dumps(opened), "seen": ""})
        return super().refused(form, refusal)

    def run(self, actor: User, cleaned: dict[str, Any]) -> Environment:
        _, *seen = cleaned.pop("seen").split() or [""]
        order = [word for word in seen if ":" not in word]
        return services.update_environment(environment=self.object, actor=actor, order=order, **cleaned)


class EnvironmentLacks(Scoped, DetailView[Environment]):
    """What stands there that its rules would not let in now: a list to mend, nothing is stopped."""

    queryset = Environment.objects.all()
    view_right = Right.READ_DIRECTORY
    template_name = "registry/environment_lacks.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        asked = self.request.GET.get("from", "")
        start = int(asked) if asked.isascii() and asked.isdigit() and len(asked) <= 6 else 0
        lacks = queries.lacks_of(self.object, actor_of(self.request), start)
        return super().get_context_data(lacks=lacks, start=start, **kwargs)
