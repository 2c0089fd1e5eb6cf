"""Jobs are noted many a second inside their wall: no check of the tenant for each."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("arm", "0002_walls"),
        ("telemetry", "0004_streams"),
    ]

    operations = [
        migrations.AlterField(
            model_name="job",
            name="tenant",
            field=models.ForeignKey(
                db_constraint=False,
                editable=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="arm.tenant",
            ),
        ),
    ]
