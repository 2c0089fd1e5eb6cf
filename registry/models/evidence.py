"""Evidence about versions: which signed document is about which version, and so who may see it."""

from typing import Self

from django.db import models

from arm.addresses import page_of
from arm.models import TenantRow
from evidence.lifecycle import ArtefactKind
from evidence.models import Artefact

from .agents import AgentTemplate, AgentVersion
from .releases import Rollback


class VersionEvidenceQuerySet(models.QuerySet["VersionEvidence"]):
    def for_list(self) -> Self:
        """Newest first, without the documents themselves."""
        rows = self.select_related("artefact__key", "version__template").order_by("-pk")
        return rows.defer("artefact__statement", "artefact__scratch", "artefact__key__sealed")


class VersionEvidence(TenantRow):
    """A signed document about a version: a card, a pack, the dossier of its rollback. It has the identifier of the artefact, which is the document.

    `template` is the scope of what is about the version alone; a dossier tells of a slot, and is its rollback's to see;
    a pack with dossiers tells of several, and is the tenant's (no `template`)."""

    prefix = Artefact.prefix
    permission_scopes = ("template", "rollback__slot__environment", "rollback__slot__provider", "tenant")
    risk_path = "template__risk"

    version = models.ForeignKey(AgentVersion, models.PROTECT, related_name="evidence")
    template = models.ForeignKey(AgentTemplate, models.PROTECT, null=True, related_name="+", editable=False)
    artefact = models.OneToOneField(Artefact, models.PROTECT, related_name="+")
    kind = models.CharField(max_length=12, choices=ArtefactKind)
    rollback = models.ForeignKey(Rollback, models.PROTECT, null=True, related_name="evidence")

    objects = models.Manager.from_queryset(VersionEvidenceQuerySet)()

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "evidence of versions"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(id=models.F("artefact")), name="evidence_is_its_artefact"
            ),
            models.CheckConstraint(
                condition=models.Q(rollback=None) | models.Q(kind="dossier"),
                name="a_dossier_is_of_a_rollback",
            ),
            models.CheckConstraint(
                condition=models.Q(rollback=None, template__isnull=False)
                | models.Q(rollback=None, kind="audit_pack")
                | models.Q(rollback__isnull=False, template=None),
                name="a_dossier_has_its_rollbacks_scopes",
            ),
        ]
        indexes = [models.Index(fields=["tenant", "-id"], name="evidence_newest")]

    def __str__(self) -> str:
        return str(self.artefact)

    def get_absolute_url(self) -> str:
        return page_of("registry:evidence_detail", self.typeid)
