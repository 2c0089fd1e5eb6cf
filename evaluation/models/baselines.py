"""What an agent's versions are held against, where a person has said so."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from arm import clock
from arm.models import TenantRow

from .suites import Run, Suite


class Baseline(TenantRow):
    """A run that passed is what this suite of the agent is held against, from when until when. Where none is pinned, it is
    the newest approved version's."""

    prefix = "bsl"
    permission_scopes = ("template", "tenant")
    risk_path = "template__risk"

    template = models.ForeignKey("registry.AgentTemplate", models.PROTECT, related_name="+")
    suite = models.ForeignKey(Suite, models.PROTECT, related_name="baselines")
    run = models.ForeignKey(Run, models.PROTECT, related_name="baselines")
    since = models.DateTimeField(default=clock.now, editable=False)
    until = models.DateTimeField(null=True, editable=False)
    reason = models.TextField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["template", "suite"], condition=Q(until=None), name="baseline_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.run} as the baseline"

    def get_absolute_url(self) -> str:
        return self.run.get_absolute_url()
