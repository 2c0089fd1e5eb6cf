"""Row-level security on incidents; their timeline is append-only and what they are about never changes."""

from django.db import migrations

from arm import db


class Migration(migrations.Migration):
    dependencies = [("telemetry", "0001_initial"), ("registry", "0002_walls")]

    operations = [
        db.row_level_security("telemetry_incident"),
        db.row_level_security("telemetry_incidententry"),
        db.append_only("telemetry_incidententry"),
        db.frozen(
            "telemetry_incident",
            [
                "tenant_id",
                "kind",
                "subject_kind",
                "subject_id",
                "instance_id",
                "version_id",
                "template_id",
                "environment_id",
                "provider_id",
                "opened_at",
                "opened_by_id",
                "detected",
                "recurrence_of_id",
                "facts",
            ],
        ),
    ]
