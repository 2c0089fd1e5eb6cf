"""Acts on many rows say when somebody last worked on them, findings which incident was opened; what a version uses stays
once it was submitted."""

from django.db import migrations, models

import arm.clock
from arm import db

USES = """
CREATE FUNCTION registry_uses_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM registry_agentversion v
             WHERE v.id = OLD.version_id AND (v.state <> 'draft' OR v.submitted_by_id IS NOT NULL)) THEN
    RAISE EXCEPTION 'DELETE of registry_dependency is refused: the version has left its first draft'
      USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN OLD;
END $$;
CREATE TRIGGER uses_stay BEFORE DELETE ON registry_dependency FOR EACH ROW EXECUTE FUNCTION registry_uses_stay();
"""
"""By the database as well: who used what is not forgotten."""


class Migration(migrations.Migration):
    dependencies = [("registry", "0016_release_rest")]

    operations = [
        migrations.AddField(
            model_name="bulkrun",
            name="touched_at",
            field=models.DateTimeField(
                default=arm.clock.now, editable=False, help_text="When somebody last worked on it."
            ),
        ),
        migrations.AddIndex(
            model_name="bulkrun",
            index=models.Index(
                condition=models.Q(("state__in", ["previewing", "applying"])),
                fields=["touched_at"],
                name="bulk_under_way",
            ),
        ),
        migrations.AddField(
            model_name="integrityfinding",
            name="incident_id",
            field=models.UUIDField(null=True, help_text="The incident that was opened about it."),
        ),
        db.frozen(
            "registry_integrityfinding",
            ["incident_id"],
            when="OLD.incident_id IS NOT NULL",
            name="incident_stands",
        ),
        migrations.RunSQL(
            USES, "DROP TRIGGER uses_stay ON registry_dependency; DROP FUNCTION registry_uses_stay();"
        ),
    ]
