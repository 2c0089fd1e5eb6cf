"""The verb that has the documents made which approval waits for."""

from typing import Any

from arm.models import User
from arm.rights import Right
from registry import services
from registry.forms import ReasonForm
from registry.models import AgentVersion
from registry.views.commands import Command


class IssueDocuments(Command):
    queryset = AgentVersion.objects.select_related("template", "genome")
    form_class = ReasonForm
    act_rights = frozenset({Right.ISSUE_EVIDENCE})
    heading, submit = "Make the documents that are missing", "Make them"
    intro = (
        "Agent Card, Lineage Sheet and Evaluation Report, as far as they are missing or out of date: what the version is,"
        " what it comes from, and what was measured of it. Each is signed, rendered as a PDF, entered in the log and"
        " verified in the background. The first document of an organisation makes its key; from then on production asks for"
        " verified Agent Cards."
    )
    success_message = "The documents are being made."

    def run(self, actor: User, cleaned: dict[str, Any]) -> Any:
        return services.issue_missing(version=self.object, actor=actor, reason=cleaned["reason"])

    def get_success_url(self) -> str:
        return f"{self.object.get_absolute_url()}#evidence"
