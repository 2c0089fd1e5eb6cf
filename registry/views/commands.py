"""What the registry's command pages share: the actor in the form, the right before the form, one template."""

import json
from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from arm.errors import DomainError
from arm.models import User
from arm.panels import rights_of_visitor
from arm.permissions import held_on
from arm.rights import Right
from arm.views import CommandView, CreateView
from registry.services import ChangedMeanwhile


def actor_of(request: HttpRequest) -> User:
    """The person behind a request that has passed the sign-in."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def may_anywhere(request: HttpRequest, right: Right) -> bool:
    """Whether a page that makes something has anything to offer this visitor."""
    return right.value in rights_of_visitor(request)


class Worded:
    """The words around a form."""

    heading: ClassVar[str]
    submit: ClassVar[str]
    tone: ClassVar[str] = "primary"
    intro: ClassVar[str] = ""


class Command(Worded, CommandView):
    """A verb on one row: who holds none of `act_rights` on it gets 403, not a form that will refuse."""

    template_name = "registry/form.html"

    act_rights: ClassVar[frozenset[Right]]
    view_right = Right.READ_DIRECTORY

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        if request.user.is_authenticated and not self.may_act(request.user):
            raise PermissionDenied

    def may_act(self, actor: User) -> bool:
        return bool(self.act_rights & held_on(actor, self.object))

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "actor": actor_of(self.request)}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        words = {"heading": self.heading, "submit": self.submit, "tone": self.tone, "intro": self.intro}
        return super().get_context_data(**{**words, "cancel": self.object.get_absolute_url(), **kwargs})


class SeenCommand(Command):
    """A change of what the page shows; its form is a `SeenForm`. Where it was changed meanwhile, the form comes back with
    what was typed and is compared with what is there now: whoever saves again has read what was changed."""

    def shown(self) -> Any:
        """What the page shows of it, as a JSON value."""
        raise NotImplementedError

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), "seen": self.shown()}

    def refused(self, form: Any, refusal: DomainError) -> HttpResponse:
        if refusal.code == ChangedMeanwhile.code:
            self.object.refresh_from_db()
            form.data = form.data.copy()
            form.data["seen"] = json.dumps(self.shown())
        return super().refused(form, refusal)


class DoesWhatWasShown(CommandView):
    """A command that does what its page has shown, or nothing: hidden fields bring back what that was."""

    def shown(self) -> dict[str, Any]:
        """The hidden fields as the page shows things now."""
        raise NotImplementedError

    def look_again(self) -> None:
        """Forget what was read before the refusal."""
        self.object = self.get_object()

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), **self.shown()}

    def refused(self, form: Any, refusal: DomainError) -> HttpResponse:
        """The page as it is now: who sends that has seen it."""
        self.look_again()
        form.data = form.data.copy()
        for name, value in self.shown().items():
            form.data[name] = value
        return super().refused(form, refusal)


class Create(Worded, CreateView):
    """A verb on the tenant: who holds `act_right` nowhere gets 403."""

    template_name = "registry/form.html"

    act_right: ClassVar[Right]
    cancel_url: ClassVar[str]
    view_right = Right.READ_DIRECTORY

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        if request.user.is_authenticated and not may_anywhere(request, self.act_right):
            raise PermissionDenied

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "actor": actor_of(self.request)}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        words = {"heading": self.heading, "submit": self.submit, "tone": self.tone, "intro": self.intro}
        return super().get_context_data(**{**words, "cancel": self.cancel_url, **kwargs})
