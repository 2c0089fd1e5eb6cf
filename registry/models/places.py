"""Where agents run and whom the money belongs to: environments, providers, projects."""

from django.db import models

from arm import clock
from arm.addresses import page_of
from arm.models import GroupGrant, TenantRow, UserGrant
from arm.rights import PERMISSIONS, Risk


class Environment(TenantRow):
    """A stage of release (dev, staging, prod or custom) with its place in the channel order and its defaults."""

    prefix = "env"

    slug = models.SlugField(max_length=40)
    name = models.CharField(max_length=120)
    position = models.PositiveSmallIntegerField(help_text="Place in the channel order; versions climb it.")
    production = models.BooleanField(default=False)
    risk_default = models.CharField(max_length=8, choices=Risk, default=Risk.MEDIUM)
    retention_days = models.PositiveIntegerField(default=90)
    aggregate_days = models.PositiveIntegerField(default=365)
    cost_tags = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        ordering = ["position"]
        permissions = PERMISSIONS
        constraints = [
            models.UniqueConstraint(fields=["tenant", "slug"], name="environment_slug_unique"),
            models.UniqueConstraint(
                fields=["tenant", "position"],
                name="environment_position_unique",
                deferrable=models.Deferrable.DEFERRED,
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return page_of("registry:environment_detail", self.typeid)


class Provider(TenantRow):
    """Whose machines run instances. `local` exists in every tenant, so that everything works unfederated."""

    class Kind(models.TextChoices):
        LOCAL = "local", "Local"
        FEDERATED = "federated", "Federated"

    prefix = "prov"

    slug = models.SlugField(max_length=60)
    name = models.CharField(max_length=160)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.LOCAL)
    description = models.TextField(blank=True)
    heartbeat_seconds = models.PositiveIntegerField(
        default=60, help_text="An instance silent for longer is stale."
    )
    region = models.CharField(max_length=80, blank=True, default="", help_text="Where its machines stand.")
    terms = models.TextField(
        blank=True, default="", help_text="What was agreed with it, or where that is kept."
    )
    closed_at = models.DateTimeField(
        null=True, editable=False, help_text="Since when nothing new begins there."
    )
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        ordering = ["slug"]
        permissions = PERMISSIONS
        constraints = [models.UniqueConstraint(fields=["tenant", "slug"], name="provider_slug_unique")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return page_of("registry:provider_detail", self.typeid)


class Project(TenantRow):
    """What a template's work belongs to, for costs."""

    prefix = "prj"

    slug = models.SlugField(max_length=60)
    name = models.CharField(max_length=160)
    cost_center = models.CharField(max_length=80, blank=True)

    class Meta:
        ordering = ["slug"]
        constraints = [models.UniqueConstraint(fields=["tenant", "slug"], name="project_slug_unique")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return page_of("registry:project_detail", self.typeid)


class EnvironmentUserGrant(UserGrant):
    content_object = models.ForeignKey(Environment, models.CASCADE)


class EnvironmentGroupGrant(GroupGrant):
    content_object = models.ForeignKey(Environment, models.CASCADE)


class ProviderUserGrant(UserGrant):
    content_object = models.ForeignKey(Provider, models.CASCADE)


class ProviderGroupGrant(GroupGrant):
    content_object = models.ForeignKey(Provider, models.CASCADE)
