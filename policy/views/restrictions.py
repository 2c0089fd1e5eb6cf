"""Requests for a stop: the list, one request, and its three verbs."""

from typing import Any

from django.db.models import QuerySet
from django.views.generic import DetailView

from arm.forms import ReasonForm
from arm.models import User
from arm.rights import Right
from arm.views import FilteredList, Scoped
from policy import forms, services
from policy.filters import RestrictionFilter
from policy.models import RestrictionRequest
from policy.queries.restriction_pages import restriction_page
from policy.queries.stops import with_scope
from policy.views.commands import Command, actor_of, may_anywhere
from policy.views.stops import ASKS, SETS, VERBS, links, tabs


class RestrictionList(FilteredList):
    """Every request for a stop, newest first."""

    queryset = with_scope(RestrictionRequest.objects.all())
    view_right = Right.READ_POLICY
    filterset_class = RestrictionFilter
    template_name = "policy/restriction_list.html"
    columns = (
        ("id", "typeid"),
        ("scope", "target_kind"),
        ("on", "target"),
        ("mode", "mode"),
        ("tool", lambda row: row.tool or row.tool_class),
        ("kind of reason", "reason_code"),
        ("reason", "reason"),
        ("asked by", "asked_by"),
        ("asked", "asked_at"),
        ("expires", "expires_at"),
        ("state", "true_state"),
        ("closed", "closed_at"),
        ("closed by", "closed_by"),
        ("digest", "digest"),
    )

    def get_queryset(self) -> QuerySet[Any]:
        return super().get_queryset().order_by("-pk")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            tabs=tabs("requests"),
            may_stop=may_anywhere(self.request, *SETS),
            may_ask=may_anywhere(self.request, *ASKS),
            **kwargs,
        )


class RestrictionDetail(Scoped, DetailView[RestrictionRequest]):
    """What is asked for, how far it would reach now, and whose turn it is."""

    queryset = with_scope(RestrictionRequest.objects.all())
    view_right = Right.READ_POLICY
    template_name = "policy/restriction_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = restriction_page(self.object, actor_of(self.request))
        return super().get_context_data(page=page, links=links(page.preview.scope), **kwargs)


class AnswerRestriction(Command):
    """What confirming and declining share: the page with the reach, and who may."""

    queryset = with_scope(RestrictionRequest.objects.all())
    act_rights = frozenset(SETS)
    template_name = "policy/restriction_answer.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = restriction_page(self.object, actor_of(self.request))
        return super().get_context_data(
            page=page, preview=page.preview, links=links(page.preview.scope), **kwargs
        )


class ConfirmRestriction(AnswerRestriction):
    """The second person's click: what it reaches, what cannot be undone, and for wide stops the name to type."""

    form_class = forms.ConfirmRequestForm
    heading, submit, tone = "Confirm the stop", "Confirm", "danger"

    def get_initial(self) -> dict[str, Any]:
        return {"digest": self.object.digest}

    def get_form_kwargs(self) -> dict[str, Any]:
        page = restriction_page(self.object, actor_of(self.request))
        return {**super().get_form_kwargs(), "phrase": page.preview.phrase}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        preview = context["preview"]
        agents = preview.numbers["agents"]
        verb = VERBS[preview.mode]
        context["confirm_title"] = f"{verb} {preview.only or preview.scope}"
        context["submit"] = f"{verb} {agents} agent{'' if agents == 1 else 's'}"
        return context

    def run(self, actor: User, cleaned: dict[str, Any]) -> RestrictionRequest:
        request = services.confirm_restriction(
            request=self.object, actor=actor, digest=cleaned["digest"], reason=cleaned["reason"]
        )
        done = request.true_state == "confirmed"
        self.success_message = (
            f"{request.target} is {request.mode.replace('_', ' ')} from now on."
            if done
            else "Your yes counts. One more person must confirm it."
        )
        return request


class DeclineRestriction(AnswerRestriction):
    form_class = ReasonForm
    heading, submit, tone = "Decline the stop", "Decline", "primary"
    success_message = "Declined; nothing is stopped."

    def run(self, actor: User, cleaned: dict[str, Any]) -> RestrictionRequest:
        return services.decline_restriction(request=self.object, actor=actor, reason=cleaned["reason"])


class WithdrawRestriction(Command):
    queryset = with_scope(RestrictionRequest.objects.all())
    form_class = ReasonForm
    act_rights = frozenset()
    heading, submit = "Take the request back", "Take it back"
    intro = "Nobody can confirm it any more."
    success_message = "The request is taken back."

    def may_act(self, actor: User) -> bool:
        return self.object.asked_by_id == actor.pk  # type: ignore[no-any-return]

    def run(self, actor: User, cleaned: dict[str, Any]) -> RestrictionRequest:
        return services.withdraw_restriction(request=self.object, actor=actor, reason=cleaned["reason"])
