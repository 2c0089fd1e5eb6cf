"""What was reported of instances, in time: the database writes a row whenever the last word changes."""

from django.db import models

from arm import clock

from ..lifecycle import InstanceState


class Observation(models.Model):
    """What an instance was said to be, from `at` by the clock of who said it; ARM was told at `told_at`. An empty
    state is “unknown”. Written by a trigger of `InstanceStatus`, never changed."""

    permission_scopes = ("instance__template", "instance__environment", "instance__provider", "tenant")

    tenant = models.ForeignKey("arm.Tenant", models.PROTECT, related_name="+")
    instance = models.ForeignKey("registry.AgentInstance", models.PROTECT, related_name="observations")
    state = models.CharField(max_length=12, blank=True, choices=InstanceState)
    generation = models.PositiveIntegerField(null=True)
    at = models.DateTimeField(default=clock.now)
    told_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["-at", "-told_at", "-id"]
        indexes = [models.Index(fields=["instance", "-at", "-told_at"], name="observation_at")]

    def __str__(self) -> str:
        return f"{self.instance}: {self.state or 'unknown'}"
