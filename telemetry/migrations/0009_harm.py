"""That an incident says its version does harm. Of those that stand, what people have said and what was tampered with."""

from django.db import migrations, models

SAID = """
ALTER TABLE telemetry_incident NO FORCE ROW LEVEL SECURITY;
UPDATE telemetry_incident SET harm = true
  WHERE subject_kind = 'registry.agentversion'
    AND (kind = 'tamper' OR (opened_by_id IS NOT NULL
      AND kind IN ('policy_violation', 'data_leak', 'tool_misuse', 'quality_regression')));
ALTER TABLE telemetry_incident FORCE ROW LEVEL SECURITY;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("telemetry", "0008_job_by_its_name"),
    ]

    operations = [
        migrations.AddField(
            model_name="incident",
            name="harm",
            field=models.BooleanField(
                default=False,
                editable=False,
                help_text="What the version does is wrong wherever it runs: the tenant's rule may deprecate it.",
            ),
        ),
        migrations.RunSQL(SAID, migrations.RunSQL.noop),
    ]
