"""Instances and the reach of machine keys in the admin."""

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.timesince import timesince

from arm import clock
from arm.admin import AdminCommand, ReasonOnly, ScopedAdmin
from arm.models import User
from arm.rights import Right

from .. import services
from ..lifecycle import InstanceState
from ..models import AgentInstance, InstanceInterval, KeyScope
from .reasoned import ReadOnlyInline, ReasonedAdmin


class StaleFilter(admin.SimpleListFilter):
    """Those that should be at work and have been silent for longer than their provider allows."""

    title = "heartbeat"
    parameter_name = "stale"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Stale"), ("no", "As expected")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in {"yes", "no"}:
            return queryset
        stale = AgentInstance.objects.all().stale(clock.now()).values("pk")
        return queryset.filter(pk__in=stale) if self.value() == "yes" else queryset.exclude(pk__in=stale)


class IntervalInline(ReadOnlyInline):
    model = InstanceInterval
    fields = readonly_fields = ("state", "version", "since", "until", "known_from")
    ordering = ("-since", "-pk")
    show_change_link = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.select_related("version__template")


def _restrict(name: str, label: str, to: InstanceState, warning: str) -> AdminCommand:
    def restrict(row: AgentInstance, actor: User, cleaned: dict[str, Any]) -> object:
        return services.restrict_instance(instance=row, to=to, actor=actor, reason=cleaned["reason"])

    return AdminCommand(name, label, Right.RESTRICT_INSTANCE, restrict, ReasonOnly, warning)


def _move(name: str, label: str, to: InstanceState, right: Right, warning: str) -> AdminCommand:
    def move(row: AgentInstance, actor: User, cleaned: dict[str, Any]) -> object:
        return services.move_instance(instance=row, to=to, actor=actor, reason=cleaned["reason"])

    return AdminCommand(name, label, right, move, ReasonOnly, warning)


@admin.register(AgentInstance)
class AgentInstanceAdmin(ReasonedAdmin):
    add_right = Right.PROVISION_INSTANCE
    list_display = (
        "name",
        "template",
        "version_number",
        "environment",
        "provider",
        "state",
        "reported",
        "heartbeat",
    )
    list_select_related = ("template", "version", "environment", "provider", "status")
    list_filter = ("state", "environment", "provider", StaleFilter, "template__risk", "template")
    search_fields = ("name", "template__name")
    autocomplete_fields = ("version", "slot", "role")
    inlines = (IntervalInline,)
    made_of = ("version", "environment", "provider", "name", "slot", "role", "cost_center", "labels")
    shown = (
        "name",
        "template",
        "version",
        "environment",
        "provider",
        "slot",
        "role",
        "state",
        "state_since",
        "generation",
        "reported",
        "heartbeat",
        "cost_center",
        "labels",
        "created_at",
    )
    export_columns = (
        ("id", "typeid"),
        ("name", "name"),
        ("agent", "template.name"),
        ("version", "version.number"),
        ("environment", "environment.slug"),
        ("provider", "provider.slug"),
        ("wanted", "state"),
        ("reported", "status.state"),
        ("heartbeat", "status.heartbeat_at"),
    )
    commands = (
        _restrict(
            "pause", "Pause", InstanceState.PAUSED, "They may do nothing. One operator can release them."
        ),
        _restrict(
            "read_only",
            "Set to read only",
            InstanceState.READ_ONLY,
            "Yellow and red tools are denied. An approver who takes no part now must release them.",
        ),
        _restrict(
            "drain",
            "Drain",
            InstanceState.DRAINING,
            "They take no new work and finish what they have. One operator can cancel it.",
        ),
        _restrict(
            "quarantine",
            "Quarantine",
            InstanceState.QUARANTINED,
            "Everything they ask for is denied. Two people who take no part now must agree to let them go again.",
        ),
        _move(
            "activate",
            "Activate",
            InstanceState.ACTIVE,
            Right.PROVISION_INSTANCE,
            "From Provisioning, once nothing is missing.",
        ),
        _move(
            "release",
            "Release to active",
            InstanceState.ACTIVE,
            Right.RELEASE_INSTANCE,
            "Where others must agree first, this says so and nothing happens.",
        ),
        _move(
            "retire",
            "Retire",
            InstanceState.RETIRED,
            Right.PROVISION_INSTANCE,
            "This cannot be undone. Their tokens end at once. What is quarantined takes another right.",
        ),
        _move(
            "retire_quarantined",
            "Retire after a quarantine",
            InstanceState.RETIRED,
            Right.TERMINATE_INSTANCE,
            "This cannot be undone. Their tokens end at once.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).order_by("-pk")

    @admin.display(description="Version", ordering="version__number")
    def version_number(self, row: AgentInstance) -> str:
        return row.version.short_name

    @admin.display(description="Reported")
    def reported(self, row: AgentInstance) -> str:
        if row.is_stale(clock.now()) or not row.status.state:
            return "unknown"
        return InstanceState(row.status.state).label

    @admin.display(description="Last heartbeat", ordering="status__heartbeat_at")
    def heartbeat(self, row: AgentInstance) -> str:
        last = row.status.heartbeat_at
        return f"{timesince(last, clock.now())} ago" if last else "never"

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return () if obj is None else self.inlines

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        return services.provision_instance(actor=request.user, **cleaned)  # type: ignore[arg-type]


@admin.register(KeyScope)
class KeyScopeAdmin(ScopedAdmin):
    """What each machine key may speak for."""

    view_right = Right.MANAGE_KEYS
    list_display = ("key", "environment", "provider", "instance")
    list_select_related = ("key", "environment", "provider", "instance")
    list_filter = ("key__kind", "environment", "provider")
    search_fields = ("key__name", "instance__name")
    fields = readonly_fields = ("key", "environment", "provider", "instance")
    export_columns = (
        ("key", "key.name"),
        ("kind", "key.kind"),
        ("environment", "environment"),
        ("provider", "provider"),
        ("instance", "instance"),
    )
