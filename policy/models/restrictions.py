"""Requests for a stop that one person may not set alone, and what people answered."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from arm import clock
from arm.addresses import page_of
from arm.models import TenantRow

from ..lifecycle import ReasonCode, RestrictionState
from .targets import STOPPABLE, Stop, exactly_one


class RestrictionRequest(Stop):
    """Stop exactly this, please: confirmed by people who may stop it and did not ask. Only its state ever changes."""

    prefix = "rsq"

    reason_code = models.CharField(max_length=12, choices=ReasonCode)
    digest = models.CharField(max_length=71, help_text="Of scope, mode, tools, end and reason as asked for.")
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(default=clock.now, editable=False)
    in_person = models.BooleanField(
        help_text="Asked signed in, not by a token: only then the asker may count."
    )
    expires_at = models.DateTimeField()
    state = models.CharField(
        max_length=10, choices=RestrictionState, default=RestrictionState.REQUESTED, editable=False
    )
    closed_at = models.DateTimeField(null=True, editable=False)
    closed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(condition=exactly_one(STOPPABLE), name="restriction_has_one_scope"),
            models.CheckConstraint(condition=Q(tool="") | Q(tool_class=""), name="restriction_tool_or_class"),
            models.CheckConstraint(
                condition=Q(state="requested", closed_at=None) | ~Q(state="requested") & ~Q(closed_at=None),
                name="restriction_closed",
            ),
            models.UniqueConstraint(
                fields=["tenant", "digest"],
                condition=Q(state="requested"),
                name="one_open_restriction_per_digest",
            ),
        ]
        indexes = [models.Index(fields=["tenant", "state", "-id"], name="restriction_by_state")]

    def get_absolute_url(self) -> str:
        return page_of("policy:restriction_detail", self.typeid)

    @property
    def true_state(self) -> str:
        """One whose time is over is expired, whether or not that is written yet."""
        if self.state == RestrictionState.REQUESTED and self.expires_at <= clock.now():
            return RestrictionState.EXPIRED.value
        return self.state


class RestrictionDecision(TenantRow):
    """One person's yes or no to what they were shown. Append-only."""

    prefix = "rsd"
    permission_scopes = tuple(
        scope if scope == "tenant" else f"request__{scope}" for scope in Stop.permission_scopes
    )

    request = models.ForeignKey(RestrictionRequest, models.PROTECT, related_name="decisions")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    confirm = models.BooleanField()
    reason = models.CharField(max_length=500, blank=True)
    digest = models.CharField(max_length=71, help_text="What the person saw.")
    at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        ordering = ["at"]
        constraints = [
            models.UniqueConstraint(fields=["request", "person"], name="one_answer_per_person"),
        ]

    def __str__(self) -> str:
        return f"{self.person}: {'yes' if self.confirm else 'no'}"
