"""Actions of the admin with a confirm page, each row one call of a service."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from arm.errors import DomainError
from arm.models import User
from arm.permissions import visible
from arm.rights import Right

if TYPE_CHECKING:
    from arm.admin.base import ScopedAdmin


class AdminCommand:
    """An action with a confirm page: shows the rows and a form, then calls one service per row.

    `run(row, actor, cleaned)` is that call. Rows that refuse are named with their reason; the others are done.
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
        self, modeladmin: "ScopedAdmin", request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        rows = list(visible(queryset, request.user, self.right))
        confirmed = "confirmed" in request.POST
        form = self.form(request.POST if confirmed else None)
        if confirmed and form.is_valid():
            self._carry_out(modeladmin, request, rows, form.cleaned_data)
            return None
        context = {
            **modeladmin.admin_site.each_context(request),
            "title": self.label,
            "command": self,
            "rows": rows,
            "left_out": queryset.count() - len(rows),
            "form": form,
            "opts": modeladmin.opts,
        }
        return TemplateResponse(request, "admin/command_confirm.html", context)

    def _carry_out(
        self, modeladmin: "ScopedAdmin", request: HttpRequest, rows: list[Any], cleaned: dict[str, Any]
    ) -> None:
        done = 0
        for row in rows:
            try:
                with transaction.atomic():
                    self.run(row, request.user, cleaned)  # type: ignore[arg-type]
                done += 1
            except DomainError as refusal:
                messages.error(request, f"{row}: {sentence(refusal)}")
        if done:
            messages.success(request, f"{self.label}: {done} of {len(rows)} done.")


def sentence(refusal: DomainError) -> str:
    errors = refusal.extra.get("errors") or ()
    return " ".join([refusal.message, *(f"{e['pointer']}: {e['message']}" for e in errors)])  # type: ignore[attr-defined]
