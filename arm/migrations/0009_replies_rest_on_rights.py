"""An answer that is given again is given to who still holds the rights that it rests on."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("arm", "0008_saved_views")]

    operations = [
        migrations.AddField(model_name="idempotentreply", name="rests_on", field=models.JSONField(null=True)),
    ]
