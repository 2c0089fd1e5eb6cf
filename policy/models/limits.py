"""What is used of the limits: one counter per agent, limit and window, handed out to processes in leases."""

from django.db import models
from django.db.models import F, Q

from arm import clock
from arm.models import TenantRow


class LimitUsage(TenantRow):
    """`used` counts what is spent and what is handed out in leases, so that it can never be exceeded."""

    prefix = "lmu"
    permission_scopes = ("instance__template", "instance__environment", "instance__provider", "tenant")

    instance = models.ForeignKey("registry.AgentInstance", models.PROTECT, related_name="+")
    per = models.CharField(max_length=5)
    unit = models.CharField(max_length=6)
    currency = models.CharField(max_length=3, blank=True)
    window = models.CharField(max_length=160, help_text="2026-11-22, 2026-11, or the run's id.")
    used = models.DecimalField(max_digits=24, decimal_places=6, default=0)
    updated_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["instance", "per", "unit", "currency", "window"], name="one_counter_per_window"
            ),
            models.CheckConstraint(condition=Q(used__gte=0), name="usage_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.used} {self.unit} per {self.per}"


class LimitLease(TenantRow):
    """A slice of a limit that one process may spend in memory. What is left comes back; what a dead process held
    counts as spent until the window ends."""

    prefix = "lml"
    permission_scopes = (
        "usage__instance__template",
        "usage__instance__environment",
        "usage__instance__provider",
        "tenant",
    )

    usage = models.ForeignKey(LimitUsage, models.PROTECT, related_name="leases")
    holder = models.CharField(max_length=80)
    amount = models.DecimalField(max_digits=24, decimal_places=6)
    returned = models.DecimalField(max_digits=24, decimal_places=6, default=0)
    taken_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(returned__gte=0, returned__lte=F("amount")), name="lease_returns_what_it_had"
            )
        ]

    def __str__(self) -> str:
        return f"{self.amount} to {self.holder}"
