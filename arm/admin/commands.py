"""Actions of the admin with a confirm page, each row one call of a service."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from arm.conflicts import whole
from arm.errors import DomainError
from arm.models import User
from arm.permissions import visible
from arm.rights import Right


class AdminCommand:
    """An action with a confirm page: shows the rows and a form, then calls one service per row.

    `run(row, actor, cleaned)` is that call. Rows that refuse are named with their reason and stay on the page with what
    was typed; the others are done.
    """

    do_not_call_in_templates = True

    def __init__(
        self,
        name: str,
        label: str,
        right: Right,
        run: Callable[[Any, User, dict[str, Any]], object],
        form: type[forms.Form],
        warning: str = "",
    ) -> None:
        self.name, self.label, self.right, self.run, self.form, self.warning = (
            name,
            label,
            right,
            run,
            form,
            warning,
        )
        self.__name__ = name

    def __call__(
        self, modeladmin: ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        rows = list(visible(queryset, request.user, self.right))
        left_out = queryset.count() - len(rows)
        confirmed = "confirmed" in request.POST
        form = self.form(request.POST if confirmed else None)
        status = 200
        if confirmed and form.is_valid():
            refused = self._carry_out(request, rows, form.cleaned_data)
            if not refused:
                return None
            rows, status = [row for row, _ in refused], max(code for _, code in refused)
        context = {
            **modeladmin.admin_site.each_context(request),
            "title": self.label,
            "command": self,
            "rows": rows,
            "left_out": left_out,
            "form": form,
            "opts": modeladmin.opts,
        }
        return TemplateResponse(request, "admin/command_confirm.html", context, status=status)

    def done(self, request: HttpRequest, row: Any, made: Any) -> None:
        """What the call has answered, for a command whose answer is shown."""

    def _carry_out(
        self, request: HttpRequest, rows: list[Any], cleaned: dict[str, Any]
    ) -> list[tuple[Any, int]]:
        """Does what can be done, says the rest. Returns the rows that refused, each with the refusal's status."""
        refused = []
        for row in rows:
            try:
                with whole():
                    made = self.run(row, request.user, cleaned)  # type: ignore[arg-type]
                self.done(request, row, made)
            except DomainError as refusal:
                messages.error(request, f"{row}: {sentence(refusal)}")
                refused.append((row, refusal.status))
        if done := len(rows) - len(refused):
            messages.success(request, f"{self.label}: {done} of {len(rows)} done.")
        return refused


def sentence(refusal: DomainError) -> str:
    errors = refusal.extra.get("errors") or ()
    return " ".join([refusal.message, *(f"{e['pointer']}: {e['message']}" for e in errors)])  # type: ignore[attr-defined]
