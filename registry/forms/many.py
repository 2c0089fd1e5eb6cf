"""Forms of acts on many rows."""

from typing import Any

from django import forms
from django.db.models import QuerySet

from arm.models import User


class BulkForm(forms.Form):
    """What an act on many rows needs to know beside the rows; `params` is what `services.preview_bulk` takes."""

    def __init__(self, *args: Any, people: QuerySet[User], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.people = people

    def params(self) -> dict[str, Any]:
        return dict(self.cleaned_data)


class BulkTagForm(BulkForm):
    tag = forms.CharField(max_length=60)


class BulkOwnersForm(BulkForm):
    owners = forms.ModelMultipleChoiceField(
        queryset=User.objects.none(),
        to_field_name="username",
        widget=forms.CheckboxSelectMultiple,
        help_text="Exactly these people answer for each of the agents from then on.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["owners"].queryset = self.people  # type: ignore[attr-defined]

    def params(self) -> dict[str, Any]:
        return {"owners": [person.username for person in self.cleaned_data["owners"]]}


BULK_FORMS: dict[str, type[BulkForm]] = {"tag": BulkTagForm, "owners": BulkOwnersForm}
