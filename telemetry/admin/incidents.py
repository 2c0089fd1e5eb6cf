"""Incidents in the admin: list, one with its timeline, and the steps as commands with confirm pages."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import TabularInline

from arm.admin import AdminCommand, ScopedAdmin
from arm.models import User
from arm.rights import Right

from .. import services
from ..forms import Lines, MitigateForm, NoteForm, ResolveForm, ReviewForm, WhyForm, subject_of
from ..lifecycle import Detection, IncidentKind, Severity
from ..models import Incident, IncidentEntry


class SeverityForm(forms.Form):
    severity = forms.ChoiceField(choices=Severity)
    reason = Lines(rows=2, label="What you found")


class OpenForm(forms.ModelForm[Incident]):
    """The add form: the subject is named by its identifier."""

    subject = forms.CharField(max_length=60, help_text="ins_…, ver_…, tpl_…, env_…, prov_… or ten_….")
    harm = forms.BooleanField(required=False, label="The version does harm wherever it runs")
    note = Lines(rows=2, required=False, label="What you saw")

    class Meta:
        model = Incident
        fields = ("kind", "severity", "title")


class EntryInline(TabularInline):  # type: ignore[misc]
    """The timeline. Who sees the incident sees it; nobody edits it."""

    model = IncidentEntry
    fields = readonly_fields = ("at", "kind", "author", "before", "after", "text")
    ordering = ("at", "pk")
    extra = 0
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.select_related("author")

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def _triage(row: Incident, actor: User, cleaned: dict[str, Any]) -> object:
    return services.triage(
        incident=row,
        severity=Severity(cleaned["severity"]),
        owner=actor,
        actor=actor,
        reason=cleaned["reason"],
    )


def _mitigate(row: Incident, actor: User, cleaned: dict[str, Any]) -> object:
    return services.mitigate(incident=row, measure=cleaned["measure"], actor=actor, reason=cleaned["reason"])


@admin.register(Incident)
class IncidentAdmin(ScopedAdmin):
    view_right = Right.READ_INCIDENTS
    add_right = Right.MANAGE_INCIDENT
    list_display = (
        "severity",
        "title",
        "state",
        "kind",
        "subject_label",
        "environment",
        "owner",
        "opened_at",
    )
    list_display_links = ("title",)
    list_select_related = ("environment", "owner")
    list_filter = ("state", "severity", "kind", "environment")
    search_fields = ("title", "subject_label")
    ordering = ("severity", "opened_at")
    date_hierarchy = None
    inlines = (EntryInline,)
    readonly_fields = (
        "state",
        "state_since",
        "subject_label",
        "instance",
        "version",
        "template",
        "environment",
        "provider",
        "opened_at",
        "opened_by",
        "detected",
        "owner",
        "harm",
        "vouched",
        "root_cause",
        "remediation",
        "lessons",
        "recurrence_of",
        "facts",
    )
    fields = ("title", "kind", "severity", *readonly_fields)
    export_columns = (
        ("id", "typeid"),
        ("severity", "severity"),
        ("state", "state"),
        ("kind", "kind"),
        ("title", "title"),
        ("subject", "subject_label"),
        ("owner", "owner"),
        ("opened at", "opened_at"),
        ("root cause", "root_cause"),
        ("remediation", "remediation"),
    )
    commands = (
        AdminCommand("triage", "Triage and take over", Right.MANAGE_INCIDENT, _triage, SeverityForm),
        AdminCommand(
            "mitigate",
            "Mitigate",
            Right.MANAGE_INCIDENT,
            _mitigate,
            MitigateForm,
            "Restricts each incident's instance at once. Lifting it may need approvers.",
        ),
        AdminCommand(
            "resolve",
            "Resolve",
            Right.MANAGE_INCIDENT,
            lambda row, actor, cleaned: services.resolve(incident=row, actor=actor, **cleaned),
            ResolveForm,
        ),
        AdminCommand(
            "review",
            "Review and close",
            Right.MANAGE_INCIDENT,
            lambda row, actor, cleaned: services.review(incident=row, actor=actor, **cleaned),
            ReviewForm,
            "A reviewed incident stays closed.",
        ),
        AdminCommand(
            "reopen",
            "Reopen",
            Right.MANAGE_INCIDENT,
            lambda row, actor, cleaned: services.reopen(incident=row, actor=actor, **cleaned),
            WhyForm,
        ),
        AdminCommand(
            "note",
            "Add a note",
            Right.MANAGE_INCIDENT,
            lambda row, actor, cleaned: services.add_note(incident=row, actor=actor, **cleaned),
            NoteForm,
        ),
    )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("subject", "kind", "severity", "title", "harm", "note") if obj is None else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else self.fields

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return () if obj is None else self.inlines

    def plain_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            return super().plain_form(request, obj, change, **kwargs)
        actor = request.user

        class Opening(OpenForm):
            def clean_subject(self) -> Model:
                return subject_of(self.cleaned_data["subject"], actor)  # type: ignore[arg-type]

        return Opening

    def create(self, request: HttpRequest, cleaned: dict[str, Any]) -> Model:
        return services.open_incident(
            kind=IncidentKind(cleaned["kind"]),
            severity=Severity(cleaned["severity"]),
            title=cleaned["title"],
            subject=cleaned["subject"],
            actor=request.user,  # type: ignore[arg-type]
            detected=Detection.PERSON,
            note=cleaned["note"],
            harm=cleaned["harm"] or None,  # an empty box leaves it to the kind
        )
