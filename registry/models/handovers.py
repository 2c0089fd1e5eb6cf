"""The time in which a slot's old instances work on, until as many of the new version are at work."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from arm import clock
from arm.models import TenantRow

from ..engine import HandoverEnd
from .releases import Rollback, Rollout
from .slots import DeploymentSlot


class HandoverQuerySet(models.QuerySet["Handover"]):
    def open(self) -> Self:
        """Those in which something still works on."""
        return self.filter(ended_at=None)


class Handover(TenantRow):
    """What runs `version` in the slot, which is bound to another by now, drains as those of the other come to work:
    `wanted` are at work at any moment. At `until` the rest drains anyway."""

    prefix = "hov"
    permission_scopes = ("slot__environment", "slot__provider", "tenant")

    slot = models.ForeignKey(DeploymentSlot, models.PROTECT, related_name="handovers")
    version = models.ForeignKey("registry.AgentVersion", models.PROTECT, related_name="+")
    wanted = models.PositiveIntegerField()
    since = models.DateTimeField(default=clock.now)
    until = models.DateTimeField()
    rollout = models.ForeignKey(Rollout, models.PROTECT, null=True, related_name="+")
    rollback = models.ForeignKey(Rollback, models.PROTECT, null=True, related_name="handovers")
    reason = models.TextField()
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    actor_label = models.CharField(max_length=200)
    drained = models.PositiveIntegerField(default=0, editable=False)
    at_work = models.PositiveIntegerField(
        default=0, editable=False, help_text="Replacements at work when somebody last looked."
    )
    ended_at = models.DateTimeField(null=True, editable=False)
    outcome = models.CharField(max_length=8, choices=HandoverEnd, blank=True, editable=False)

    objects = models.Manager.from_queryset(HandoverQuerySet)()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["slot", "version"], condition=Q(ended_at=None), name="one_open_handover_a_version"
            ),
            models.CheckConstraint(condition=Q(until__gt=F("since")), name="handover_has_a_time"),
            models.CheckConstraint(condition=Q(wanted__gte=1), name="handover_of_somebody"),
            models.CheckConstraint(
                condition=Q(ended_at=None, outcome="") | (Q(ended_at__isnull=False) & ~Q(outcome="")),
                name="handover_ends_somehow",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "slot"], condition=Q(ended_at=None), name="handover_open"),
        ]

    def __str__(self) -> str:
        return f"{self.version} leaves {self.slot}"

    def get_absolute_url(self) -> str:
        return f"{self.slot.get_absolute_url()}#handovers"
