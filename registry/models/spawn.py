"""What a spawned instance has from its parent, and what it was given of its own."""

from django.db import models

from arm.models import TenantRow


class SpawnTerm(TenantRow):
    """One thing that a child instance works under. Append-only: written with the child."""

    class Kind(models.TextChoices):
        ENVIRONMENT = "environment", "Environment"
        PROVIDER = "provider", "Provider"
        COST_CENTER = "cost_center", "Cost centre"
        ROLE = "role", "Role"
        POLICY = "policy", "Policy"
        BUDGET = "budget", "Budget"

    class Origin(models.TextChoices):
        INHERITED = "inherited", "Inherited"
        GRANTED = "granted", "Granted"

    prefix = "spt"
    permission_scopes = ("instance__template", "instance__environment", "instance__provider", "tenant")
    risk_path = "instance__template__risk"

    instance = models.ForeignKey("registry.AgentInstance", models.PROTECT, related_name="terms")
    kind = models.CharField(max_length=12, choices=Kind)
    origin = models.CharField(max_length=9, choices=Origin)
    value = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["instance", "kind"], name="spawn_term_once")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.value} ({self.origin})"
