"""The page that ends the time in which a slot's old instances work on."""

from typing import Any

from arm.models import User
from arm.rights import Right
from registry import services
from registry.forms import ReasonForm
from registry.views.commands import Command
from registry.views.places import SLOTS


class DrainAtOnce(Command):
    queryset = SLOTS
    form_class = ReasonForm
    act_rights = frozenset({Right.PROMOTE_RELEASE, Right.ROLL_BACK_RELEASE})
    heading, submit, tone = "Drain at once", "Drain them", "danger"
    intro = (
        "What works on until it is replaced drains now, whether anybody is at work in its place or not. It ends the work"
        " that it has begun and takes no more; then ARM retires it with its tokens, which cannot be undone."
    )
    success_message = "They drain."

    def run(self, actor: User, cleaned: dict[str, Any]) -> int:
        return services.drain_at_once(slot=self.object, actor=actor, reason=cleaned["reason"])
