"""Kill switches: a posture stands from when it is set until it is lifted; postures stack."""

from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from arm import clock

from ..engine import Mode
from .targets import DIRECT, Target, exactly_one

SCOPES = (*DIRECT, "provider")


class PostureQuerySet(models.QuerySet["Posture"]):
    def in_force(self) -> Self:
        return self.filter(lifted_at=None).filter(Q(until=None) | Q(until__gt=clock.now()))


class Posture(Target):
    """Scope × mode × reason × who × until. Several in force allow only what each of them allows."""

    MODES: ClassVar = [
        (mode.value, mode.value.replace("_", " ").capitalize()) for mode in Mode if mode != Mode.NORMAL
    ]

    prefix = "pos"
    names = SCOPES
    permission_scopes = (*Target.permission_scopes, "provider")

    provider = models.ForeignKey("registry.Provider", models.PROTECT, null=True, related_name="+")
    tool = models.CharField(max_length=128, blank=True, help_text="Only this tool (name or glob).")
    tool_class = models.CharField(max_length=12, blank=True, help_text="Only tools of this class.")
    mode = models.CharField(max_length=12, choices=MODES, editable=False)
    reason = models.CharField(max_length=500)
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True)
    set_at = models.DateTimeField(default=clock.now, editable=False)
    until = models.DateTimeField(null=True, editable=False)
    lifted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True)
    lifted_at = models.DateTimeField(null=True, editable=False)
    lift_reason = models.CharField(max_length=500, blank=True)
    reach = models.JSONField(
        default=dict, editable=False, help_text="What it stopped when it was set, in numbers."
    )

    objects = models.Manager.from_queryset(PostureQuerySet)()

    class Meta:
        ordering = ["-set_at"]
        constraints = [
            models.CheckConstraint(condition=exactly_one(SCOPES), name="posture_has_one_scope"),
            models.CheckConstraint(
                condition=Q(lifted_at=None, lifted_by=None, lift_reason="") | Q(lifted_at__isnull=False),
                name="posture_lift",
            ),
            models.CheckConstraint(condition=Q(tool="") | Q(tool_class=""), name="posture_tool_or_class"),
            models.CheckConstraint(
                condition=~Q(mode="killed") | Q(lifted_at=None, until=None), name="killed_is_never_lifted"
            ),
        ]
        indexes = [models.Index(fields=["tenant"], condition=Q(lifted_at=None), name="posture_in_force")]

    def __str__(self) -> str:
        what = f" ({self.tool or self.tool_class})" if self.tool or self.tool_class else ""
        return f"{self.target}{what}: {self.get_mode_display().lower()}"

    def get_absolute_url(self) -> str:
        return reverse("policy:posture_detail", args=[self.typeid])

    @property
    def in_force(self) -> bool:
        return self.lifted_at is None and (self.until is None or self.until > clock.now())
