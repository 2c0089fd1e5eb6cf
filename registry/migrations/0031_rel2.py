"""Returns of slots are marked, and what an abort has left bound without a due date gets one."""

from django.db import migrations, models

from arm import db

WALLS = ["agentversion", "deploymentslot", "rollback", "rollout", "slotbinding"]
RETURNED = """
UPDATE registry_slotbinding AS held SET returned = true
FROM registry_rollout made WHERE made.id = held.rollout_id AND made.version_id <> held.version_id;
UPDATE registry_slotbinding AS held SET returned = true
FROM registry_rollback back
WHERE held.id = (
  SELECT first.id FROM registry_slotbinding first
  WHERE first.slot_id = back.slot_id AND first.version_id = back.to_version_id AND first.rollout_id IS NULL
    AND first.since >= back.at AND first.reason = back.reason
  ORDER BY first.since LIMIT 1);
"""
DUE = """
UPDATE registry_agentversion AS held SET rebind_by = now() + interval '14 days'
WHERE held.rebind_by IS NULL AND held.state <> 'retired' AND (held.state = 'deprecated' OR held.rolled_back)
  AND EXISTS (SELECT FROM registry_deploymentslot slot WHERE slot.current_version_id = held.id);
"""
DOWN = "".join(f"ALTER TABLE registry_{name} NO FORCE ROW LEVEL SECURITY;" for name in WALLS)
UP = "".join(f"ALTER TABLE registry_{name} FORCE ROW LEVEL SECURITY;" for name in WALLS)


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0030_incid"),
    ]

    operations = [
        migrations.AddField(
            model_name="slotbinding",
            name="returned",
            field=models.BooleanField(
                default=False,
                help_text="A rollback or the abort of a rollout brought the slot back to it.",
            ),
        ),
        migrations.RunSQL(DOWN + RETURNED + DUE + UP, migrations.RunSQL.noop),
        db.frozen("registry_slotbinding", ["returned"], name="returned_frozen"),
    ]
