"""What proves the past: the tenant's log of records, its checkpoints, and the keys that sign them."""

import json
from datetime import datetime
from typing import ClassVar, Self

from django.db import models

from arm import clock, db, ids
from arm.models import ChangeRecord, Tenant, TenantRow

from .lifecycle import ArtefactKind, ArtefactState, following
from .signing.merkle import HASH_BYTES


class SigningKey(TenantRow):
    """A key pair of a tenant. The private half is sealed; only the signer has what unseals it."""

    prefix = "sgk"

    class Purpose(models.TextChoices):
        LOG = "log", "Checkpoints of the log"
        EVIDENCE = "evidence", "Statements"
        PDF = "pdf", "PDFs"
        AGENT_CARD = "a2a", "A2A agent cards"

    KINDS: ClassVar[dict[str, str]] = {
        Purpose.LOG: "Ed25519",
        Purpose.EVIDENCE: "Ed25519",
        Purpose.PDF: "P-256",  # readers of PDF and A2A clients know no Ed25519
        Purpose.AGENT_CARD: "P-256",
    }

    purpose = models.CharField(max_length=20, choices=Purpose.choices)
    kid = models.CharField("key id", max_length=43, unique=True, help_text="The thumbprint of RFC 7638.")
    jwk = models.JSONField("public key")
    certificate = models.TextField(blank=True, help_text="X.509 (PEM) of a key that signs PDFs.")
    sealed = models.BinaryField(editable=False)
    not_before = models.DateTimeField(default=clock.now)
    retired_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "purpose"],
                condition=models.Q(retired_at=None),
                name="one_active_key_for_each_purpose",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_purpose_display()} {self.kid[:8]}"

    @property
    def about(self) -> str:
        """What the private half is sealed with: whose it is and what for."""
        return f"{self.tenant_id} {self.purpose} {self.kid}"


class Log(TenantRow):
    """The tree of a tenant as far as it has grown: how many leaves, and the complete subtrees at its right edge."""

    prefix = "log"

    size = models.BigIntegerField(default=0)
    edge = models.BinaryField(default=bytes, help_text="Hashes of 32 bytes, the largest subtree first.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant"], name="one_log_for_each_tenant")]

    def __str__(self) -> str:
        return f"Log of {self.tenant}"

    @property
    def parts(self) -> list[bytes]:
        """The edge, hash by hash."""
        edge = bytes(self.edge)
        return [edge[at : at + HASH_BYTES] for at in range(0, len(edge), HASH_BYTES)]


class PendingLeaf(models.Model):
    """A record that committed and has no leaf yet. Written by a trigger in the transaction of the record."""

    application_may = db.DELETES  # what has its leaf waits no more

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    kind = models.CharField(max_length=20)
    subject_id = models.UUIDField()
    digest = models.CharField(max_length=71)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["tenant", "id"], name="pending_in_order")]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject_id}"


class Leaf(models.Model):
    """One line of the log: the digest of a record, when it was recorded, and its place. Content stays outside, so that
    what is erased one day does not break the log."""

    permission_scopes = ("tenant",)

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    seq = models.BigIntegerField("number", help_text="Counted from 0.")
    kind = models.CharField(max_length=20)
    subject_id = models.UUIDField()
    body = models.TextField(help_text="Canonical JSON (RFC 8785).")
    hash = models.BinaryField()

    class Meta:
        ordering = ["-seq"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "seq"], name="leaf_once"),
            models.UniqueConstraint(fields=["tenant", "kind", "subject_id"], name="subject_has_one_leaf"),
        ]

    def __str__(self) -> str:
        return f"Leaf {self.seq}"

    @property
    def record(self) -> str:
        """The shown identifier of what it is about: a change record, or an artefact."""
        return ids.encode(LEAF_PREFIXES[self.kind], self.subject_id)

    @property
    def created(self) -> datetime:
        """When the record was written, as the text says it."""
        return datetime.fromisoformat(json.loads(self.body)["created"])


class Node(models.Model):
    """The hash of a complete subtree above the leaves. See `evidence.signing.merkle`."""

    permission_scopes = ("tenant",)

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    level = models.SmallIntegerField()
    seq = models.BigIntegerField()
    hash = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "level", "seq"], name="node_once")]

    def __str__(self) -> str:
        return f"Level {self.level}, number {self.seq}"


class Checkpoint(TenantRow):
    """What the log was at one size, signed."""

    prefix = "chk"

    size = models.BigIntegerField()
    root = models.BinaryField()
    note = models.TextField(help_text="A signed note of C2SP.")
    key = models.ForeignKey(SigningKey, models.PROTECT, related_name="+")
    at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["-size"]
        constraints = [models.UniqueConstraint(fields=["tenant", "size"], name="checkpoint_once")]

    def __str__(self) -> str:
        return f"Checkpoint at {self.size}"


class ArtefactQuerySet(models.QuerySet["Artefact"]):
    def for_list(self) -> Self:
        return self.defer("statement", "scratch").order_by("-pk")


class Artefact(TenantRow):
    """A signed document about something: an Agent Card, an Audit Pack. What is about it, and how far it has come.

    The subject is named, not referenced: evidence outlives what it is about, and knows no domain. Whose eyes it is for
    is said by the row of the domain that points here.
    """

    prefix = "evd"

    kind = models.CharField(max_length=12, choices=ArtefactKind)
    state = models.CharField(
        max_length=10, choices=ArtefactState, default=ArtefactState.REQUESTED, editable=False
    )
    state_since = models.DateTimeField(default=clock.now, editable=False)
    subject_kind = models.CharField(max_length=80)
    subject_id = models.UUIDField()
    subject_label = models.CharField(max_length=250)
    statement = models.BinaryField(null=True, help_text="What is signed: RFC 8785 bytes.")
    scratch = models.BinaryField(null=True, help_text="What the next step works on; gone when it is done.")
    key = models.ForeignKey(SigningKey, models.PROTECT, related_name="+", null=True)
    times = models.JSONField(default=dict, help_text="State: when it was reached.")
    requested_by_id = models.UUIDField(null=True)
    requested_by = models.CharField(max_length=250)
    requested_at = models.DateTimeField(default=clock.now, editable=False)
    attempts = models.PositiveIntegerField(default=0, help_text="Failures of the step that comes next.")
    problem = models.CharField(max_length=500, blank=True, help_text="Why that step failed last.")
    retry_at = models.DateTimeField(null=True, help_text="When it is tried again; empty when nobody will.")
    overdue_at = models.DateTimeField(null=True, help_text="When people were told that it takes too long.")
    abandoned_at = models.DateTimeField(
        null=True, help_text="When another took the place of one that kept failing."
    )

    objects = models.Manager.from_queryset(ArtefactQuerySet)()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["tenant", "subject_id", "kind", "-id"], name="artefacts_of_subject"),
            models.Index(
                fields=["retry_at"], condition=models.Q(retry_at__isnull=False), name="artefact_retries"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.subject_label}"

    @property
    def arrived(self) -> bool:
        return following(self.kind, self.state) is None

    @property
    def shown_state(self) -> str:
        """The state, or `failed` while its next step does not succeed, or `superseded`."""
        if self.abandoned_at is not None:
            return "superseded"
        return "failed" if self.problem else self.state

    @property
    def file_stem(self) -> str:
        """How its files are called, without their kind: `agent-card.evd_…`."""
        return f"{self.kind.replace('_', '-')}.{self.typeid}"


class ArtefactFile(TenantRow):
    """One file of an artefact, as it was made, once."""

    class Kind(models.TextChoices):
        ENVELOPE = "envelope", "Signed statement"
        PDF = "pdf", "PDF"
        PACK = "pack", "Audit Pack"
        CARD = "card", "Signed card"

    SIGNED = (Kind.ENVELOPE, Kind.CARD)
    """What a leaf of the log stands for: each artefact has one of them."""

    prefix = "evf"

    artefact = models.ForeignKey(Artefact, models.PROTECT, related_name="files")
    kind = models.CharField(max_length=10, choices=Kind)
    name = models.CharField(max_length=120)
    media_type = models.CharField(max_length=80)
    content = models.BinaryField()
    digest = models.CharField(max_length=71)
    size = models.PositiveIntegerField()
    made_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        ordering = ["kind"]
        constraints = [
            models.UniqueConstraint(fields=["artefact", "kind"], name="artefact_has_each_file_once")
        ]

    def __str__(self) -> str:
        return self.name


LEAF_PREFIXES = {"change": ChangeRecord.prefix, "artefact": Artefact.prefix}
"""Kinds of leaves, and how the identifiers of what they are about begin."""
