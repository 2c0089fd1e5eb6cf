"""Policies and approvals among what a search finds."""

from django.db.models import Q
from django.http import HttpRequest

from arm.ids import decode
from arm.panels import Hit, seen_by_visitor
from arm.rights import Right

from ..models import ApprovalRequest, Policy


class Search:
    """Policies by name, short name or identifier; approvals by title or identifier, newest first."""

    def find(self, request: HttpRequest, text: str) -> list[Hit]:
        policies = seen_by_visitor(Policy.objects.order_by("name", "pk"), request, Right.READ_POLICY)
        named = Q(name__icontains=text) | Q(slug__icontains=text)
        found = [
            Hit(row.name, "Policy", row.get_absolute_url(), row.purpose[:80])
            for row in policies.filter(_identified(Policy.prefix, text) or named)[:20]
        ]
        requests = seen_by_visitor(ApprovalRequest.objects.order_by("-pk"), request, Right.READ_DECISIONS)
        wanted = _identified(ApprovalRequest.prefix, text) or Q(title__icontains=text)
        return found + [
            Hit(row.title, "Approval", row.get_absolute_url(), row.get_state_display())
            for row in requests.filter(wanted)[:20]
        ]


def _identified(prefix: str, text: str) -> Q | None:
    """The row of this shown identifier, where the text is one of this noun."""
    if not text.startswith(f"{prefix}_"):
        return None
    try:
        return Q(pk=decode(prefix, text))
    except ValueError:
        return Q(pk__in=[])
