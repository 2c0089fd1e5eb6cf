"""The directory's rules in the admin: set, like everything, through the service."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from arm.admin import ScopedAdmin
from arm.rights import Right

from .. import services
from ..genome import PROFILES
from ..models import DirectoryRules


class RulesForm(forms.ModelForm[DirectoryRules]):
    required_profiles = forms.MultipleChoiceField(
        choices=[(name, name) for name in PROFILES], required=False, widget=forms.CheckboxSelectMultiple
    )
    reason = forms.CharField(max_length=500, widget=forms.Textarea(attrs={"rows": 2}))

    class Meta:
        model = DirectoryRules
        fields = ("required_profiles",)


@admin.register(DirectoryRules)
class DirectoryRulesAdmin(ScopedAdmin):
    """One row a tenant: added once, changed from then on."""

    edit_right = add_right = Right.MANAGE_DIRECTORY
    form = RulesForm
    list_display = ("__str__", "profiles")
    export_columns = (("id", "typeid"), ("required profiles", lambda row: " ".join(row.required_profiles)))

    @admin.display(description="Required profiles")
    def profiles(self, row: DirectoryRules) -> str:
        return ", ".join(row.required_profiles) or "none"

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        may = self.has_add_permission(request) if obj is None else self.has_change_permission(request, obj)
        return ("required_profiles", "reason") if may else ("required_profiles",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and not DirectoryRules.objects.exists()

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        return self._set(request, cleaned)

    def edit(self, request: HttpRequest, obj: Any, cleaned: dict[str, Any]) -> None:
        self._set(request, cleaned)

    def _set(self, request: HttpRequest, cleaned: dict[str, Any]) -> DirectoryRules:
        return services.require_profiles(
            tenant=request.tenant,  # type: ignore[attr-defined]
            profiles=cleaned["required_profiles"],
            actor=request.user,  # type: ignore[arg-type]
            reason=cleaned["reason"],
        )
