import django.db.models.deletion
from django.db import migrations, models

import arm.ids
from arm import db


class Migration(migrations.Migration):
    # What drains already may have been drained for any reason: it is not known to leave, so a person retires it.

    dependencies = [
        ("arm", "0009_replies_rest_on_rights"),
        ("registry", "0028_gates"),
    ]

    operations = [
        migrations.AddField(
            model_name="agentinstance",
            name="leaving",
            field=models.BooleanField(
                default=False,
                editable=False,
                help_text="It drains because it was replaced, or its slot left its version: ARM retires it by itself.",
            ),
        ),
        migrations.AddIndex(
            model_name="agentinstance",
            index=models.Index(
                condition=models.Q(("leaving", True)), fields=["tenant", "id"], name="instance_leaving"
            ),
        ),
        migrations.AddConstraint(
            model_name="agentinstance",
            constraint=models.CheckConstraint(
                condition=models.Q(("leaving", False), ("state", "draining"), _connector="OR"),
                name="only_what_drains_leaves",
            ),
        ),
        migrations.CreateModel(
            name="DrainRound",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=arm.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "turn",
                    models.PositiveBigIntegerField(default=0, help_text="Which taking of the mark holds it."),
                ),
                ("reached", models.UUIDField(null=True)),
                (
                    "touched_at",
                    models.DateTimeField(
                        help_text="When its worker was last at it; empty: none is.", null=True
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="arm.tenant",
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="drainround",
            constraint=models.UniqueConstraint(fields=("tenant",), name="drain_round_once"),
        ),
        db.row_level_security("registry_drainround"),
        db.frozen("registry_drainround", ["tenant_id"]),
    ]
