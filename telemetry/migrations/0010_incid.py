"""By whose word an incident is as severe as it is. Of those that stand: what a rule has opened, and what is about a version
itself, which took the right there."""

from django.db import migrations, models

SAID = """
ALTER TABLE telemetry_incident NO FORCE ROW LEVEL SECURITY;
UPDATE telemetry_incident SET vouched = severity
  WHERE opened_by_id IS NULL OR version_id IS NULL OR subject_kind = 'registry.agentversion';
ALTER TABLE telemetry_incident FORCE ROW LEVEL SECURITY;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("telemetry", "0009_harm"),
    ]

    operations = [
        migrations.AddField(
            model_name="incident",
            name="vouched",
            field=models.CharField(
                blank=True,
                choices=[
                    ("s0", "S0 Critical"),
                    ("s1", "S1 High"),
                    ("s2", "S2 Medium"),
                    ("s3", "S3 Low"),
                    ("s4", "S4 Notice"),
                ],
                default="",
                editable=False,
                help_text="How severe it is by the word of a rule or of somebody who may speak for the version; by this the tenant's rule deprecates it. Empty: nobody of them has judged it.",
                max_length=2,
            ),
            preserve_default=False,
        ),
        migrations.RunSQL(SAID, migrations.RunSQL.noop),
    ]
