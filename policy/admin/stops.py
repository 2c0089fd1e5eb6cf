"""Kill switches: set one by its form, lift or ask for the lift by command."""

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
from ..models import Posture


@admin.register(Posture)
class PostureAdmin(ScopedAdmin):
    view_right = Right.READ_POLICY
    add_right = Right.RESTRICT_INSTANCE
    list_display = ("target_kind", "target", "tool", "mode", "reason", "set_by", "set_at", "lifted_at")
    list_select_related = (
        "tenant", "environment", "role", "template", "version__template", "slot__role", "slot__environment",
        "instance", "provider", "set_by",
    )  # fmt: skip
    list_filter = ("mode",)
    search_fields = ("reason", "tool", "template__name", "instance__name")
    fields = readonly_fields = (
        "target_kind",
        "target",
        "tool",
        "tool_class",
        "mode",
        "reason",
        "set_by",
        "set_at",
        "until",
        "reach",
        "lifted_by",
        "lifted_at",
        "lift_reason",
    )
    export_columns = (
        ("id", "typeid"),
        ("kind", "target_kind"),
        ("scope", "target"),
        ("tool", "tool"),
        ("mode", "mode"),
        ("reason", "reason"),
        ("set by", "set_by"),
        ("set at", "set_at"),
        ("lifted at", "lifted_at"),
    )
    commands = (
        AdminCommand(
            "lift",
            "Lift",
            Right.RELEASE_INSTANCE,
            lambda row, actor, cleaned: services.lift_posture(posture=row, actor=actor, **cleaned),
            ReasonOnly,
            "Agents work again at once. Read-only and quarantine need approvers who took no part.",
        ),
        AdminCommand(
            "approve_lift",
            "Lift as an approver",
            Right.APPROVE_RELEASE,
            lambda row, actor, cleaned: services.lift_posture(posture=row, actor=actor, **cleaned),
            ReasonOnly,
            "You count as one of those who agree, unless you set the stop or asked for its end.",
        ),
        AdminCommand(
            "request_lift",
            "Ask approvers for the lift",
            Right.RELEASE_INSTANCE,
            lambda row, actor, cleaned: services.request_lift(posture=row, actor=actor, **cleaned),
            ReasonOnly,
        ),
    )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("scope", "mode", "reason") if obj is None else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else self.fields

    def plain_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            return super().plain_form(request, obj, change, **kwargs)
        actor, tenant = request.user, current_tenant(request)

        class StopForm(forms.ModelForm[Posture]):
            """The scope is named by its identifier; the console shows how far it reaches before the click."""

            scope = forms.CharField(
                max_length=60, help_text="ten_…, env_…, prov_…, rol_…, tpl_…, ver_…, slt_… or ins_…."
            )
            mode = forms.ChoiceField(choices=MODES)
            reason = forms.CharField(max_length=500)

            class Meta:
                model = Posture
                fields: tuple[str, ...] = ()

            def clean_scope(self) -> Model:
                text = self.cleaned_data["scope"]
                right = Right.RESTRICT_INSTANCE if text.startswith("ins_") else Right.RESTRICT_WIDELY
                return scope_by_id(text, tenant, actor, right)  # type: ignore[arg-type]

            def _post_clean(self) -> None:
                """The service and the table's constraints judge the row; the form holds no row of its own."""

        return StopForm

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        return services.set_posture(
            scope=cleaned["scope"],
            mode=Mode(cleaned["mode"]),
            actor=request.user,  # type: ignore[arg-type]
            reason=cleaned["reason"],
        )
