"""How the nouns of costs are called on pages."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("costs", "0002_walls")]

    operations = [
        migrations.AlterModelOptions(
            name="capbreach", options={"ordering": ["-pk"], "verbose_name_plural": "cap breaches"}
        ),
        migrations.AlterModelOptions(
            name="costmodel",
            options={"ordering": ["model", "provider", "-starts_at"], "verbose_name": "rate"},
        ),
        migrations.AlterModelOptions(
            name="ledgerentry", options={"managed": False, "verbose_name_plural": "ledger entries"}
        ),
        migrations.AlterModelOptions(
            name="spendrollup",
            options={"verbose_name": "spend of a day", "verbose_name_plural": "spend by day"},
        ),
    ]
