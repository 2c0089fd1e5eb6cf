"""A pack that tells of rollbacks is the tenant's to see. Of those that stand: each of a version that had one by then."""

from django.db import migrations, models

FILL = """
ALTER TABLE registry_versionevidence NO FORCE ROW LEVEL SECURITY;
ALTER TABLE registry_rollback NO FORCE ROW LEVEL SECURITY;
ALTER TABLE evidence_artefact NO FORCE ROW LEVEL SECURITY;
ALTER TABLE registry_versionevidence DISABLE TRIGGER append_only;
UPDATE registry_versionevidence AS held SET template_id = NULL
  FROM evidence_artefact AS pack
  WHERE pack.id = held.artefact_id AND held.kind = 'audit_pack' AND EXISTS (
    SELECT FROM registry_rollback AS back
    WHERE held.version_id IN (back.from_version_id, back.to_version_id)
      AND (pack.state <> 'verified' OR back.at <= pack.state_since));
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE registry_versionevidence ENABLE TRIGGER append_only;
ALTER TABLE evidence_artefact FORCE ROW LEVEL SECURITY;
ALTER TABLE registry_rollback FORCE ROW LEVEL SECURITY;
ALTER TABLE registry_versionevidence FORCE ROW LEVEL SECURITY;
"""
SCOPES = "a_dossier_has_its_rollbacks_scopes"


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0029_drain"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="versionevidence", name=SCOPES),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="versionevidence",
            constraint=models.CheckConstraint(
                condition=models.Q(("rollback", None), ("template__isnull", False))
                | models.Q(("kind", "audit_pack"), ("rollback", None))
                | models.Q(("rollback__isnull", False), ("template", None)),
                name=SCOPES,
            ),
        ),
    ]
