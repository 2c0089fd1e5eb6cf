"""Pages of suites: what they ask, of which agents, and how to change that."""

import json
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse_lazy
from django.views.generic import DetailView

from arm.models import ChangeRecord, User
from arm.panels import rights_of_visitor
from arm.permissions import allowed, visible
from arm.rights import Right
from arm.views import FilteredList, Scoped
from registry import genome
from registry.forms import ReasonForm
from registry.views.commands import Command, Create, actor_of

from .. import forms, services
from ..filters import SuiteFilter
from ..models import Assignment, Run, Suite, SuiteVersion
from ..queries import newest_version

SHOWN = 20
EXAMPLE = """{
  "schema": "arm.suite/v1",
  "category": "regression",
  "threshold": 0.9,
  "cases": [
    {
      "name": "greets",
      "severity": "blocker",
      "input": {"message": "Say hello."},
      "scorers": [{"scorer": "contains", "field": "/output/text", "text": "hello", "ignore_case": true}]
    }
  ]
}
"""


class SuiteList(FilteredList):
    queryset = Suite.objects.for_list()
    view_right = Right.READ_DIRECTORY
    filterset_class = SuiteFilter
    template_name = "evaluation/suite_list.html"
    columns = (
        ("id", "typeid"),
        ("name", "name"),
        ("short name", "slug"),
        ("category", "category"),
        ("newest version", "newest_number"),
        ("cases", "newest_cases"),
        ("agents", "assigned"),
    )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        may = Right.EDIT_SUITE.value in rights_of_visitor(self.request)
        return super().get_context_data(may_edit=may, **kwargs)


class SuiteDetail(Scoped, DetailView[Suite]):
    queryset = Suite.objects.select_related("created_by")
    view_right = Right.READ_DIRECTORY
    template_name = "evaluation/suite_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        actor = actor_of(self.request)
        newest = newest_version(self.object)
        asked = Assignment.objects.filter(suite=self.object, until=None).select_related("template")
        runs = Run.objects.for_list().filter(suite=self.object).defer("suite_version__content")
        history = allowed(actor, Right.READ_AUDIT, self.object)
        return super().get_context_data(
            newest=newest,
            document=newest.document if newest else None,
            versions=self.object.versions.defer("content").select_related("created_by", "suite")[:SHOWN],
            assignments=visible(asked, actor, Right.READ_DIRECTORY).order_by("template__name")[:100],
            runs=visible(runs, actor, Right.READ_DIRECTORY)[:SHOWN],
            may_edit=allowed(actor, Right.EDIT_SUITE, self.object),
            changes=ChangeRecord.objects.about(self.object)[:SHOWN] if history else [],
            **kwargs,
        )


class SuiteVersionDetail(Scoped, DetailView[SuiteVersion]):
    """One version: its cases, and the bytes that its digest is of (`?format=json`)."""

    queryset = SuiteVersion.objects.select_related("suite", "created_by")
    view_right = Right.READ_DIRECTORY
    template_name = "evaluation/suite_version.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.GET.get("format") != "json":
            return super().get(request, *args, **kwargs)
        row = self.get_object()
        answer = HttpResponse(bytes(row.content), content_type="application/json")
        name = f"{row.suite.slug}.v{row.number}.suite.json"
        answer["Content-Disposition"] = f'attachment; filename="{name}"'
        return answer

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(document=self.object.document, raw=self.object.raw, **kwargs)


class CreateSuite(Create):
    form_class = forms.SuiteForm
    act_right = Right.EDIT_SUITE
    heading, submit = "New suite", "Store the suite"
    intro = "Cases are put to an agent's endpoint; scorers hold each answer to what is expected."
    cancel_url = reverse_lazy("evaluation:suite_list")  # type: ignore[assignment]
    success_message = "The suite is stored. Assign it to the agents whose versions it is to be asked of."

    def get_initial(self) -> dict[str, Any]:
        return {"text": EXAMPLE}

    def run(self, actor: User, cleaned: dict[str, Any]) -> SuiteVersion:
        return services.create_suite(
            tenant=self.object,
            slug=cleaned["slug"],
            name=cleaned["name"],
            purpose=cleaned["purpose"],
            document=_read(cleaned),
            actor=actor,
            reason=cleaned["reason"],
        )

    def get_success_url(self) -> str:
        url: str = self.result.suite.get_absolute_url()
        return url


def _read(cleaned: dict[str, Any]) -> dict[str, Any]:
    return genome.read(cleaned["data"], media_type=cleaned["media_type"]).document


class SaveVersion(Command):
    queryset = Suite.objects.all()
    form_class = forms.SuiteVersionForm
    act_rights = frozenset({Right.EDIT_SUITE})
    heading, submit = "Change the suite", "Store as a new version"
    intro = "Versions that passed what it asked before have to be run again before they become candidates."
    success_message = "The new version is stored."

    def get_initial(self) -> dict[str, Any]:
        newest = newest_version(self.object)
        shown = json.dumps(newest.raw, indent=2, ensure_ascii=False) if newest else EXAMPLE
        return {"text": shown}

    def run(self, actor: User, cleaned: dict[str, Any]) -> SuiteVersion:
        return services.save_version(
            suite=self.object, document=_read(cleaned), actor=actor, reason=cleaned["reason"]
        )


class AssignSuite(Create):
    form_class = forms.AssignForm
    act_right = Right.EDIT_SUITE
    heading, submit = "Assign a suite", "Assign"
    cancel_url = reverse_lazy("evaluation:suite_list")  # type: ignore[assignment]
    success_message = "The suite is assigned."

    def get_initial(self) -> dict[str, Any]:
        asked = self.request.GET
        return {"suite": asked.get("suite", ""), "template": asked.get("template", ""), "mandatory": True}

    def run(self, actor: User, cleaned: dict[str, Any]) -> Assignment:
        return services.assign_suite(
            suite=cleaned["suite"],
            template=cleaned["template"],
            mandatory=cleaned["mandatory"],
            actor=actor,
            reason=cleaned["reason"],
        )

    def get_success_url(self) -> str:
        return f"{self.result.template.get_absolute_url()}#evaluation"


class EndAssignment(Command):
    queryset: QuerySet[Assignment] = Assignment.objects.select_related("suite", "template")
    form_class = ReasonForm
    act_rights = frozenset({Right.EDIT_SUITE})
    heading, submit, tone = "End the assignment", "End it", "danger"
    intro = "The suite is asked of this agent's versions no more. A safety case that has failed stays failed."
    success_message = "The assignment has ended."

    def run(self, actor: User, cleaned: dict[str, Any]) -> Assignment:
        return services.end_assignment(assignment=self.object, actor=actor, reason=cleaned["reason"])
