"""The pages of costs: spend by any tag, the ledger behind it, caps, the rate card."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.generic import DetailView, TemplateView

from arm.forms import ReasonForm
from arm.models import User
from arm.panels import rights_of_visitor
from arm.permissions import held_anywhere, visible
from arm.rights import Right
from arm.views import CommandView, CreateView, FilteredList, Scoped, current_tenant, export_csv
from telemetry.views import StreamList

from . import services
from .filters import CapFilter, LedgerFilter, RateFilter
from .forms import CapForm, RateForm, SpendForm
from .models import Cap, CapBreach, CostModel, LedgerEntry, SpendRollup
from .queries import Spend, spend

CHARTED = 12


class SpendPage(TemplateView):
    """What was spent in a period, by a tag; each number leads to its ledger entries."""

    template_name = "costs/spend.html"
    view_right = Right.READ_LEDGER
    columns = (
        ("key", "key"),
        ("label", "label"),
        ("amount", lambda line: f"{line.amount:f}"),
        ("currency", "currency"),
        ("calls", "calls"),
        ("input tokens", "input_tokens"),
        ("output tokens", "output_tokens"),
    )

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        form = SpendForm(request.GET)
        found = self.answer(form) if form.is_valid() else None
        if found is not None and request.GET.get("format") == "csv":
            return export_csv(request, self.answer(form, Right.EXPORT).lines, self.columns, "spend")
        may_connect = Right.MANAGE_KEYS.value in rights_of_visitor(request)
        context = self.get_context_data(form=form, spend=found, may_connect=may_connect)
        if found is not None:
            context["tag"] = form.cleaned_data["tag"]
            context["charted"] = [
                {"label": line.label, "value": line.amount, "url": line.url} for line in found.lines[:CHARTED]
            ]
        return self.render_to_response(context)

    def answer(self, form: SpendForm, *also: Right) -> Spend:
        """What the form asks for, out of what the visitor may read and holds the further rights on."""
        asked, user = form.cleaned_data, self.request.user
        rollups: Any = SpendRollup.objects.all()
        entries: Any = LedgerEntry.objects.all()
        for right in (Right.READ_LEDGER, *also):
            rollups, entries = visible(rollups, user, right), visible(entries, user, right)
        return spend(
            rollups,
            entries,
            tag=asked["tag"],
            since=asked["since"],
            until=asked["until"],
            currency=asked["currency"],
            home=current_tenant(self.request).currency,
        )


class Ledger(StreamList):
    """The entries themselves, newest first."""

    queryset = LedgerEntry.objects.for_list()
    view_right = Right.READ_LEDGER
    filterset_class = LedgerFilter
    template_name = "costs/ledger.html"
    prefix = "led"
    columns = (
        ("id", "typeid"),
        ("occurred at", "occurred_at"),
        ("amount", lambda entry: f"{entry.amount:f}"),
        ("currency", "currency"),
        ("basis", "get_basis_display"),
        ("instance", "instance.name"),
        ("version", lambda entry: f"{entry.template} v{entry.version.number}"),
        ("environment", "environment.slug"),
        ("model", "model"),
        ("cost centre", "cost_center"),
        ("job", "job"),
        ("outcome", "outcome"),
        ("input tokens", "input_tokens"),
        ("output tokens", "output_tokens"),
    )


class EntryDetail(Scoped, DetailView[LedgerEntry]):
    """One entry and how its amount was worked out."""

    queryset = LedgerEntry.objects.select_related(
        "instance", "template", "version__template", "environment", "provider", "role"
    ).select_related("currency", "price_ref", "model_provider", "model", "cost_center", "outcome")
    view_right = Right.READ_LEDGER
    template_name = "costs/entry_detail.html"

    def get_queryset(self) -> QuerySet[Any]:
        rows: Any = super().get_queryset()
        found: QuerySet[Any] = rows.by_id(self.kwargs["pk"])
        return found


class CapList(FilteredList):
    """Which instances are held to how much, and what happened when they passed it."""

    queryset = Cap.objects.select_related("instance__environment", "created_by")
    view_right = Right.READ_LEDGER
    filterset_class = CapFilter
    template_name = "costs/cap_list.html"
    columns = (
        ("id", "typeid"),
        ("instance", "instance.name"),
        ("per day", "per_day"),
        ("currency", "currency"),
        ("calls without a price", "unpriced"),
        ("since", "since"),
        ("until", "until"),
    )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        breaches = visible(CapBreach.objects.all(), self.request.user, self.view_right)
        return super().get_context_data(
            breaches=breaches.select_related("cap__instance").order_by("-pk")[:20],
            may_set=Right.SET_BUDGET in held_anywhere(self.request.user),
            **kwargs,
        )


class SetCap(CreateView):
    form_class = CapForm
    template_name = "costs/command.html"
    success_message = "The cap is in force."
    needs = Right.SET_BUDGET

    def get_object(self, queryset: QuerySet[Any] | None = None) -> Any:
        if self.needs not in held_anywhere(self.request.user):
            raise PermissionDenied
        return super().get_object(queryset)

    def get_initial(self) -> dict[str, Any]:
        return {
            "instance": self.request.GET.get("instance", ""),
            "currency": current_tenant(self.request).currency,
        }

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"actor": self.request.user}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            heading="Set a cap", submit="Set the cap", back_url=reverse("costs:cap_list"), **kwargs
        )

    def get_success_url(self) -> str:
        return reverse("costs:cap_list")

    def run(self, actor: User, cleaned: dict[str, Any]) -> Cap:
        return services.set_cap(actor=actor, **cleaned)


class EndCap(CommandView):
    queryset = Cap.objects.select_related("instance")
    view_right = Right.SET_BUDGET
    form_class = ReasonForm
    template_name = "costs/command.html"
    success_message = "The cap has ended."

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            heading=f"End the cap: {self.object}",
            submit="End the cap",
            back_url=reverse("costs:cap_list"),
            tone="danger",
            **kwargs,
        )

    def get_success_url(self) -> str:
        return reverse("costs:cap_list")

    def run(self, actor: User, cleaned: dict[str, Any]) -> Cap:
        return services.end_cap(cap=self.object, actor=actor, reason=cleaned["reason"])


class RateList(FilteredList):
    """The tenant's own prices; what it has none for is priced from the public list."""

    queryset = CostModel.objects.select_related("created_by")
    view_right = Right.READ_LEDGER
    filterset_class = RateFilter
    template_name = "costs/rate_list.html"
    columns = (
        ("id", "typeid"),
        ("model", "model"),
        ("provider", "provider"),
        ("currency", "currency"),
        ("input per million", "input_mtok"),
        ("output per million", "output_mtok"),
        ("starts at", "starts_at"),
        ("ends at", "ends_at"),
        ("price reference", "price_ref"),
    )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            may_edit=Right.EDIT_RATES in held_anywhere(self.request.user), **kwargs
        )


class AddRate(SetCap):
    form_class = RateForm  # type: ignore[assignment]
    success_message = "The rate is in force."
    needs = Right.EDIT_RATES

    def get_initial(self) -> dict[str, Any]:
        return {"currency": current_tenant(self.request).currency}

    def get_form_kwargs(self) -> dict[str, Any]:
        kwargs = super().get_form_kwargs()
        kwargs.pop("actor")
        return kwargs

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        words = {"heading": "Add a rate", "submit": "Add the rate", "back_url": reverse("costs:rate_list")}
        return super(SetCap, self).get_context_data(**words | kwargs)

    def get_success_url(self) -> str:
        return reverse("costs:rate_list")

    def run(self, actor: User, cleaned: dict[str, Any]) -> CostModel:  # type: ignore[override]
        return services.add_rate(
            tenant=self.object,
            model=cleaned["model"],
            provider=cleaned["provider"],
            currency=cleaned["currency"],
            prices={name: cleaned[name] for name in RateForm.PRICES},
            actor=actor,
            reason=cleaned["reason"],
        )


class EndRate(CommandView):
    queryset = CostModel.objects.all()
    view_right = Right.EDIT_RATES
    form_class = ReasonForm
    template_name = "costs/command.html"
    success_message = "The rate has ended."

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            heading=f"End the rate of {self.object}",
            submit="End the rate",
            back_url=reverse("costs:rate_list"),
            tone="danger",
            **kwargs,
        )

    def get_success_url(self) -> str:
        return reverse("costs:rate_list")

    def run(self, actor: User, cleaned: dict[str, Any]) -> CostModel:
        return services.end_rate(rate=self.object, actor=actor, reason=cleaned["reason"])
