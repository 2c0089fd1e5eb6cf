"""Places in full: fleets that were taken over as they ran."""

from django.db import migrations, models

# What waits in production, outside slots, of agents that no slot ever had, came in when that was not asked (ADR 55): it is
# taken over. The walls are let down for the owner, who sees no tenant's rows otherwise.
WALLS = ["agentinstance", "agentversion", "environment", "slotbinding"]
ADOPT = """
UPDATE registry_agentinstance AS held SET adopted = true
FROM registry_environment place
WHERE place.id = held.environment_id AND place.production AND held.state = 'provisioning'
  AND held.slot_id IS NULL AND held.parent_id IS NULL
  AND NOT EXISTS (
    SELECT FROM registry_slotbinding bound JOIN registry_agentversion version ON version.id = bound.version_id
    WHERE version.template_id = held.template_id);
"""
DOWN = "".join(f"ALTER TABLE registry_{name} NO FORCE ROW LEVEL SECURITY;" for name in WALLS)
UP = "".join(f"ALTER TABLE registry_{name} FORCE ROW LEVEL SECURITY;" for name in WALLS)


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0025_directory"),
    ]

    operations = [
        migrations.AddField(
            model_name="agentinstance",
            name="adopted",
            field=models.BooleanField(
                default=False,
                editable=False,
                help_text="Came in with a fleet that ran in production already, around the channels.",
            ),
        ),
        migrations.AddIndex(
            model_name="agentinstance",
            index=models.Index(
                condition=models.Q(("adopted", True)), fields=["tenant", "-id"], name="instance_adopted"
            ),
        ),
        migrations.AddField(
            model_name="agentinstance",
            name="replacement",
            field=models.BooleanField(
                default=False,
                editable=False,
                help_text="ARM provisioned it for one that a slot left, and activates it when nothing is missing.",
            ),
        ),
        migrations.AddIndex(
            model_name="agentinstance",
            index=models.Index(
                condition=models.Q(("replacement", True), ("state", "provisioning")),
                fields=["tenant", "id"],
                name="replacement_waits",
            ),
        ),
        migrations.AddField(
            model_name="roledefinition",
            name="unkept_told",
            field=models.JSONField(
                default=list,
                editable=False,
                help_text="Budgets and objectives that were told as not kept; told once each.",
            ),
        ),
        migrations.AddField(
            model_name="deploymentslot",
            name="closed_at",
            field=models.DateTimeField(
                editable=False, help_text="Since when it takes no version.", null=True
            ),
        ),
        migrations.AddConstraint(
            model_name="deploymentslot",
            constraint=models.CheckConstraint(
                condition=models.Q(("closed_at", None), ("current_version", None), _connector="OR"),
                name="closed_slot_is_empty",
            ),
        ),
        migrations.AddField(
            model_name="provider",
            name="closed_at",
            field=models.DateTimeField(
                editable=False, help_text="Since when nothing new begins there.", null=True
            ),
        ),
        migrations.AddField(
            model_name="provider",
            name="region",
            field=models.CharField(
                blank=True, default="", help_text="Where its machines stand.", max_length=80
            ),
        ),
        migrations.AddField(
            model_name="provider",
            name="terms",
            field=models.TextField(
                blank=True, default="", help_text="What was agreed with it, or where that is kept."
            ),
        ),
        migrations.AddField(
            model_name="directoryrules",
            name="allowed_providers",
            field=models.JSONField(
                blank=True,
                default=list,
                help_text="Short names of the providers where something new may run; empty: all.",
            ),
        ),
        migrations.RunSQL(DOWN + ADOPT + UP, migrations.RunSQL.noop),
    ]
