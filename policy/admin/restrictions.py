"""Requests for a stop. A yes is given on the request's own page, which shows how far it reaches; here one may ask,
decline or take back."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from arm.admin import AdminCommand, ReasonOnly, ScopedAdmin
from arm.rights import Right
from arm.views import current_tenant

from .. import services
from ..engine import Mode
from ..forms import MODES, scope_by_id
from ..lifecycle import ReasonCode
from ..models import RestrictionDecision, RestrictionRequest
from ..queries.stops import ABOVE
from .answers import Answers


class AnswerInline(Answers):
    model = RestrictionDecision
    fields = readonly_fields = ("at", "person", "confirm", "reason")


@admin.register(RestrictionRequest)
class RestrictionRequestAdmin(ScopedAdmin):
    view_right = Right.READ_POLICY
    add_right = Right.REQUEST_RESTRICTION
    list_display = ("target_kind", "target", "mode", "reason_code", "asked_by", "asked_at", "true_state")
    list_select_related = (*ABOVE, "asked_by", "closed_by")
    list_filter = ("state", "mode", "reason_code")
    search_fields = ("reason", "digest", "tool", "template__name", "instance__name")
    inlines = (AnswerInline,)
    fields = readonly_fields = (
        *("target_kind", "target", "tool", "tool_class", "mode", "until", "reason_code", "reason"),
        *("digest", "asked_by", "asked_at", "expires_at", "true_state", "closed_at", "closed_by"),
    )
    export_columns = (
        ("id", "typeid"),
        ("kind", "target_kind"),
        ("scope", "target"),
        ("mode", "mode"),
        ("kind of reason", "reason_code"),
        ("reason", "reason"),
        ("asked by", "asked_by"),
        ("asked at", "asked_at"),
        ("state", "true_state"),
        ("closed at", "closed_at"),
        ("closed by", "closed_by"),
    )
    commands = (
        AdminCommand(
            "decline",
            "Decline",
            Right.RESTRICT_INSTANCE,
            lambda row, actor, cleaned: services.decline_restriction(request=row, actor=actor, **cleaned),
            ReasonOnly,
            "One no is enough. A yes is given on the request's page in the console, which shows how far it reaches.",
        ),
        AdminCommand(
            "withdraw",
            "Take back",
            Right.REQUEST_RESTRICTION,
            lambda row, actor, cleaned: services.withdraw_restriction(request=row, actor=actor, **cleaned),
            ReasonOnly,
            "Only who asked takes a request back.",
        ),
    )

    @admin.display(description="State")
    def true_state(self, row: RestrictionRequest) -> str:
        return row.true_state.capitalize()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("scope", "mode", "reason_code", "reason") if obj is None else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else self.fields

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return () if obj is None else self.inlines

    def plain_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            return super().plain_form(request, obj, change, **kwargs)
        actor, tenant = request.user, current_tenant(request)

        class RequestForm(forms.ModelForm[RestrictionRequest]):
            """The scope is named by its identifier; the console shows how far it would reach."""

            scope = forms.CharField(
                max_length=60, help_text="ten_…, env_…, prov_…, rol_…, tpl_…, ver_…, slt_… or ins_…."
            )
            mode = forms.ChoiceField(choices=MODES)
            reason_code = forms.ChoiceField(choices=ReasonCode.choices, label="Kind of reason")
            reason = forms.CharField(max_length=500)

            class Meta:
                model = RestrictionRequest
                fields: tuple[str, ...] = ()

            def clean_scope(self) -> Model:
                text = self.cleaned_data["scope"]
                right = Right.REQUEST_RESTRICTION if text.startswith("ins_") else Right.MANAGE_INCIDENT
                return scope_by_id(text, tenant, actor, right)  # type: ignore[arg-type]

            def _post_clean(self) -> None:
                """The service and the table's constraints judge the row; the form holds no row of its own."""

        return RequestForm

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        return services.request_restriction(
            scope=cleaned["scope"],
            mode=Mode(cleaned["mode"]),
            actor=request.user,  # type: ignore[arg-type]
            reason_code=cleaned["reason_code"],
            reason=cleaned["reason"],
        )
