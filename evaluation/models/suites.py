"""Suites and their versions, what they are assigned to, where agents answer, runs and their results."""

import json
from datetime import timedelta
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from arm import clock
from arm.addresses import page_of
from arm.models import TenantRow

from ..lifecycle import LIVE, RunState, Trigger
from ..scoring import Category, Outcome, Severity, stored_suite
from ..scoring import Suite as Document

EXCERPT = 2000
"""Characters of an answer that are kept to be read; its digest covers all of it."""


class SuiteQuerySet(models.QuerySet["Suite"]):
    def for_list(self) -> Self:
        newest = SuiteVersion.objects.filter(suite=models.OuterRef("pk")).order_by("-number")
        assigned = Assignment.objects.filter(suite=models.OuterRef("pk"), until=None).order_by()
        count = assigned.values("suite").annotate(n=models.Count("pk")).values("n")
        return self.annotate(
            newest_number=models.Subquery(newest.values("number")[:1]),
            newest_cases=models.Subquery(newest.values("case_count")[:1]),
            assigned=models.functions.Coalesce(models.Subquery(count, output_field=models.IntegerField()), 0),
        ).order_by("name", "pk")


class Suite(TenantRow):
    """A set of cases under one name; what it asks is in its versions. Its category never changes."""

    prefix = "sui"

    slug = models.SlugField(max_length=80)
    name = models.CharField(max_length=200)
    purpose = models.TextField(blank=True)
    category = models.CharField(max_length=10, choices=Category)
    capability = models.CharField(
        max_length=80,
        blank=True,
        db_index=True,
        help_text="Which capability it measures; beside what it asks, and outside its digest.",
    )
    created_at = models.DateTimeField(default=clock.now, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    objects = models.Manager.from_queryset(SuiteQuerySet)()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [models.UniqueConstraint(fields=["tenant", "slug"], name="suite_slug_unique")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return page_of("evaluation:suite_detail", self.typeid)


class SuiteVersion(TenantRow):
    """The exact RFC 8785 bytes of a suite, and their SHA-256. Append-only: any change is another version."""

    prefix = "suv"

    suite = models.ForeignKey(Suite, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    content = models.BinaryField(help_text="RFC 8785 bytes; `sha256sum` of them is the digest.")
    digest = models.CharField(max_length=71)
    threshold = models.FloatField()
    case_count = models.PositiveIntegerField()
    created_at = models.DateTimeField(default=clock.now, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["suite", "number"], name="suite_number_unique"),
            models.UniqueConstraint(fields=["suite", "digest"], name="suite_digest_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.suite} v{self.number}"

    def get_absolute_url(self) -> str:
        return page_of("evaluation:suite_version", self.typeid)

    @property
    def document(self) -> Document:
        return stored_suite(bytes(self.content))

    @property
    def raw(self) -> dict[str, Any]:
        """The document as JSON values."""
        found: dict[str, Any] = json.loads(bytes(self.content))
        return found


class Assignment(TenantRow):
    """A suite is asked of an agent's versions, from when until when. Mandatory ones stand before Candidate."""

    prefix = "sas"
    permission_scopes = ("template", "tenant")
    risk_path = "template__risk"

    suite = models.ForeignKey(Suite, models.PROTECT, related_name="assignments")
    template = models.ForeignKey("registry.AgentTemplate", models.PROTECT, related_name="+")
    mandatory = models.BooleanField(default=True)
    since = models.DateTimeField(default=clock.now, editable=False)
    until = models.DateTimeField(null=True, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["suite", "template"], condition=Q(until=None), name="suite_assigned_once"
            )
        ]
        indexes = [models.Index(fields=["template", "until"], name="assignment_by_template")]

    def __str__(self) -> str:
        return f"{self.suite} for {self.template}"

    def get_absolute_url(self) -> str:
        return self.suite.get_absolute_url()


class Endpoint(TenantRow):
    """Where an agent answers the questions of suites: all its versions, or one. One in force at a time for each."""

    prefix = "eep"
    permission_scopes = ("template", "tenant")
    risk_path = "template__risk"

    template = models.ForeignKey("registry.AgentTemplate", models.PROTECT, related_name="+")
    version = models.ForeignKey("registry.AgentVersion", models.PROTECT, null=True, related_name="+")
    url = models.CharField(max_length=500)
    since = models.DateTimeField(default=clock.now, editable=False)
    until = models.DateTimeField(null=True, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["template", "version"],
                condition=Q(until=None),
                nulls_distinct=False,
                name="endpoint_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.version or self.template}: {self.url}"

    def get_absolute_url(self) -> str:
        return f"{reverse('evaluation:endpoint_list')}?template={self.template.typeid}"


class AllowedHost(TenantRow):
    """A host or network that is not public and that this tenant's runs may call all the same."""

    prefix = "alh"

    entry = models.CharField(max_length=253, help_text="A host name, or a network like 10.20.0.0/16.")
    since = models.DateTimeField(default=clock.now, editable=False)
    until = models.DateTimeField(null=True, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "entry"], condition=Q(until=None), name="allowed_once")
        ]

    def __str__(self) -> str:
        return self.entry

    def get_absolute_url(self) -> str:
        return reverse("evaluation:host_list")


class RunQuerySet(models.QuerySet["Run"]):
    def live(self) -> Self:
        return self.filter(state__in=sorted(LIVE))

    def for_list(self) -> Self:
        return self.select_related("suite", "suite_version", "version__template", "template").order_by("-pk")

    def counting(self) -> Self:
        """The newest run of each suite on each genome, of versions that are on their way or at work."""
        newest = Run.objects.filter(
            suite=models.OuterRef("suite"),
            template=models.OuterRef("template"),
            genome_digest=models.OuterRef("genome_digest"),
        ).exclude(state=RunState.CANCELLED)
        return self.filter(
            version__state__in=["testing", "candidate", "approved"],
            pk=models.Subquery(newest.order_by("-pk").values("pk")[:1]),
        )


class Run(TenantRow):
    """One suite version put to one genome. What it is about is frozen; once it has come out, all of it is."""

    prefix = "run"
    permission_scopes = ("template", "tenant")
    risk_path = "template__risk"

    suite = models.ForeignKey(Suite, models.PROTECT, related_name="runs")
    suite_version = models.ForeignKey(SuiteVersion, models.PROTECT, related_name="runs")
    template = models.ForeignKey("registry.AgentTemplate", models.PROTECT, related_name="+")
    version = models.ForeignKey("registry.AgentVersion", models.PROTECT, related_name="+")
    genome_digest = models.CharField(max_length=71)
    endpoint = models.CharField(max_length=500)
    trigger = models.CharField(max_length=9, choices=Trigger, default=Trigger.MANUAL)
    state = models.CharField(max_length=9, choices=RunState, default=RunState.QUEUED, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    started_at = models.DateTimeField(null=True, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)
    total = models.PositiveIntegerField(help_text="Calls that it makes: cases times repeats.")
    done = models.PositiveIntegerField(default=0)
    passed = models.PositiveIntegerField(default=0, help_text="Cases, once it has come out.")
    failed = models.PositiveIntegerField(default=0)
    errored = models.PositiveIntegerField(default=0)
    said = models.CharField(max_length=500, blank=True)
    results_digest = models.CharField(max_length=71, blank=True)
    worker = models.UUIDField(null=True, editable=False, help_text="Who works on it, until `held_until`.")
    held_until = models.DateTimeField(null=True, editable=False)
    tries = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="How often its next call was begun."
    )

    objects = models.Manager.from_queryset(RunQuerySet)()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["suite", "version"], condition=Q(state__in=sorted(LIVE)), name="run_live_once"
            ),
            models.CheckConstraint(
                condition=Q(state__in=sorted(LIVE), finished_at=None)
                | (~Q(state__in=sorted(LIVE)) & Q(finished_at__isnull=False)),
                name="run_finished_has_its_time",
            ),
            models.CheckConstraint(condition=Q(done__lte=models.F("total")), name="run_not_beyond_its_end"),
        ]
        indexes = [
            models.Index(fields=["template", "genome_digest", "suite", "-id"], name="run_latest"),
            models.Index(fields=["tenant", "state", "held_until"], name="run_waiting"),
            models.Index(fields=["tenant", "-id"], name="run_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.suite_version} on {self.version}"

    def get_absolute_url(self) -> str:
        return page_of("evaluation:run_detail", self.typeid)

    @property
    def live(self) -> bool:
        return RunState(self.state) in LIVE

    @property
    def took(self) -> timedelta | None:
        return self.finished_at - self.started_at if self.started_at and self.finished_at else None


class Result(TenantRow):
    """How one call of a run came out: what was expected, what was found. Append-only, once per case and turn."""

    prefix = "res"
    permission_scopes = ("run__template", "tenant")
    risk_path = "run__template__risk"

    run = models.ForeignKey(Run, models.PROTECT, related_name="results")
    case = models.CharField(max_length=80)
    case_digest = models.CharField(max_length=71)
    turn = models.PositiveSmallIntegerField(default=1)
    position = models.PositiveIntegerField()
    severity = models.CharField(max_length=7, choices=Severity)
    outcome = models.CharField(max_length=7, choices=Outcome)
    problem = models.CharField(max_length=24, blank=True, help_text="Why it errored, as a stable code.")
    detail = models.CharField(max_length=500, blank=True)
    verdicts = models.JSONField(default=list, help_text="What each scorer expected and found.")
    http_status = models.PositiveSmallIntegerField(null=True)
    latency_ms = models.PositiveIntegerField(null=True)
    answer_digest = models.CharField(max_length=71, blank=True)
    excerpt = models.CharField(max_length=EXCERPT, blank=True)
    at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        ordering = ["position", "turn"]
        constraints = [
            models.UniqueConstraint(fields=["run", "case", "turn"], name="result_once"),
            models.CheckConstraint(
                condition=Q(outcome=Outcome.ERRORED) ^ Q(problem=""), name="errored_has_its_problem"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.case} ({self.get_outcome_display()})"
