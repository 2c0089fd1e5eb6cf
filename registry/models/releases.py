"""Releases: rollouts with their steps and slots, rollbacks, and exceptions from the rules of a binding."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from arm import clock
from arm.addresses import page_of
from arm.models import TenantRow

from ..engine import HELD, OPEN, WITHIN, RolloutState, StepState, Strategy, Terms, Want, wants
from .slots import DeploymentSlot


class RolloutQuerySet(models.QuerySet["Rollout"]):
    def for_list(self) -> Self:
        rows = self.select_related("environment", "role", "version__template", "created_by")
        return rows.order_by("-pk")

    def open(self) -> Self:
        return self.filter(state__in=OPEN)


class Rollout(TenantRow):
    """A version on its way into one slot or several of a role in an environment, step by step.

    Its slots are its own while it runs or is paused (`RolloutSlot.held`).
    """

    class Reaction(models.TextChoices):
        PAUSE = "pause", "Pause"
        ABORT = "abort", "Abort"

    prefix = "rlt"
    permission_scopes = ("environment", "tenant")

    environment = models.ForeignKey("registry.Environment", models.PROTECT, related_name="rollouts")
    role = models.ForeignKey("registry.RoleDefinition", models.PROTECT, related_name="+")
    version = models.ForeignKey("registry.AgentVersion", models.PROTECT, related_name="+")
    strategy = models.CharField(max_length=6, choices=Strategy)
    state = models.CharField(max_length=9, choices=RolloutState, default=RolloutState.PLANNED, editable=False)
    state_since = models.DateTimeField(default=clock.now, editable=False)
    gates = models.JSONField(
        default=list,
        help_text="Whose word a step needs that says nothing of its own (settings.HEALTH_FACTS).",
    )
    limits = models.JSONField(default=dict, help_text="Gate: its limit, in the unit the gate tells.")
    reaction = models.CharField(max_length=5, choices=Reaction, default=Reaction.PAUSE)
    handover_seconds = models.PositiveIntegerField(
        default=int(WITHIN.total_seconds()),
        help_text="How long what a slot leaves works on at most until it is replaced; 0: it drains at once.",
    )
    acknowledged = models.TextField(blank=True, help_text="Why breaking drift is accepted.")
    drift = models.JSONField(default=list, editable=False, help_text="What differed when it started.")
    reason = models.TextField()
    said = models.TextField(blank=True, editable=False, help_text="Why it is in its state.")
    waits_for_person = models.BooleanField(default=False, editable=False)
    incident_id = models.UUIDField(null=True, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=clock.now, editable=False)

    objects = models.Manager.from_queryset(RolloutQuerySet)()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["tenant", "-id"], name="rollout_newest"),
            models.Index(fields=["tenant"], condition=Q(state="running"), name="rollout_running"),
        ]

    def __str__(self) -> str:
        return f"{self.version} to {self.role} in {self.environment}"

    def get_absolute_url(self) -> str:
        return page_of("registry:rollout_detail", self.typeid)

    @property
    def held(self) -> bool:
        return self.state in HELD


class RolloutStep(TenantRow):
    """One step: how far it goes, what it waits for before the next one, and what its health was when it was judged last.

    What it waits for is what it was planned with: it never changes.
    """

    prefix = "rst"
    permission_scopes = ("rollout__environment", "tenant")

    rollout = models.ForeignKey(Rollout, models.PROTECT, related_name="steps")
    number = models.PositiveSmallIntegerField()
    percent = models.PositiveSmallIntegerField(default=100)
    batch = models.PositiveSmallIntegerField(default=1)
    bake_seconds = models.PositiveIntegerField(default=600)
    gates = models.JSONField(default=list, help_text="Whose word it needs; without any, a person's.")
    limits = models.JSONField(default=dict, help_text="Gate: its limit, in the unit the gate tells.")
    state = models.CharField(max_length=7, choices=StepState, default=StepState.WAITING, editable=False)
    started_at = models.DateTimeField(null=True, editable=False)
    due_at = models.DateTimeField(null=True, editable=False)
    ended_at = models.DateTimeField(null=True, editable=False)
    health = models.CharField(max_length=9, blank=True, editable=False)
    facts = models.JSONField(default=list, editable=False)
    judged_at = models.DateTimeField(null=True, editable=False)
    confirmed_by = models.CharField(max_length=200, blank=True, editable=False)

    class Meta:
        ordering = ["rollout", "number"]
        constraints = [
            models.UniqueConstraint(fields=["rollout", "number"], name="rollout_step_once"),
            models.UniqueConstraint(
                fields=["rollout"], condition=Q(state="baking"), name="one_step_bakes_at_a_time"
            ),
            models.CheckConstraint(condition=Q(percent__gte=1, percent__lte=100), name="step_1_to_100"),
            models.CheckConstraint(condition=Q(bake_seconds__lte=14 * 86_400), name="step_bakes_14_days"),
        ]

    def __str__(self) -> str:
        return f"step {self.number} of {self.rollout}"

    @property
    def terms(self) -> Terms:
        return Terms(self.bake_seconds, tuple(self.gates), self.limits)

    @property
    def waits_for(self) -> tuple[Want, ...]:
        """Everything that it waits for, and whether it has that by now."""
        return wants(
            self.terms,
            state=self.state,
            due_at=self.due_at,
            facts=self.facts,
            confirmed_by=self.confirmed_by,
            now=clock.now(),
            paused=self.rollout.state == RolloutState.PAUSED,
        )


class RolloutSlot(TenantRow):
    """A slot that a rollout is for, with the version it had. `held` while the rollout runs or is paused."""

    prefix = "rsl"
    permission_scopes = ("rollout__environment", "tenant")

    rollout = models.ForeignKey(Rollout, models.PROTECT, related_name="slots")
    slot = models.ForeignKey(DeploymentSlot, models.PROTECT, related_name="rollouts")
    batch = models.PositiveSmallIntegerField(default=1)
    from_version = models.ForeignKey(
        "registry.AgentVersion", models.PROTECT, null=True, related_name="+", editable=False
    )
    held = models.BooleanField(default=False, editable=False)
    bound_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["rollout", "batch", "slot"]
        constraints = [
            models.UniqueConstraint(fields=["rollout", "slot"], name="slot_once_a_rollout"),
            models.UniqueConstraint(
                fields=["slot"], condition=Q(held=True), name="one_running_rollout_a_slot"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.slot} in {self.rollout}"


class Rollback(TenantRow):
    """A slot went back to the version before: from, to, why, which incident, what happened to its instances.

    Append-only. `dossier` is the document of linked records that Audit Packs of both versions hold; its digest
    stands in the change record.
    """

    prefix = "rbk"
    permission_scopes = ("slot__environment", "slot__provider", "tenant")

    slot = models.ForeignKey(DeploymentSlot, models.PROTECT, related_name="rollbacks")
    from_version = models.ForeignKey("registry.AgentVersion", models.PROTECT, related_name="+")
    to_version = models.ForeignKey("registry.AgentVersion", models.PROTECT, related_name="+")
    reason = models.TextField()
    incident_id = models.UUIDField(null=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    actor_label = models.CharField(max_length=200)
    at = models.DateTimeField(default=clock.now)
    drained = models.PositiveIntegerField(default=0)
    provisioned = models.PositiveIntegerField(default=0)
    change_id = models.UUIDField()
    dossier = models.JSONField()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(condition=~Q(from_version=F("to_version")), name="rollback_goes_elsewhere")
        ]

    def __str__(self) -> str:
        return f"{self.slot}: back from {self.from_version} to {self.to_version}"

    def get_absolute_url(self) -> str:
        return page_of("registry:rollback_detail", self.typeid)


class ReleaseExceptionQuerySet(models.QuerySet["ReleaseException"]):
    def unused(self) -> Self:
        """Granted, in time, and not used yet."""
        return self.filter(used_at=None, withdrawn_at=None, until__gt=clock.now())


class ReleaseException(TenantRow):
    """Somebody who may lets a version into a slot without what a gate asks: once, until a moment, for a reason."""

    prefix = "rex"
    permission_scopes = ("slot__environment", "slot__provider", "tenant")

    slot = models.ForeignKey(DeploymentSlot, models.PROTECT, related_name="exceptions")
    version = models.ForeignKey("registry.AgentVersion", models.PROTECT, related_name="+")
    gate = models.CharField(max_length=40)
    reason = models.TextField()
    until = models.DateTimeField()
    granted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    granted_at = models.DateTimeField(default=clock.now)
    used_at = models.DateTimeField(null=True, editable=False)
    used_by_label = models.CharField(max_length=200, blank=True, editable=False)
    used_in = models.ForeignKey(Rollout, models.PROTECT, null=True, related_name="+", editable=False)
    withdrawn_at = models.DateTimeField(
        null=True,
        editable=False,
        help_text="When it ended unused, because somebody or a new version of ARM took it back.",
    )

    objects = models.Manager.from_queryset(ReleaseExceptionQuerySet)()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(until__gt=F("granted_at")), name="exception_has_a_time")
        ]

    def __str__(self) -> str:
        return f"{self.version} into {self.slot} without {self.gate}"

    def get_absolute_url(self) -> str:
        return f"{self.slot.get_absolute_url()}#exceptions"

    @property
    def standing(self) -> str:
        """`used`, `withdrawn`, `ended` or `open`, by the clock."""
        if self.used_at is not None:
            return "used"
        if self.withdrawn_at is not None:
            return "withdrawn"
        return "open" if self.until > clock.now() else "ended"
