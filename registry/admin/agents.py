"""Templates, versions, genomes and prompts in the admin."""

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Model, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from arm.admin import AdminCommand, ReasonOnly, ScopeAdmin, ScopedAdmin
from arm.models import User
from arm.rights import Right, Risk

from .. import services
from ..lifecycle import VersionState
from ..models import AgentTemplate, AgentVersion, Genome, Ownership, Prompt
from .reasoned import ReadOnlyInline, ReasonedAdmin


class OwnershipInline(ReadOnlyInline):
    model = Ownership
    fields = readonly_fields = ("user", "since", "until")
    ordering = ("-since",)
    show_change_link = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.select_related("user")


class VersionInline(ReadOnlyInline):
    model = AgentVersion
    fields = readonly_fields = ("number", "label", "state", "state_since", "created_by")
    ordering = ("-number",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.select_related("created_by", "template")


class RiskForm(forms.Form):
    risk = forms.ChoiceField(choices=Risk)
    reason = forms.CharField(max_length=500)


def _set_risk(row: AgentTemplate, actor: User, cleaned: dict[str, Any]) -> object:
    return services.update_template(
        template=row, actor=actor, risk=Risk(cleaned["risk"]), reason=cleaned["reason"]
    )


DESCRIBED = ("name", "description", "intended_use", "out_of_scope", "tags", "project", "cost_center")


@admin.register(AgentTemplate)
class AgentTemplateAdmin(ReasonedAdmin, ScopeAdmin):
    edit_right = add_right = Right.CREATE_VERSION
    list_display = ("name", "slug", "risk", "tag_list", "project", "cost_center", "version_count")
    list_select_related = ("project",)
    list_filter = ("risk", "project")
    search_fields = ("name", "slug", "description")
    inlines = (OwnershipInline, VersionInline)
    made_of = ("slug", "risk", *DESCRIBED)
    changed = DESCRIBED
    shown = ("slug", "risk", *DESCRIBED, "created_at")
    export_columns = (
        ("id", "typeid"),
        ("name", "name"),
        ("slug", "slug"),
        ("risk", "risk"),
        ("tags", lambda row: " ".join(row.tags)),
        ("cost centre", "cost_center"),
        ("created", "created_at"),
    )
    commands = (
        AdminCommand(
            "set_risk",
            "Change the risk class",
            Right.MANAGE_DIRECTORY,
            _set_risk,
            RiskForm,
            "Limits of role bindings and what production takes follow the risk class.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).annotate(versions_made=Count("versions"))
        return rows

    @admin.display(description="Tags")
    def tag_list(self, row: AgentTemplate) -> str:
        return ", ".join(row.tags)

    @admin.display(description="Versions", ordering="versions_made")
    def version_count(self, row: Any) -> int:
        count: int = row.versions_made
        return count

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return () if obj is None else self.inlines

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        return services.register_template(
            tenant=request.tenant,  # type: ignore[attr-defined]
            actor=request.user,  # type: ignore[arg-type]
            **cleaned,
        )

    def edit(self, request: HttpRequest, obj: Any, cleaned: dict[str, Any]) -> None:
        services.update_template(template=obj, actor=request.user, **cleaned)  # type: ignore[arg-type]


class CandidateForm(ReasonOnly):
    acknowledged = forms.CharField(
        max_length=2000, required=False, help_text="Why it may break what callers or tools rely on."
    )


def _mover(name: str, label: str, to: VersionState, right: Right, warning: str = "") -> AdminCommand:
    def move(row: AgentVersion, actor: User, cleaned: dict[str, Any]) -> object:
        return services.move_version(version=row, to=to, actor=actor, **cleaned)

    form = CandidateForm if to is VersionState.CANDIDATE else ReasonOnly
    return AdminCommand(name, label, right, move, form, warning)


def _approve(row: AgentVersion, actor: User, cleaned: dict[str, Any]) -> object:
    return services.approve_version(version=row, actor=actor, **cleaned)


@admin.register(AgentVersion)
class AgentVersionAdmin(ScopedAdmin):
    list_display = ("__str__", "label", "state", "state_since", "short_digest", "created_by", "created_at")
    list_select_related = ("template", "genome", "created_by")
    list_filter = ("state", "template__risk", "rolled_back", "template")
    search_fields = ("template__name", "label", "genome__digest")
    autocomplete_fields = ()
    fields = readonly_fields = (
        "template",
        "number",
        "label",
        "description",
        "genome",
        "state",
        "state_since",
        "rolled_back",
        "rebind_by",
        "created_by",
        "submitted_by",
        "created_at",
    )
    export_columns = (
        ("id", "typeid"),
        ("agent", "template.name"),
        ("number", "number"),
        ("label", "label"),
        ("state", "state"),
        ("since", "state_since"),
        ("digest", "genome.digest"),
    )
    commands = (
        _mover("submit", "Submit for testing", VersionState.TESTING, Right.SUBMIT_VERSION),
        _mover("to_candidate", "Propose as candidate", VersionState.CANDIDATE, Right.SUBMIT_VERSION),
        AdminCommand("approve", "Approve", Right.APPROVE_VERSION, _approve, ReasonOnly),
        _mover("to_draft", "Back to draft", VersionState.DRAFT, Right.SUBMIT_VERSION),
        _mover(
            "deprecate",
            "Deprecate",
            VersionState.DEPRECATED,
            Right.PROMOTE_RELEASE,
            "No slot can be bound to it any more; slots that are bound keep it.",
        ),
        _mover("retire", "Retire", VersionState.RETIRED, Right.PROMOTE_RELEASE, "This cannot be undone."),
        _mover("withdraw", "Withdraw", VersionState.RETIRED, Right.CREATE_VERSION, "This cannot be undone."),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("genome__content").order_by("-pk")

    @admin.display(description="Genome")
    def short_digest(self, row: AgentVersion) -> str:
        return row.genome.digest[:19]


@admin.register(Genome)
class GenomeAdmin(ScopedAdmin):
    """Read-only, as the database holds it: the bytes are recomputed each time one is opened."""

    list_display = ("digest", "template", "is_complete", "completeness", "created_at")
    list_select_related = ("template",)
    list_filter = ("template",)
    search_fields = ("digest", "template__name")
    fields = readonly_fields = (
        "template",
        "digest",
        "verified",
        "missing",
        "completeness",
        "build",
        "document",
        "created_at",
    )
    export_columns = (("id", "typeid"), ("agent", "template.name"), ("digest", "digest"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).order_by("-pk")

    @admin.display(description="Complete", boolean=True)
    def is_complete(self, row: Genome) -> bool:
        return row.complete

    @admin.display(description="Verified")
    def verified(self, row: Genome) -> str:
        read = services.read_genome(genome=row)
        if read.intact:
            return "The stored bytes match the digest, recomputed just now."
        return f"TAMPERED: the stored bytes have the digest {read.computed}."

    @admin.display(description="Document")
    def document(self, row: Genome) -> SafeString:
        text = json.dumps(services.read_genome(genome=row).document, indent=2, ensure_ascii=False)
        return format_html("<pre>{}</pre>", text)


@admin.register(Prompt)
class PromptAdmin(ScopedAdmin):
    """What is known of a prompt. Its text has a right of its own and is not shown here."""

    list_display = ("digest", "media_type", "size", "created_at")
    list_filter = ("media_type",)
    search_fields = ("digest",)
    fields = readonly_fields = ("digest", "media_type", "size", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("content").order_by("-pk")
