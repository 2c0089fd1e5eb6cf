"""The federation in the admin: read, approve and revoke; everything else comes from providers themselves."""

from django.contrib import admin

from arm.admin import AdminCommand, ReasonOnly, ScopedAdmin
from arm.rights import Right
from registry.admin import ReadOnlyInline

from . import services
from .models import AdapterSession, Attestation, Command, InstanceReport, ProviderClient


class SessionInline(ReadOnlyInline):
    model = AdapterSession
    fields = readonly_fields = (
        "epoch",
        "adapter_name",
        "adapter_version",
        "opened_at",
        "heartbeat_at",
        "closed_at",
    )
    ordering = ("-epoch",)
    show_change_link = False


@admin.register(ProviderClient)
class ProviderClientAdmin(ScopedAdmin):
    list_display = ("name", "provider", "status", "software_id", "registered_at", "approved_by")
    list_select_related = ("provider", "approved_by")
    list_filter = ("status", "provider")
    search_fields = ("name", "auth_kid", "attest_kid")
    fields = readonly_fields = (
        "name", "provider", "status", "software_id", "software_version", "contacts", "scope", "capabilities", "auth_kid",
        "attest_kid", "epoch", "registered_at", "approved_by", "approved_at", "revoked_by", "revoked_at",
    )  # fmt: skip
    inlines = (SessionInline,)
    export_columns = (
        ("id", "typeid"),
        ("provider", "provider"),
        ("name", "name"),
        ("status", "status"),
        ("auth key", "auth_kid"),
        ("attest key", "attest_kid"),
    )
    commands = (
        AdminCommand(
            "revoke_client",
            "Revoke the clients",
            Right.APPROVE_PROVIDER,
            lambda row, actor, cleaned: services.revoke_client(client=row, actor=actor, **cleaned),
            ReasonOnly,
            "Their tokens and sessions end at once; their instances are told nothing any more.",
        ),
    )


@admin.register(Command)
class CommandAdmin(ScopedAdmin):
    list_display = ("instance", "to_state", "state", "generation", "provider", "decided_at", "attested_at")
    list_select_related = ("instance", "provider")
    list_filter = ("state", "to_state", "provider")
    search_fields = ("instance__name",)
    fields = readonly_fields = (
        "instance", "provider", "generation", "from_state", "to_state", "restrictive", "state", "sha256", "decided_at",
        "available_at", "delivered_at", "delivery_count", "acked_at", "applying_at", "applied_at", "attested_at",
        "finished_at", "error_code", "error_text",
    )  # fmt: skip
    export_columns = (
        ("id", "typeid"),
        ("instance", "instance"),
        ("generation", "generation"),
        ("to", "to_state"),
        ("state", "state"),
        ("decided at", "decided_at"),
        ("attested at", "attested_at"),
    )


@admin.register(Attestation)
class AttestationAdmin(ScopedAdmin):
    list_display = ("received_at", "client", "instance", "ok", "code")
    list_select_related = ("client__provider", "instance")
    list_filter = ("ok", "code")
    search_fields = ("instance__name",)
    fields = readonly_fields = (
        "received_at",
        "client",
        "instance",
        "command",
        "ok",
        "code",
        "checks",
        "digest",
    )
    export_columns = (
        ("id", "typeid"),
        ("received at", "received_at"),
        ("instance", "instance"),
        ("ok", "ok"),
        ("code", "code"),
    )


@admin.register(InstanceReport)
class InstanceReportAdmin(ScopedAdmin):
    list_display = ("external_id", "provider", "instance", "state", "generation", "reported_at", "missing")
    list_select_related = ("provider", "instance")
    list_filter = ("missing", "provider", ("instance", admin.EmptyFieldListFilter))
    search_fields = ("external_id", "instance__name")
    fields = readonly_fields = (
        "external_id", "provider", "instance", "state", "generation", "version_id", "first_at", "reported_at",
        "confirmed_at", "missing", "attested_state", "attested_generation", "attested_at", "regressed_at",
    )  # fmt: skip
    export_columns = (
        ("external id", "external_id"),
        ("provider", "provider"),
        ("instance", "instance"),
        ("state", "state"),
        ("generation", "generation"),
        ("reported at", "reported_at"),
    )
