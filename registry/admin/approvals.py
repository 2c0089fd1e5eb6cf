"""Approvals of versions in the admin: read as they were given."""

from django.contrib import admin

from arm.admin import ScopedAdmin

from ..models import VersionApproval


@admin.register(VersionApproval)
class VersionApprovalAdmin(ScopedAdmin):
    list_display = ("__str__", "round", "at", "withdrawn")
    list_select_related = ("version__template", "person", "withdrawal")
    search_fields = ("version__template__name", "reason")
    fields = readonly_fields = (
        "version",
        "round",
        "genome_digest",
        "person",
        "reason",
        "credential",
        "at",
        "withdrawn",
    )
    export_columns = (
        ("id", "typeid"),
        ("version", "version.typeid"),
        ("round", "round"),
        ("genome", "genome_digest"),
        ("by", "person.username"),
        ("at", "at"),
        ("withdrawn", "withdrawn"),
        ("reason", "reason"),
    )

    @admin.display(description="Taken back", boolean=True)
    def withdrawn(self, row: VersionApproval) -> bool:
        return row.withdrawn
