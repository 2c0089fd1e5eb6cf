"""A dossier is seen by who sees its rollback; what is about the version alone keeps the template's scope, in a column."""

import django.db.models.deletion
from django.db import migrations, models

FILL = """
ALTER TABLE registry_versionevidence NO FORCE ROW LEVEL SECURITY;
ALTER TABLE registry_agentversion NO FORCE ROW LEVEL SECURITY;
ALTER TABLE registry_versionevidence DISABLE TRIGGER append_only;
UPDATE registry_versionevidence AS held SET template_id = version.template_id
  FROM registry_agentversion AS version WHERE version.id = held.version_id AND held.rollback_id IS NULL;
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE registry_versionevidence ENABLE TRIGGER append_only;
ALTER TABLE registry_agentversion FORCE ROW LEVEL SECURITY;
ALTER TABLE registry_versionevidence FORCE ROW LEVEL SECURITY;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0022_recorded_genomes"),
    ]

    operations = [
        migrations.AddField(
            model_name="versionevidence",
            name="template",
            field=models.ForeignKey(
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="registry.agenttemplate",
            ),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="versionevidence",
            constraint=models.CheckConstraint(
                condition=models.Q(("rollback", None), ("template__isnull", False))
                | models.Q(("rollback__isnull", False), ("template", None)),
                name="a_dossier_has_its_rollbacks_scopes",
            ),
        ),
    ]
