"""What happens to an account is a line of the security log."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("arm", "0002_walls")]

    operations = [
        migrations.AlterField(
            model_name="securityevent",
            name="kind",
            field=models.CharField(
                choices=[
                    ("signed_in", "Signed in"),
                    ("sign_in_failed", "Sign-in failed"),
                    ("sign_in_locked", "Sign-in locked"),
                    ("signed_out", "Signed out"),
                    ("refused", "Refused"),
                    ("exported", "Exported"),
                    ("password_changed", "Password changed"),
                    ("account_changed", "Account changed"),
                ],
                max_length=16,
            ),
        ),
    ]
