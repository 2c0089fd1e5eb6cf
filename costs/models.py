"""What the work cost: price lists of a tenant, the ledger (append-only), its daily sums, caps and their breaches."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Self
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q

from arm import clock, db, ids
from arm.addresses import page_of
from arm.models import Tenant, TenantRow
from telemetry.models import Code

from .pricing import PICOS, Basis

BASES = [(basis.value, basis.name.replace("_", " ").capitalize()) for basis in Basis]
_MTOK = {"max_digits": 18, "decimal_places": 9}


def money(picos: int | Decimal) -> Decimal:
    """Picos as an amount of the currency, exactly."""
    return Decimal(picos) / PICOS


class CostModel(TenantRow):
    """A line of the tenant's rate card: what a model costs per million tokens, from when until when."""

    prefix = "rat"

    provider = models.CharField(max_length=80, blank=True, help_text="Model provider; empty: every provider.")
    model = models.CharField(
        max_length=200, help_text="A model's name; one ending in * means all that begin so."
    )
    currency = models.CharField(max_length=3, default="USD")
    input_mtok = models.DecimalField("Input", **_MTOK)  # type: ignore[arg-type]
    cache_read_mtok = models.DecimalField("Cache read", null=True, blank=True, **_MTOK)  # type: ignore[arg-type]
    cache_write_mtok = models.DecimalField("Cache write", null=True, blank=True, **_MTOK)  # type: ignore[arg-type]
    output_mtok = models.DecimalField("Output", **_MTOK)  # type: ignore[arg-type]
    per_call = models.DecimalField(max_digits=18, decimal_places=9, default=Decimal(0))
    starts_at = models.DateTimeField(default=clock.now)
    ends_at = models.DateTimeField(null=True, blank=True)
    digest = models.CharField(max_length=71, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        verbose_name = "rate"
        ordering = ["model", "provider", "-starts_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at=None) | Q(ends_at__gt=models.F("starts_at")), name="rate_ends_after_start"
            ),
            models.UniqueConstraint(fields=["tenant", "provider", "model", "starts_at"], name="rate_once"),
        ]

    def __str__(self) -> str:
        return f"{self.provider or 'any'}/{self.model}"

    @property
    def price_ref(self) -> str:
        """`rate-card:<id>@<start>#<sha256>`: enough to work an amount out again."""
        return f"rate-card:{self.typeid}@{self.starts_at:%Y-%m-%d}#{self.digest.removeprefix('sha256:')}"


def _code(column: str) -> "models.ForeignKey[Code | None, Code | None]":
    return models.ForeignKey(
        Code, models.DO_NOTHING, null=True, related_name="+", db_column=column, db_constraint=False
    )


class LedgerEntryQuerySet(models.QuerySet["LedgerEntry"]):
    def for_list(self) -> Self:
        return self.select_related(
            "instance", "template", "version", "environment", "model", "cost_center", "outcome", "currency"
        ).order_by("-entry_id")

    def between(self, since: datetime, until: datetime) -> Self:
        """Only these partitions are read: every query names its time."""
        return self.filter(occurred_at__gte=since, occurred_at__lt=until)

    def by_id(self, entry_id: UUID) -> Self:
        at = datetime.fromtimestamp((entry_id.int >> 80) / 1000, clock.now().tzinfo)
        return self.between(at, at + timedelta(milliseconds=1)).filter(entry_id=entry_id)


class LedgerEntry(models.Model):
    """What one event cost, with the tags it is charged to. Immutable: a correction is another entry.

    Written by COPY into its day's partition (costs.plugins.Ledger); columns in the order of `costs.services.booking`.
    """

    application_may = db.READS
    in_partitions = True
    prefix = "led"
    permission_scopes = ("template", "environment", "provider", "tenant")
    risk_path = "template__risk"

    entry_id = models.UUIDField(primary_key=True, help_text="The id of the event it prices.")
    occurred_at = models.DateTimeField()
    tenant = models.ForeignKey(Tenant, models.DO_NOTHING, related_name="+", db_constraint=False)
    provider = models.ForeignKey(
        "registry.Provider", models.DO_NOTHING, related_name="+", db_constraint=False
    )
    environment = models.ForeignKey(
        "registry.Environment", models.DO_NOTHING, related_name="+", db_constraint=False
    )
    template = models.ForeignKey(
        "registry.AgentTemplate", models.DO_NOTHING, related_name="+", db_constraint=False
    )
    version = models.ForeignKey(
        "registry.AgentVersion", models.DO_NOTHING, related_name="+", db_constraint=False
    )
    instance = models.ForeignKey(
        "registry.AgentInstance", models.DO_NOTHING, related_name="+", db_constraint=False
    )
    role = models.ForeignKey(
        "registry.RoleDefinition", models.DO_NOTHING, null=True, related_name="+", db_constraint=False
    )
    basis = models.SmallIntegerField(choices=BASES)
    input_tokens = models.IntegerField(null=True)
    cache_read_tokens = models.IntegerField(null=True)
    cache_write_tokens = models.IntegerField(null=True)
    output_tokens = models.IntegerField(null=True)
    amount_picos = models.BigIntegerField(help_text="10^-12 of the currency.")
    reported_picos = models.BigIntegerField(null=True)
    currency = _code("currency_code")
    price_ref = _code("price_ref_code")
    model_provider = _code("model_provider_code")
    model = _code("model_code")
    cost_center = _code("cost_center_code")
    outcome = _code("outcome_code")
    job = models.TextField(default="")

    objects = models.Manager.from_queryset(LedgerEntryQuerySet)()

    class Meta:
        managed = False
        db_table = "costs_ledgerentry"
        verbose_name_plural = "ledger entries"

    def __str__(self) -> str:
        return self.typeid

    def get_absolute_url(self) -> str:
        return page_of("costs:entry_detail", self.typeid)

    @property
    def typeid(self) -> str:
        return ids.encode(self.prefix, self.entry_id)

    @property
    def amount(self) -> Decimal:
        return money(self.amount_picos)

    @property
    def unattributed(self) -> bool:
        return not self.job and self.outcome_id is None


class SpendRollup(models.Model):
    """The ledger summed by day and tags, in the transaction of the entries: never behind, never apart."""

    application_may = db.READS
    permission_scopes = ("template", "environment", "tenant")
    risk_path = "template__risk"

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    day = models.DateField()
    environment = models.ForeignKey("registry.Environment", models.PROTECT, related_name="+")
    template = models.ForeignKey("registry.AgentTemplate", models.PROTECT, related_name="+")
    version = models.ForeignKey("registry.AgentVersion", models.PROTECT, related_name="+")
    instance = models.ForeignKey("registry.AgentInstance", models.PROTECT, related_name="+")
    role = models.ForeignKey("registry.RoleDefinition", models.PROTECT, null=True, related_name="+")
    cost_center = models.ForeignKey(Code, models.PROTECT, null=True, related_name="+")
    outcome = models.ForeignKey(Code, models.PROTECT, null=True, related_name="+")
    model_provider = models.ForeignKey(Code, models.PROTECT, null=True, related_name="+")
    model = models.ForeignKey(Code, models.PROTECT, null=True, related_name="+")
    currency = models.ForeignKey(Code, models.PROTECT, related_name="+")
    basis = models.SmallIntegerField(choices=BASES)
    attributed = models.BooleanField(help_text="The work named a job or an outcome.")
    calls = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    cached_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    amount_picos = models.DecimalField(max_digits=38, decimal_places=0)

    class Meta:
        verbose_name, verbose_name_plural = "spend of a day", "spend by day"
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "day",
                    "instance",
                    "version",
                    "role",
                    "cost_center",
                    "outcome",
                    "model_provider",
                    "model",
                    "currency",
                    "basis",
                    "attributed",
                ],
                name="rollup_once",
                nulls_distinct=False,
            )
        ]
        indexes = [models.Index(fields=["tenant", "day"], name="rollup_by_day")]

    def __str__(self) -> str:
        return f"{self.day} {self.instance_id}"


class _SpentOnDay(models.Model):
    """An amount of an instance's day, written by the database as it books."""

    application_may = db.READS

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    instance = models.ForeignKey("registry.AgentInstance", models.PROTECT, related_name="+")
    day = models.DateField()
    currency = models.CharField(max_length=3)
    amount_picos = models.DecimalField(max_digits=38, decimal_places=0)

    class Meta:
        abstract = True


class InstanceDay(_SpentOnDay):
    """What an instance has spent on a day: the one row that a cap is held against."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["instance", "day", "currency"], name="instance_day_once")
        ]
        indexes = [models.Index(fields=["tenant", "day"], name="instance_day_by_day")]

    def __str__(self) -> str:
        return f"{self.instance_id} on {self.day}"


class BelowDay(_SpentOnDay):
    """What all instances below one (its children, theirs, …) have spent on a day: it counts against that one's cap, too."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["instance", "day", "currency"], name="below_day_once")]
        indexes = [models.Index(fields=["tenant", "day"], name="below_day_by_day")]

    def __str__(self) -> str:
        return f"below {self.instance_id} on {self.day}"


UNPRICED_HELP = (
    "Calls of a model that neither the rate card nor the list prices: as they cost nothing here, leaving them out lets "
    "the instance spend past its cap."
)


class Cap(TenantRow):
    """How much an instance may spend in a day (UTC). Beyond it the instance becomes read-only and an incident opens."""

    class Unpriced(models.TextChoices):
        """What a call of a model means that nobody has priced: nobody knows what it cost."""

        PASSES = "passes", "Count as passed"
        IGNORED = "ignored", "Leave out"

    prefix = "cap"
    permission_scopes = ("instance__template", "instance__environment", "tenant")
    risk_path = "instance__template__risk"

    instance = models.ForeignKey("registry.AgentInstance", models.PROTECT, related_name="+")
    per_day = models.DecimalField(max_digits=18, decimal_places=6)
    currency = models.CharField(max_length=3, default="USD")
    unpriced = models.CharField(
        "Calls without a price",
        max_length=7,
        choices=Unpriced,
        default=Unpriced.PASSES,
        help_text=UNPRICED_HELP,
    )
    since = models.DateTimeField(default=clock.now)
    until = models.DateTimeField(null=True, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", editable=False)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(per_day__gt=0), name="cap_above_zero"),
            models.UniqueConstraint(fields=["instance"], condition=Q(until=None), name="one_cap_in_force"),
        ]

    def __str__(self) -> str:
        return f"{self.per_day.normalize():f} {self.currency} a day for {self.instance}"


class CapBreach(TenantRow):
    """A cap was passed on a day: what was done about it. Append-only."""

    prefix = "brc"
    permission_scopes = ("cap__instance__template", "cap__instance__environment", "tenant")
    risk_path = "cap__instance__template__risk"

    cap = models.ForeignKey(Cap, models.PROTECT, related_name="breaches")
    day = models.DateField()
    amount_picos = models.DecimalField(max_digits=38, decimal_places=0)
    at = models.DateTimeField(default=clock.now)
    incident_id = models.UUIDField()
    restricted = models.BooleanField(help_text="The instance was made read-only by this breach.")
    unpriced_model = models.CharField(
        max_length=200,
        default="",
        help_text="The model without a price that passed it; empty: the amount did.",
    )

    class Meta:
        verbose_name_plural = "cap breaches"
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["cap", "day"], name="breach_once_a_day")]

    def __str__(self) -> str:
        return f"{self.cap} passed on {self.day}"

    @property
    def amount(self) -> Decimal:
        return money(self.amount_picos)
