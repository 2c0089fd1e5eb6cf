"""What the directory's forms share: a reason, and rows named by their identifiers."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from arm import forms as core
from arm import ids
from arm.errors import Problem
from arm.models import User
from arm.permissions import visible
from arm.rights import Right


class ReasonForm(core.ReasonForm):
    """The core's, for who is known: the rows that it takes are those that this person may see. The reason comes last."""

    field_order: list[str] | None = None

    def __init__(self, *args: Any, actor: User, **kwargs: Any) -> None:
        self.actor = actor
        super().__init__(*args, **kwargs)
        self.order_fields([name for name in self.fields if name != "reason"] + ["reason"])


class Judging(ReasonForm):
    """One that names at once what cannot be read and what is wrong with the rest, as far as that was read. Where all could
    be read, the service says it."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for problem in self.judge(cleaned) if self.errors else ():
            name = problem["pointer"].removeprefix("/")
            self.add_error(name if name in self.fields else None, problem["message"])
        return cleaned

    def judge(self, cleaned: dict[str, Any]) -> list[Problem]:
        """What the service would refuse of these."""
        raise NotImplementedError


class SeenForm(ReasonForm):
    """A change of what is there: the page carries along what it showed, so that nobody writes over what they did not see."""

    seen = forms.JSONField(required=False, widget=forms.HiddenInput)
    seen_type: type = str

    def clean_seen(self) -> Any:
        seen = self.cleaned_data["seen"]
        if seen is not None and (isinstance(seen, bool) or not isinstance(seen, self.seen_type)):
            raise ValidationError("The page was not sent as it was shown; open it again.")
        return seen


class Acknowledging(ReasonForm):
    """A change that may break what others rely on, where somebody says why that is accepted."""

    acknowledged = forms.CharField(
        max_length=2000, required=False, widget=forms.Textarea(attrs={"rows": 2}),
        label="Why breaking differences are accepted", help_text="Needed only where there are any.",
    )  # fmt: skip


class TypeIDField(forms.CharField):
    """A row that the person may see, named by its shown identifier."""

    def __init__(self, prefix: str, rows: QuerySet[Any], right: Right, **kwargs: Any) -> None:
        self.prefix, self.rows, self.right = prefix, rows, right
        super().__init__(max_length=60, **kwargs)

    def found(self, value: str, actor: User) -> Any:
        try:
            pk = ids.decode(self.prefix, value)
        except ValueError as problem:
            raise ValidationError(str(problem)) from problem
        row = visible(self.rows.filter(pk=pk), actor, self.right).first()
        if row is None:
            raise ValidationError("There is no such row, or it is not yours to use.")
        return row
