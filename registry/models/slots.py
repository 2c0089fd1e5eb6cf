"""Where a version is meant to work: deployment slots with their history."""

from typing import Any, Self

from django.db import models
from django.db.models import F, Q
from django.urls import reverse

from arm import clock
from arm.models import TenantRow

from ..engine import RolloutState
from .roles import RoleDefinition


class DeploymentSlotQuerySet(models.QuerySet["DeploymentSlot"]):
    def taking(self, version: Any) -> Self:
        """Those that have a place for a version: bound to it, trying it as their canary, or until it is replaced there.
        `version` is a key, or an expression that gives one."""
        leaving = Q(handovers__version=version, handovers__ended_at=None)
        return self.filter(Q(current_version=version) | Q(canary_version=version) | leaving)


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
    canary_version = models.ForeignKey(
        "registry.AgentVersion", models.PROTECT, null=True, related_name="+", editable=False
    )
    canary_share = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="Percent of keys that get the canary's version."
    )
    generation = models.PositiveIntegerField(default=0, editable=False)

    objects = models.Manager.from_queryset(DeploymentSlotQuerySet)()

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
            models.CheckConstraint(
                condition=~Q(previous_version=F("current_version")) | Q(previous_version=None),
                name="previous_is_another",
            ),
            models.CheckConstraint(
                condition=Q(canary_version=None, canary_share=0)
                | Q(canary_version__isnull=False, canary_share__gte=1, canary_share__lte=100),
                name="canary_has_a_share",
            ),
            models.CheckConstraint(
                condition=Q(canary_version=None)
                | (Q(current_version__isnull=False) & ~Q(canary_version=F("current_version"))),
                name="canary_beside_another",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} in {self.environment} #{self.ordinal}"

    def get_absolute_url(self) -> str:
        return reverse("registry:slot_detail", args=[self.typeid])


class SlotBindingQuerySet(models.QuerySet["SlotBinding"]):
    def proven(self) -> Self:
        """Those that show that a version was let stay: made by a person, or by a rollout of it that ran to its end. Not
        those of one that bakes still, or that was aborted."""
        others = ~Q(
            rollout__version=F("version")
        )  # an abort binds what was there before, as the rollout's own act
        return self.filter(Q(rollout=None) | Q(rollout__state=RolloutState.COMPLETED) | others)


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
    rollout = models.ForeignKey("registry.Rollout", models.PROTECT, null=True, related_name="+")

    objects = models.Manager.from_queryset(SlotBindingQuerySet)()

    class Meta:
        ordering = ["-since"]
        constraints = [
            models.CheckConstraint(
                condition=Q(until=None) | Q(until__gte=F("since")), name="binding_ends_later"
            ),
            models.UniqueConstraint(fields=["slot"], condition=Q(until=None), name="one_current_binding"),
        ]

    def __str__(self) -> str:
        return f"{self.slot}: {self.version}"
