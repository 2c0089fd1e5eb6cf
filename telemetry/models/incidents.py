"""What went wrong: incidents with their subject, and the timeline that people and rules write."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from arm import clock
from arm.addresses import page_of
from arm.models import TenantRow

from ..lifecycle import LIVE, Detection, IncidentKind, IncidentState, Severity

ONCE = "incident_open_once"
"""The constraint that refuses a second live incident of a kind about a subject."""


class IncidentQuerySet(models.QuerySet["Incident"]):
    def live(self) -> Self:
        return self.filter(state__in=LIVE)

    def held(self) -> Self:
        """For this transaction alone: after rollouts, slots and versions, before instances. Lines of the timeline only
        refer to the row, and do not wait."""
        return self.select_for_update(no_key=True, of=("self",))

    def for_list(self) -> Self:
        """The queue: worst first, then the one that has waited longest."""
        return self.select_related("template", "environment", "owner").order_by("severity", "opened_at", "pk")


class Incident(TenantRow):
    """Something went wrong with a subject (kind and id, kept without a constraint: the incident outlives it).

    What the subject was part of when it was opened stands beside it: these are also the scopes of its rights.
    """

    prefix = "inc"
    permission_scopes = ("template", "environment", "provider", "tenant")
    risk_path = "template__risk"

    kind = models.CharField(max_length=24, choices=IncidentKind)
    severity = models.CharField(max_length=2, choices=Severity)
    title = models.CharField(max_length=250)
    state = models.CharField(max_length=10, choices=IncidentState, default=IncidentState.OPEN, editable=False)
    state_since = models.DateTimeField(default=clock.now, editable=False)
    subject_kind = models.CharField(max_length=80)
    subject_id = models.UUIDField()
    subject_label = models.CharField(max_length=250)
    instance = models.ForeignKey("registry.AgentInstance", models.PROTECT, null=True, related_name="+")
    version = models.ForeignKey("registry.AgentVersion", models.PROTECT, null=True, related_name="+")
    template = models.ForeignKey("registry.AgentTemplate", models.PROTECT, null=True, related_name="+")
    environment = models.ForeignKey("registry.Environment", models.PROTECT, null=True, related_name="+")
    provider = models.ForeignKey("registry.Provider", models.PROTECT, null=True, related_name="+")
    opened_at = models.DateTimeField(default=clock.now, editable=False)
    opened_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", editable=False
    )
    detected = models.CharField(max_length=8, choices=Detection, default=Detection.RULE)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    root_cause = models.TextField(blank=True)
    remediation = models.TextField(blank=True)
    lessons = models.TextField(blank=True, help_text="What the review found.")
    harm = models.BooleanField(
        default=False,
        editable=False,
        help_text="What the version does is wrong wherever it runs: the tenant's rule may deprecate it.",
    )
    vouched = models.CharField(
        max_length=2,
        choices=Severity,
        blank=True,
        editable=False,
        help_text="How severe it is by the word of a rule or of somebody who may speak for the version; by this the tenant's"
        " rule deprecates it. Empty: nobody of them has judged it.",
    )
    recurrence_of = models.ForeignKey("self", models.PROTECT, null=True, related_name="recurrences")
    facts = models.JSONField(default=dict)

    objects = models.Manager.from_queryset(IncidentQuerySet)()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "kind", "subject_kind", "subject_id"],
                condition=Q(state__in=sorted(LIVE)),
                name=ONCE,
            ),
            models.CheckConstraint(
                condition=Q(state__in=[IncidentState.OPEN, IncidentState.TRIAGED, IncidentState.MITIGATED])
                | ~Q(root_cause=""),
                name="resolved_with_a_cause",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "state", "severity", "opened_at"], name="incident_queue"),
            models.Index(fields=["template", "kind", "-opened_at"], name="incident_recurrence"),
            models.Index(fields=["version", "-opened_at"], name="incident_by_version"),
            models.Index(fields=["instance", "-opened_at"], name="incident_by_instance"),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return page_of("telemetry:incident_detail", self.typeid)

    @property
    def live(self) -> bool:
        return IncidentState(self.state) in LIVE


class IncidentEntry(TenantRow):
    """One line of an incident's timeline: who did or saw what. Append-only."""

    class Kind(models.TextChoices):
        OPENED = "opened", "Opened"
        NOTE = "note", "Note"
        MOVED = "moved", "Moved"
        SEVERITY = "severity", "Severity changed"
        ASSIGNED = "assigned", "Assigned"
        MITIGATION = "mitigation", "Mitigation"

    prefix = "ine"
    permission_scopes = ("incident__template", "incident__environment", "incident__provider", "tenant")
    risk_path = "incident__template__risk"

    incident = models.ForeignKey(Incident, models.PROTECT, related_name="entries")
    at = models.DateTimeField(default=clock.now, editable=False)
    kind = models.CharField(max_length=10, choices=Kind)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    text = models.TextField(blank=True)
    before = models.CharField(max_length=120, blank=True)
    after = models.CharField(max_length=120, blank=True)
    links = models.JSONField(default=list)

    class Meta:
        ordering = ["at", "pk"]
        indexes = [models.Index(fields=["incident", "at"], name="incident_timeline")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.incident_id}"
