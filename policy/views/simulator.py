"""The simulator: what would be answered, by the same function that answers."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.views.generic import TemplateView

from arm.rights import Right
from arm.views import current_tenant
from policy import forms
from policy.queries import simulation
from policy.views.commands import actor_of, may_anywhere


class Simulator(TemplateView):
    """GET: every tool of a version or instance. POST: one tool with its arguments, which never stand in an address.
    Nothing is stored either way."""

    template_name = "policy/simulator.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        current_tenant(request)
        if not may_anywhere(request, Right.READ_POLICY):
            raise PermissionDenied
        return super().dispatch(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        asked = self.request.GET
        form = forms.WhatIfForm(asked if "subject" in asked else None, actor=actor_of(self.request))
        question = forms.AskForm(self.request.POST if self.request.method == "POST" else None)
        context = super().get_context_data(form=form, question=question, everything="all" in asked, **kwargs)
        if form.is_valid():
            bench = simulation.bench(
                form.cleaned_data["subject"],
                environment=form.cleaned_data["environment"],
                tried=form.cleaned_data["policy"],
                alone=form.cleaned_data["alone"],
            )
            context["simulation"] = simulation.simulate(bench, everything="all" in asked)
            if question.is_valid():
                verdict, answer = simulation.answer(bench, **question.cleaned_data)
                context["verdict"], context["answer"] = verdict, answer
        return context
