"""The job and its staffing: role definitions, and who is assigned to them where, from when until when."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from arm import clock
from arm.addresses import page_of
from arm.models import TenantRow
from arm.rights import Risk

_MONEY = {"max_digits": 18, "decimal_places": 6, "null": True, "blank": True}
_PERCENT = {"max_digits": 6, "decimal_places": 3, "null": True, "blank": True}


class RoleDefinition(TenantRow):
    """The job, apart from who does it: what it asks of a version, what it may cost, how well it must be done.

    `capabilities`: [{"name", "least"}], least in per cent; `coverage`: [{"environment", "least"}], slug and number of
    instances at work. Each change raises `revision` and has its record with before and after.
    """

    prefix = "rol"
    risk_path = "risk"

    slug = models.SlugField(max_length=80)
    name = models.CharField(max_length=160)
    purpose = models.TextField(blank=True)
    tier = models.PositiveSmallIntegerField(default=2)
    risk = models.CharField(max_length=8, choices=Risk, default=Risk.MEDIUM)
    cost_center = models.CharField(max_length=80, blank=True)
    capabilities = models.JSONField(default=list, blank=True)
    certifications = models.JSONField(default=list, blank=True)
    budget_per_day = models.DecimalField(**_MONEY)  # type: ignore[arg-type]
    budget_per_month = models.DecimalField(**_MONEY)  # type: ignore[arg-type]
    budget_per_outcome = models.DecimalField(**_MONEY)  # type: ignore[arg-type]
    currency = models.CharField(max_length=3, blank=True, help_text="ISO 4217, where there is a budget.")
    success_rate = models.DecimalField(help_text="Least, in per cent.", **_PERCENT)  # type: ignore[arg-type]
    latency_ms = models.PositiveIntegerField(null=True, blank=True, help_text="At most, in ms.")
    availability = models.DecimalField(help_text="Least, in per cent.", **_PERCENT)  # type: ignore[arg-type]
    coverage = models.JSONField(default=list, blank=True)
    failover = models.BooleanField(
        default=False, help_text="Whether it takes instances at two providers wherever it is covered."
    )
    approvals = models.PositiveSmallIntegerField(
        default=1,
        blank=True,
        help_text="How many people must approve a version of an agent that does it, at least.",
    )
    revision = models.PositiveIntegerField(default=1, editable=False)
    gaps_told = models.JSONField(
        default=list,
        editable=False,
        help_text="Environments whose lack of somebody was told; told once each.",
    )
    unkept_told = models.JSONField(
        default=list,
        editable=False,
        help_text="Budgets and objectives that were told as not kept; told once each.",
    )

    class Meta:
        ordering = ["slug"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "slug"], name="role_slug_unique"),
            models.CheckConstraint(condition=Q(tier__lte=5), name="tier_0_to_5"),
            models.CheckConstraint(
                condition=Q(approvals__gte=1, approvals__lte=9), name="role_approvals_1_to_9"
            ),
            models.CheckConstraint(
                condition=(
                    (Q(budget_per_day=None) | Q(budget_per_day__gte=0))
                    & (Q(budget_per_month=None) | Q(budget_per_month__gte=0))
                    & (Q(budget_per_outcome=None) | Q(budget_per_outcome__gte=0))
                ),
                name="role_budgets_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(budget_per_day=None, budget_per_month=None, budget_per_outcome=None)
                | ~Q(currency=""),
                name="role_budget_has_its_currency",
            ),
            models.CheckConstraint(
                condition=(
                    (Q(success_rate=None) | Q(success_rate__gt=0, success_rate__lte=100))
                    & (Q(availability=None) | Q(availability__gt=0, availability__lte=100))
                ),
                name="role_objectives_in_per_cent",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return page_of("registry:role_detail", self.typeid)

    @property
    def needs(self) -> dict[str, int]:
        """The least score of each required capability, in per cent."""
        return {row["name"]: row["least"] for row in self.capabilities}

    @property
    def covers(self) -> dict[str, int]:
        """How many instances at work it takes, by the environment's slug."""
        return {row["environment"]: row["least"] for row in self.coverage}


class RoleAssignmentQuerySet(models.QuerySet["RoleAssignment"]):
    def for_list(self) -> Self:
        rows = self.select_related("role", "environment", "version__template", "instance", "assigned_by")
        return rows.order_by("-pk")

    def in_force(self) -> Self:
        now = clock.now()
        return self.filter(Q(until=None) | Q(until__gt=now), since__lte=now)

    def open(self) -> Self:
        """In force, or to come."""
        return self.filter(Q(until=None) | Q(until__gt=clock.now()))


class RoleAssignment(TenantRow):
    """This version (all its instances there, or one) does the job in the environment, from when until when.

    The database lets no two of one role, environment and version (or instance) overlap in time.
    """

    prefix = "ras"
    permission_scopes = ("environment", "version__template", "tenant")
    risk_path = "version__template__risk"

    role = models.ForeignKey(RoleDefinition, models.PROTECT, related_name="assignments")
    environment = models.ForeignKey("registry.Environment", models.PROTECT, related_name="+")
    version = models.ForeignKey("registry.AgentVersion", models.PROTECT, related_name="role_assignments")
    instance = models.ForeignKey(
        "registry.AgentInstance", models.PROTECT, null=True, blank=True, related_name="role_assignments"
    )
    since = models.DateTimeField(default=clock.now)
    until = models.DateTimeField(null=True, blank=True)
    assigned_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    reason = models.TextField()

    objects = models.Manager.from_queryset(RoleAssignmentQuerySet)()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(until=None) | Q(until__gte=F("since")), name="assignment_ends_after_it_begins"
            )
        ]
        indexes = [
            models.Index(fields=["role", "environment", "until"], name="assignment_by_role"),
            models.Index(fields=["version", "until"], name="assignment_by_version"),
        ]

    def __str__(self) -> str:
        return f"{self.instance or self.version} as {self.role} in {self.environment}"

    def get_absolute_url(self) -> str:
        return f"{self.role.get_absolute_url()}#assignments"

    @property
    def standing(self) -> str:
        """`planned`, `active` or `ended`, by the clock."""
        now = clock.now()
        if self.until is not None and self.until <= now:
            return "ended"
        return "planned" if self.since > now else "active"


class Successor(TenantRow):
    """Who answers for an agent when one of its owners leaves, in this order, from when until when."""

    prefix = "suc"
    permission_scopes = ("template", "tenant")
    risk_path = "template__risk"

    template = models.ForeignKey("registry.AgentTemplate", models.PROTECT, related_name="successors")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    position = models.PositiveSmallIntegerField()
    since = models.DateTimeField(default=clock.now)
    until = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["position", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["template", "user"], condition=Q(until=None), name="succeeds_once"
            ),
            models.UniqueConstraint(
                fields=["template", "position"], condition=Q(until=None), name="successor_in_order"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} succeeds at {self.template}"
