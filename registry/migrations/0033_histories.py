"""A table keeps which of its columns were not read."""

from django.db import migrations, models

from arm import db


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0032_steps"),
    ]

    operations = [
        migrations.AddField(
            model_name="tableimport",
            name="passed_over",
            field=models.JSONField(
                default=list,
                editable=False,
                help_text="Columns of the file that no table sets, and that were not read.",
            ),
        ),
        db.frozen("registry_tableimport", ["passed_over"], name="frozen_passed_over"),
    ]
