"""The verb that has the dossier of a rollback signed."""

from typing import Any

from arm.models import User
from arm.rights import Right
from registry import services
from registry.forms import ReasonForm
from registry.models import Rollback, VersionEvidence
from registry.views.commands import Command


class IssueDossier(Command):
    queryset = Rollback.objects.select_related(
        "slot__role", "slot__environment", "from_version", "to_version"
    )
    form_class = ReasonForm
    act_rights = frozenset({Right.ISSUE_EVIDENCE})
    heading, submit = "Sign the dossier", "Sign"
    intro = (
        "The dossier is signed, rendered as a PDF, entered in the log and verified in the background. The first document"
        " of an organisation makes its key; from then on production asks for verified Agent Cards."
    )
    success_message = "The dossier is being made."

    def run(self, actor: User, cleaned: dict[str, Any]) -> VersionEvidence:
        return services.issue_dossier(rollback=self.object, actor=actor, reason=cleaned["reason"])

    def get_success_url(self) -> str:
        url: str = self.result.get_absolute_url()
        return url
