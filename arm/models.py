"""Who there is (tenants, people, service accounts, keys, bindings) and what was changed by whom."""

from typing import Any, ClassVar, Self

from django.conf import settings
from django.contrib.auth.models import AbstractUser, Group, UserManager
from django.db import models
from django.db.models import Q
from django.urls import reverse
from guardian.mixins import GuardianUserMixin
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase

from arm import clock, db, ids
from arm.addresses import page_of
from arm.rights import PERMISSIONS, Risk


class User(AbstractUser, GuardianUserMixin):
    """One kind of actor: a person, or a service account that only keys can act as."""

    class Kind(models.TextChoices):
        PERSON = "person", "Person"
        SERVICE = "service", "Service account"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.PERSON)
    must_change_password = models.BooleanField(default=False)

    objects: ClassVar[UserManager[Self]] = UserManager()

    class Meta(AbstractUser.Meta):
        swappable = "AUTH_USER_MODEL"

    def __str__(self) -> str:
        return self.get_full_name() or self.username


class Tenant(models.Model):
    """A customer: the wall around every other row."""

    class KeyMode(models.TextChoices):
        MANAGED = "managed", "Managed"
        BYOK = "byok", "Bring your own key"

    prefix = "ten"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=200)
    compliance_profiles = models.JSONField(default=list, blank=True)
    currency = models.CharField(max_length=3, default="USD")
    cost_center = models.CharField(max_length=80, default="unassigned")
    key_mode = models.CharField(max_length=8, choices=KeyMode, default=KeyMode.MANAGED)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        ordering = ["slug"]
        permissions = PERMISSIONS

    def __str__(self) -> str:
        return self.name


class TenantRow(models.Model):
    """Every row that belongs to a tenant. `prefix` is the type part of its shown identifier."""

    prefix: ClassVar[str]
    permission_scopes: ClassVar[tuple[str, ...]] = ("tenant",)
    risk_path: ClassVar[str] = ""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", editable=False)

    class Meta:
        abstract = True

    @property
    def typeid(self) -> str:
        return ids.encode(self.prefix, self.pk)


class Membership(TenantRow):
    """A person or service account works in a tenant. What they may do there is in their role bindings."""

    prefix = "mem"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="memberships")
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "user"], name="one_membership")]

    def __str__(self) -> str:
        return f"{self.user} in {self.tenant}"


class Team(TenantRow):
    """A group of people in one tenant; role bindings to teams are preferred to bindings to people."""

    prefix = "tea"

    group = models.OneToOneField(Group, models.PROTECT, related_name="+")
    name = models.CharField(max_length=120)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="team_name_unique")]

    def __str__(self) -> str:
        return self.name


class RoleBinding(TenantRow):
    """Somebody holds a role on a scope, from, until, up to a risk class, given by whom and why.

    The rights themselves are guardian rows that point here; ending a binding deletes those rows, never this one.
    """

    prefix = "rob"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="bindings")
    group = models.ForeignKey(Group, models.PROTECT, null=True, related_name="+")
    role = models.CharField(max_length=40)
    scope_kind = models.CharField(max_length=40)
    scope_id = models.UUIDField()
    scope_label = models.CharField(max_length=200)
    risk_max = models.CharField(max_length=8, choices=Risk, blank=True)
    not_before = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    granted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True)
    reason = models.CharField(max_length=500)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    ended_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False, group__isnull=True)
                | Q(user__isnull=True, group__isnull=False),
                name="binding_has_one_principal",
            )
        ]

    def __str__(self) -> str:
        return f"{self.role_label} on {self.scope_label} for {self.user or self.group}"

    @property
    def role_label(self) -> str:
        """The role as people read it; as `arm.roles.Role.label`, also of a role that is no more."""
        return self.role.replace("_", " ").capitalize()


class Grant(models.Model):
    """What every grant row carries beside guardian's columns: the wall, the binding, and its limits."""

    application_may = db.DELETES

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    binding = models.ForeignKey(RoleBinding, models.PROTECT, related_name="+")
    risk_max = models.CharField(max_length=8, blank=True)
    not_before = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True


class UserGrant(Grant, UserObjectPermissionBase):
    """Subclass once per scope model; the foreign key must be called `content_object`."""

    class Meta(UserObjectPermissionBase.Meta):
        abstract = True
        unique_together = [("user", "permission", "content_object", "binding")]


class GroupGrant(Grant, GroupObjectPermissionBase):
    class Meta(GroupObjectPermissionBase.Meta):
        abstract = True
        unique_together = [("group", "permission", "content_object", "binding")]


class TenantUserGrant(UserGrant):  # noqa: DJ008 - guardian's base has one
    content_object = models.ForeignKey(Tenant, models.CASCADE)


class TenantGroupGrant(GroupGrant):  # noqa: DJ008
    content_object = models.ForeignKey(Tenant, models.CASCADE)


class ApiKey(TenantRow):
    """A bearer secret, stored as its SHA-256: who it acts as, what kind of door it opens, until when."""

    class Kind(models.TextChoices):
        INGEST = "i", "Ingest key"
        WORKLOAD = "w", "Workload token"
        SERVICE = "s", "Service token"
        PERSONAL = "p", "Personal token"

    prefix = "key"

    kind = models.CharField(max_length=1, choices=Kind)
    name = models.CharField(max_length=120)
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    last4 = models.CharField(max_length=4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=clock.now, editable=False)
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)

    def __str__(self) -> str:
        return f"{self.name} (…{self.last4})"

    @property
    def live(self) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > clock.now())


class ChangeRecordQuerySet(models.QuerySet["ChangeRecord"]):
    def about(self, target: models.Model) -> Self:
        return self.filter(target_kind=target._meta.label_lower, target_id=target.pk).order_by("-at", "-pk")


class ChangeRecord(TenantRow):
    """Who changed what, when, from what, to what, why. Append-only, and without foreign keys to what changed:
    the record outlives it."""

    prefix = "chg"

    at = models.DateTimeField(default=clock.now, editable=False)
    recorded_at = models.DateTimeField(auto_now_add=True)
    actor_id = models.UUIDField(null=True)
    actor_label = models.CharField(max_length=200)
    credential = models.CharField(max_length=80, blank=True)
    verb = models.CharField(max_length=80)
    target_kind = models.CharField(max_length=80)
    target_id = models.UUIDField()
    target_label = models.CharField(max_length=250)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    reason = models.TextField(blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    links = models.JSONField(default=list)
    digest = models.CharField(max_length=71, editable=False)

    objects = models.Manager.from_queryset(ChangeRecordQuerySet)()

    class Meta:
        ordering = ["-at", "-pk"]
        indexes = [
            models.Index(fields=["tenant", "-at"], name="change_by_time"),
            models.Index(fields=["target_kind", "target_id", "-at"], name="change_by_target"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.target_label}"

    def get_absolute_url(self) -> str:
        return page_of("change_detail", self.typeid)

    def body(self) -> dict[str, Any]:
        """What the digest covers, as JSON values."""
        return {
            "id": self.typeid,
            "tenant": ids.encode("ten", self.tenant_id),
            "at": self.at.isoformat(timespec="microseconds"),
            "actor": str(self.actor_id) if self.actor_id else "",
            "actor_label": self.actor_label,
            "credential": self.credential,
            "verb": self.verb,
            "target": {"kind": self.target_kind, "id": str(self.target_id), "label": self.target_label},
            "before": self.before,
            "after": self.after,
            "reason": self.reason,
            "request_id": self.request_id,
            "links": self.links,
        }


class IdempotentReply(TenantRow):
    """What a write answered that came with a key of the caller's (`Idempotency-Key`), for a day.

    `body` is null where the answer showed a secret, which nothing of ours keeps. `rests_on` are the rights that were
    asked for it and held, as [right, label of the model, key]; null: nobody has noted them.
    """

    prefix = "idr"
    application_may = db.DELETES

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    key_digest = models.CharField(max_length=71)
    asked_digest = models.CharField(max_length=71)
    status = models.PositiveSmallIntegerField()
    headers = models.JSONField(default=dict)
    body = models.BinaryField(null=True)
    rests_on = models.JSONField(null=True)
    at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "user", "key_digest"], name="one_reply")]
        indexes = [models.Index(fields=["tenant", "at"], name="reply_by_time")]

    def __str__(self) -> str:
        return f"{self.status} at {self.at:%Y-%m-%d %H:%M}"


class SecurityEvent(models.Model):
    """Sign-ins, refusals and exports: a stream of its own, kept apart from governance and telemetry."""

    class Kind(models.TextChoices):
        SIGNED_IN = "signed_in", "Signed in"
        SIGN_IN_FAILED = "sign_in_failed", "Sign-in failed"
        SIGN_IN_LOCKED = "sign_in_locked", "Sign-in locked"
        SIGNED_OUT = "signed_out", "Signed out"
        REFUSED = "refused", "Refused"
        EXPORTED = "exported", "Exported"
        PASSWORD_CHANGED = "password_changed", "Password changed"
        ACCOUNT_CHANGED = "account_changed", "Account changed"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    at = models.DateTimeField(default=clock.now, editable=False)
    kind = models.CharField(max_length=16, choices=Kind)
    tenant_id = models.UUIDField(null=True)
    user_id = models.UUIDField(null=True)
    label = models.CharField(max_length=200, blank=True)
    address = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=64, blank=True)
    detail = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["-at"], name="security_by_time")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.label}"


class ProcessBeat(models.Model):
    """When a background process last showed that it works; `/ready/` reads it."""

    name = models.CharField(primary_key=True, max_length=40)
    beat_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class SavedView(TenantRow):
    """A question to a list page, kept under a name: filters and order, never rows. Shared, it is the tenant's to ask;
    what it answers depends on who asks."""

    application_may = db.DELETES

    prefix = "viw"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    list_name = models.CharField(max_length=80, help_text="The name of the list's address.")
    name = models.CharField(max_length=80)
    query = models.TextField(blank=True, help_text="Filters and order, as in the list's address.")
    shared = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    changed_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "owner", "list_name", "name"], name="view_name_unique")
        ]
        indexes = [models.Index(fields=["tenant", "list_name"], name="view_by_list")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return f"{reverse(self.list_name)}?view={self.typeid}"


class DefaultView(TenantRow):
    """The view that a list opens with for one person."""

    application_may = db.DELETES

    prefix = "dvw"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    list_name = models.CharField(max_length=80)
    view = models.ForeignKey(SavedView, models.PROTECT, related_name="defaults")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "user", "list_name"], name="one_default_view")
        ]

    def __str__(self) -> str:
        return f"{self.view} for {self.user}"
