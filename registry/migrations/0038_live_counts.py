"""How many live instances each version has in each environment is kept by triggers, not counted row by row.

A statement that changes a version's number takes what rows of it nobody else holds, adds its own change, and leaves one
row. It waits for nobody: what another transaction holds stays beside it, and both are summed.

`registry_recount_live` compares what is kept with the instances, of one snapshot, and adds what is missing.
"""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

from arm import db

KEPT = """
CREATE FUNCTION registry_add_live(tenants uuid[], versions uuid[], environments uuid[], changes int[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  WITH held AS (
    SELECT id FROM registry_livecount
    WHERE version_id = ANY (versions) AND current_setting('transaction_isolation') = 'read committed'
    FOR UPDATE SKIP LOCKED),
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
CREATE FUNCTION registry_recount_live(of_tenant uuid) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
  corrected int;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('registry_recount_live' || of_tenant::text, 0));
  WITH apart AS (
    SELECT version_id, environment_id, sum(n)::int AS n FROM (
      SELECT version_id, environment_id, count(*) AS n FROM registry_agentinstance
      WHERE tenant_id = of_tenant AND state <> 'retired' GROUP BY version_id, environment_id
      UNION ALL
      SELECT kept.version_id, one.environment_id, -one.n
      FROM registry_livecount kept, unnest(kept.places, kept.counts) AS one (environment_id, n)
      WHERE kept.tenant_id = of_tenant) AS both_ways
    GROUP BY version_id, environment_id HAVING sum(n) <> 0),
  mended AS (
    INSERT INTO registry_livecount (tenant_id, version_id, places, counts, live)
    SELECT of_tenant, version_id, array_agg(environment_id), array_agg(n), sum(n)::int FROM apart GROUP BY version_id
    RETURNING 1)
  SELECT count(*)::int INTO corrected FROM mended;
  RETURN corrected;
END $$;

LOCK TABLE registry_agentinstance IN SHARE ROW EXCLUSIVE MODE;
CREATE TRIGGER live_made AFTER INSERT ON registry_agentinstance REFERENCING NEW TABLE AS made
  FOR EACH STATEMENT EXECUTE FUNCTION registry_keep_live();
CREATE TRIGGER live_changed AFTER UPDATE ON registry_agentinstance REFERENCING OLD TABLE AS gone NEW TABLE AS made
  FOR EACH STATEMENT EXECUTE FUNCTION registry_keep_live();
CREATE TRIGGER live_gone AFTER DELETE ON registry_agentinstance REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION registry_keep_live();
-- the wall stays as it is: taking it off would keep readers out as well, who would wait for a count of everything
DO $$
DECLARE
  before text := coalesce(current_setting('arm.tenants', true), '');
  every uuid;
BEGIN
  FOREACH every IN ARRAY coalesce(arm_all_tenants(), '{}') LOOP
    PERFORM set_config('arm.tenants', '{' || every || '}', true);
    PERFORM registry_recount_live(every);
  END LOOP;
  PERFORM set_config('arm.tenants', before, true);
END $$;
ALTER TABLE registry_livecount SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
"""
COUNTED = """
DROP TRIGGER live_gone ON registry_agentinstance;
DROP TRIGGER live_changed ON registry_agentinstance;
DROP TRIGGER live_made ON registry_agentinstance;
DROP FUNCTION registry_recount_live(uuid);
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
