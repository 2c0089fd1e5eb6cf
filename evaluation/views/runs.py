"""Pages of runs: which there were, one as it goes on, and what each call expected and found."""

from typing import Any

from django.db.models import Case, IntegerField, QuerySet, Value, When
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import reverse, reverse_lazy
from django.views.generic import DetailView

from arm import clock
from arm.errors import Conflict
from arm.models import ChangeRecord, User
from arm.panels import rights_of_visitor
from arm.permissions import allowed, held_on, visible
from arm.rights import Right
from arm.views import FilteredList, Scoped
from arm.views.renewing import RenewsItself
from registry.forms import ReasonForm
from registry.views.commands import Command, Create, actor_of
from registry.views.cursors import CursorList

from .. import forms, services
from ..filters import ResultFilter, RunFilter
from ..lifecycle import RunState
from ..models import Baseline, Result, Run
from ..queries.baselines import pinned_by
from ..scoring import Outcome

SHOWN = 100
WORST_FIRST = Case(
    When(outcome=Outcome.FAILED, then=Value(0)),
    When(outcome=Outcome.ERRORED, then=Value(1)),
    default=Value(2),
    output_field=IntegerField(),
)


class RunList(CursorList):
    queryset = Run.objects.for_list().defer("suite_version__content")
    view_right = Right.READ_DIRECTORY
    filterset_class = RunFilter
    template_name = "evaluation/run_list.html"
    columns = (
        ("id", "typeid"),
        ("suite", "suite.name"),
        ("suite version", "suite_version.number"),
        ("suite digest", "suite_version.digest"),
        ("agent", "template.name"),
        ("version", "version.number"),
        ("genome", "genome_digest"),
        ("state", "state"),
        ("trigger", "trigger"),
        ("passed", "passed"),
        ("failed", "failed"),
        ("errored", "errored"),
        ("started", "started_at"),
        ("finished", "finished_at"),
        ("results", "results_digest"),
    )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        may = Right.RUN_EVALUATION.value in rights_of_visitor(self.request)
        return super().get_context_data(may_run=may, **kwargs)


class RunDetail(RenewsItself, Scoped, DetailView[Run]):
    """One run. While it goes on, its part renews itself; when it has come out, the page is fetched once more."""

    queryset = Run.objects.select_related(
        "suite", "suite_version", "version__template", "template", "asked_by"
    ).defer("suite_version__content")
    view_right = Right.READ_DIRECTORY
    template_name = "evaluation/run_detail.html"
    part_name = "evaluation/_run.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        actor = actor_of(self.request)
        held = held_on(actor, self.object)
        results = self.object.results.annotate(rank=WORST_FIRST).order_by("rank", "position")
        total = self.object.results.count()
        about = ChangeRecord.objects.about(self.object)[:20] if Right.READ_AUDIT in held else []
        return super().get_context_data(
            results=results[:SHOWN],
            more=max(0, total - SHOWN),
            may_run=Right.RUN_EVALUATION in held,
            baseline=pinned_by(self.object),
            may_pin=Right.EDIT_SUITE in held and self.object.state == RunState.PASSED,
            sees_suite=allowed(actor, Right.READ_DIRECTORY, self.object.suite),
            changes=about,
            at=clock.now(),
            **kwargs,
        )


class ResultList(FilteredList):
    """Every call of one run, in order."""

    view_right = Right.READ_DIRECTORY
    filterset_class = ResultFilter
    template_name = "evaluation/result_list.html"
    queryset = Result.objects.order_by("position", "turn")
    columns = (
        ("case", "case"),
        ("turn", "turn"),
        ("severity", "severity"),
        ("outcome", "outcome"),
        ("problem", "problem"),
        ("detail", "detail"),
        ("http status", "http_status"),
        ("latency ms", "latency_ms"),
        ("answer digest", "answer_digest"),
        ("case digest", "case_digest"),
        ("at", "at"),
    )

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        if request.user.is_authenticated:
            rows = visible(Run.objects.for_list(), request.user, self.view_right)
            self.run = get_object_or_404(rows.defer("suite_version__content"), pk=kwargs["pk"])

    def get_queryset(self) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset()
        return rows.filter(run=self.run)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(run=self.run, **kwargs)


class StartRun(Create):
    form_class = forms.StartRunForm
    act_right = Right.RUN_EVALUATION
    heading, submit = "Run an evaluation", "Start"
    intro = "The suite's newest version is put to the version's endpoint, case by case. The agent is really called."
    cancel_url = reverse_lazy("evaluation:run_list")  # type: ignore[assignment]
    success_message = "It is in the queue."

    def get_initial(self) -> dict[str, Any]:
        asked = self.request.GET
        return {"version": asked.get("version", ""), "suite": asked.get("suite", "")}

    def run(self, actor: User, cleaned: dict[str, Any]) -> list[Run]:
        by: dict[str, Any] = {"version": cleaned["version"], "actor": actor, "reason": cleaned["reason"]}
        if cleaned["suite"] is not None:
            return [services.start_run(suite=cleaned["suite"], **by)]
        started = services.start_missing(**by)
        if not started:
            raise Conflict("Nothing is missing: no mandatory suite waits to be run on this version.")
        return started

    def get_success_url(self) -> str:
        if len(self.result) == 1:
            url: str = self.result[0].get_absolute_url()
            return url
        return f"{reverse('evaluation:run_list')}?version={self.result[0].version.typeid}"


class CancelRun(Command):
    queryset = Run.objects.for_list().defer("suite_version__content")
    form_class = ReasonForm
    act_rights = frozenset({Right.RUN_EVALUATION})
    heading, submit, tone = "Cancel the run", "Cancel the run", "danger"
    intro = "It comes to no result. What it has found so far is kept."
    success_message = "The run is cancelled."

    def run(self, actor: User, cleaned: dict[str, Any]) -> Run:
        return services.cancel_run(run=self.object, actor=actor, reason=cleaned["reason"])


class PinBaseline(Command):
    queryset = Run.objects.for_list().defer("suite_version__content")
    form_class = ReasonForm
    act_rights = frozenset({Right.EDIT_SUITE})
    heading, submit = "Make the run the baseline", "Pin it"
    intro = (
        "From now on versions of this agent are held against this run, instead of the newest approved version's. Candidates"
        " that are worse than it go back to Testing."
    )
    success_message = "It is the baseline."

    def run(self, actor: User, cleaned: dict[str, Any]) -> Baseline:
        return services.pin_baseline(run=self.object, actor=actor, reason=cleaned["reason"])


class EndBaseline(Command):
    queryset = Baseline.objects.select_related(
        "run__suite_version__suite", "run__version__template", "template"
    )
    form_class = ReasonForm
    act_rights = frozenset({Right.EDIT_SUITE})
    heading, submit = "Let the baseline go", "Let it go"
    intro = "Versions are held against the newest approved version's run again."
    success_message = "It is the baseline no more."

    def run(self, actor: User, cleaned: dict[str, Any]) -> Baseline:
        return services.end_baseline(baseline=self.object, actor=actor, reason=cleaned["reason"])
