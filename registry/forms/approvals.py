"""The form that says how many people must approve a version."""

from django import forms

from arm.rights import Risk

from ..staffing import MOST_APPROVALS
from .base import ReasonForm


class ApprovalsForm(ReasonForm):
    """A field a risk class."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        for risk in Risk:
            self.fields[risk.value] = forms.IntegerField(
                min_value=1, max_value=MOST_APPROVALS, initial=1, label=f"{risk.label} risk"
            )
        self.order_fields([*Risk.values, "reason"])
