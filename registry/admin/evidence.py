"""Signed documents in the admin: read-only, as they were made."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from arm.admin import ScopedAdmin
from arm.rights import Right

from ..models import VersionEvidence


@admin.register(VersionEvidence)
class VersionEvidenceAdmin(ScopedAdmin):
    view_right = Right.READ_EVIDENCE
    list_display = ("__str__", "kind", "state", "requested_at", "requested_by")
    list_select_related = ("artefact", "version__template")
    list_filter = ("kind", "artefact__state", "version__template")
    search_fields = ("version__template__name", "artefact__subject_label")
    fields = readonly_fields = (
        "version",
        "kind",
        "state",
        "problem",
        "times",
        "files",
        "requested_at",
        "requested_by",
    )
    export_columns = (
        ("id", "typeid"),
        ("kind", "kind"),
        ("version", "version.typeid"),
        ("state", "artefact.shown_state"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("artefact__statement", "artefact__scratch").order_by("-pk")

    @admin.display(description="State")
    def state(self, row: VersionEvidence) -> str:
        return row.artefact.shown_state

    @admin.display(description="Problem")
    def problem(self, row: VersionEvidence) -> str:
        return row.artefact.problem

    @admin.display(description="Steps")
    def times(self, row: VersionEvidence) -> str:
        return ", ".join(f"{state} {at}" for state, at in row.artefact.times.items())

    @admin.display(description="Files")
    def files(self, row: VersionEvidence) -> str:
        return ", ".join(f"{file.name} {file.digest}" for file in row.artefact.files.defer("content"))

    @admin.display(description="Requested")
    def requested_at(self, row: VersionEvidence) -> Any:
        return row.artefact.requested_at

    @admin.display(description="By")
    def requested_by(self, row: VersionEvidence) -> str:
        return row.artefact.requested_by
