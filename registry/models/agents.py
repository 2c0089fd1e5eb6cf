"""What an agent is: template, genome (immutable bytes), version, lineage and dependencies."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.db import models
from django.db.models import F, Q

from arm import clock, crypto, db
from arm.addresses import page_of
from arm.errors import Invalid, Problem
from arm.models import GroupGrant, TenantRow, UserGrant
from arm.rights import PERMISSIONS, Risk
from evidence.lifecycle import ArtefactKind, ArtefactState

from .. import genome as genomes
from ..lifecycle import VersionState
from .integrity import recorded_genome

if TYPE_CHECKING:
    from .slots import DeploymentSlot


class AgentTemplate(TenantRow):
    """The agent as people speak of it: name, purpose, owners, risk. Its versions are what runs."""

    prefix = "tpl"
    risk_path = "risk"

    slug = models.SlugField(max_length=80)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    intended_use = models.TextField(blank=True)
    out_of_scope = models.TextField(blank=True)
    risk = models.CharField(max_length=8, choices=Risk, default=Risk.MEDIUM)
    tags = models.JSONField(default=list, blank=True)
    project = models.ForeignKey(
        "registry.Project", models.PROTECT, null=True, blank=True, related_name="templates"
    )
    cost_center = models.CharField(max_length=80, blank=True)
    ownerless_told_at = models.DateTimeField(
        null=True, editable=False, help_text="When it was told that nobody answers for it; told once."
    )
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        ordering = ["name"]
        permissions = PERMISSIONS
        constraints = [models.UniqueConstraint(fields=["tenant", "slug"], name="template_slug_unique")]
        indexes = [models.Index(fields=["tenant", "name"], name="template_by_name")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return page_of("registry:template_detail", self.typeid)


class Ownership(TenantRow):
    """Who answers for a template, from when until when."""

    prefix = "own"
    permission_scopes = ("template", "tenant")
    risk_path = "template__risk"

    template = models.ForeignKey(AgentTemplate, models.PROTECT, related_name="ownerships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    since = models.DateTimeField(default=clock.now)
    until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["template", "user"], condition=Q(until=None), name="owns_once")
        ]

    def __str__(self) -> str:
        return f"{self.user} owns {self.template}"


MAX_PROMPT_BYTES = 1024 * 1024


class PromptManager(models.Manager["Prompt"]):
    def lacking(self, tenant_id: UUID, genome: Mapping[str, Any]) -> list[tuple[Problem, str]]:
        """The prompts that a genome names and that are not stored here: each with its pointer, and its digest."""
        named = [prompt["digest"] for prompt in genome.get("prompts", ())]
        held = set(self.filter(tenant=tenant_id, digest__in=named).values_list("digest", flat=True))
        return [
            (
                Problem(
                    pointer=f"/prompts/{place}/digest",
                    code="prompt_not_stored",
                    message=f"The prompt {digest[:19]}… is not stored here.",
                ),
                digest,
            )
            for place, digest in enumerate(named)
            if digest not in held
        ]


class Prompt(TenantRow):
    """A prompt or policy text, stored once per tenant under its digest, with a right of its own to be read."""

    prefix = "prm"

    digest = models.CharField(max_length=71)
    media_type = models.CharField(max_length=100, default="text/plain; charset=utf-8")
    size = models.PositiveIntegerField()
    content = models.BinaryField()
    created_at = models.DateTimeField(default=clock.now, editable=False)

    objects = PromptManager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "digest"], name="prompt_digest_unique")]
        indexes = [models.Index(fields=["tenant", "id"], name="prompt_by_key")]

    def __str__(self) -> str:
        return self.digest[:19]


class Genome(TenantRow):
    """The exact RFC 8785 bytes that define a build, and their SHA-256. Append-only: any change is another genome."""

    prefix = "gen"
    permission_scopes = ("template", "tenant")
    risk_path = "template__risk"

    template = models.ForeignKey(AgentTemplate, models.PROTECT, related_name="genomes")
    digest = models.CharField(max_length=71)
    content = models.BinaryField(help_text="RFC 8785 bytes; `sha256sum` of them is the digest.")
    missing = models.JSONField(
        default=list, help_text="Required members that are absent; empty when complete."
    )
    completeness = models.PositiveSmallIntegerField(
        default=0, help_text="Recommended profiles present, percent."
    )
    build = models.JSONField(default=dict, help_text="built_at and build_id: kept, but outside the digest.")
    created_by_id = models.UUIDField(null=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["template", "digest"], name="genome_once_per_template")
        ]
        indexes = [
            models.Index(fields=["tenant", "id"], name="genome_by_key"),
            models.Index(fields=["tenant", "completeness"], name="genome_by_completeness"),
            models.Index(fields=["tenant", "id"], condition=~Q(missing=[]), name="genome_incomplete"),
        ]

    def __str__(self) -> str:
        return self.digest

    @property
    def intact(self) -> bool:
        """Whether the stored bytes still are those of the digest, recomputed now."""
        return crypto.digest(bytes(self.content)) == self.digest

    def document(self) -> dict[str, Any]:
        """The bytes as JSON. Nothing where they are none any more: what was tampered with describes nothing."""
        try:
            return genomes.read(bytes(self.content), media_type="application/json").document
        except Invalid:
            return {}

    @property
    def complete(self) -> bool:
        return not self.missing


class AgentVersionQuerySet(models.QuerySet["AgentVersion"]):
    def for_list(self) -> Self:
        return self.select_related("template", "genome").defer("genome__content").order_by("-pk")

    def to_be_rebound(self) -> Self:
        """Those that slots should let go of: deprecated, or rolled back before they were approved."""
        return self.filter(Q(state=VersionState.DEPRECATED) | Q(rolled_back=True)).exclude(
            state=VersionState.RETIRED
        )

    def tampered(self) -> Self:
        """Those whose stored genome was found not to match its digest, and has not been seen to match since."""
        findings = apps.get_model("registry", "IntegrityFinding")._default_manager
        return self.filter(genome__in=findings.filter(restored_at=None).values("genome"))

    def in_production(self) -> Self:
        """Those that a live instance runs in a production environment."""
        live = apps.get_model("registry", "AgentInstance")._default_manager.live()
        return self.filter(pk__in=live.filter(environment__production=True).values("version"))

    def with_card(self, state: str) -> Self:
        """`verified`: an Agent Card of it has passed its verification; `missing`: none has."""
        verified = apps.get_model("registry", "VersionEvidence")._default_manager.filter(
            kind=ArtefactKind.AGENT_CARD, artefact__state=ArtefactState.VERIFIED
        )
        held = Q(pk__in=verified.values("version"))
        return self.filter(held if state == "verified" else ~held)


class AgentVersion(TenantRow):
    """One immutable build of a template. Its state changes (registry.services only); from Testing on, a trigger
    refuses another genome."""

    prefix = "ver"
    permission_scopes = ("template", "tenant")
    risk_path = "template__risk"

    template = models.ForeignKey(AgentTemplate, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    label = models.CharField(max_length=80, blank=True, help_text="What its builders call it, like 2.4.1.")
    description = models.TextField(blank=True)
    genome = models.ForeignKey(Genome, models.PROTECT, related_name="+")
    state = models.CharField(max_length=10, choices=VersionState, default=VersionState.DRAFT, editable=False)
    state_since = models.DateTimeField(default=clock.now, editable=False)
    rolled_back = models.BooleanField(default=False, editable=False)
    rebind_by = models.DateTimeField(
        null=True,
        editable=False,
        help_text="Until when slots that still bind a deprecated version have time.",
    )
    candidate_round = models.PositiveIntegerField(
        default=0, editable=False, help_text="How often it has become a candidate; approvals are of a round."
    )
    overdue_told_at = models.DateTimeField(null=True, editable=False)
    forced_by = models.UUIDField(
        null=True, editable=False, help_text="The incident that it was deprecated for (telemetry's)."
    )
    accepted = models.JSONField(
        default=dict,
        editable=False,
        help_text="Breaking differences that were accepted on the way, by whom and why.",
    )
    repeats = models.BooleanField(
        default=False,
        editable=False,
        help_text="An earlier version of its agent has the same genome: from before that was refused.",
    )
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True)
    submitted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True, editable=False
    )
    created_at = models.DateTimeField(default=clock.now, editable=False)

    objects = models.Manager.from_queryset(AgentVersionQuerySet)()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["template", "number"], name="version_number_unique"),
            models.UniqueConstraint(
                fields=["template", "genome"], condition=Q(repeats=False), name="version_genome_unique"
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "state", "-id"], name="version_by_state"),
            models.Index(fields=["tenant", "-id"], name="version_newest"),
            models.Index(fields=["tenant", "-id"], condition=Q(rolled_back=True), name="version_rolled_back"),
        ]

    def __str__(self) -> str:
        return f"{self.template} v{self.number}"

    @property
    def recorded_genome(self) -> str | None:
        """The digest of the genome that was chosen for it, by the sealed record of that; None where there is none."""
        found: str | None = (
            type(self)._default_manager.filter(pk=self.pk).values_list(recorded_genome()).get()[0]
        )
        return found

    @property
    def intact(self) -> bool:
        """Whether its genome still is the one that was sealed: by its digest, and by the record that chose it."""
        return self.intact_by(self.recorded_genome)

    def intact_by(self, recorded: str | None) -> bool:
        """The same, for who has read already which genome was recorded (`recorded_genome`)."""
        return self.genome.intact and recorded in (None, self.genome.digest)

    @property
    def ending(self) -> bool:
        """Whether nothing new is bound to it or provisioned from it: it is deprecated or retired, or it was rolled back
        before it was ever approved."""
        return self.rolled_back or self.state in (VersionState.DEPRECATED, VersionState.RETIRED)

    @property
    def why_ending(self) -> str:
        """In a word: “Deprecated”, “rolled back”."""
        ends = self.state in (VersionState.DEPRECATED, VersionState.RETIRED)
        return VersionState(self.state).label if ends else "rolled back"

    def why_nothing_new(self, slot: "DeploymentSlot | None") -> str:
        """Why no instance is provisioned from it there, as a sentence; nothing where one may be. A slot that still binds a
        deprecated version is filled up until its due date; without one it has passed."""
        if not self.ending:
            return ""
        deprecated = self.state == VersionState.DEPRECATED and not self.rolled_back
        if deprecated and slot is not None and slot.current_version_id == self.pk:
            if self.rebind_by is None:  # what lets a slot have it sets one
                return (
                    f"{self} is {self.why_ending}, and has no due date; nothing new is provisioned from it."
                )
            if clock.now() < self.rebind_by:
                return ""
            due = f"{self.rebind_by:%Y-%m-%d %H:%M}"
            return f"{self} is {self.why_ending}, and {slot} had to be rebound by {due}; nothing new is provisioned from it."
        return f"{self} is {self.why_ending}; nothing new is provisioned from it."

    @property
    def short_name(self) -> str:
        """What the version is called where its agent is known."""
        return f"v{self.number}"

    def get_absolute_url(self) -> str:
        return page_of("registry:version_detail", self.typeid)


class VersionParent(TenantRow):
    """An edge of the lineage: this version comes from that one. A trigger refuses cycles, other tenants, and any change
    once the version has left its first Draft."""

    application_may = db.DELETES

    class Relation(models.TextChoices):
        DERIVED = "derived", "Derived"
        FORKED = "forked", "Forked"

    prefix = "lin"
    permission_scopes = ("version__template", "tenant")

    version = models.ForeignKey(AgentVersion, models.PROTECT, related_name="parents")
    parent = models.ForeignKey(AgentVersion, models.PROTECT, related_name="children")
    relation = models.CharField(max_length=8, choices=Relation, default=Relation.DERIVED)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "parent"], name="parent_once"),
            models.CheckConstraint(condition=~Q(version=F("parent")), name="not_its_own_parent"),
        ]

    def __str__(self) -> str:
        return f"{self.version} {self.relation} from {self.parent}"


class TemplateUserGrant(UserGrant):
    content_object = models.ForeignKey(AgentTemplate, models.CASCADE)


class TemplateGroupGrant(GroupGrant):
    content_object = models.ForeignKey(AgentTemplate, models.CASCADE)
