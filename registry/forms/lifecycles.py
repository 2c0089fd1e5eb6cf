"""Forms of the lifecycles."""

from arm.moments import MomentField

from . import ReasonForm


class RebindForm(ReasonForm):
    by = MomentField(
        label="Due (UTC)",
        help_text="Slots that still bind it then are named in an incident; nothing of theirs is stopped.",
    )
