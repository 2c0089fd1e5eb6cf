"""What telemetry answers to the apps below it: incidents that their rules open."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import Model

from arm.errors import Invalid, Problem
from arm.models import Tenant

from . import services
from .lifecycle import Detection, IncidentKind, Severity


class Incidents:
    """`arm.ports.Incidents`: an automatic rule opens an incident in its own transaction."""

    def open(
        self,
        *,
        tenant_id: UUID,
        kind: str,
        severity: str,
        title: str,
        subject_kind: str,
        subject_id: UUID,
        facts: Mapping[str, Any],
    ) -> UUID:
        """The id of the incident, new or standing. Invalid names what the rule got wrong."""
        problems = [
            Problem(pointer=f"/{name}", code="choice", message=f"Must be one of {', '.join(choices)}.")
            for name, value, choices in (
                ("kind", kind, IncidentKind.values),
                ("severity", severity, Severity.values),
            )
            if value not in choices
        ]
        subject = _subject(tenant_id, subject_kind, subject_id)
        if subject is None:
            problems.append(
                Problem(pointer="/subject_id", code="unknown", message="There is no such subject.")
            )
        if problems or subject is None:
            raise Invalid("The incident cannot be opened like this.", problems)
        return services.open_incident(
            kind=IncidentKind(kind),
            severity=Severity(severity),
            title=title,
            subject=subject,
            actor=None,
            facts=facts,
            detected=Detection.RULE,
        ).pk


def _subject(tenant_id: UUID, kind: str, pk: UUID) -> Model | None:
    """The row of this tenant; None where the kind or the row does not exist."""
    models = {model._meta.label_lower: model for model in apps.get_models()}
    if kind not in models:
        return None
    wanted = {"pk": pk} if models[kind] is Tenant else {"pk": pk, "tenant_id": tenant_id}
    return models[kind]._default_manager.filter(**wanted).first()
