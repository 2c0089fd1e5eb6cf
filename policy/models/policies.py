"""Policies, their immutable versions, where they are bound, and a tenant's own classes of tools."""

import json
from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from arm import clock
from arm.addresses import page_of
from arm.models import TenantRow

from ..lifecycle import PolicyState
from .targets import DIRECT, Target, exactly_one


class Policy(TenantRow):
    """A named set of rules. What it says is in its versions; at most one of them is active."""

    prefix = "pol"

    slug = models.SlugField(max_length=80)
    name = models.CharField(max_length=160)
    purpose = models.TextField(blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "policies"
        constraints = [models.UniqueConstraint(fields=["tenant", "slug"], name="policy_slug_unique")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return page_of("policy:policy_detail", self.typeid)


class PolicyVersionQuerySet(models.QuerySet["PolicyVersion"]):
    def active(self) -> Self:
        return self.filter(state=PolicyState.ACTIVE)


class PolicyVersion(TenantRow):
    """The exact RFC 8785 bytes of a policy document and their SHA-256. Only its state ever changes."""

    prefix = "pov"

    policy = models.ForeignKey(Policy, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    content = models.BinaryField(help_text="RFC 8785 bytes; `sha256sum` of them is the digest.")
    digest = models.CharField(max_length=71)
    tier = models.PositiveSmallIntegerField()
    note = models.CharField(max_length=500, blank=True, help_text="What changed, in its author's words.")
    state = models.CharField(max_length=10, choices=PolicyState, default=PolicyState.DRAFT, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    activated_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True)
    activated_at = models.DateTimeField(null=True, editable=False)
    ended_at = models.DateTimeField(null=True, editable=False)

    objects = models.Manager.from_queryset(PolicyVersionQuerySet)()

    class Meta:
        ordering = ["policy", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["policy", "number"], name="policy_number_unique"),
            models.UniqueConstraint(
                fields=["policy"], condition=Q(state=PolicyState.ACTIVE), name="one_active_policy_version"
            ),
            models.CheckConstraint(condition=Q(tier__lte=5), name="policy_tier_0_to_5"),
        ]
        indexes = [models.Index(fields=["tenant", "digest"], name="policy_by_digest")]

    def __str__(self) -> str:
        return f"{self.policy} v{self.number}"

    def get_absolute_url(self) -> str:
        return page_of("policy:version_detail", self.typeid)

    @property
    def document(self) -> dict[str, Any]:
        """The content as JSON values."""
        parsed: dict[str, Any] = json.loads(bytes(self.content))
        return parsed


class BindingQuerySet(models.QuerySet["Binding"]):
    def in_force(self) -> Self:
        return self.filter(until=None)


class Binding(Target):
    """A policy holds for a target, from when until when. All that reach an agent are combined by meet."""

    prefix = "bnd"

    policy = models.ForeignKey(Policy, models.PROTECT, related_name="bindings")
    since = models.DateTimeField(default=clock.now, editable=False)
    until = models.DateTimeField(null=True, editable=False)
    bound_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True)
    reason = models.CharField(max_length=500)

    objects = models.Manager.from_queryset(BindingQuerySet)()

    class Meta:
        ordering = ["-since"]
        constraints = [
            models.CheckConstraint(condition=exactly_one(DIRECT), name="binding_has_one_target"),
            models.CheckConstraint(
                condition=Q(until=None, ended_by=None) | Q(until__isnull=False), name="binding_end"
            ),
            *(
                models.UniqueConstraint(
                    fields=["policy", name], condition=Q(until=None), name=f"policy_once_per_{name}"
                )
                for name in DIRECT
            ),
            models.UniqueConstraint(
                fields=["policy", "tenant"],
                condition=Q(until=None, whole_tenant=True),
                name="policy_once_per_tenant",
            ),
        ]
        indexes = [models.Index(fields=["tenant"], condition=Q(until=None), name="binding_in_force")]

    def __str__(self) -> str:
        return f"{self.policy} on {self.target}"


class ToolRisk(TenantRow):
    """A tenant's entry in the tool catalogue, everywhere or in one environment: a class for a tool or glob, or a ceiling on
    its tier. It may only tighten what is known, and what the tenant says everywhere; ended entries stay."""

    prefix = "trk"
    permission_scopes = ("environment", "tenant")
    RISKS: ClassVar = [("green", "Green"), ("yellow", "Yellow"), ("red", "Red")]

    environment = models.ForeignKey(
        "registry.Environment", models.PROTECT, null=True, blank=True, related_name="+",
        help_text="Where it counts; empty: everywhere.",
    )  # fmt: skip
    tool = models.CharField(max_length=128, help_text="A tool's name, or a glob like crm_*.")
    risk = models.CharField(max_length=6, choices=RISKS, blank=True)
    tool_class = models.CharField(max_length=12, blank=True)
    ceiling = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Highest tier for this tool.")
    note = models.CharField(max_length=500)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True)
    since = models.DateTimeField(default=clock.now, editable=False)
    until = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["tool"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "tool"], condition=Q(until=None, environment=None), name="tool_once"
            ),
            models.UniqueConstraint(
                fields=["environment", "tool"], condition=Q(until=None), name="tool_once_per_environment"
            ),
            models.CheckConstraint(
                condition=~Q(risk="") | Q(ceiling__isnull=False), name="tool_risk_says_something"
            ),
            models.CheckConstraint(condition=Q(ceiling=None) | Q(ceiling__lte=5), name="ceiling_0_to_5"),
        ]

    def __str__(self) -> str:
        return self.tool


class TenantPolicy(TenantRow):
    """A tenant's rules about asking: is a job or outcome required, or only missed with a warning?"""

    class Outcome(models.TextChoices):
        REQUIRE = "require", "Refuse requests without job or outcome"
        WARN = "warn", "Accept them and count them"

    prefix = "tps"

    outcome = models.CharField(max_length=8, choices=Outcome, default=Outcome.REQUIRE)
    default_policy = models.ForeignKey(
        Policy, models.PROTECT, null=True, related_name="+", help_text="Holds for what no policy is bound to."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant"], name="one_policy_setting_per_tenant")]

    def __str__(self) -> str:
        return f"outcome: {self.outcome}"
