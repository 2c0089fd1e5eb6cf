"""Sweeps over what is stored, and what they found, in the admin: looked at, never written."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from arm import ids

from ..models import IntegrityFinding, IntegritySweep
from .reasoned import ReadOnlyInline, ReasonedAdmin


class FindingInline(ReadOnlyInline):
    model = IntegrityFinding
    fields = readonly_fields = ("digest", "computed", "found_at", "restored_at")
    ordering = ("-found_at", "-pk")


@admin.register(IntegritySweep)
class IntegritySweepAdmin(ReasonedAdmin):
    list_display = ("began_at", "finished_at", "phase", "genomes", "prompts", "versions", "octets", "wrong")
    list_filter = ("phase",)
    inlines = (FindingInline,)
    shown = ("began_at", "finished_at", "phase", "genomes", "prompts", "versions", "octets", "wrong")
    export_columns = (("id", "typeid"), *((name, name) for name in shown))


@admin.register(IntegrityFinding)
class IntegrityFindingAdmin(ReasonedAdmin):
    list_display = ("digest", "what", "found_at", "restored_at", "how")
    list_filter = ("found_at", "restored_at")
    search_fields = ("digest", "computed")
    shown = ("what", "digest", "computed", "versions", "incident", "sweep", "found_at", "restored_at")
    export_columns = (
        ("id", "typeid"),
        ("digest", "digest"),
        ("computed", "computed"),
        ("found", "found_at"),
        ("restored", "restored_at"),
        ("incident", lambda row: ids.encode("inc", row.incident_id) if row.incident_id else ""),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return (
            super()
            .get_queryset(request)
            .select_related("sweep", "genome__template", "version__template")
            .defer("genome__content")
        )

    @admin.display(description="What")
    def what(self, row: IntegrityFinding) -> str:
        if row.version:
            return f"{row.version}: another genome than its records name"
        return f"Genome of {row.genome.template}" if row.genome else "Prompt"

    @admin.display(description="How")
    def how(self, row: IntegrityFinding) -> str:
        return "by a sweep" if row.sweep_id else "on reading"

    @admin.display(description="Versions")
    def versions(self, row: IntegrityFinding) -> str:
        """Where the versions are that it defines or is part of: those pages show what the visitor may see."""
        if row.version:
            return format_html('<a href="{}">The version</a>', row.version.get_absolute_url())
        if row.genome_id:
            return format_html(
                '<a href="{}?digest={}">Its versions</a>', reverse("registry:version_list"), row.digest
            )
        return format_html('<a href="{}?q={}">Who uses it</a>', reverse("registry:uses_list"), row.digest)

    @admin.display(description="Incident")
    def incident(self, row: IntegrityFinding) -> str:
        return format_html('<a href="{}">Incident</a>', row.incident_url) if row.incident_url else ""
