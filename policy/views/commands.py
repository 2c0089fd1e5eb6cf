"""What policy's command pages share: the right before the form, the words around it, one template."""

from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from arm.models import User
from arm.panels import rights_of_visitor
from arm.permissions import allowed
from arm.rights import Right
from arm.views import CommandView, CreateView


def actor_of(request: HttpRequest) -> User:
    """The person behind a request that has passed the sign-in."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def may_anywhere(request: HttpRequest, *rights: Right) -> bool:
    """Whether the visitor holds one of the rights somewhere: for buttons that make something new."""
    actor_of(request)
    held = rights_of_visitor(request)
    return any(right.value in held for right in rights)


class Words:
    """The words around a form."""

    heading: ClassVar[str]
    submit: ClassVar[str]
    tone: ClassVar[str] = "primary"
    intro: ClassVar[str] = ""
    warning: ClassVar[str] = ""

    def words(self) -> dict[str, str]:
        return {
            "heading": self.heading,
            "submit": self.submit,
            "tone": self.tone,
            "intro": self.intro,
            "warning": self.warning,
        }


class Command(Words, CommandView):
    """A verb on one row: who holds none of `act_rights` on it gets 403, not a form that will refuse."""

    template_name = "policy/form.html"
    act_rights: ClassVar[frozenset[Right]]
    view_right = Right.READ_POLICY

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        if request.user.is_authenticated and not self.may_act(actor_of(request)):
            raise PermissionDenied

    def may_act(self, actor: User) -> bool:
        return any(allowed(actor, right, self.object) for right in sorted(self.act_rights))

    def cancel_url(self) -> str:
        url: str = self.object.get_absolute_url()
        return url

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**{**self.words(), "cancel": self.cancel_url(), **kwargs})


class Create(Words, CreateView):
    """A verb on the tenant: who holds none of `act_rights` anywhere gets 403."""

    template_name = "policy/form.html"
    act_rights: ClassVar[frozenset[Right]]
    cancel_to: ClassVar[Any]
    view_right = Right.READ_POLICY

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        if request.user.is_authenticated and not may_anywhere(request, *self.act_rights):
            raise PermissionDenied

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**{**self.words(), "cancel": str(self.cancel_to), **kwargs})
