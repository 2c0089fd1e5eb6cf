from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("federation", "0003_held_inventories_end"),
    ]

    operations = [
        migrations.AddField("command", "in_flight_at", models.DateTimeField(null=True)),
        migrations.AddField(
            "instancereport",
            "in_flight",
            models.PositiveIntegerField(help_text="Pieces of work in it, as last said.", null=True),
        ),
        migrations.AddField("instancereport", "in_flight_at", models.DateTimeField(null=True)),
    ]
