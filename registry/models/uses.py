"""What versions use, and by whom each thing is used."""

from django.db import models

from arm import db
from arm.addresses import page_of
from arm.models import TenantRow

from .agents import AgentTemplate, AgentVersion


class Dependency(TenantRow):
    """A version uses a tool, model, dataset, prompt or another agent: answers “who uses X”."""

    application_may = db.DELETES

    class Kind(models.TextChoices):
        TOOL = "tool", "Tool"
        MODEL = "model", "Model"
        DATASET = "dataset", "Dataset"
        PROMPT = "prompt", "Prompt"
        AGENT = "agent", "Agent"

    prefix = "dep"
    permission_scopes = ("template", "tenant")
    risk_path = "template__risk"

    version = models.ForeignKey(AgentVersion, models.PROTECT, related_name="dependencies")
    template = models.ForeignKey(
        AgentTemplate, models.PROTECT, related_name="+", editable=False, help_text="Filled in by a trigger."
    )
    kind = models.CharField(max_length=8, choices=Kind)
    name = models.CharField(max_length=250)
    detail = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "kind", "name"], name="dependency_once")]
        indexes = [
            models.Index(
                fields=["tenant", "kind", "name", "template"], include=["version"], name="who_uses_what"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Thing(TenantRow):
    """What some version uses or used, by kind and name. Written by a trigger of `Dependency`: who uses it is asked there."""

    prefix = "thg"

    kind = models.CharField(max_length=8, choices=Dependency.Kind)
    name = models.CharField(max_length=250)

    class Meta:
        ordering = ["kind", "name"]
        constraints = [models.UniqueConstraint(fields=["tenant", "kind", "name"], name="thing_once")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return page_of("registry:uses_detail", self.typeid)
