"""Pages of the federation: clients, their invitation, approval and end, inventories that wait, and commands."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.urls import reverse
from django.views.generic import DetailView

from arm import clock
from arm.forms import ReasonForm
from arm.models import User
from arm.permissions import held_on
from arm.rights import Right
from arm.views import CommandView, FilteredList, Scoped, ShownOnce
from registry.models import Provider

from . import services
from .filters import ClientFilter, CommandFilter
from .forms import ApproveForm
from .models import Attestation, Command, ProviderClient, Snapshot
from .queries import pages

CLIENTS = ProviderClient.objects.select_related("provider", "invite__invited_by", "approved_by", "revoked_by")


class ClientList(FilteredList):
    """Who speaks for providers, and whether they are heard."""

    queryset = CLIENTS.order_by("-pk")
    view_right = Right.READ_DIRECTORY
    filterset_class = ClientFilter
    template_name = "federation/client_list.html"
    columns = (
        ("id", "typeid"),
        ("provider", "provider.slug"),
        ("name", "name"),
        ("status", "status"),
        ("software", "software_id"),
        ("version", "software_version"),
        ("auth key", "auth_kid"),
        ("attest key", "attest_kid"),
        ("registered at", "registered_at"),
    )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        context["rows"] = pages.with_sessions(list(context["object_list"]))
        return context


class ClientDetail(Scoped, DetailView[ProviderClient]):
    queryset = CLIENTS
    view_right = Right.READ_DIRECTORY
    template_name = "federation/client_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = pages.client_page(self.object, _person(self.request))
        state = pages.word(page.session, clock.now())
        return super().get_context_data(page=page, reach=state, **kwargs)


class Commanding(CommandView):
    """A verb of the federation: who lacks its right on the row gets 403, not a form that will refuse."""

    view_right = Right.READ_DIRECTORY
    act_right: Right
    form_class = ReasonForm
    template_name = "federation/command_form.html"
    heading = submit = intro = ""
    tone = "primary"

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        if request.user.is_authenticated and self.act_right not in held_on(request.user, self.object):
            raise PermissionDenied

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        words = {"heading": self.heading, "submit": self.submit, "tone": self.tone, "intro": self.intro}
        return super().get_context_data(**{**words, "cancel": self.back(), **kwargs})

    def back(self) -> str:
        url: str = self.object.get_absolute_url()
        return url


class InviteProvider(Commanding, ShownOnce):
    queryset = Provider.objects.all()
    act_right = Right.INVITE_PROVIDER
    heading, submit = "Invite the provider", "Make a registration token"
    intro = (
        "The token is good for a day and for one registration. Whoever registers with it waits until somebody else "
        "than you has compared its keys and approved it."
    )
    shown_template = "federation/invited.html"
    back_name = "federation:client_list"

    def run(self, actor: User, cleaned: dict[str, Any]) -> services.Invited:
        return services.invite_provider(provider=self.object, actor=actor, **cleaned)


class ApproveClient(Commanding):
    queryset = CLIENTS
    act_right = Right.APPROVE_PROVIDER
    form_class = ApproveForm
    template_name = "federation/client_approve.html"
    heading, submit = "Approve the client", "Approve"
    success_message = "Approved. It may sign in now, and is told what is wanted of its instances."

    def get_initial(self) -> dict[str, Any]:
        shown = {"auth_kid": self.object.auth_kid, "attest_kid": self.object.attest_kid}
        return {**super().get_initial(), **shown}

    def run(self, actor: User, cleaned: dict[str, Any]) -> ProviderClient:
        said = {name: cleaned[name] for name in ("auth_kid", "attest_kid", "reason")}
        return services.approve_client(client=self.object, actor=actor, **said)


class RevokeClient(Commanding):
    queryset = CLIENTS
    act_right = Right.APPROVE_PROVIDER
    heading, submit, tone = "Revoke the client", "Revoke", "danger"
    intro = (
        "Its tokens and its session end at once, and nobody is told any more what is wanted of the provider's "
        "instances, until another client is invited and approved. What runs there goes on running."
    )
    success_message = "Revoked; its tokens are refused from now on."

    def run(self, actor: User, cleaned: dict[str, Any]) -> ProviderClient:
        return services.revoke_client(client=self.object, actor=actor, **cleaned)


class ReleaseSnapshot(Commanding):
    queryset = Snapshot.objects.select_related("session__client")
    act_right = Right.APPROVE_PROVIDER
    heading, submit = "Take the held inventory", "Take it"
    intro = (
        "More than a fifth of the provider's instances are absent from it. They are then shown as missing."
    )
    success_message = "The inventory is taken."

    def back(self) -> str:
        return str(self.object.session.client.get_absolute_url())

    get_success_url = back

    def run(self, actor: User, cleaned: dict[str, Any]) -> Snapshot:
        return services.release_snapshot(snapshot=self.object, actor=actor, **cleaned)


class CommandList(FilteredList):
    """What providers were told, newest first, and how far each of it got."""

    queryset = Command.objects.for_list()
    view_right = Right.READ_DIRECTORY
    filterset_class = CommandFilter
    template_name = "federation/command_list.html"
    columns = (
        ("id", "typeid"),
        ("instance", "instance.typeid"),
        ("provider", "provider.slug"),
        ("generation", "generation"),
        ("from", "from_state"),
        ("to", "to_state"),
        ("state", "state"),
        ("decided at", "decided_at"),
        ("delivered at", "delivered_at"),
        ("acked at", "acked_at"),
        ("attested at", "attested_at"),
    )


class CommandDetail(Scoped, DetailView[Command]):
    queryset = Command.objects.for_list()
    view_right = Right.READ_DIRECTORY
    template_name = "federation/command_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            moments=pages.command_moments(self.object),
            document=bytes(self.object.document).decode(),
            attestations=Attestation.objects.filter(command=self.object)[: pages.SHOWN],
            back=reverse("federation:command_list"),
            **kwargs,
        )


def _person(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user
