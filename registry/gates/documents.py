"""The documents about a version that stand before its approval, where the tenant asks for evidence."""

from datetime import datetime
from typing import Any, Final, Protocol

from django.conf import settings
from django.urls import reverse

from arm.ports import implementation
from arm.rights import Right
from evidence.lifecycle import ArtefactKind
from evidence.models import SigningKey

from ..lifecycle import VersionState
from ..models import AgentVersion, DirectoryRules, VersionEvidence
from . import Verdict
from .approving import REACHED

BEFORE_APPROVED: Final = (ArtefactKind.AGENT_CARD, ArtefactKind.LINEAGE, ArtefactKind.EVALUATION)


class EvaluationReports(Protocol):
    """Port (settings.EVALUATION_REPORT): what an Evaluation Report says of a version's genome."""

    def report(self, version: AgentVersion) -> dict[str, Any]:
        """Members of the predicate, `suites` and `runs` among them: JSON without NaN, people by identifier only."""
        ...

    def changed_at(self, version: AgentVersion) -> datetime | None:
        """When something that the report says last changed; None where nothing was ever measured."""
        ...


def evaluation_reports() -> EvaluationReports | None:
    """None where no app evaluates."""
    if not settings.EVALUATION_REPORT:
        return None
    port: EvaluationReports = implementation("EVALUATION_REPORT")
    return port


def lacking_documents(version: AgentVersion) -> list[ArtefactKind]:
    """Those of which none is made or being made. A report from before the last run or certification is none, and neither
    is a sheet from before this round: it names approvers who count no more."""
    begun = VersionEvidence.objects.filter(
        version=version, kind__in=BEFORE_APPROVED, artefact__problem="", artefact__abandoned_at=None
    )
    port = evaluation_reports()
    changed = port.changed_at(version) if port else None
    there = {
        kind
        for kind, at in begun.values_list("kind", "artefact__requested_at")
        if not (kind == ArtefactKind.EVALUATION and changed is not None and at < changed)
        and not (kind == ArtefactKind.LINEAGE and of_earlier_round(version, at))
    }
    return [kind for kind in BEFORE_APPROVED if kind.value not in there]


def of_earlier_round(version: AgentVersion, at: datetime) -> bool:
    """Whether it had been a candidate before this round at `at`. What is Approved has its rounds behind it."""
    return version.state not in REACHED and version.candidate_round > 1 and at < version.state_since


class _Begun:
    kind: ArtefactKind
    name: str

    def check(self, version: AgentVersion, to: VersionState) -> Verdict:
        asked = to is VersionState.APPROVED and DirectoryRules.objects.asks_evidence(version.tenant_id)
        if not asked:
            return Verdict(
                self.name, True, "Asked before Approved where evidence is required.", applies=False
            )
        if self.kind not in lacking_documents(version):
            return Verdict(self.name, True, f"Its {self.kind.label} is made, and its signing has begun.")
        said = self._why(version)
        keys = SigningKey.objects.filter(tenant=version.tenant_id, purpose=SigningKey.Purpose.EVIDENCE)
        if not keys.filter(retired_at=None).exists():
            said += " No key signs evidence here yet; the first document makes it."
        mend = reverse("registry:documents_issue", args=[version.typeid])
        return Verdict(self.name, False, said, mend, Right.ISSUE_EVIDENCE.value)

    def _why(self, version: AgentVersion) -> str:
        rows = VersionEvidence.objects.filter(version=version, kind=self.kind)
        newest = rows.select_related("artefact").defer("artefact__statement").order_by("-pk").first()
        if newest is None:
            return f"No {self.kind.label} of it was issued."
        if newest.artefact.problem or newest.artefact.abandoned_at:
            return f"Making its {self.kind.label} has failed."
        if self.kind is ArtefactKind.LINEAGE:
            return f"Its {self.kind.label} is from an earlier round, whose approvals count no more."
        return f"Its {self.kind.label} is from before the last run or certification of this genome."


class LineageSheetBegun(_Begun):
    """Candidate → Approved, where the tenant asks for evidence: a Lineage Sheet is made, and its signing has begun."""

    kind, name = ArtefactKind.LINEAGE, "lineage sheet begun"


class EvaluationReportBegun(_Begun):
    """Candidate → Approved, where the tenant asks for evidence: an Evaluation Report of what was measured until now is
    made, and its signing has begun."""

    kind, name = ArtefactKind.EVALUATION, "evaluation report begun"
