"""Requests for a second person's decision, bound to the digest of exactly what is asked for."""

from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from arm import clock
from arm.addresses import page_of
from arm.models import TenantRow

from ..lifecycle import OPEN, WAITING, ApprovalKind, ApprovalState


class ApprovalRequestQuerySet(models.QuerySet["ApprovalRequest"]):
    def waiting(self) -> Self:
        return self.filter(state__in=WAITING)

    def usable_at(self, then: datetime) -> Self:
        """What had been approved by then, and was neither used, ended nor past its time."""
        approved = ~Q(state__in=[ApprovalState.DENIED, *WAITING]) & Q(
            decided_at__lte=then, expires_at__gt=then
        )
        return self.filter(approved, Q(closed_at=None) | Q(closed_at__gt=then))

    def used_by(self, then: datetime) -> Self:
        """What had been approved and used up by then."""
        return self.filter(state=ApprovalState.CONSUMED, closed_at__lte=then)

    def for_list(self) -> Self:
        return self.select_related(
            "instance__template", "instance__environment", "requested_by", "team"
        ).order_by("-pk")


class ApprovalRequest(TenantRow):
    """May exactly this be done, once? Decided by others than who asks, who built it and who gains from it."""

    prefix = "apr"
    permission_scopes = ("instance__template", "instance__environment", "instance__provider", "tenant")

    kind = models.CharField(max_length=12, choices=ApprovalKind)
    title = models.CharField(max_length=250)
    subject_kind = models.CharField(max_length=80)
    subject_id = models.UUIDField()
    instance = models.ForeignKey("registry.AgentInstance", models.PROTECT, null=True, related_name="+")
    action = models.JSONField(
        help_text="Exactly what is asked for; secrets masked. The digest is of the original."
    )
    digest = models.CharField(max_length=71)
    risk = models.CharField(max_length=6, blank=True)
    reasons = models.JSONField(default=list)
    policy_digest = models.CharField(max_length=71, blank=True)
    decision_id = models.UUIDField(null=True, help_text="The decision that asked.")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", help_text="Empty: the agent."
    )
    excluded = models.JSONField(default=list, help_text="Ids of people whose decision does not count.")
    roles = models.JSONField(default=list, help_text="Every approver must hold each of these roles.")
    team = models.ForeignKey(
        "arm.Team",
        models.PROTECT,
        null=True,
        related_name="+",
        help_text="Every approver must be in this team.",
    )
    quorum = models.PositiveSmallIntegerField(default=1)
    state = models.CharField(
        max_length=10, choices=ApprovalState, default=ApprovalState.PENDING, editable=False
    )
    created_at = models.DateTimeField(default=clock.now, editable=False)
    expires_at = models.DateTimeField()
    escalates_at = models.DateTimeField(null=True)
    escalates_to = models.CharField(max_length=40, blank=True)
    decided_at = models.DateTimeField(null=True, editable=False)
    closed_at = models.DateTimeField(null=True, editable=False)
    consumed_by = models.UUIDField(null=True, editable=False, help_text="The decision that used it.")

    objects = models.Manager.from_queryset(ApprovalRequestQuerySet)()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["subject_id", "digest"],
                condition=Q(state__in=OPEN),
                name="one_open_request_per_action",
            ),
            models.CheckConstraint(condition=Q(quorum__gte=1), name="quorum_at_least_one"),
        ]
        indexes = [
            models.Index(fields=["tenant", "state", "-id"], name="approval_by_state"),
            models.Index(fields=["instance", "-id"], name="approval_by_instance"),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return page_of("policy:approval_detail", self.typeid)

    @property
    def waiting(self) -> bool:
        return self.state in WAITING and self.expires_at > clock.now()


class ApprovalDecision(TenantRow):
    """One person's yes or no, with the reason. Append-only."""

    prefix = "apd"
    permission_scopes = (
        "request__instance__template",
        "request__instance__environment",
        "request__instance__provider",
        "tenant",
    )

    request = models.ForeignKey(ApprovalRequest, models.PROTECT, related_name="decisions")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    approve = models.BooleanField()
    reason = models.CharField(max_length=500)
    digest = models.CharField(max_length=71, help_text="What the person saw.")
    opened_at = models.DateTimeField(null=True, help_text="When the person opened the request.")
    at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        ordering = ["at"]
        constraints = [models.UniqueConstraint(fields=["request", "person"], name="one_decision_per_person")]

    def __str__(self) -> str:
        return f"{self.person}: {'yes' if self.approve else 'no'}"
