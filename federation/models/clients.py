"""Who speaks for a provider: its invitation, its client with two keys, its tokens and sessions; and ARM's own key."""

from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from arm import clock, db
from arm.addresses import page_of
from arm.models import Tenant, TenantRow

LATE_AFTER = timedelta(seconds=60)
LOST_AFTER = timedelta(seconds=180)

PEOPLE = settings.AUTH_USER_MODEL


class Invite(TenantRow):
    """A registration token of a provider: for a day, for one registration. Stored as its SHA-256."""

    prefix = "ivt"
    permission_scopes = ("provider", "tenant")

    provider = models.ForeignKey("registry.Provider", models.PROTECT, related_name="+")
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    last4 = models.CharField(max_length=4, editable=False)
    invited_by = models.ForeignKey(PEOPLE, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True, help_text="A later invitation took its place.")

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"Invitation of {self.provider} (…{self.last4})"

    @property
    def open(self) -> bool:
        return self.used_at is None and self.ended_at is None and self.expires_at > clock.now()


class ProviderClientQuerySet(models.QuerySet["ProviderClient"]):
    def live(self) -> Self:
        return self.exclude(status=ProviderClient.Status.REVOKED)

    def registered(self) -> Self:
        return self.filter(status=ProviderClient.Status.REGISTERED)


class ProviderClient(TenantRow):
    """The software that speaks for a provider. `auth` signs its way in, `attest` signs what it did; neither changes."""

    class Status(models.TextChoices):
        PENDING = "pending_approval", "Waiting for approval"
        REGISTERED = "registered", "Registered"
        REVOKED = "revoked", "Revoked"

    prefix = "pcl"
    permission_scopes = ("provider", "tenant")

    provider = models.ForeignKey("registry.Provider", models.PROTECT, related_name="+")
    invite = models.OneToOneField(Invite, models.PROTECT, related_name="client")
    status = models.CharField(max_length=16, choices=Status, default=Status.PENDING)
    name = models.CharField(max_length=120)
    software_id = models.CharField(max_length=120)
    software_version = models.CharField(max_length=60)
    contacts = models.JSONField(default=list)
    scope = models.CharField(max_length=300)
    capabilities = models.JSONField(default=list)
    auth_jwk = models.JSONField()
    auth_kid = models.CharField("auth key", max_length=43)
    attest_jwk = models.JSONField()
    attest_kid = models.CharField("attest key", max_length=43)
    epoch = models.PositiveBigIntegerField(default=0, help_text="How many handshakes it has made.")
    registered_at = models.DateTimeField(default=clock.now)
    approved_by = models.ForeignKey(PEOPLE, models.PROTECT, null=True, related_name="+")
    approved_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey(PEOPLE, models.PROTECT, null=True, related_name="+")
    revoked_at = models.DateTimeField(null=True)

    objects = models.Manager.from_queryset(ProviderClientQuerySet)()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["provider"], condition=~Q(status="revoked"), name="one_client_of_a_provider"
            ),
            models.CheckConstraint(condition=~Q(auth_kid=models.F("attest_kid")), name="two_keys_two_duties"),
            models.CheckConstraint(
                condition=Q(status="registered", approved_at__isnull=False) | ~Q(status="registered"),
                name="registered_is_approved",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} for {self.provider}"

    def get_absolute_url(self) -> str:
        return page_of("federation:client_detail", self.typeid)


class AccessToken(TenantRow):
    """An opaque bearer token of a client, ten minutes long, so that revoking it counts at once."""

    application_may = db.DELETES  # what has ended is deleted a day later

    prefix = "ptk"
    permission_scopes = ("client__provider", "tenant")

    client = models.ForeignKey(ProviderClient, models.PROTECT, related_name="tokens")
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    scope = models.CharField(max_length=300)
    issued_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"Token of {self.client_id}"

    @property
    def live(self) -> bool:
        return self.revoked_at is None and self.expires_at > clock.now()


class Assertion(models.Model):
    """A `jti` that a client has used: kept until the assertion has expired, so that it counts once."""

    application_may = db.DELETES

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    client = models.ForeignKey(ProviderClient, models.PROTECT, related_name="+")
    jti = models.CharField(max_length=200)
    ends_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["client", "jti"], name="assertion_once")]
        indexes = [models.Index(fields=["tenant", "ends_at"], name="assertion_by_end")]

    def __str__(self) -> str:
        return self.jti


class AdapterSession(TenantRow):
    """One handshake and what followed: who writes for the provider until the next one. Times are ARM's own."""

    prefix = "fse"
    permission_scopes = ("client__provider", "tenant")

    client = models.ForeignKey(ProviderClient, models.PROTECT, related_name="sessions")
    epoch = models.PositiveBigIntegerField()
    issuer = models.CharField(max_length=300, help_text="How the adapter knows this installation.")
    adapter_uid = models.UUIDField()
    adapter_name = models.CharField(max_length=120)
    adapter_version = models.CharField(max_length=60)
    opened_at = models.DateTimeField(default=clock.now)
    closed_at = models.DateTimeField(null=True)
    seq = models.PositiveBigIntegerField(default=0, help_text="Of the last heartbeat.")
    heartbeat_at = models.DateTimeField(null=True)
    polled_at = models.DateTimeField(null=True)
    health = models.CharField(max_length=10, blank=True)
    health_message = models.CharField(max_length=500, blank=True)
    offset_ms = models.BigIntegerField(null=True, help_text="Our clock less theirs.")
    said_count = models.PositiveIntegerField(null=True)
    said_digest = models.CharField(max_length=71, blank=True)
    agrees = models.BooleanField(null=True, help_text="Whether the last digest was ours.")
    full_wanted = models.BooleanField(default=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["client", "epoch"], name="session_once_for_each_epoch")
        ]

    def __str__(self) -> str:
        return f"Session {self.epoch} of {self.client_id}"

    @property
    def heard_at(self) -> datetime:
        return self.heartbeat_at or self.opened_at

    def reachable(self, now: datetime) -> bool | None:
        """True, or None (unknown) after 60 s of silence, or False after 180 s; False when it said goodbye."""
        silent = now - self.heard_at
        if self.closed_at is not None or silent > LOST_AFTER:
            return False
        return None if silent > LATE_AFTER else True


class ControlKey(TenantRow):
    """ARM's key for control messages to the providers of a tenant. Whoever serves them can unseal it (ADR 33)."""

    prefix = "ctk"

    kid = models.CharField("key id", max_length=43, unique=True)
    jwk = models.JSONField("public key")
    sealed = models.BinaryField(editable=False)
    made_at = models.DateTimeField(default=clock.now)
    retired_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["tenant"], condition=Q(retired_at=None), name="one_control_key")
        ]

    def __str__(self) -> str:
        return f"Control key {self.kid[:8]}"

    @property
    def about(self) -> str:
        """What the private half is sealed with."""
        return f"{self.tenant_id} control {self.kid}"
