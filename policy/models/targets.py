"""What a binding or a stop is about: exactly one of the things an agent stands below."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q

from arm.models import Tenant, TenantRow

from ..engine import Mode

DIRECT = ("environment", "role", "template", "version", "slot", "instance")
STOPPABLE = (*DIRECT, "provider")


def exactly_one(names: Sequence[str]) -> Q:
    """The condition that one of the nullable references is set, or `whole_tenant`, and nothing else."""
    either = Q(whole_tenant=True, **{f"{name}__isnull": True for name in names})
    for chosen in names:
        others = {f"{name}__isnull": name != chosen for name in names}
        either |= Q(whole_tenant=False, **others)
    return either


class Target(TenantRow):
    """Abstract: nullable references of which exactly one is set (a constraint of each table says so)."""

    permission_scopes: ClassVar[tuple[str, ...]] = (
        "environment",
        "template",
        "version__template",
        "slot__environment",
        "slot__provider",
        "instance__template",
        "instance__environment",
        "instance__provider",
        "tenant",
    )
    names: ClassVar[tuple[str, ...]] = DIRECT

    whole_tenant = models.BooleanField(default=False)
    environment = models.ForeignKey("registry.Environment", models.PROTECT, null=True, related_name="+")
    role = models.ForeignKey("registry.RoleDefinition", models.PROTECT, null=True, related_name="+")
    template = models.ForeignKey("registry.AgentTemplate", models.PROTECT, null=True, related_name="+")
    version = models.ForeignKey("registry.AgentVersion", models.PROTECT, null=True, related_name="+")
    slot = models.ForeignKey("registry.DeploymentSlot", models.PROTECT, null=True, related_name="+")
    instance = models.ForeignKey("registry.AgentInstance", models.PROTECT, null=True, related_name="+")

    class Meta:
        abstract = True

    @property
    def target(self) -> models.Model:
        """The thing itself: the tenant where `whole_tenant`."""
        if self.whole_tenant:
            return self.tenant
        found: models.Model = next(getattr(self, name) for name in self.names if getattr(self, f"{name}_id"))
        return found

    @property
    def target_kind(self) -> str:
        """`tenant`, `environment`, `role`, …: which kind of thing it is about."""
        if self.whole_tenant:
            return "tenant"
        return next(name for name in self.names if getattr(self, f"{name}_id"))

    @classmethod
    def members_for(cls, target: models.Model) -> dict[str, Any]:
        """The field values that point at this target. LookupError where nothing of its kind can be one."""
        if isinstance(target, Tenant):
            return {"whole_tenant": True}
        for name in cls.names:
            if cls._meta.get_field(name).related_model is type(target):
                return {name: target}
        raise LookupError(f"{type(target).__name__} is nothing that a {cls._meta.verbose_name} can be about")


class Stop(Target):
    """Abstract: scope × mode, of all tools or of some, as it stands or as it is asked for."""

    MODES: ClassVar = [
        (mode.value, mode.value.replace("_", " ").capitalize()) for mode in Mode if mode != Mode.NORMAL
    ]

    names = STOPPABLE
    permission_scopes = (*Target.permission_scopes, "provider")

    provider = models.ForeignKey("registry.Provider", models.PROTECT, null=True, related_name="+")
    tool = models.CharField(max_length=128, blank=True, help_text="Only this tool (name or glob).")
    tool_class = models.CharField(max_length=12, blank=True, help_text="Only tools of this class.")
    mode = models.CharField(max_length=12, choices=MODES, editable=False)
    reason = models.CharField(max_length=500)
    until = models.DateTimeField(null=True, editable=False)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        what = f" ({self.tool or self.tool_class})" if self.tool or self.tool_class else ""
        return f"{self.target}{what}: {self.get_mode_display().lower()}"
