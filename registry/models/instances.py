"""What runs: instances with their desired state, what is reported of them, and the reach of machine keys."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, Self

from django.apps import apps
from django.db import models
from django.db.models import Case, Exists, ExpressionWrapper, F, OuterRef, Q, Value, When

from arm import clock
from arm.addresses import page_of
from arm.models import ApiKey, TenantRow

from ..lifecycle import AT_WORK, InstanceState
from .places import Provider


def _heard_of_lately(now: datetime) -> "models.QuerySet[InstanceStatus]":
    allowed = F("instance__provider__heartbeat_seconds") * Value(timedelta(seconds=1))
    since = ExpressionWrapper(Value(now) - allowed, output_field=models.DateTimeField())
    return InstanceStatus.objects.filter(instance=OuterRef("pk"), heartbeat_at__gte=since)


class Heartbeat(models.TextChoices):
    """What is known of an instance that should be at work. One that should not be has none of these."""

    FRESH = "fresh", "In time"
    LATE = "late", "Late"
    NEVER = "never", "Never heard from"


def _heard(now: datetime) -> Case:
    allowed = F("provider__heartbeat_seconds") * Value(timedelta(seconds=1))
    since = ExpressionWrapper(Value(now) - allowed, output_field=models.DateTimeField())
    return Case(
        When(state__in=[InstanceState.PROVISIONING, InstanceState.RETIRED], then=Value("")),
        When(status__heartbeat_at=None, then=Value(Heartbeat.NEVER)),
        When(status__heartbeat_at__gte=since, then=Value(Heartbeat.FRESH)),
        default=Value(Heartbeat.LATE),
        output_field=models.CharField(),
    )


SHOWN: Final = {
    "template": ("id", "tenant", "slug", "name", "risk"),
    "version": ("id", "tenant", "template", "number", "label", "state", "genome"),
    "environment": ("id", "tenant", "slug", "name", "position", "production"),
    "provider": ("id", "tenant", "slug", "name", "kind", "heartbeat_seconds", "closed_at"),
}
"""What lists of instances show of what these belong to. Of fifty rows, the other columns (texts, moments, terms) cost as
much as all that is shown."""


@cache
def _not_shown() -> tuple[str, ...]:
    return tuple(
        f"{path}__{field.name}"
        for path, shown in SHOWN.items()
        for field in AgentInstance._meta.get_field(path).related_model._meta.concrete_fields  # type: ignore[union-attr]
        if field.name not in shown
    )


def _share_agent(row: "AgentInstance") -> None:
    held = row._state.fields_cache
    agent, version = held.get("template"), held.get("version")
    if agent is None or version is None or "template" in version._state.fields_cache:
        return
    if version.__dict__.get("template_id") == agent.pk:  # asked of the row as it was loaded
        version.template = agent


class AgentInstanceQuerySet(models.QuerySet["AgentInstance"]):
    def live(self) -> Self:
        return self.exclude(state=InstanceState.RETIRED)

    def with_slot(self) -> Self:
        """Annotates `slot_takes`: whether the slot has a place for the instance's version: bound, as its canary, or
        until it is replaced. False without a slot."""
        slots = apps.get_model("registry", "DeploymentSlot")._default_manager.filter(pk=OuterRef("slot"))
        return self.annotate(slot_takes=Exists(slots.taking(OuterRef("version"))))

    def stale(self, now: datetime) -> Self:
        """Those that should be at work and have been silent for longer than their provider allows."""
        at_work = self.exclude(state__in=[InstanceState.PROVISIONING, InstanceState.RETIRED])
        return at_work.filter(~Exists(_heard_of_lately(now)))

    def with_heartbeat(self, now: datetime) -> Self:
        """Annotates `heard`: a value of Heartbeat, or "" where nothing is expected of it."""
        return self.annotate(heard=_heard(now))

    def heard_as(self, now: datetime, values: Sequence[str]) -> Self:
        """Those whose heartbeat is one of these values of Heartbeat."""
        return self.annotate(heard=_heard(now)).filter(heard__in=values)

    def have_left(self, since: datetime) -> Self:
        """Those that leave, of which nothing was heard `since` then but that they drain: what `gates.draining.waits_for`
        asks of their own rows, so that a look at them asks of no other."""
        confirmed = Q(
            status__state__in=[InstanceState.DRAINING, InstanceState.RETIRED],
            status__reported_at__gte=F("state_since"),
        )
        silent = Q(status__heartbeat_at=None) | Q(status__heartbeat_at__lte=since)
        says_nothing = Q(status__state="", status__telemetry_at__isnull=False) & silent
        local = ~Q(provider__kind=Provider.Kind.FEDERATED)
        children = AgentInstance.objects.live().filter(parent=OuterRef("pk"))
        return self.filter(
            Q(status__telemetry_at=None) | Q(status__telemetry_at__lte=since),
            confirmed | (local & says_nothing),
            ~Exists(children),
            leaving=True,
            state_since__lte=since,
        )

    def for_list(self) -> Self:
        """Newest first, with what lists show of each one's agent, version and place (`SHOWN`). Whatever else these have is
        there when it is asked for, row by row."""
        rows = self.select_related("template", "version", "environment", "provider", "status")
        return rows.defer(*_not_shown()).order_by("-pk")

    def _fetch_all(self) -> None:
        """The agent of an instance is that of its version: it is joined and made once."""
        fetched = self._result_cache is None
        super()._fetch_all()
        if fetched:
            for row in self._result_cache or ():
                if isinstance(row, AgentInstance):
                    _share_agent(row)


class AgentInstance(TenantRow):
    """One running copy of a version in an environment at a provider. `state` is what ARM wants (desired);
    what is so stands in its status row, written by heartbeats only."""

    prefix = "ins"
    permission_scopes = ("template", "environment", "provider", "tenant")
    risk_path = "template__risk"

    name = models.CharField(max_length=160)
    version = models.ForeignKey("registry.AgentVersion", models.PROTECT, related_name="instances")
    template = models.ForeignKey(
        "registry.AgentTemplate", models.PROTECT, related_name="instances", editable=False
    )
    environment = models.ForeignKey("registry.Environment", models.PROTECT, related_name="instances")
    provider = models.ForeignKey("registry.Provider", models.PROTECT, related_name="instances")
    slot = models.ForeignKey(
        "registry.DeploymentSlot", models.PROTECT, null=True, blank=True, related_name="instances"
    )
    role = models.ForeignKey(
        "registry.RoleDefinition", models.PROTECT, null=True, blank=True, related_name="+"
    )
    parent = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="children", db_index=False
    )  # few are children: the two indexes below hold these alone
    depth = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="How many instances above it spawned one another."
    )
    state = models.CharField(
        max_length=12, choices=InstanceState, default=InstanceState.PROVISIONING, editable=False
    )
    state_since = models.DateTimeField(default=clock.now, editable=False)
    leaving = models.BooleanField(
        default=False,
        editable=False,
        help_text="It drains because it was replaced, or its slot left its version: ARM retires it by itself.",
    )
    restricted_by_id = models.UUIDField(null=True, editable=False)
    adopted = models.BooleanField(
        default=False,
        editable=False,
        help_text="Came in with a fleet that ran in production already, around the channels.",
    )
    replacement = models.BooleanField(
        default=False,
        editable=False,
        help_text="ARM provisioned it for one that a slot left, and activates it when nothing is missing.",
    )
    generation = models.PositiveIntegerField(default=1, editable=False)
    cost_center = models.CharField(max_length=80, blank=True)
    labels = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    begun: Mapping[str, int] | None = None
    """What it has in flight; filled in for lists (`registry.gates.working`)."""
    holds: Sequence[Any] | None = None
    """What else stands in the way of its retirement by ARM; filled in for lists (`registry.gates.draining`)."""
    certainty = ""
    """How it is known what it is; filled in for pages (settings.CERTAINTIES)."""

    objects = models.Manager.from_queryset(AgentInstanceQuerySet)()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["tenant", "-id"], name="instance_newest"),
            models.Index(fields=["tenant", "state", "-id"], name="instance_by_state"),
            models.Index(fields=["environment", "state"], name="instance_by_environment"),
            models.Index(fields=["tenant", "-id"], condition=Q(adopted=True), name="instance_adopted"),
            models.Index(
                fields=["tenant", "id"],
                condition=Q(replacement=True, state="provisioning"),
                name="replacement_waits",
            ),
            models.Index(
                fields=["version", "environment"],
                include=["tenant"],  # the wall asks for it: what counts live instances reads the index alone
                condition=~Q(state="retired"),
                name="live_by_version",
            ),
            models.Index(fields=["tenant", "id"], condition=Q(leaving=True), name="instance_leaving"),
            models.Index(
                fields=["provider", "state"], condition=~Q(state="retired"), name="live_by_provider"
            ),
            models.Index(
                fields=["role", "template"],
                condition=~Q(state="retired") & Q(role__isnull=False),
                name="live_by_role",
            ),
            models.Index(
                fields=["parent", "created_at"], condition=Q(parent__isnull=False), name="children_lately"
            ),
            models.Index(
                fields=["parent"],
                condition=~Q(state="retired") & Q(parent__isnull=False),
                name="children_living",
            ),
            models.Index(
                fields=["tenant", "cost_center", "-id"], condition=~Q(cost_center=""), name="instance_by_cost"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(leaving=False) | Q(state="draining"), name="only_what_drains_leaves"
            )
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return page_of("registry:instance_detail", self.typeid)

    def has_worked(self) -> bool:
        """Whether it was ever let work with the version that it has. To have left Provisioning says nothing: what waits
        can be paused. Nor does what was told later."""
        timely = self.intervals.filter(version=self.version_id, known_from=F("since"))
        return timely.filter(state__in=AT_WORK).exists()

    def is_stale(self, now: datetime) -> bool:
        """What `stale` asks of all, of this one; needs `status` and `provider`."""
        if self.state in (InstanceState.PROVISIONING, InstanceState.RETIRED):
            return False
        last = self.status.heartbeat_at
        return last is None or now - last > timedelta(seconds=self.provider.heartbeat_seconds)


class InstanceStatus(models.Model):
    """What was last reported of an instance. Its own row, so that a heartbeat never touches what ARM wants."""

    instance = models.OneToOneField(AgentInstance, models.PROTECT, primary_key=True, related_name="status")
    tenant = models.ForeignKey("arm.Tenant", models.PROTECT, related_name="+")
    state = models.CharField(max_length=12, blank=True)
    generation = models.PositiveIntegerField(null=True)
    reported_at = models.DateTimeField(null=True)
    observed_at = models.DateTimeField(null=True, help_text="Since when it is so, if who told it said that.")
    heartbeat_at = models.DateTimeField(null=True)
    telemetry_at = models.DateTimeField(null=True, help_text="When its last linked event was received.")

    class Meta:
        indexes = [models.Index(fields=["tenant", "heartbeat_at"], name="status_by_heartbeat")]

    def __str__(self) -> str:
        return f"{self.instance_id}: {self.state or 'unknown'}"


class InstanceInterval(TenantRow):
    """What an instance was (state, version) from when until when: the raw material of “fleet at time T”."""

    prefix = "inv"
    permission_scopes = ("instance__template", "instance__environment", "instance__provider", "tenant")

    instance = models.ForeignKey(AgentInstance, models.PROTECT, related_name="intervals")
    state = models.CharField(max_length=12, choices=InstanceState)
    version = models.ForeignKey("registry.AgentVersion", models.PROTECT, related_name="+")
    since = models.DateTimeField(default=clock.now)
    until = models.DateTimeField(null=True)
    known_from = models.DateTimeField(default=clock.now, help_text="When ARM was told: the second clock.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["instance"], condition=Q(until=None), name="one_current_interval"
            ),
            models.CheckConstraint(condition=Q(known_from__gte=F("since")), name="told_after_it_was_so"),
        ]
        indexes = [models.Index(fields=["instance", "-since", "-known_from"], name="interval_at")]

    def __str__(self) -> str:
        return f"{self.instance}: {self.state}"


class KeyScope(TenantRow):
    """What an ingest key or workload token may speak for: a provider and environment, or one instance."""

    prefix = "ksc"

    key = models.OneToOneField(ApiKey, models.PROTECT, related_name="+")
    environment = models.ForeignKey("registry.Environment", models.PROTECT, null=True, related_name="+")
    provider = models.ForeignKey("registry.Provider", models.PROTECT, null=True, related_name="+")
    instance = models.ForeignKey(AgentInstance, models.PROTECT, null=True, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(instance__isnull=False) | Q(environment__isnull=False, provider__isnull=False),
                name="scope_is_an_instance_or_a_place",
            )
        ]

    def __str__(self) -> str:
        return str(self.instance or f"{self.environment} at {self.provider}")
