"""What people have said to a candidate: approvals, and what was taken back of them. Both append-only."""

from typing import Self

from django.conf import settings
from django.db import models

from arm import clock
from arm.models import TenantRow

from .agents import AgentTemplate, AgentVersion


class VersionApprovalQuerySet(models.QuerySet["VersionApproval"]):
    def for_list(self) -> Self:
        return self.select_related("person", "withdrawal").order_by("pk")

    def standing(self, version: AgentVersion) -> Self:
        """Those that count for the version as it is: of this round, of this genome, and not taken back."""
        return self.filter(
            version=version,
            round=version.candidate_round,
            genome_digest=version.genome.digest,
            withdrawal=None,
        )


class VersionApproval(TenantRow):
    """One person approves a candidate: this genome, in this round. Each time a version becomes a candidate is a round.

    `nth`: the person's how manieth approval of the round; a second one follows one that was taken back.
    """

    prefix = "vap"
    permission_scopes = ("template", "tenant")
    risk_path = "template__risk"

    version = models.ForeignKey(AgentVersion, models.PROTECT, related_name="approvals")
    template = models.ForeignKey(AgentTemplate, models.PROTECT, related_name="+")
    round = models.PositiveIntegerField()
    genome_digest = models.CharField(max_length=71)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    nth = models.PositiveSmallIntegerField(default=1)
    reason = models.TextField()
    credential = models.CharField(max_length=80, blank=True, help_text="What the person came with.")
    at = models.DateTimeField(default=clock.now)

    objects = models.Manager.from_queryset(VersionApprovalQuerySet)()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["version", "round", "person", "nth"], name="approved_once_a_person"
            )
        ]

    def __str__(self) -> str:
        return f"{self.person} approved {self.version}"

    def get_absolute_url(self) -> str:
        return f"{self.version.get_absolute_url()}#version-approvals"

    @property
    def withdrawn(self) -> bool:
        return hasattr(self, "withdrawal")


class ApprovalWithdrawal(TenantRow):
    """Who gave an approval has taken it back before the version was approved."""

    prefix = "vaw"
    permission_scopes = ("approval__template", "tenant")
    risk_path = "approval__template__risk"

    approval = models.OneToOneField(VersionApproval, models.PROTECT, related_name="withdrawal")
    reason = models.TextField()
    credential = models.CharField(max_length=80, blank=True)
    at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.approval}: taken back"
