"""One act on many rows: what was chosen, what was foreseen for each, and what became of it."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from arm import clock
from arm.addresses import page_of
from arm.models import TenantRow
from arm.words import counted


class BulkRun(TenantRow):
    """An act on rows that one person chose. Previewed once and applied at most once."""

    class State(models.TextChoices):
        PREVIEWING = "previewing", "Being previewed"
        PREVIEWED = "previewed", "Previewed"
        APPLYING = "applying", "Being applied"
        DONE = "done", "Done"

    prefix = "blk"

    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    credential = models.CharField(max_length=80, blank=True, help_text="What the actor came with.")
    action = models.CharField(max_length=40)
    params = models.JSONField(default=dict)
    total = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.PREVIEWING, editable=False)
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    applied_at = models.DateTimeField(null=True, editable=False)
    ended_at = models.DateTimeField(null=True, editable=False)
    touched_at = models.DateTimeField(
        default=clock.now, editable=False, help_text="When somebody last worked on it."
    )
    asked = models.CharField(max_length=71, blank=True, editable=False, help_text="Digest of act and rows.")
    tries = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="Parts in a row that were begun and not ended."
    )

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "actor", "-id"], name="bulk_of_person"),
            models.Index(
                fields=["touched_at"],
                condition=Q(state__in=["previewing", "applying"]),
                name="bulk_under_way",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action.replace('_', ' ').capitalize()}: {counted(self.total, 'row')}"

    def get_absolute_url(self) -> str:
        return page_of("registry:bulk_detail", self.typeid)


class BulkRow(TenantRow):
    """One of the rows: `seen` is what it was when it was previewed, and what it must still be when it is applied."""

    class Foreseen(models.TextChoices):
        WAITS = "", "Not looked at yet"
        WILL = "will", "Will change"
        SAME = "same", "Stays as it is"
        REFUSED = "refused", "Refused"
        FAILED = "failed", "Failed"

    class Outcome(models.TextChoices):
        WAITS = "", "Not applied"
        APPLIED = "applied", "Applied"
        SAME = "same", "Stayed as it was"
        CHANGED = "changed", "Changed meanwhile"
        REFUSED = "refused", "Refused"
        FAILED = "failed", "Failed"
        LEFT = "left", "Left out"

    prefix = "blr"

    run = models.ForeignKey(BulkRun, models.PROTECT, related_name="rows")
    target_id = models.UUIDField()
    label = models.CharField(max_length=250)
    url = models.CharField(max_length=200)
    seen = models.JSONField(default=dict)
    foreseen = models.CharField(max_length=8, choices=Foreseen, blank=True, default="")
    foreseen_says = models.TextField(blank=True)
    outcome = models.CharField(max_length=8, choices=Outcome, blank=True, default="")
    outcome_says = models.TextField(blank=True)
    attempts = models.PositiveSmallIntegerField(
        default=0,
        editable=False,
        help_text="How often a worker began with it, in the preview or the apply under way.",
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "target_id"], name="bulk_row_once")]

    def __str__(self) -> str:
        return self.label
