"""How many live instances each version has in each environment is kept by triggers, not counted row by row.

A statement that changes a version's number takes what rows of it nobody else holds, adds its own change, and leaves one
row. It waits for nobody: what another transaction holds stays beside it, and both are summed.
"""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

from arm import db

KEPT = """
CREATE FUNCTION registry_add_live(tenants uuid[], versions uuid[], environments uuid[], changes int[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  WITH held AS (
    SELECT id FROM registry_livecount WHERE version_id = ANY (versions) FOR UPDATE SKIP LOCKED),
  gone AS (
    DELETE FROM registry_livecount kept USING held WHERE kept.id = held.id
    RETURNING kept.tenant_id, kept.version_id, kept.places, kept.counts),
  every AS (
    SELECT * FROM unnest(tenants, versions, environments, changes) AS one (tenant_id, version_id, environment_id, n)
    UNION ALL
    SELECT gone.tenant_id, gone.version_id, one.environment_id, one.n
    FROM gone, unnest(gone.places, gone.counts) AS one (environment_id, n)),
  summed AS (
    SELECT tenant_id, version_id, environment_id, sum(n)::int AS n FROM every
    GROUP BY tenant_id, version_id, environment_id HAVING sum(n) <> 0)
  INSERT INTO registry_livecount (tenant_id, version_id, places, counts, live)
  SELECT tenant_id, version_id, array_agg(environment_id ORDER BY environment_id), array_agg(n ORDER BY environment_id),
    sum(n)::int
  FROM summed GROUP BY tenant_id, version_id $$;
REVOKE ALL ON FUNCTION registry_add_live(uuid[], uuid[], uuid[], int[]) FROM PUBLIC;

CREATE FUNCTION registry_keep_live() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  tenants uuid[]; versions uuid[]; environments uuid[]; changes int[];
BEGIN
  IF TG_OP = 'INSERT' THEN
    SELECT array_agg(tenant_id), array_agg(version_id), array_agg(environment_id), array_agg(n)
    INTO tenants, versions, environments, changes
    FROM (SELECT tenant_id, version_id, environment_id, count(*)::int AS n FROM made WHERE state <> 'retired'
          GROUP BY tenant_id, version_id, environment_id) AS change;
  ELSIF TG_OP = 'DELETE' THEN
    SELECT array_agg(tenant_id), array_agg(version_id), array_agg(environment_id), array_agg(n)
    INTO tenants, versions, environments, changes
    FROM (SELECT tenant_id, version_id, environment_id, -count(*)::int AS n FROM gone WHERE state <> 'retired'
          GROUP BY tenant_id, version_id, environment_id) AS change;
  ELSE
    SELECT array_agg(tenant_id), array_agg(version_id), array_agg(environment_id), array_agg(n)
    INTO tenants, versions, environments, changes
    FROM (SELECT tenant_id, version_id, environment_id, sum(n)::int AS n
          FROM (SELECT tenant_id, version_id, environment_id, 1 AS n FROM made WHERE state <> 'retired'
                UNION ALL
                SELECT tenant_id, version_id, environment_id, -1 FROM gone WHERE state <> 'retired') AS one
          GROUP BY tenant_id, version_id, environment_id HAVING sum(n) <> 0) AS change;
  END IF;
  IF versions IS NOT NULL THEN PERFORM registry_add_live(tenants, versions, environments, changes); END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER live_made AFTER INSERT ON registry_agentinstance REFERENCING NEW TABLE AS made
  FOR EACH STATEMENT EXECUTE FUNCTION registry_keep_live();
CREATE TRIGGER live_changed AFTER UPDATE ON registry_agentinstance REFERENCING OLD TABLE AS gone NEW TABLE AS made
  FOR EACH STATEMENT EXECUTE FUNCTION registry_keep_live();
CREATE TRIGGER live_gone AFTER DELETE ON registry_agentinstance REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION registry_keep_live();

ALTER TABLE registry_agentinstance NO FORCE ROW LEVEL SECURITY;
INSERT INTO registry_livecount (tenant_id, version_id, places, counts, live)
  SELECT tenant_id, version_id, array_agg(environment_id ORDER BY environment_id), array_agg(n ORDER BY environment_id),
    sum(n)::int
  FROM (SELECT tenant_id, version_id, environment_id, count(*)::int AS n FROM registry_agentinstance
        WHERE state <> 'retired' GROUP BY tenant_id, version_id, environment_id) AS there
  GROUP BY tenant_id, version_id;
ALTER TABLE registry_agentinstance FORCE ROW LEVEL SECURITY;
"""
COUNTED = """
DROP TRIGGER live_gone ON registry_agentinstance;
DROP TRIGGER live_changed ON registry_agentinstance;
DROP TRIGGER live_made ON registry_agentinstance;
DROP FUNCTION registry_keep_live();
DROP FUNCTION registry_add_live(uuid[], uuid[], uuid[], int[]);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("arm", "0009_replies_rest_on_rights"),
        ("registry", "0037_children"),
    ]

    operations = [
        migrations.CreateModel(
            name="LiveCount",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "places",
                    django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), size=None),
                ),
                (
                    "counts",
                    django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None),
                ),
                ("live", models.IntegerField()),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="arm.tenant",
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="registry.agentversion",
                    ),
                ),
            ],
            options={"indexes": [models.Index(fields=["version"], name="live_of_version")]},
        ),
        migrations.RunSQL(KEPT, COUNTED),
        db.row_level_security("registry_livecount"),
    ]
