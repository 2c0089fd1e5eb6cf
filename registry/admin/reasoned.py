"""What the directory's admin shares: forms that ask why, and tables of related rows that nobody edits there."""

from typing import Any, ClassVar

from django import forms
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import TabularInline

from arm.admin import ScopedAdmin


class ReasonedForm(forms.ModelForm[Any]):
    """A model form whose change carries its reason into the record. It validates; a service writes."""

    reason = forms.CharField(
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Kept with the change, for whoever asks later.",
    )


class ReasonedAdmin(ScopedAdmin):
    """Asks for the reason wherever something can be written, and only there.

    `made_of` are the fields of the add form; `changed` those of the change form; `shown` all that a row shows.
    """

    form = ReasonedForm
    made_of: ClassVar[tuple[str, ...]] = ()
    changed: ClassVar[tuple[str, ...]] = ()
    shown: ClassVar[tuple[str, ...]] = ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return (*self.made_of, "reason")
        if self.changed and self.has_change_permission(request, obj):
            return (*self.shown, "reason")
        return self.shown

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ()
        return tuple(name for name in self.shown if name not in self.changed)


class ReadOnlyInline(TabularInline):  # type: ignore[misc]
    """Related rows beside a row: who sees it sees them; they change elsewhere, by their own services."""

    extra = 0
    per_page = 20
    can_delete = False
    show_change_link = True

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
