"""Forms of releases: a plan, a start, an exception, a rollback."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError

from arm import ids
from arm.models import User
from arm.moments import MomentField
from arm.permissions import visible
from arm.rights import Right

from .. import facts, gates
from ..engine import BAKE_AT_MOST, LIMITS, MANUAL, Drain, StepSays, Strategy, wrong_limit
from ..models import AgentVersion, DeploymentSlot, Rollout
from . import ReasonForm, TypeIDField
from .base import Acknowledging

WORDS = {
    "errors": "Calls that fail",
    "incidents": "Open incidents",
    "cost": "What a call costs",
    "evaluation": "Mandatory suites",
    MANUAL: "A person's yes",
}


MOST_MINUTES = int(BAKE_AT_MOST.total_seconds()) // 60
MOST_STEPS = 500


def _limit(label: str, usual: float) -> forms.FloatField:
    return forms.FloatField(
        min_value=0, max_value=999_999, required=False, initial=f"{usual:g}", label=label,
    )  # fmt: skip


def _steps(text: str, known: Sequence[str]) -> Iterator[tuple[int, StepSays]]:
    """`number: bake minutes, gate limit, gate` a line as what is said of that step. ValidationError names the line."""
    seen = set()
    for line in filter(str.strip, text.splitlines()):
        number, colon, rest = line.partition(":")
        named = f"“{line.strip()[:80]}”"
        if not (colon and _whole(number.strip(), MOST_STEPS)):
            raise ValidationError(f"{named} does not begin with the number of a step and a colon.")
        if int(number) in seen:
            raise ValidationError(f"{named}: something is said of step {int(number)} already.")
        seen.add(int(number))
        bake: int | None = None
        gates: list[str] = []
        limits: dict[str, float] = {}
        for part in filter(str.strip, rest.split(",")):
            name, *value = part.replace("%", " ").split()
            if name == "bake":
                if bake is not None:
                    raise ValidationError(f"{named}: bake is said twice.")
                if value != ["0"] and (len(value) != 1 or not _whole(value[0], MOST_MINUTES)):
                    raise ValidationError(f"{named}: bake takes whole minutes, {MOST_MINUTES:,} at most.")
                bake = 60 * int(value[0])
                continue
            if name not in known:
                raise ValidationError(f"{named}: {name} is neither bake nor one of {', '.join(known)}.")
            if name in gates:
                raise ValidationError(f"{named}: {name} is said twice.")
            gates.append(name)
            if value:
                limits[name] = _number(value, name, named)
        yield int(number), StepSays(bake, gates or None, limits)


def _whole(text: str, most: int) -> bool:
    """Whether it is a number from 1 on. Its length first: Python reads no number of thousands of digits."""
    return text.isdecimal() and len(text) <= len(str(most)) and 1 <= int(text) <= most


def _number(value: list[str], gate: str, named: str) -> float:
    try:
        (number,) = value
        limit = float(number)
    except ValueError:
        raise ValidationError(f"{named}: the limit of {gate} is one number.") from None
    if wrong := wrong_limit(gate, limit):
        raise ValidationError(f"{named}: {wrong}")
    return limit


def _version(help_text: str) -> TypeIDField:
    rows = AgentVersion.objects.select_related("template", "genome")
    return TypeIDField("ver", rows, Right.READ_DIRECTORY, help_text=help_text)


class VersionNamed(ReasonForm):
    """A form that names a version by its identifier."""

    def clean_version(self) -> AgentVersion:
        field: Any = self.fields["version"]
        found: AgentVersion = field.found(self.cleaned_data["version"], self.actor)
        return found


class DrainForm(ReasonForm):
    """When what runs the version left drains."""

    drain = forms.ChoiceField(
        choices=Drain.choices, initial=Drain.REPLACED, required=False, widget=forms.RadioSelect,
        label="What is left drains",
        help_text="At once where it does harm: the slot may have nobody at work until those that come are activated.",
    )  # fmt: skip
    within = forms.IntegerField(
        min_value=1, max_value=24 * 60, required=False, label="Minutes at most",
        help_text="What is not replaced by then drains anyway, and an incident says so. 30 unless you say otherwise.",
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        minutes = cleaned.get("within")
        cleaned["drain"] = cleaned.get("drain") or Drain.REPLACED
        kept = cleaned["drain"] != Drain.AT_ONCE
        cleaned["within"] = timedelta(minutes=minutes) if minutes and kept else None
        return cleaned


class PlanRolloutForm(DrainForm, VersionNamed):
    """`slots` are the slots of one role in one environment, as the page offers them."""

    slots = forms.ModelMultipleChoiceField(
        DeploymentSlot.objects.none(), widget=forms.CheckboxSelectMultiple, help_text="Where it goes."
    )
    version = _version("Identifier (ver_…) of the version that comes.")
    strategy = forms.ChoiceField(choices=Strategy.choices, initial=Strategy.CANARY)
    percents = forms.CharField(
        required=False, initial="5, 25, 50, 100", label="Shares of a canary",
        help_text="Percent of each step, smallest first, the last one 100.",
    )  # fmt: skip
    batch_size = forms.IntegerField(
        min_value=1, max_value=500, initial=1, required=False, label="Slots a batch",
        help_text="Of a phased rollout.",
    )  # fmt: skip
    bake = forms.IntegerField(
        min_value=0, max_value=MOST_MINUTES, initial=10, label="Bake time",
        help_text="Minutes that each step is watched before the next one.",
    )  # fmt: skip
    health_gates = forms.MultipleChoiceField(
        required=False, widget=forms.CheckboxSelectMultiple, label="Health gates",
        help_text="Whose word each step needs. Without any, a person confirms each step.",
    )  # fmt: skip
    most_errors = _limit("Calls that fail, at most (%)", LIMITS["errors"])
    most_incidents = _limit("Open incidents, at most", LIMITS["incidents"])
    most_cost = _limit("What a call costs, at most (% of before)", LIMITS["cost"])
    steps = forms.CharField(
        required=False, max_length=20_000, label="Steps that wait for something else",
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "placeholder": "1: bake 60\n3: bake 240, errors 1, incidents, manual"}),
        help_text="One a line: its number, then what it waits for: bake with minutes, and health gates, each with its limit"
        " where that is another. Gates that are named stand instead of those above; manual is a person's yes.",
    )  # fmt: skip
    reaction = forms.ChoiceField(choices=Rollout.Reaction.choices, label="When it is unhealthy")

    def __init__(self, *args: Any, around: DeploymentSlot, actor: User, **kwargs: Any) -> None:
        super().__init__(*args, actor=actor, **kwargs)
        rows = DeploymentSlot.objects.filter(environment=around.environment_id, role=around.role_id)
        seen = visible(rows.select_related("environment", "role", "provider"), actor, Right.READ_DIRECTORY)
        self.fields["slots"].queryset = seen  # type: ignore[attr-defined]
        known = facts.known_gates()
        self.fields["health_gates"].choices = [(name, WORDS.get(name, name)) for name in known]  # type: ignore[attr-defined]

    def clean_percents(self) -> list[int]:
        parts = str(self.cleaned_data["percents"]).replace("%", "").replace(",", " ").split()
        try:
            return [int(part) for part in parts]
        except ValueError:
            raise ValidationError("Whole numbers, separated by commas: 5, 25, 50, 100.") from None

    def clean_batch_size(self) -> int:
        return int(self.cleaned_data["batch_size"] or 1)

    def clean_bake(self) -> timedelta:
        return timedelta(minutes=self.cleaned_data["bake"])

    def clean_steps(self) -> list[StepSays]:
        said = dict(_steps(self.cleaned_data["steps"], facts.known_gates()))
        return [said.get(number, StepSays()) for number in range(1, max(said, default=0) + 1)]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        given = {name: cleaned.pop(f"most_{name}", None) for name in LIMITS}
        cleaned["limits"] = {name: float(value) for name, value in given.items() if value is not None}
        return cleaned


class StartRolloutForm(Acknowledging):
    """It starts, whatever differs for callers and tools."""


class ExceptionForm(VersionNamed):
    version = _version("Identifier (ver_…) of the version that may pass.")
    gate = forms.ChoiceField(
        choices=[(name, name.capitalize()) for name in gates.EXCEPTED], label="Passes without"
    )
    until = MomentField(help_text="UTC; at most 14 days from now.")


class AbortForm(ReasonForm):
    drain = forms.ChoiceField(
        choices=[("", "As the rollout does it; at once where it is unhealthy"), *Drain.choices], required=False,
        label="Instances of the new version drain",
    )  # fmt: skip


class ConfirmForm(ReasonForm):
    """`step`: the number of the step that the page has shown."""

    step = forms.IntegerField(
        min_value=1, max_value=MOST_STEPS, widget=forms.HiddenInput,
        error_messages={"required": "No step was named; look at the rollout again."},
    )  # fmt: skip


class TargetsField(forms.CharField):
    """What a page has shown of a rollback, hidden: for each slot that it offers to roll back, every slot that this binds to
    another version, and to which (`shown_targets`)."""

    widget = forms.HiddenInput

    def __init__(self, **kwargs: Any) -> None:
        lost = "What was shown is not part of this request: open the page again."
        super().__init__(max_length=200_000, error_messages={"required": lost}, **kwargs)

    def clean(self, value: Any) -> dict[UUID, dict[UUID, UUID]]:
        said = super().clean(value)
        try:
            return {
                ids.decode("slt", owner): {
                    ids.decode("slt", slot): ids.decode("ver", to) for slot, to in going.items()
                }
                for owner, going in json.loads(said).items()
            }
        except (ValueError, AttributeError, RecursionError):
            raise ValidationError("What was shown cannot be read: open the page again.") from None


def shown_targets(offered: Mapping[UUID, Mapping[UUID, UUID]]) -> str:
    """The value of a `TargetsField`."""
    told = {
        ids.encode("slt", owner): {ids.encode("slt", pk): ids.encode("ver", to) for pk, to in going.items()}
        for owner, going in offered.items()
    }
    return json.dumps(told, separators=(",", ":"))


def seen_of(offered: Mapping[UUID, Mapping[UUID, UUID]], chosen: Sequence[UUID]) -> dict[UUID, UUID]:
    """What was shown of a rollback of these slots together: what one of them is bound to goes before what the end of a
    rollout would have returned there."""
    found = {pk: to for owner in chosen for pk, to in offered.get(owner, {}).items() if pk not in chosen}
    return found | {pk: to for pk in chosen if (to := offered.get(pk, {}).get(pk))}


class RollBackForm(DrainForm):
    """`also`: other slots that are bound to the version left."""

    leaving = forms.CharField(widget=forms.HiddenInput)
    targets = TargetsField()
    also = forms.ModelMultipleChoiceField(
        DeploymentSlot.objects.none(), required=False, widget=forms.CheckboxSelectMultiple,
        label="Roll these back as well", help_text="They are bound to the same version. Those left out keep it.",
    )  # fmt: skip

    def __init__(self, *args: Any, others: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = DeploymentSlot.objects.filter(pk__in=[one.slot.pk for one in others if one.target])
        self.fields["also"].queryset = rows.select_related("environment", "role")  # type: ignore[attr-defined]
        if not rows:
            del self.fields["also"]
