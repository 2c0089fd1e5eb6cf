"""Each step of a rollout holds whose word it needs and within which limits. Of those that stand: what their rollout has."""

from django.db import migrations, models

from arm import db

TABLES = ["rollout", "rolloutstep"]
FILL = """
UPDATE registry_rolloutstep AS step SET gates = made.gates, limits = made.limits
FROM registry_rollout made WHERE made.id = step.rollout_id;
"""
DOWN = "".join(f"ALTER TABLE registry_{name} NO FORCE ROW LEVEL SECURITY;" for name in TABLES)
UP = "".join(f"ALTER TABLE registry_{name} FORCE ROW LEVEL SECURITY;" for name in TABLES)
SHAPED = "CHECK (jsonb_typeof(gates) = 'array' AND jsonb_typeof(limits) = 'object')"


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0031_rel2"),
    ]

    operations = [
        migrations.AlterField(
            model_name="rollout",
            name="gates",
            field=models.JSONField(
                default=list,
                help_text="Whose word a step needs that says nothing of its own (settings.HEALTH_FACTS).",
            ),
        ),
        migrations.AddField(
            model_name="rolloutstep",
            name="gates",
            field=models.JSONField(default=list, help_text="Whose word it needs; without any, a person's."),
        ),
        migrations.AddField(
            model_name="rolloutstep",
            name="limits",
            field=models.JSONField(default=dict, help_text="Gate: its limit, in the unit the gate tells."),
        ),
        migrations.RunSQL(DOWN + FILL + UP, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="rolloutstep",
            constraint=models.CheckConstraint(
                condition=models.Q(("bake_seconds__lte", 1209600)), name="step_bakes_14_days"
            ),
        ),
        migrations.RunSQL(
            f"ALTER TABLE registry_rolloutstep ADD CONSTRAINT step_terms_shaped {SHAPED};",
            "ALTER TABLE registry_rolloutstep DROP CONSTRAINT step_terms_shaped;",
        ),
        db.frozen("registry_rolloutstep", ["gates", "limits"], name="terms_frozen"),
    ]
