"""Approvals: my queue, everything that waits, history, and the page on which one decides."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.urls import reverse

from arm.forms import ReasonForm
from arm.models import User
from arm.rights import Right
from arm.views import CommandView, FilteredList, current_tenant
from policy import forms, services
from policy.filters import ApprovalFilter, QueueFilter
from policy.models import ApprovalRequest
from policy.queries import approvals as queries
from policy.views.commands import Command, actor_of


class ApprovalWaiting(FilteredList):
    """Everything that waits for somebody, soonest to expire first."""

    queryset = ApprovalRequest.objects.for_list()
    view_right = Right.READ_DECISIONS
    filterset_class = QueueFilter
    template_name = "policy/approval_list.html"
    tab: ClassVar[str] = "waiting"
    columns = (
        ("id", "typeid"),
        ("what", "title"),
        ("kind", "kind"),
        ("risk", "risk"),
        ("state", queries.true_state),
        ("instance", "instance.name"),
        ("asked", "created_at"),
        ("expires", "expires_at"),
        ("decided", "decided_at"),
        ("digest", "digest"),
    )

    def get_queryset(self) -> QuerySet[Any]:
        return self.part(super().get_queryset())

    def part(self, rows: QuerySet[ApprovalRequest]) -> QuerySet[ApprovalRequest]:
        return queries.waiting(rows)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        tabs = [
            ("mine", "My queue", "policy:approval_list"),
            ("waiting", "Everything that waits", "policy:approval_waiting"),
            ("history", "History", "policy:approval_history"),
        ]
        context["tabs"] = [
            {"label": label, "url": reverse(name), "active": key == self.tab} for key, label, name in tabs
        ]
        context["rows"] = queries.rows(context["object_list"])
        context["tab"] = self.tab
        return context


class ApprovalList(ApprovalWaiting):
    """My queue: what waits for me and I may decide. Who may decide a request may see it."""

    tab = "mine"

    def get_queryset(self) -> QuerySet[Any]:
        mine = queries.waiting_for(
            actor_of(self.request), current_tenant(self.request), ApprovalRequest.objects.for_list()
        )
        return self.filtered(QueueFilter, mine)


class ApprovalHistory(ApprovalWaiting):
    """All requests, newest first."""

    tab = "history"
    filterset_class = ApprovalFilter

    def part(self, rows: QuerySet[ApprovalRequest]) -> QuerySet[ApprovalRequest]:
        return rows


class ApprovalDetail(CommandView):
    """The decision page: exactly what, who asks, which rule, and two buttons for whom they are meant."""

    queryset = ApprovalRequest.objects.select_related(
        "instance__template", "instance__environment", "instance__provider", "instance__version__template"
    ).select_related("requested_by", "tenant")
    view_right = Right.READ_DECISIONS
    form_class = forms.DecideForm
    template_name = "policy/approval_detail.html"

    def get_initial(self) -> dict[str, Any]:
        return {"digest": self.object.digest, "opened": forms.opened_now()}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = queries.approval_page(self.object, actor_of(self.request))
        return super().get_context_data(page=page, **kwargs)

    def run(self, actor: User, cleaned: dict[str, Any]) -> ApprovalRequest:
        approve = bool(cleaned["approve"])
        request = services.decide_approval(
            request=self.object,
            approve=approve,
            actor=actor,
            reason=cleaned["reason"],
            digest=cleaned["digest"],
            opened_at=cleaned["opened"],
        )
        said = request.get_state_display().lower()
        self.success_message = f"{'Approved' if approve else 'Denied'}; the request is {said}."
        return request

    def refused(self, form: Any, refusal: Any) -> Any:
        self.object = self.get_object()  # what it is now, not what it was when the page was opened
        return super().refused(form, refusal)


class CancelApproval(Command):
    queryset = ApprovalRequest.objects.for_list()
    view_right = Right.READ_DECISIONS
    form_class = ReasonForm
    heading, submit, tone = "Take the request back", "Cancel the request", "danger"
    intro = "Nobody decides it any more; the agent may ask again."
    success_message = "The request is cancelled."

    def may_act(self, actor: User) -> bool:
        return queries.approval_page(self.object, actor).may_cancel

    def run(self, actor: User, cleaned: dict[str, Any]) -> ApprovalRequest:
        return services.cancel_approval(request=self.object, actor=actor, reason=cleaned["reason"])
