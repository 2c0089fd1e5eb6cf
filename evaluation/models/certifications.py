"""What people vouch for: types of certifications, and those that genomes hold or held."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.urls import reverse

from arm import clock
from arm.models import TenantRow
from registry.staffing import Certified, certified


class CertificationType(TenantRow):
    """What somebody who certifies vouches for, and for how long. Roles ask for it by its slug, which never changes."""

    prefix = "cty"

    slug = models.SlugField(max_length=80)
    name = models.CharField(max_length=200)
    purpose = models.TextField(blank=True)
    days = models.PositiveIntegerField(default=365, help_text="How long one is valid.")
    created_at = models.DateTimeField(default=clock.now, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "slug"], name="certification_type_unique"),
            models.CheckConstraint(condition=Q(days__gte=1), name="certification_lasts_a_day"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return f"{reverse('evaluation:certification_list')}?type={self.slug}"


class CertificationQuerySet(models.QuerySet["Certification"]):
    def for_list(self) -> Self:
        rows = self.select_related("type", "version__template", "issued_by", "revoked_by")
        return rows.order_by("-pk")

    def standing_as(self, standing: str) -> Self:
        """Those whose standing now is this value of Certified."""
        now = clock.now()
        live = self.filter(revoked_at=None)
        if standing == Certified.REVOKED:
            return self.exclude(revoked_at=None)
        if standing == Certified.EXPIRED:
            return live.filter(valid_until__lte=now)
        running = live.filter(valid_until__gt=now)
        return running.filter(
            **{"valid_from__gt" if standing == Certified.PLANNED else "valid_from__lte": now}
        )


class Certification(TenantRow):
    """Somebody vouches for exactly this genome, from when until when. Only its end is ever written to it."""

    prefix = "crt"
    permission_scopes = ("template", "tenant")
    risk_path = "template__risk"

    type = models.ForeignKey(CertificationType, models.PROTECT, related_name="certifications")
    template = models.ForeignKey("registry.AgentTemplate", models.PROTECT, related_name="+")
    version = models.ForeignKey("registry.AgentVersion", models.PROTECT, related_name="+")
    genome_digest = models.CharField(max_length=71)
    issued_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    issued_at = models.DateTimeField(default=clock.now)
    valid_from = models.DateTimeField(default=clock.now)
    valid_until = models.DateTimeField()
    reason = models.TextField()
    evidence = models.JSONField(
        default=list, help_text="Runs that had passed on this genome when it was issued."
    )
    revoked_at = models.DateTimeField(null=True, editable=False)
    revoked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", editable=False
    )
    revoked_reason = models.TextField(blank=True, editable=False)
    expiry_told_at = models.DateTimeField(null=True, editable=False)

    objects = models.Manager.from_queryset(CertificationQuerySet)()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(valid_until__gt=F("valid_from")), name="certification_ends_after_it_begins"
            ),
            models.CheckConstraint(
                condition=Q(revoked_at=None, revoked_reason="")
                | (Q(revoked_at__isnull=False) & ~Q(revoked_reason="")),
                name="certification_revoked_for_a_reason",
            ),
        ]
        indexes = [
            models.Index(fields=["template", "genome_digest"], name="certification_of_genome"),
            models.Index(
                fields=["tenant", "valid_until"],
                condition=Q(revoked_at=None, expiry_told_at=None),
                name="certification_to_expire",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} of {self.version}"

    def get_absolute_url(self) -> str:
        return f"{reverse('evaluation:certification_list')}?version={self.version.typeid}"

    @property
    def standing(self) -> Certified:
        return certified(clock.now(), self.valid_from, self.valid_until, self.revoked_at)
