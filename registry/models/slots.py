"""Where a version is meant to work: deployment slots with their history."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.apps import apps
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce

from arm import clock
from arm.addresses import page_of
from arm.models import TenantRow

from ..engine import HELD, RolloutState, StepState
from .roles import RoleDefinition

if TYPE_CHECKING:
    from .agents import AgentVersion


class DeploymentSlotQuerySet(models.QuerySet["DeploymentSlot"]):
    def taking(self, version: Any) -> Self:
        """Those that have a place for a version: bound to it, trying it as their canary, or until it is replaced there.
        `version` is a key, or an expression that gives one."""
        leaving = Q(handovers__version=version, handovers__ended_at=None)
        return self.filter(Q(current_version=version) | Q(canary_version=version) | leaving)


class DeploymentSlot(TenantRow):
    """Environment, role, provider and ordinal name the place that a version is bound to."""

    prefix = "slt"
    permission_scopes = ("environment", "provider", "tenant")

    environment = models.ForeignKey("registry.Environment", models.PROTECT, related_name="slots")
    role = models.ForeignKey(RoleDefinition, models.PROTECT, related_name="slots")
    provider = models.ForeignKey("registry.Provider", models.PROTECT, related_name="slots")
    ordinal = models.PositiveSmallIntegerField(default=1)
    current_version = models.ForeignKey(
        "registry.AgentVersion", models.PROTECT, null=True, related_name="+", editable=False
    )
    previous_version = models.ForeignKey(
        "registry.AgentVersion", models.PROTECT, null=True, related_name="+", editable=False
    )
    canary_version = models.ForeignKey(
        "registry.AgentVersion", models.PROTECT, null=True, related_name="+", editable=False
    )
    canary_share = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="Percent of keys that get the canary's version."
    )
    generation = models.PositiveIntegerField(default=0, editable=False)
    closed_at = models.DateTimeField(null=True, editable=False, help_text="Since when it takes no version.")

    objects = models.Manager.from_queryset(DeploymentSlotQuerySet)()

    class Meta:
        ordering = ["environment__position", "role__slug", "ordinal"]
        constraints = [
            models.UniqueConstraint(
                fields=["environment", "role", "provider", "ordinal"], name="slot_unique"
            ),
            models.CheckConstraint(
                condition=Q(previous_version=None) | Q(current_version__isnull=False),
                name="previous_needs_current",
            ),
            models.CheckConstraint(
                condition=Q(closed_at=None) | Q(current_version=None), name="closed_slot_is_empty"
            ),
            models.CheckConstraint(
                condition=~Q(previous_version=F("current_version")) | Q(previous_version=None),
                name="previous_is_another",
            ),
            models.CheckConstraint(
                condition=Q(canary_version=None, canary_share=0)
                | Q(canary_version__isnull=False, canary_share__gte=1, canary_share__lte=100),
                name="canary_has_a_share",
            ),
            models.CheckConstraint(
                condition=Q(canary_version=None)
                | (Q(current_version__isnull=False) & ~Q(canary_version=F("current_version"))),
                name="canary_beside_another",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} in {self.environment} #{self.ordinal}"

    @property
    def why_closed(self) -> str:
        """Why nothing new begins here; empty where it is open."""
        return (
            f"{self} was closed on {self.closed_at:%Y-%m-%d}: nothing new begins there."
            if self.closed_at
            else ""
        )

    def get_absolute_url(self) -> str:
        return page_of("registry:slot_detail", self.typeid)

    def came_back_to(self, version: UUID) -> bool:
        """Whether it is bound to this version by a rollback or by the abort of a rollout."""
        bindings = SlotBinding.objects.filter(slot=self, until=None)
        return bindings.filter(version=version, returned=True).exists()

    @property
    def goes_back_to(self) -> "AgentVersion | None":
        """What a rollback binds (`go_back_to`)."""
        return go_back_to([self])[self.pk]

    def before(self, version: "AgentVersion") -> "AgentVersion | None":
        """The newest that it could go back to of what it was bound to before `version`, but for what it has now."""
        there = self.bindings.filter(version=version).order_by("-since", "-pk").first()
        if there is None:
            return None
        earlier = self.bindings.returnable().filter(since__lt=there.since)
        return _newest(earlier.exclude(version__in=[version.pk, self.current_version_id]))

    def left_for(self, version: "AgentVersion") -> "AgentVersion | None":
        """What it could go back to once it is bound to `version`: what it has now, or the newest before that."""
        has = self.current_version
        if has is None or self._may_return_to(has):
            return has
        return _newest(self.bindings.returnable().exclude(version__in=[version.pk, has.pk]))

    def _may_return_to(self, version: "AgentVersion") -> bool:
        bindings = self.bindings.filter(version=version)
        return not version.rolled_back and (bindings.returnable().exists() or not bindings.exists())


def go_back_to(slots: Sequence[DeploymentSlot]) -> "dict[UUID, AgentVersion | None]":
    """What a rollback of each would bind: what it was bound to before, or the newest before that which was let stay there,
    was not rolled back anywhere, and was not found unhealthy there since. At most three statements, however many."""
    asked = [slot for slot in slots if slot.previous_version_id is not None]
    told: dict[UUID, list[tuple[UUID, datetime, bool]]] = {slot.pk: [] for slot in asked}
    if asked:
        may = SlotBinding.objects.returnable().filter(pk=OuterRef("pk"))
        rows = SlotBinding.objects.filter(slot__in=asked).annotate(may=Exists(may)).order_by("-since", "-pk")
        for key, version, since, stays in rows.values_list("slot", "version", "since", "may"):
            told[key].append((version, since, stays))
    had = {slot.pk: slot.previous_version for slot in asked if _let_back(slot, told[slot.pk])}
    keys = {slot.pk: _newest_before(slot, told[slot.pk]) for slot in asked if slot.pk not in had}
    model = apps.get_model("registry", "AgentVersion")
    whole = model._default_manager.select_related("genome", "template")
    found = whole.in_bulk({pk for pk in keys.values() if pk}) if any(keys.values()) else {}
    return {slot.pk: had.get(slot.pk) or found.get(keys.get(slot.pk)) for slot in slots}


def _let_back(slot: DeploymentSlot, told: Sequence[tuple[UUID, datetime, bool]]) -> bool:
    had = slot.previous_version
    of_it = [may for version, _, may in told if version == slot.previous_version_id]
    return had is not None and not had.rolled_back and (any(of_it) or not of_it)


def _newest_before(slot: DeploymentSlot, told: Sequence[tuple[UUID, datetime, bool]]) -> UUID | None:
    had = slot.previous_version_id
    there = next((since for version, since, _ in told if version == had), None)
    if there is None:
        return None
    others = (version for version, since, may in told if may and since < there and version != had)
    return next((version for version in others if version != slot.current_version_id), None)


def _newest(bindings: "SlotBindingQuerySet") -> "AgentVersion | None":
    found = bindings.select_related("version__genome", "version__template").order_by("-since", "-pk").first()
    return found.version if found else None


class SlotBindingQuerySet(models.QuerySet["SlotBinding"]):
    def let_stay(self) -> Self:
        """Those that somebody stands for: a person, or a rollout that ran to its end. Not those of one that bakes still, or
        that was aborted."""
        return self.filter(Q(rollout=None) | Q(rollout__state=RolloutState.COMPLETED))

    def kept(self) -> Self:
        """Those in force that nobody stands for: an aborted rollout left them, or brought them back, in slots where the
        version was never let stay."""
        stood = SlotBinding.objects.let_stay().filter(
            slot=OuterRef("slot"), version=OuterRef("version"), returned=False
        )
        held = self.filter(until=None, rollout__state=RolloutState.ABORTED)
        return held.exclude(Exists(stood))

    def returnable(self) -> Self:
        """Those whose version the slot may go back to: it was let stay, was rolled back nowhere, and no rollout into this
        slot has found it unhealthy since. One that holds the slot still counts, too: a rollback aborts it."""
        found_bad = apps.get_model("registry", "RolloutSlot")._default_manager.filter(
            slot=OuterRef("slot"),
            rollout__version=OuterRef("version"),
            rollout__state__in=[*HELD, RolloutState.ABORTED],
            rollout__incident_id__isnull=False,
            rollout__state_since__gte=OuterRef("since"),
        )
        return self.let_stay().filter(version__rolled_back=False).exclude(Exists(found_bad))

    def proven(self) -> Self:
        """Those that show to the next channel that a version was let stay for their role. A return proves nothing that was
        not proven before, and the newest word counts: nothing does while a rollout of the version bakes there, or once one
        was aborted after its first step had begun."""
        rollouts = apps.get_model("registry", "Rollout")._default_manager
        taken_back = Q(
            state=RolloutState.ABORTED, steps__state=StepState.STOPPED, state_since__gte=OuterRef("said_at")
        )
        newer = rollouts.filter(
            Q(state__in=HELD) | taken_back,
            version=OuterRef("version"),
            environment=OuterRef("slot__environment"),
            role=OuterRef("slot__role"),
        )
        own = self.let_stay().filter(returned=False)
        return own.alias(said_at=Coalesce("rollout__state_since", "since")).exclude(Exists(newer))


class SlotBinding(TenantRow):
    """Which version a slot was bound to, from when until when, by whom and why."""

    prefix = "slb"
    permission_scopes = ("slot__environment", "slot__provider", "tenant")

    slot = models.ForeignKey(DeploymentSlot, models.PROTECT, related_name="bindings")
    version = models.ForeignKey("registry.AgentVersion", models.PROTECT, related_name="+")
    since = models.DateTimeField(default=clock.now)
    until = models.DateTimeField(null=True)
    actor_label = models.CharField(max_length=200)
    reason = models.TextField()
    rollout = models.ForeignKey("registry.Rollout", models.PROTECT, null=True, related_name="+")
    returned = models.BooleanField(
        default=False, help_text="A rollback or the abort of a rollout brought the slot back to it."
    )

    objects = models.Manager.from_queryset(SlotBindingQuerySet)()

    class Meta:
        ordering = ["-since"]
        constraints = [
            models.CheckConstraint(
                condition=Q(until=None) | Q(until__gte=F("since")), name="binding_ends_later"
            ),
            models.UniqueConstraint(fields=["slot"], condition=Q(until=None), name="one_current_binding"),
        ]

    def __str__(self) -> str:
        return f"{self.slot}: {self.version}"
