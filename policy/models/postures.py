"""Kill switches: a posture stands from when it is set until it is lifted; postures stack."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from arm import clock
from arm.addresses import page_of

from .restrictions import RestrictionRequest
from .targets import STOPPABLE, Stop, exactly_one


class PostureQuerySet(models.QuerySet["Posture"]):
    def in_force(self) -> Self:
        return self.filter(lifted_at=None).filter(Q(until=None) | Q(until__gt=clock.now()))


class Posture(Stop):
    """Scope × mode × reason × who × until. Several in force allow only what each of them allows."""

    prefix = "pos"

    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True)
    set_at = models.DateTimeField(default=clock.now, editable=False)
    lifted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True)
    lifted_at = models.DateTimeField(null=True, editable=False)
    lift_reason = models.CharField(max_length=500, blank=True)
    reach = models.JSONField(
        default=dict, editable=False, help_text="What it stopped when it was set, in numbers."
    )
    request = models.OneToOneField(
        RestrictionRequest,
        models.PROTECT,
        null=True,
        related_name="posture",
        editable=False,
        help_text="The request that people confirmed; empty where one person or a rule stopped at once.",
    )

    objects = models.Manager.from_queryset(PostureQuerySet)()

    class Meta:
        ordering = ["-set_at"]
        constraints = [
            models.CheckConstraint(condition=exactly_one(STOPPABLE), name="posture_has_one_scope"),
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

    def get_absolute_url(self) -> str:
        return page_of("policy:posture_detail", self.typeid)

    @property
    def in_force(self) -> bool:
        return self.lifted_at is None and (self.until is None or self.until > clock.now())
