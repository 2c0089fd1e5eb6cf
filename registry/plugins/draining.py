"""What drains, on the fleet page."""

from django.http import HttpRequest
from django.urls import reverse

from arm.models import Tenant
from arm.panels import Panel, rights_of_visitor, seen_by_visitor
from arm.rights import Right

from .. import queries


class StillDraining:
    """On the fleet page: how many instances drain, and which for longest. Nothing, where none does."""

    most = 1000

    def panel(self, request: HttpRequest, subject: Tenant) -> Panel | None:
        if Right.READ_DIRECTORY.value not in rights_of_visitor(request):
            return None
        rows = seen_by_visitor(queries.all_draining(), request, Right.READ_DIRECTORY).order_by(
            "state_since", "pk"
        )
        found = list(rows[: self.most])
        if not found:
            return None
        context = {
            "count": len(found),
            "more": len(found) == self.most,
            "oldest": found[0],
            "url": reverse("registry:draining_list"),
        }
        return Panel("Draining", "registry/_home_draining.html", context, anchor="draining")
