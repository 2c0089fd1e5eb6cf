"""Who is asked for the approvals of an environment."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from arm import clock
from arm.models import TenantRow
from arm.roles import CHOICES


class ApprovalRoute(TenantRow):
    """From when until when the requests about what runs in an environment are decided by a team, or by who holds a role,
    among those who may decide at all. One that was asked keeps its terms."""

    prefix = "apo"
    permission_scopes = ("environment", "tenant")

    environment = models.ForeignKey("registry.Environment", models.PROTECT, related_name="+")
    team = models.ForeignKey("arm.Team", models.PROTECT, null=True, related_name="+")
    role = models.CharField(max_length=40, blank=True, choices=CHOICES)
    since = models.DateTimeField(default=clock.now, editable=False)
    until = models.DateTimeField(null=True, editable=False)
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    reason = models.CharField(max_length=500)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(team=None) & ~Q(role="") | Q(team__isnull=False, role=""),
                name="route_to_a_team_or_a_role",
            ),
            models.UniqueConstraint(
                fields=["environment"], condition=Q(until=None), name="one_route_an_environment"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.environment}: {self.team or self.get_role_display()}"
