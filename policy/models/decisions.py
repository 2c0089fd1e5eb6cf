"""The record of every answer: append-only, one partition a day, written by COPY as the ingest role."""

from typing import ClassVar, Self
from uuid import UUID

from django.db import models

from arm import db
from arm.models import TenantRow
from registry.models import AgentInstance

from ..engine import Action, Effect, Risk


class DecisionQuerySet(models.QuerySet["Decision"]):
    def of(self, instance_id: UUID) -> Self:
        return self.filter(instance_id=instance_id).order_by("-pk")


class Decision(TenantRow):
    """Who asked what, and what was answered why. The id is a UUIDv7 of the moment, so partitions are ranges of it.

    No foreign keys: the record outlives what it speaks of, and COPY goes past them.
    """

    application_may = db.READS
    in_partitions = True
    prefix = "dec"
    EFFECTS: ClassVar = [(effect.value, effect.word) for effect in Effect]
    RISKS: ClassVar = [(risk.value, risk.word) for risk in Risk]
    ACTIONS: ClassVar = [(number, action.value) for number, action in enumerate(Action)]

    at = models.DateTimeField()
    instance = models.ForeignKey(
        AgentInstance, models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    version_id = models.UUIDField()
    key_id = models.UUIDField(help_text="The credential that asked.")
    action = models.SmallIntegerField(choices=ACTIONS)
    tool = models.CharField(max_length=128)
    risk = models.SmallIntegerField(choices=RISKS)
    decision = models.SmallIntegerField(choices=EFFECTS)
    would = models.SmallIntegerField(choices=EFFECTS)
    reasons = models.TextField(help_text="Codes and the rules they came from, as JSON.")
    obligations = models.CharField(max_length=200)
    action_digest = models.BinaryField(max_length=32)
    policy_digest = models.BinaryField(max_length=32)
    verdict_digest = models.BinaryField(max_length=32)
    approval_id = models.UUIDField(null=True)
    job = models.CharField(max_length=200)
    outcome = models.CharField(max_length=200)
    run = models.CharField(max_length=200)
    age_ms = models.IntegerField(help_text="How old the facts were.")
    request_id = models.CharField(max_length=64)

    permission_scopes = ("instance__template", "instance__environment", "instance__provider", "tenant")
    objects = models.Manager.from_queryset(DecisionQuerySet)()

    class Meta:
        ordering = ["-pk"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.get_decision_display()}: {self.tool or self.get_action_display()}"
