"""An agent has one version of a genome, and a file is one import while it is not ended, by the database's word.

What came twice before, of two at once, keeps its place: no version is taken away or joined with another. The first by
number is the one that is found for the genome; the others are marked (`repeats`), and a draft loses the mark with its next
genome. Of imports of one file that are not ended, the one that has come farthest goes on; the others are cancelled, and
the rows that they have applied stay.
"""

from django.db import migrations, models

TABLES = ["agentversion", "tableimport"]
MARK = """
UPDATE registry_agentversion AS later SET repeats = true
WHERE EXISTS (
  SELECT FROM registry_agentversion first
  WHERE first.template_id = later.template_id AND first.genome_id = later.genome_id AND first.number < later.number
);
"""
CANCEL = """
UPDATE registry_tableimport AS one SET state = 'cancelled', finished_at = now()
FROM (
  SELECT id, row_number() OVER (
    PARTITION BY tenant_id, kind, digest ORDER BY state = 'applying' DESC, state = 'failed' DESC, done DESC, id
  ) AS place
  FROM registry_tableimport WHERE state IN ('checking', 'applying', 'checked', 'failed')
) ranked
WHERE ranked.id = one.id AND ranked.place > 1;
"""
DOWN = "".join(f"ALTER TABLE registry_{name} NO FORCE ROW LEVEL SECURITY;" for name in TABLES)
UP = "".join(f"ALTER TABLE registry_{name} FORCE ROW LEVEL SECURITY;" for name in TABLES)


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0033_histories"),
    ]

    operations = [
        migrations.AddField(
            model_name="agentversion",
            name="repeats",
            field=models.BooleanField(
                default=False,
                editable=False,
                help_text="An earlier version of its agent has the same genome: from before that was refused.",
            ),
        ),
        migrations.RunSQL(DOWN + MARK + CANCEL + UP, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="agentversion",
            constraint=models.UniqueConstraint(
                condition=models.Q(("repeats", False)),
                fields=("template", "genome"),
                name="version_genome_unique",
            ),
        ),
        migrations.AddConstraint(
            model_name="tableimport",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ["checking", "applying", "checked", "failed"])),
                fields=("tenant", "kind", "digest"),
                name="table_import_once",
            ),
        ),
    ]
