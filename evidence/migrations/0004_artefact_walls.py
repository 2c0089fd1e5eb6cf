"""Walls around artefacts; a file never changes, a statement not once it is there, and nothing after it was verified."""

from django.db import migrations

from arm import db

ABOUT = [
    "tenant_id",
    "kind",
    "subject_kind",
    "subject_id",
    "subject_label",
    "requested_by_id",
    "requested_by",
    "requested_at",
]


class Migration(migrations.Migration):
    dependencies = [("evidence", "0003_artefacts")]

    operations = [
        db.row_level_security("evidence_artefact"),
        db.row_level_security("evidence_artefactfile"),
        db.append_only("evidence_artefactfile"),
        db.frozen("evidence_artefact", ABOUT),
        db.frozen(
            "evidence_artefact", ["statement"], when="OLD.statement IS NOT NULL", name="statement_frozen"
        ),
        db.frozen("evidence_artefact", ["key_id"], when="OLD.key_id IS NOT NULL", name="key_frozen"),
        db.frozen(
            "evidence_artefact", ["state", "times"], when="OLD.state = 'verified'", name="verified_frozen"
        ),
        db.frozen("evidence_signingkey", ["certificate"], name="certificate_frozen"),
    ]
