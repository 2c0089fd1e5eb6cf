"""What providers say of their instances: the last word about each, and full inventories page by page."""

from typing import Self

from django.db import models
from django.db.models import Q

from arm import clock, db, ids
from arm.models import TenantRow

from .clients import AdapterSession


class InstanceReportQuerySet(models.QuerySet["InstanceReport"]):
    def present(self) -> Self:
        return self.filter(missing=False)

    def unregistered(self) -> Self:
        return self.filter(instance=None, missing=False)


class InstanceReport(TenantRow):
    """The last word of a provider about one instance, in the order (epoch, seq), and what of it was proven."""

    prefix = "irp"
    permission_scopes = ("provider", "tenant")

    provider = models.ForeignKey("registry.Provider", models.PROTECT, related_name="+")
    external_id = models.CharField(max_length=200)
    instance = models.ForeignKey("registry.AgentInstance", models.PROTECT, null=True, related_name="+")
    state = models.CharField(max_length=12, help_text="As it was said.")
    generation = models.PositiveBigIntegerField()
    version_id = models.CharField(max_length=80)
    in_flight = models.PositiveIntegerField(null=True, help_text="Pieces of work in it, as last said.")
    in_flight_at = models.DateTimeField(null=True)
    epoch = models.PositiveBigIntegerField()
    seq = models.PositiveBigIntegerField()
    first_at = models.DateTimeField(default=clock.now)
    reported_at = models.DateTimeField(default=clock.now)
    confirmed_at = models.DateTimeField(default=clock.now, help_text="When a digest last confirmed it.")
    missing = models.BooleanField(default=False)
    attested_state = models.CharField(max_length=12, blank=True)
    attested_generation = models.PositiveBigIntegerField(null=True)
    attested_at = models.DateTimeField(null=True)
    regressed_at = models.DateTimeField(null=True)

    objects = models.Manager.from_queryset(InstanceReportQuerySet)()

    class Meta:
        ordering = ["external_id"]
        constraints = [
            models.UniqueConstraint(fields=["provider", "external_id"], name="report_once"),
            models.UniqueConstraint(
                fields=["instance"], condition=Q(instance__isnull=False), name="one_report_of_an_instance"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.external_id}: {self.state}"

    @property
    def shown_id(self) -> str:
        """ARM's identifier where it has one, else the provider's: how the fleet's digest names it."""
        return ids.encode("ins", self.instance_id) if self.instance_id else self.external_id


class Snapshot(TenantRow):
    """A full inventory on its way: pages come in any order, and count when they are committed."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        COMMITTED = "committed", "Committed"
        HELD = "held", "Held"
        ENDED = "ended", "Held, until a later one came"

    application_may = db.DELETES

    prefix = "snp"
    permission_scopes = ("session__client__provider", "tenant")

    session = models.ForeignKey(AdapterSession, models.PROTECT, related_name="+")
    state = models.CharField(max_length=9, choices=State, default=State.OPEN)
    opened_at = models.DateTimeField(default=clock.now)
    closed_at = models.DateTimeField(null=True)
    count = models.PositiveIntegerField(null=True)
    digest = models.CharField(max_length=71, blank=True)
    missing = models.PositiveIntegerField(null=True)
    rejected = models.JSONField(default=list)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"Inventory of {self.opened_at:%Y-%m-%d %H:%M:%S}"


class SnapshotPage(TenantRow):
    """One page of a snapshot, as it was sent. Sent again, it replaces itself."""

    application_may = db.DELETES

    prefix = "snq"
    permission_scopes = ("tenant",)

    snapshot = models.ForeignKey(Snapshot, models.CASCADE, related_name="pages")
    number = models.PositiveIntegerField()
    instances = models.JSONField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["snapshot", "number"], name="page_once")]

    def __str__(self) -> str:
        return f"Page {self.number}"
