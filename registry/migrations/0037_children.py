"""Children are found by their parent from indexes that hold children alone, the living apart: few instances are any."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("arm", "0009_replies_rest_on_rights"),
        ("registry", "0036_words_of_many"),
    ]

    operations = [
        migrations.AlterField(
            model_name="agentinstance",
            name="parent",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="children",
                to="registry.agentinstance",
            ),
        ),
        migrations.AddIndex(
            model_name="agentinstance",
            index=models.Index(
                condition=models.Q(("parent__isnull", False)),
                fields=["parent", "created_at"],
                name="children_lately",
            ),
        ),
        migrations.AddIndex(
            model_name="agentinstance",
            index=models.Index(
                condition=models.Q(models.Q(("state", "retired"), _negated=True), ("parent__isnull", False)),
                fields=["parent"],
                name="children_living",
            ),
        ),
    ]
