"""Evaluation in the second workplace: everything to read, and verbs through their services."""

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from arm.admin import AdminCommand, ReasonOnly, ScopedAdmin
from arm.rights import Right
from arm.views import current_tenant
from registry.admin import ReadOnlyInline, ReasonedAdmin

from . import services
from .models import (
    AllowedHost,
    Assignment,
    Baseline,
    Certification,
    CertificationType,
    Endpoint,
    Result,
    Run,
    Suite,
    SuiteVersion,
)


class VersionInline(ReadOnlyInline):
    model = SuiteVersion
    fields = readonly_fields = ("number", "digest", "case_count", "threshold", "created_at")
    ordering = ("-number",)


class SuiteForm(forms.ModelForm[Suite]):
    """A new suite with the document of its first version."""

    document = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 24, "spellcheck": "false", "class": "code"}),
        strip=False,
        help_text="A suite (arm.suite/v1) as JSON.",
    )
    reason = forms.CharField(max_length=500)

    class Meta:
        model = Suite
        fields = ("name", "slug", "purpose")


@admin.register(Suite)
class SuiteAdmin(ScopedAdmin):
    add_right = Right.EDIT_SUITE
    list_display = ("name", "slug", "category", "created_by", "created_at")
    list_select_related = ("created_by",)
    list_filter = ("category",)
    search_fields = ("name", "slug", "purpose")
    inlines = (VersionInline,)
    fields = readonly_fields = (
        "name",
        "slug",
        "category",
        "capability",
        "purpose",
        "created_by",
        "created_at",
    )
    export_columns = (("id", "typeid"), ("name", "name"), ("slug", "slug"), ("category", "category"))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("name", "slug", "purpose", "document", "reason") if obj is None else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else self.fields

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return () if obj is None else self.inlines

    def plain_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return SuiteForm if obj is None else super().plain_form(request, obj, change, **kwargs)

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        return services.create_suite(
            tenant=current_tenant(request),
            name=cleaned["name"],
            slug=cleaned["slug"],
            purpose=cleaned["purpose"],
            document=cleaned["document"],
            actor=request.user,  # type: ignore[arg-type]
            reason=cleaned["reason"],
        ).suite


@admin.register(SuiteVersion)
class SuiteVersionAdmin(ScopedAdmin):
    list_display = ("suite", "number", "case_count", "threshold", "digest", "created_by", "created_at")
    list_select_related = ("suite", "created_by")
    list_filter = ("suite__category", "suite")
    search_fields = ("suite__name", "digest")
    fields = readonly_fields = (*list_display, "text")
    export_columns = (("id", "typeid"), ("suite", "suite"), ("number", "number"), ("digest", "digest"))

    @admin.display(description="Document")
    def text(self, row: SuiteVersion) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(row.raw, indent=2, ensure_ascii=False))


@admin.register(Baseline)
class BaselineAdmin(ScopedAdmin):
    list_display = ("run", "template", "since", "until", "created_by")
    list_select_related = ("run__suite_version__suite", "run__version__template", "template", "created_by")
    list_filter = (("until", admin.EmptyFieldListFilter), "template")
    search_fields = ("suite__name", "template__name")
    fields = readonly_fields = (*list_display, "reason")
    export_columns = (
        ("id", "typeid"),
        ("suite", "suite"),
        ("agent", "template"),
        ("run", "run.typeid"),
        ("since", "since"),
        ("until", "until"),
    )
    commands = (
        AdminCommand(
            "end_baseline",
            "Let it go",
            Right.EDIT_SUITE,
            lambda row, actor, cleaned: services.end_baseline(
                baseline=row, actor=actor, reason=cleaned["reason"]
            ),
            ReasonOnly,
        ),
    )


@admin.register(Assignment)
class AssignmentAdmin(ScopedAdmin):
    list_display = ("suite", "template", "mandatory", "since", "until", "created_by")
    list_select_related = ("suite", "template", "created_by")
    list_filter = (("until", admin.EmptyFieldListFilter), "mandatory", "suite__category", "template")
    search_fields = ("suite__name", "template__name")
    fields = readonly_fields = list_display
    export_columns = (
        ("id", "typeid"),
        ("suite", "suite"),
        ("agent", "template"),
        ("mandatory", "mandatory"),
        ("since", "since"),
        ("until", "until"),
    )
    commands = (
        AdminCommand(
            "end_assignment",
            "End the assignments",
            Right.EDIT_SUITE,
            lambda row, actor, cleaned: services.end_assignment(assignment=row, actor=actor, **cleaned),
            ReasonOnly,
            "The suites are asked no more. A safety case that has failed stays failed.",
        ),
    )


@admin.register(Endpoint)
class EndpointAdmin(ScopedAdmin):
    list_display = ("template", "version", "url", "since", "until", "created_by")
    list_select_related = ("template", "version__template", "created_by")
    list_filter = (("until", admin.EmptyFieldListFilter), "template")
    search_fields = ("template__name", "url")
    fields = readonly_fields = list_display
    export_columns = (
        ("id", "typeid"),
        ("agent", "template"),
        ("url", "url"),
        ("since", "since"),
        ("until", "until"),
    )
    commands = (
        AdminCommand(
            "end_endpoint",
            "End the endpoints",
            Right.RUN_EVALUATION,
            lambda row, actor, cleaned: services.end_endpoint(endpoint=row, actor=actor, **cleaned),
            ReasonOnly,
        ),
    )


@admin.register(AllowedHost)
class AllowedHostAdmin(ScopedAdmin):
    view_right = Right.MANAGE_TENANT
    list_display = ("entry", "since", "until", "created_by")
    list_select_related = ("created_by",)
    list_filter = (("until", admin.EmptyFieldListFilter),)
    search_fields = ("entry",)
    fields = readonly_fields = list_display
    commands = (
        AdminCommand(
            "end_allowed_host",
            "Call them no more",
            Right.MANAGE_TENANT,
            lambda row, actor, cleaned: services.end_allowed_host(allowed=row, actor=actor, **cleaned),
            ReasonOnly,
        ),
    )


class ResultInline(ReadOnlyInline):
    model = Result
    fields = readonly_fields = ("case", "turn", "severity", "outcome", "problem", "http_status", "latency_ms")
    ordering = ("position", "turn")


@admin.register(Run)
class RunAdmin(ScopedAdmin):
    list_display = (
        "suite_version",
        "version",
        "state",
        "trigger",
        "passed",
        "failed",
        "errored",
        "created_at",
    )
    list_select_related = ("suite_version__suite", "version__template")
    list_filter = ("state", "trigger", "suite__category", "suite", "template")
    search_fields = ("suite__name", "template__name", "genome_digest")
    inlines = (ResultInline,)
    fields = readonly_fields = (
        "suite_version", "version", "genome_digest", "endpoint", "trigger", "asked_by", "state", "said", "total", "done",
        "passed", "failed", "errored", "created_at", "started_at", "finished_at", "results_digest",
    )  # fmt: skip
    export_columns = (
        ("id", "typeid"),
        ("suite", "suite_version"),
        ("version", "version"),
        ("genome", "genome_digest"),
        ("state", "state"),
        ("passed", "passed"),
        ("failed", "failed"),
        ("errored", "errored"),
        ("results", "results_digest"),
    )
    commands = (
        AdminCommand(
            "cancel_run",
            "Cancel the runs",
            Right.RUN_EVALUATION,
            lambda row, actor, cleaned: services.cancel_run(run=row, actor=actor, **cleaned),
            ReasonOnly,
            "They come to no result.",
        ),
    )


@admin.register(Result)
class ResultAdmin(ScopedAdmin):
    list_display = (
        "case",
        "run",
        "turn",
        "severity",
        "outcome",
        "problem",
        "http_status",
        "latency_ms",
        "at",
    )
    list_select_related = ("run__suite_version__suite", "run__version__template")
    list_filter = ("outcome", "severity", "problem")
    search_fields = ("case", "run__suite__name")
    fields = readonly_fields = (*list_display, "detail", "answer_digest", "case_digest", "excerpt", "judged")
    export_columns = (
        ("id", "typeid"),
        ("run", "run.typeid"),
        ("case", "case"),
        ("outcome", "outcome"),
        ("problem", "problem"),
    )

    @admin.display(description="Verdicts")
    def judged(self, row: Result) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(row.verdicts, indent=2, ensure_ascii=False))


@admin.register(CertificationType)
class CertificationTypeAdmin(ReasonedAdmin):
    add_right = Right.EDIT_SUITE
    made_of = ("name", "slug", "purpose", "days")
    shown = (*made_of, "created_by", "created_at")
    list_display = ("name", "slug", "days", "created_by", "created_at")
    list_select_related = ("created_by",)
    search_fields = ("name", "slug")
    export_columns = (("id", "typeid"), ("slug", "slug"), ("name", "name"), ("days", "days"))

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        return services.create_certification_type(
            tenant=current_tenant(request),
            actor=request.user,  # type: ignore[arg-type]
            **cleaned,
        )


@admin.register(Certification)
class CertificationAdmin(ReasonedAdmin):
    add_right = Right.APPROVE_VERSION
    autocomplete_fields = ("version",)
    made_of = ("type", "version", "valid_until")
    list_display = ("type", "version", "standing", "valid_from", "valid_until", "issued_by", "revoked_at")
    list_select_related = ("type", "version__template", "issued_by")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter), "type", "template")
    search_fields = ("type__name", "template__name", "genome_digest")
    shown = (
        *("type", "version", "genome_digest", "standing", "issued_by", "issued_at", "valid_from"),
        *("valid_until", "reason", "evidence", "revoked_at", "revoked_by", "revoked_reason"),
    )
    export_columns = (
        ("id", "typeid"),
        ("type", "type.slug"),
        ("version", "version.typeid"),
        ("until", "valid_until"),
    )
    commands = (
        AdminCommand(
            "revoke_certification",
            "Revoke the certifications",
            Right.APPROVE_VERSION,
            lambda row, actor, cleaned: services.revoke_certification(
                certification=row, actor=actor, **cleaned
            ),
            ReasonOnly,
            "They count no more from this moment.",
        ),
    )

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        return services.issue_certification(actor=request.user, **cleaned)  # type: ignore[arg-type]
