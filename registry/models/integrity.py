"""Whether what is stored still is what its digest says: the sweeps that looked, and what they found."""

from typing import Final

from django.conf import settings
from django.db import models
from django.db.models import OuterRef, Q, Subquery
from django.db.models.fields.json import KeyTextTransform
from django.urls import reverse

from arm import clock, ids
from arm.models import ChangeRecord, TenantRow

CHOOSING: Final = ("registry.version.created", "registry.version.repointed")
"""The records that choose a version's genome. Those of its moves write down what is stored at that moment: they would
say of whatever was put there behind ARM that it is right."""


def recorded_genome(version: str = "pk") -> Subquery:
    """Of versions, the digest of the genome that was chosen last, by a sealed record; None where no record names one.

    `version` is where its key stands in the rows that are asked.
    """
    about = ChangeRecord.objects.filter(
        target_kind="registry.agentversion",
        target_id=OuterRef(version),
        verb__in=CHOOSING,
        after__has_key="genome",
    )
    named = about.order_by("-at", "-pk").annotate(named=KeyTextTransform("genome", "after"))
    return Subquery(named.values("named")[:1])


class IntegritySweep(TenantRow):
    """One round over every genome, prompt and version of the tenant. `reached` is the last key of the phase that was looked at:
    a round that was interrupted goes on there."""

    class Phase(models.TextChoices):
        GENOMES = "genomes", "Genomes"
        PROMPTS = "prompts", "Prompts"
        VERSIONS = "versions", "Versions"
        DONE = "done", "Done"

    prefix = "swp"

    began_at = models.DateTimeField(default=clock.now)
    finished_at = models.DateTimeField(null=True)
    phase = models.CharField(max_length=8, choices=Phase, default=Phase.GENOMES)
    reached = models.UUIDField(null=True)
    genomes = models.PositiveBigIntegerField(default=0)
    prompts = models.PositiveBigIntegerField(default=0)
    versions = models.PositiveBigIntegerField(default=0)
    octets = models.PositiveBigIntegerField(default=0, help_text="Bytes that were hashed.")
    wrong = models.PositiveIntegerField(default=0, help_text="Rows that did not match their digest.")

    class Meta:
        ordering = ["-began_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant"], condition=Q(finished_at=None), name="one_sweep_at_a_time"
            ),
            models.CheckConstraint(
                condition=Q(finished_at=None) ^ Q(phase="done"), name="finished_when_done"
            ),
        ]
        indexes = [models.Index(fields=["tenant", "-began_at"], name="sweep_newest")]

    def __str__(self) -> str:
        return f"Sweep of {self.began_at:%Y-%m-%d %H:%M}"


class IntegrityFinding(TenantRow):
    """A stored genome or prompt whose bytes were not those of its digest, or a version whose genome was not the one that
    its change records name, from `found_at` until it was so again. Of a version, `digest` is what the records name and
    `computed` what it has; bytes and digest of a row can be changed together, sealed records cannot."""

    prefix = "itf"
    permission_scopes = ("genome__template", "tenant")
    risk_path = "genome__template__risk"

    sweep = models.ForeignKey(
        IntegritySweep,
        models.PROTECT,
        null=True,
        related_name="findings",
        help_text="None: found on reading.",
    )
    genome = models.ForeignKey("registry.Genome", models.PROTECT, null=True, related_name="findings")
    prompt = models.ForeignKey("registry.Prompt", models.PROTECT, null=True, related_name="+")
    version = models.ForeignKey("registry.AgentVersion", models.PROTECT, null=True, related_name="+")
    digest = models.CharField(max_length=71, help_text="What it was stored under.")
    computed = models.CharField(max_length=71, help_text="What its bytes were when it was found.")
    incident_id = models.UUIDField(null=True, help_text="The incident that was opened about it.")
    found_at = models.DateTimeField(default=clock.now)
    restored_at = models.DateTimeField(null=True, help_text="When its bytes were seen to match again.")

    class Meta:
        ordering = ["-found_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(genome=None) ^ Q(prompt=None), name="finding_of_a_genome_or_a_prompt"
            ),
            models.UniqueConstraint(
                fields=["genome"], condition=Q(restored_at=None, version=None), name="genome_found_once"
            ),
            models.UniqueConstraint(
                fields=["version"], condition=Q(restored_at=None), name="version_found_once"
            ),
            models.UniqueConstraint(
                fields=["prompt"], condition=Q(restored_at=None), name="prompt_found_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.digest[:19]} is {self.computed[:19]}"

    def get_absolute_url(self) -> str:
        return reverse("registry:integrity")

    @property
    def incident_url(self) -> str:
        """Where the incident is shown that was opened about it; "" for findings from before that was kept."""
        if self.incident_id is None:
            return ""
        return reverse(settings.INCIDENT_PAGE, args=[ids.encode("inc", self.incident_id)])
