"""What exchange with others needs: whose published keys are believed on agent cards, and tables that were sent."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from arm import clock
from arm.addresses import page_of
from arm.models import TenantRow

from ..lifecycle import GOING_ON, MAY_APPLY, MAY_CANCEL, NOT_ENDED, ImportState


class CardKeySource(TenantRow):
    """An address at which somebody publishes keys (a JWK Set), and whose signatures on agent cards this tenant
    believes. Cards that name any other address stay unverified, and that address is never called."""

    prefix = "cks"

    url = models.CharField(max_length=500, help_text="Exactly as cards name it in “jku”.")
    internal = models.BooleanField(
        default=False, help_text="Its host may have an address that is not public."
    )
    since = models.DateTimeField(default=clock.now, editable=False)
    until = models.DateTimeField(null=True, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-pk"]
        verbose_name = "key source of agent cards"
        verbose_name_plural = "key sources of agent cards"
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "url"], condition=Q(until=None), name="card_key_source_once"
            )
        ]

    def __str__(self) -> str:
        return self.url

    def get_absolute_url(self) -> str:
        return reverse("registry:card_key_list")


class TableImport(TenantRow):
    """A table of agents or instances that somebody sent: first judged as a whole, then applied part by part. `done` rows
    of `total` are through the present step; it is written with the rows themselves, so each is applied once."""

    class Kind(models.TextChoices):
        TEMPLATES = "templates", "Agents"
        INSTANCES = "instances", "Instances"

    prefix = "tim"

    kind = models.CharField(max_length=10, choices=Kind)
    file_name = models.CharField(max_length=200)
    digest = models.CharField(max_length=71)
    content = models.BinaryField(help_text="The file as it was sent.")
    state = models.CharField(max_length=10, choices=ImportState, default=ImportState.CHECKING, editable=False)
    total = models.PositiveIntegerField()
    done = models.PositiveIntegerField(default=0, editable=False)
    bad = models.PositiveIntegerField(default=0, editable=False)
    plan = models.TextField(
        blank=True,
        editable=False,
        help_text="A letter a row: c creates, u changes, s is the same, ! is wrong.",
    )
    problems = models.JSONField(default=list, editable=False)
    passed_over = models.JSONField(
        default=list,
        editable=False,
        help_text="Columns of the file that no table sets, and that were not read.",
    )
    reason = models.CharField(max_length=500, blank=True, editable=False)
    credential = models.CharField(
        max_length=80, blank=True, editable=False, help_text="What whoever applied it came with."
    )
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=clock.now, editable=False)
    touched_at = models.DateTimeField(default=clock.now, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(done__lte=models.F("total")), name="import_done_of_total"),
            models.UniqueConstraint(
                fields=["tenant", "kind", "digest"],
                condition=Q(state__in=NOT_ENDED),
                name="table_import_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} from {self.file_name}"

    def get_absolute_url(self) -> str:
        return page_of("registry:import_detail", self.typeid)

    @property
    def live(self) -> bool:
        return self.state in GOING_ON

    @property
    def may_apply(self) -> bool:
        return self.state in MAY_APPLY

    @property
    def may_cancel(self) -> bool:
        return self.state in MAY_CANCEL

    @property
    def counts(self) -> dict[str, int]:
        """How many rows would (or did) create something, change something, change nothing, or are wrong."""
        return {word: self.plan.count(letter) for letter, word in OUTCOMES.items()}


OUTCOMES = {"c": "create", "u": "change", "s": "same", "!": "wrong"}
