"""Parts of pages about approving: what waits for the visitor at home, how a version's approvals stand, and who had given
them at a moment that has passed."""

from datetime import datetime

from django.db.models import Count, F, Max, Q
from django.http import HttpRequest
from django.urls import reverse

from arm.models import ChangeRecord, Tenant, User
from arm.panels import Panel
from arm.permissions import held_on
from arm.rights import Right

from .. import queries
from ..lifecycle import VersionState
from ..models import AgentInstance, AgentVersion, VersionApproval
from ..sections import PastLine, PastSection

SHOWN = 5


class VersionsToApprove:
    """At home: the candidates that wait for this visitor, the longest first. Nothing, where none does."""

    def panel(self, request: HttpRequest, subject: Tenant) -> Panel | None:
        if not isinstance(request.user, User):
            return None
        given = Q(approvals__round=F("candidate_round"), approvals__withdrawal=None)
        rows = AgentVersion.objects.for_list().filter(tenant=subject)
        waiting = queries.waiting_for(rows, request.user).annotate(given=Count("approvals", filter=given))
        found = list(waiting.order_by("state_since", "pk")[: SHOWN + 1])
        if not found:
            return None
        context = {
            "rows": found[:SHOWN],
            "more": len(found) > SHOWN,
            "url": f"{reverse('registry:version_list')}?approval=mine",
        }
        return Panel("Versions to approve", "registry/_home_to_approve.html", context, anchor="to-approve")


class VersionApprovals:
    """On the page of a version: who approved it, and what is missing. Nothing, before it was ever a candidate."""

    def panel(self, request: HttpRequest, subject: AgentVersion) -> Panel | None:
        rights = held_on(request.user, subject)
        if not isinstance(request.user, User) or Right.READ_DIRECTORY not in rights:
            return None
        candidate = subject.state == VersionState.CANDIDATE
        if not candidate and not VersionApproval.objects.filter(version=subject).exists():
            return None
        context = {
            "version": subject,
            "candidate": candidate,
            "approving": queries.approving(subject, request.user, rights),
        }
        return Panel(
            "Approvals of this version", "registry/_panel_approvals.html", context, anchor="version-approvals"
        )


class VersionApprovedThen:
    """Who had approved the version that an instance ran: given by then, of the round that was last, not taken back. A round
    begins each time the version becomes a candidate, and nobody has approved it then."""

    def past(
        self, instance: AgentInstance, version: AgentVersion, at: datetime, known: datetime, actor: User
    ) -> PastSection | None:
        if Right.READ_DIRECTORY not in held_on(actor, version):
            return None
        then = min(at, known)  # decided here: what had happened by a moment had been told by it
        given = VersionApproval.objects.filter(version=version, at__lte=then)
        last = given.aggregate(last=Max("round"))["last"]
        moves = ChangeRecord.objects.about(version).filter(verb="registry.version.moved", at__lte=then)
        if anew := moves.filter(after__state=VersionState.CANDIDATE).first():
            given = given.filter(at__gte=anew.at)
        standing = given.filter(round=last, genome_digest=version.genome.digest)
        rows = standing.filter(Q(withdrawal=None) | Q(withdrawal__at__gt=then)).select_related("person")
        lines = [
            PastLine(str(row.person), row.reason, f"{version.get_absolute_url()}#version-approvals", row.at)
            for row in rows.order_by("pk")
        ]
        return PastSection("Approvals of the version then", lines, "Nobody had approved the version.")
