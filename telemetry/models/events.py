"""What agents did: the event stream (one partition a day, append-only), interned names, jobs."""

from datetime import UTC, datetime, timedelta
from typing import Self
from uuid import UUID

from django.db import models
from django.db.models.expressions import RawSQL

from arm import clock, db, ids
from arm.addresses import page_of
from arm.models import Tenant, TenantRow

from ..parsing import EventType, Flag, Status

CODES_PER_TENANT = 20_000
OTHER = "(other)"
"""What a name is stored as once a tenant has interned CODES_PER_TENANT of them: a stream of random names must not
grow the database without bound."""


class Code(models.Model):
    """A name that many events carry (model, tool, cost centre …), stored once per tenant and named by a number."""

    id = models.AutoField(primary_key=True)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    text = models.CharField(max_length=300)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "text"], name="code_once")]

    def __str__(self) -> str:
        return self.text


def _code(column: str) -> "models.ForeignKey[Code | None, Code | None]":
    return models.ForeignKey(
        Code, models.DO_NOTHING, null=True, related_name="+", db_column=column, db_constraint=False
    )


class EventQuerySet(models.QuerySet["Event"]):
    def for_list(self) -> Self:
        """Newest first, with the names that a table shows. Event ids begin with their time."""
        return (
            self.select_related(
                "instance", "template", "version", "environment", "model_used", "model_requested"
            )
            .select_related("tool", "error")
            .defer("attributes", "content_digest")
            .order_by("-event_id")
        )

    def between(self, since: datetime, until: datetime) -> Self:
        """Only these partitions are read: every query names its time."""
        return self.filter(occurred_at__gte=since, occurred_at__lt=until)

    def by_id(self, event_id: UUID) -> Self:
        """The event with this id; its time is in the id, so that one partition is read."""
        at = datetime.fromtimestamp((event_id.int >> 80) / 1000, UTC)
        return self.between(at, at + timedelta(milliseconds=1)).filter(event_id=event_id)


class Event(models.Model):
    """One normalised event. Written by COPY into its day's partition only (telemetry.services.ingesting); the
    table, its partitions and its wall are made in migrations. Columns in the order of `parsing.packing.COLUMNS`."""

    application_may = db.READS
    in_partitions = True
    prefix = "evt"
    permission_scopes = ("template", "environment", "provider", "tenant")
    risk_path = "template__risk"

    event_id = models.UUIDField(primary_key=True)
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
    received_at = models.DateTimeField()
    trace_id = models.UUIDField()
    span_id = models.BigIntegerField()
    parent_span_id = models.BigIntegerField(null=True)
    type = models.SmallIntegerField(
        choices=[(t.value, t.name.replace("_", " ").capitalize()) for t in EventType]
    )
    status = models.SmallIntegerField(choices=[(s.value, s.name.capitalize()) for s in Status])
    flags = models.SmallIntegerField()
    mapper_version = models.SmallIntegerField()
    duration_ms = models.IntegerField(null=True)
    ttft_ms = models.IntegerField(null=True)
    generation = models.IntegerField(null=True)
    input_tokens = models.IntegerField(null=True)
    cache_read_tokens = models.IntegerField(null=True)
    cache_write_tokens = models.IntegerField(null=True)
    output_tokens = models.IntegerField(null=True)
    reasoning_tokens = models.IntegerField(null=True)
    model_provider = _code("provider_code")
    model_requested = _code("model_requested_code")
    model_used = _code("model_used_code")
    finish = _code("finish_code")
    tool = _code("tool_code")
    error = _code("error_code")
    cost_center = _code("cost_center_code")
    outcome = _code("outcome_code")
    job = models.TextField(default="")
    conversation = models.TextField(default="")
    content_digest = models.BinaryField(null=True)
    attributes = models.TextField(default="{}")

    objects = models.Manager.from_queryset(EventQuerySet)()

    class Meta:
        managed = False
        db_table = "telemetry_event"

    def __str__(self) -> str:
        return f"{self.get_type_display()} {self.typeid}"

    def get_absolute_url(self) -> str:
        return page_of("telemetry:event_detail", self.typeid)

    @property
    def typeid(self) -> str:
        return ids.encode(self.prefix, self.event_id)

    @property
    def span_hex(self) -> str:
        return f"{self.span_id & (1 << 64) - 1:016x}"

    @property
    def parent_hex(self) -> str:
        return "" if self.parent_span_id is None else f"{self.parent_span_id & (1 << 64) - 1:016x}"

    @property
    def noticed(self) -> list[str]:
        """What was noticed while linking, in words."""
        return [flag.name.replace("_", " ").lower() for flag in Flag if flag & self.flags and flag.name]


class JobQuerySet(models.QuerySet["Job"]):
    def called(self, name: str) -> Self:
        """The jobs of this name, in the tenants that are in sight."""
        ids = (
            "SELECT telemetry_job_id(owner, %s)"
            " FROM unnest(nullif(current_setting('arm.tenants', true), '')::uuid[]) AS owner"
        )
        return self.filter(pk__in=RawSQL(ids, [name]))  # noqa: S611 - the name is a parameter


class Job(TenantRow):
    """A piece of work that somebody asked for: what cost and quality are counted by."""

    application_may = db.READS
    in_partitions = True
    prefix = "job"

    # Follows from tenant and key (telemetry_job_id): its one index says that a job is noted once.
    id = models.UUIDField(primary_key=True, editable=False)
    # Many a second are copied into the one partition, past the wall, with the tenant of the sender's key: without a
    # check of that key for each.
    # job_by_time is an index that begins with the tenant.
    tenant = models.ForeignKey(
        Tenant, models.PROTECT, related_name="+", editable=False, db_constraint=False, db_index=False
    )
    key = models.CharField(max_length=200, help_text="The name that agents report, like ticket-4711.")
    outcome = models.CharField(max_length=200, blank=True)
    cost_center = models.CharField(max_length=200, blank=True)
    reported_by_id = models.UUIDField(help_text="The instance that named the job first.")
    first_seen_at = models.DateTimeField(default=clock.now)
    last_seen_at = models.DateTimeField(default=clock.now)

    objects = JobQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["tenant", "first_seen_at"], name="job_by_time")]

    def __str__(self) -> str:
        return self.key
