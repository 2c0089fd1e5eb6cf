"""Acts on many rows: choose them on a list, see what would happen to each, then do it with a reason."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.generic import ListView, View

from arm import ids, listing
from arm.conflicts import whole
from arm.errors import DomainError
from arm.forms import ReasonForm
from arm.models import User
from arm.panels import rights_of_visitor, seen_by_visitor
from arm.rights import Right
from arm.views import CommandView, current_tenant
from registry import queries, services
from registry.forms.many import BULK_FORMS
from registry.models import BulkRow, BulkRun
from registry.services.many import BulkAction
from registry.views.commands import actor_of

SHOWN = 100


def acts_on(request: HttpRequest, model: type[Any]) -> list[BulkAction]:
    """The acts on many rows of this noun that the visitor may do somewhere."""
    held = rights_of_visitor(request)
    acts = [act for act in services.BULK_ACTIONS.values() if act.model is model]
    return [act for act in acts if any(right.value in held for right in act.rights)]


def _seen_runs(request: HttpRequest) -> QuerySet[BulkRun]:
    """One's own, and for who reads the changes everybody's."""
    audited = seen_by_visitor(BulkRun.objects.all(), request, Right.READ_AUDIT)
    return queries.runs_seen(actor_of(request), audited).select_related("actor", "tenant")


class BulkList(ListView[BulkRun]):
    """Every act on many rows, newest first: what was left on the way is found here again."""

    template_name = "registry/bulk_list.html"
    paginate_by = 50

    def get_queryset(self) -> QuerySet[BulkRun]:
        return _seen_runs(self.request).order_by("-pk")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        context["rows"] = [(run, services.BULK_ACTIONS.get(run.action)) for run in context["object_list"]]
        return context


class BulkChoose(View):
    """The rows and the act that were chosen on a list become a preview; what the act needs to know is asked first."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        found = listing.listings().get(request.POST.get("list", ""))
        act = services.BULK_ACTIONS.get(request.POST.get("action", ""))
        if found is None or found.right.value not in rights_of_visitor(request):
            raise Http404
        back = f"{found.url}?{request.POST.get('query', '') or 'view=all'}"
        if act is None or found.view.queryset.model is not act.model:
            messages.error(request, "Choose what to do with the rows.")
            return redirect(back)
        try:
            targets = self._targets(request, found, act)
        except DomainError as refusal:
            messages.error(request, refusal.message)
            return redirect(back)
        form = None
        if act.param:
            given = request.POST if "given" in request.POST else None
            form = BULK_FORMS[act.param](given, people=queries.people_of(current_tenant(request)))
            if given is None or not form.is_valid():
                return self._ask(request, found, act, form, targets, back)
        try:
            with whole():
                run = services.preview_bulk(
                    tenant=current_tenant(request),
                    action=act.name,
                    targets=targets,
                    params=form.params() if form else {},
                    actor=actor_of(request),
                )
        except DomainError as refusal:
            if form is not None and form.data:
                form.add_error(None, refusal.message)
                return self._ask(request, found, act, form, targets, back, refusal.status)
            messages.error(request, refusal.message)
            return redirect(back)
        return redirect(run)

    def _targets(self, request: HttpRequest, found: listing.Listing, act: BulkAction) -> list[UUID]:
        if request.POST.get("which") != "all":
            try:
                return [ids.decode(act.model.prefix, text) for text in request.POST.getlist("row")]  # type: ignore[attr-defined]
            except ValueError:
                raise Http404 from None
        query = listing.canonical(request.POST.get("query", ""))
        return queries.rows_of_list(found, query, actor_of(request), current_tenant(request), act.most)

    def _ask(
        self,
        request: HttpRequest,
        found: listing.Listing,
        act: BulkAction,
        form: Any,
        targets: list[UUID],
        back: str,
        status: int = 200,
    ) -> HttpResponse:
        context = {
            "act": act,
            "form": form,
            "back": back,
            "list": found.name,
            "query": request.POST.get("query", ""),
            "rows": [ids.encode(act.model.prefix, pk) for pk in targets],  # type: ignore[attr-defined]
        }
        return render(request, "registry/bulk_params.html", context, status=status)


class BulkDetail(CommandView):
    """What was foreseen for each row, the button that does it, its progress, and what became of each row."""

    form_class = ReasonForm
    template_name = "registry/bulk_detail.html"
    success_message = "It is applied as far as each row allows; see below."

    object: BulkRun

    def get_queryset(self) -> QuerySet[Any]:
        return _seen_runs(self.request)

    def get_template_names(self) -> list[str]:
        partial = getattr(self.request, "htmx", False) and not self.request.htmx.boosted  # type: ignore[attr-defined]
        return ["registry/_bulk_progress.html" if partial else self.template_name]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        run = self.object
        applied = run.state in (BulkRun.State.APPLYING, BulkRun.State.DONE)
        column, kinds = ("outcome", BulkRow.Outcome) if applied else ("foreseen", BulkRow.Foreseen)
        counted = dict(run.rows.order_by().values_list(column).annotate(Count("pk")))
        only = self.request.GET.get("only", "")
        rows = run.rows.order_by("target_id")
        if only in kinds.values and only:
            rows = rows.filter(**{column: only})
        page = Paginator(rows, SHOWN).get_page(self.request.GET.get("page"))
        waits = counted.get("", 0)
        return super().get_context_data(
            act=services.BULK_ACTIONS.get(run.action),
            mine=run.actor_id == self.request.user.pk,
            applied=applied,
            working=run.state in (BulkRun.State.PREVIEWING, BulkRun.State.APPLYING),
            counts=[(kind, kind.label, counted[kind.value]) for kind in kinds if counted.get(kind.value)],
            will=counted.get(BulkRow.Foreseen.WILL.value, 0) if not applied else 0,
            done=run.total - waits,
            only=only,
            page_obj=page,
            **kwargs,
        )

    def run(self, actor: User, cleaned: dict[str, Any]) -> BulkRun:
        return services.apply_bulk(run=self.object, actor=actor, reason=cleaned["reason"])
