"""Telemetry that could not be linked: counted always, kept as far as there is room."""

from django.db import models

from arm import db
from arm.models import TenantRow

from ..parsing import Reason

REASONS = [(reason.value, reason.value.replace("_", " ").capitalize()) for reason in Reason]
ROOM = 1000
"""Spans kept per tenant, reason and day; what comes beyond is only counted."""


class QuarantinedEvent(TenantRow):
    """A span that named no instance of ours, or could not be read. Content was dropped before it came here."""

    application_may = db.READS
    prefix = "qua"
    permission_scopes = ("environment", "provider", "tenant")

    environment = models.ForeignKey("registry.Environment", models.PROTECT, related_name="+")
    provider = models.ForeignKey("registry.Provider", models.PROTECT, related_name="+")
    reason = models.CharField(max_length=20, choices=REASONS)
    detail = models.CharField(max_length=300)
    occurred_at = models.DateTimeField(null=True)
    received_at = models.DateTimeField()
    payload = models.JSONField(default=dict)

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["tenant", "reason", "received_at"], name="quarantine_by_reason")]

    def __str__(self) -> str:
        return f"{self.get_reason_display()}: {self.detail}"


class QuarantineCount(models.Model):
    """How many spans were quarantined on a day, by key scope and reason."""

    application_may = db.READS
    permission_scopes = ("environment", "provider", "tenant")

    tenant = models.ForeignKey("arm.Tenant", models.PROTECT, related_name="+")
    environment = models.ForeignKey("registry.Environment", models.PROTECT, related_name="+")
    provider = models.ForeignKey("registry.Provider", models.PROTECT, related_name="+")
    reason = models.CharField(max_length=20, choices=REASONS)
    day = models.DateField()
    spans = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "environment", "provider", "reason", "day"], name="quarantine_count_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.spans} {self.reason} on {self.day}"
