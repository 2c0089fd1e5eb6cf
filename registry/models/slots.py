"""Where a version is meant to work: deployment slots with their history."""

from django.db import models
from django.db.models import Q
from django.urls import reverse

from arm import clock
from arm.models import TenantRow

from .roles import RoleDefinition


class DeploymentSlot(TenantRow):
    """Environment, role, provider and ordinal name the place that a version is bound to."""

    prefix = "slt"
    permission_scopes = ("environment", "provider", "tenant")

    environment = models.ForeignKey("registry.Environment", models.PROTECT, related_name="slots")
    role = models.ForeignKey(RoleDefinition, models.PROTECT, related_name="slots")
    provider = models.ForeignKey("registry.Provider", models.PROTECT, related_name="slots")
    ordinal = models.PositiveSmallIntegerField(default=1)
    current_version = models.ForeignKey(
        "registry.AgentVersion", models.PROTECT, null=True, related_name="+", editable=False
    )
    previous_version = models.ForeignKey(
        "registry.AgentVersion", models.PROTECT, null=True, related_name="+", editable=False
    )
    generation = models.PositiveIntegerField(default=0, editable=False)

    class Meta:
        ordering = ["environment__position", "role__slug", "ordinal"]
        constraints = [
            models.UniqueConstraint(
                fields=["environment", "role", "provider", "ordinal"], name="slot_unique"
            ),
            models.CheckConstraint(
                condition=Q(previous_version=None) | Q(current_version__isnull=False),
                name="previous_needs_current",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} in {self.environment} #{self.ordinal}"

    def get_absolute_url(self) -> str:
        return reverse("registry:slot_detail", args=[self.typeid])


class SlotBinding(TenantRow):
    """Which version a slot was bound to, from when until when, by whom and why."""

    prefix = "slb"
    permission_scopes = ("slot__environment", "slot__provider", "tenant")

    slot = models.ForeignKey(DeploymentSlot, models.PROTECT, related_name="bindings")
    version = models.ForeignKey("registry.AgentVersion", models.PROTECT, related_name="+")
    since = models.DateTimeField(default=clock.now)
    until = models.DateTimeField(null=True)
    actor_label = models.CharField(max_length=200)
    reason = models.TextField()

    class Meta:
        ordering = ["-since"]
        constraints = [
            models.UniqueConstraint(fields=["slot"], condition=Q(until=None), name="one_current_binding")
        ]

    def __str__(self) -> str:
        return f"{self.slot}: {self.version}"
