"""Live instances of a version are counted from one index, which tells the wall its tenant, too."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("registry", "0034_once")]

    operations = [
        migrations.RemoveIndex(model_name="agentinstance", name="live_by_version"),
        migrations.AddIndex(
            model_name="agentinstance",
            index=models.Index(
                fields=["version", "environment"],
                include=("tenant",),
                condition=~Q(state="retired"),
                name="live_by_version",
            ),
        ),
    ]
