"""What a tenant asks of its whole directory."""

from uuid import UUID

from django.db import models

from arm.models import TenantRow


class DirectoryRulesManager(models.Manager["DirectoryRules"]):
    def profiles_of(self, tenant_id: UUID) -> tuple[str, ...]:
        """The genome profiles that this tenant requires; none unless it has said so."""
        held = self.filter(tenant=tenant_id).values_list("required_profiles", flat=True).first()
        return tuple(held or ())

    def prompts_kept_by(self, tenant_id: UUID) -> bool:
        """Whether this tenant has said that its genomes only name prompts that are stored here."""
        return self.filter(tenant=tenant_id, prompts_kept=True).exists()

    def asks_evidence(self, tenant_id: UUID) -> bool:
        """Whether production and high risks take versions with a verified Agent Card only."""
        return self.filter(tenant=tenant_id, verified_evidence=True).exists()

    def providers_of(self, tenant_id: UUID) -> frozenset[str]:
        """The short names of the providers that this tenant allows; none: all of them."""
        held = self.filter(tenant=tenant_id).values_list("allowed_providers", flat=True).first()
        return frozenset(held or ())

    def deprecates(self, tenant_id: UUID, severity: str) -> bool:
        """Whether an incident of this severity about a version deprecates it without being asked."""
        held = self.filter(tenant=tenant_id).values_list("deprecates_from", flat=True).first()
        return bool(held) and severity <= str(held)  # s0 is the worst

    def approvals_of(self, tenant_id: UUID) -> dict[str, int]:
        """How many people must approve a version, by risk class; one, where nothing is said."""
        held = self.filter(tenant=tenant_id).values_list("approvals", flat=True).first()
        return dict(held or {})


class DirectoryRules(TenantRow):
    """One row a tenant, made when somebody first sets it."""

    prefix = "rul"

    required_profiles = models.JSONField(
        default=list, blank=True, help_text="Genome profiles that a version needs before it can be tested."
    )
    verified_evidence = models.BooleanField(
        default=False, help_text="Whether roles in production and of high risk take a verified Agent Card."
    )

    prompts_kept = models.BooleanField(
        default=False, help_text="Whether a genome may only name prompts that are stored here."
    )

    deprecates_from = models.CharField(
        max_length=2,
        blank=True,
        help_text="How severe an incident about a version is that deprecates it by itself, like s1; empty: none does.",
    )

    allowed_providers = models.JSONField(
        default=list,
        blank=True,
        help_text="Short names of the providers where something new may run; empty: all.",
    )
    approvals = models.JSONField(
        default=dict,
        blank=True,
        help_text='How many people must approve a version, by risk class, like {"high": 2}; else one.',
    )

    objects = DirectoryRulesManager()

    class Meta:
        verbose_name = verbose_name_plural = "directory rules"
        constraints = [models.UniqueConstraint(fields=["tenant"], name="directory_rules_once")]

    def __str__(self) -> str:
        return f"Directory rules of {self.tenant}"
