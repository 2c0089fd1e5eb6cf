"""Forms of projects: a new one, another name, and which agents belong to it."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from arm.permissions import visible
from arm.rights import Right

from ..models import AgentTemplate
from .base import ReasonForm

MOST = 100


class ProjectForm(ReasonForm):
    name = forms.CharField(max_length=160)
    slug = forms.SlugField(max_length=60, help_text="Short name for addresses and files; it does not change.")
    cost_center = forms.CharField(
        max_length=80, required=False, label="Cost centre", help_text="Without one, the organisation's."
    )


class ProjectEditForm(ProjectForm):
    slug = None  # type: ignore[assignment]  # the short name does not change
    cost_center = forms.CharField(
        max_length=80,
        required=False,
        label="Cost centre",
        help_text="Agents keep the one that they have been given.",
    )


class MoveAgentsForm(ReasonForm):
    """Agents by their short names, one a line or parted by commas."""

    agents = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=f"Short names, parted by commas or lines; at most {MOST}. They leave the project that they are in.",
    )

    def clean_agents(self) -> list[AgentTemplate]:
        names = list(dict.fromkeys(str(self.cleaned_data["agents"]).replace(",", " ").split()))
        if len(names) > MOST:
            raise ValidationError(f"At most {MOST} agents at once.")
        rows = AgentTemplate.objects.filter(slug__in=names).select_related("project").order_by("pk")
        found: dict[str, Any] = {row.slug: row for row in visible(rows, self.actor, Right.READ_DIRECTORY)}
        if lacking := [name for name in names if name not in found]:
            raise ValidationError(
                f"There is no such agent, or it is not yours to see: {', '.join(lacking)[:300]}."
            )
        return list(found.values())
