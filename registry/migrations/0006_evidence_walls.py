"""Which evidence is about which version is said once, and never changes."""

from django.db import migrations

from arm import db


class Migration(migrations.Migration):
    dependencies = [("registry", "0005_version_evidence"), ("evidence", "0004_artefact_walls")]

    operations = [
        db.row_level_security("registry_versionevidence"),
        db.append_only("registry_versionevidence"),
    ]
