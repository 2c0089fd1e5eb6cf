"""What ARM wants of a provider's instances, the commands that say so, and the proofs that came back."""

from typing import Self

from django.db import models

from arm import clock
from arm.addresses import page_of
from arm.models import TenantRow

from ..protocol.commands import OPEN, CommandState
from ..protocol.states import RunState
from .clients import ProviderClient

RUN_STATES = [(state.value, state.value) for state in RunState]
SCOPES = ("instance__template", "instance__environment", "provider", "tenant")


class Desired(TenantRow):
    """What is wanted of an instance now: the document, letter by letter, and its generation, which only grows."""

    prefix = "dsr"
    permission_scopes = ("instance__template", "instance__environment", "instance__provider", "tenant")
    risk_path = "instance__template__risk"

    instance = models.OneToOneField("registry.AgentInstance", models.PROTECT, related_name="+")
    generation = models.PositiveBigIntegerField(default=0)
    run_state = models.CharField(max_length=12, choices=RUN_STATES, blank=True)
    document = models.BinaryField(default=bytes)
    sha256 = models.CharField(max_length=64, blank=True)
    decided_at = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name_plural = "desired"

    def __str__(self) -> str:
        return f"{self.instance_id}: {self.run_state} ({self.generation})"


class CommandQuerySet(models.QuerySet["Command"]):
    def open(self) -> Self:
        return self.filter(state__in=OPEN)

    def for_list(self) -> Self:
        return self.select_related("instance__template", "instance__environment", "provider").order_by("-pk")


class Command(TenantRow):
    """A statement to a provider that what is wanted of an instance has changed. Its marks are ARM's clock, but
    `applied_at`, which is the provider's."""

    prefix = "cmd"
    permission_scopes = SCOPES
    risk_path = "instance__template__risk"

    provider = models.ForeignKey("registry.Provider", models.PROTECT, related_name="+")
    instance = models.ForeignKey("registry.AgentInstance", models.PROTECT, related_name="+")
    generation = models.PositiveBigIntegerField()
    document = models.BinaryField()
    sha256 = models.CharField(max_length=64)
    from_state = models.CharField(max_length=12)
    to_state = models.CharField(max_length=12, choices=RUN_STATES)
    restrictive = models.BooleanField()
    reason_code = models.CharField(max_length=60)
    initiated_by = models.CharField(max_length=80)
    initiating_entity = models.CharField(max_length=10)
    state = models.CharField(max_length=14, choices=CommandState, default=CommandState.AVAILABLE)
    jti = models.CharField(max_length=40, unique=True)
    jws = models.TextField(blank=True, help_text="As it was last handed out.")
    decided_at = models.DateTimeField(default=clock.now)
    available_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    delivery_count = models.PositiveIntegerField(default=0)
    acked_at = models.DateTimeField(null=True)
    applying_at = models.DateTimeField(null=True)
    applied_at = models.DateTimeField(null=True, help_text="By the provider's clock.")
    attested_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    progress = models.PositiveSmallIntegerField(null=True)
    in_flight = models.PositiveIntegerField(null=True)
    in_flight_at = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=60, blank=True)
    error_text = models.CharField(max_length=500, blank=True)
    ack_by = models.DateTimeField()
    enforce_by = models.DateTimeField()
    overdue_at = models.DateTimeField(
        null=True, help_text="When an incident was opened because no proof came."
    )

    objects = models.Manager.from_queryset(CommandQuerySet)()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["instance", "generation"], name="command_once_for_each_generation"
            ),
            models.UniqueConstraint(
                fields=["instance"], condition=models.Q(state__in=sorted(OPEN)), name="one_open_command"
            ),
        ]
        indexes = [
            models.Index(
                fields=["provider", "id"],
                condition=models.Q(state__in=["available", "delivered"]),
                name="command_to_hand_out",
            ),
            models.Index(fields=["tenant", "-id"], name="command_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.to_state} for {self.instance} (generation {self.generation})"

    def get_absolute_url(self) -> str:
        return page_of("federation:command_detail", self.typeid)

    @property
    def open(self) -> bool:
        return self.state in OPEN


class Attestation(TenantRow):
    """A signed statement of a provider about one of its instances, as it came, and what ARM found when it checked it.
    Append-only: a claim that was wrong is evidence, too."""

    prefix = "att"
    permission_scopes = ("client__provider", "tenant")

    client = models.ForeignKey(ProviderClient, models.PROTECT, related_name="+")
    instance = models.ForeignKey("registry.AgentInstance", models.PROTECT, null=True, related_name="+")
    command = models.ForeignKey(Command, models.PROTECT, null=True, related_name="+")
    envelope = models.BinaryField()
    digest = models.CharField(max_length=71, help_text="Of the envelope.")
    received_at = models.DateTimeField(default=clock.now)
    ok = models.BooleanField()
    code = models.CharField(max_length=40, blank=True)
    checks = models.JSONField(default=list)

    class Meta:
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["client", "digest"], name="attestation_once")]
        indexes = [models.Index(fields=["instance", "-id"], name="attestation_by_instance")]

    def __str__(self) -> str:
        return f"{'Proof' if self.ok else 'Refused claim'} of {self.client_id}"
