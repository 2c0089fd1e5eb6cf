"""Jobs come to the function as one JSON text."""

from django.db import migrations

NEW = """
DROP FUNCTION telemetry_note_jobs(uuid, timestamptz, uuid[], text[], text[], text[], uuid[]);
CREATE FUNCTION telemetry_note_jobs(owner uuid, seen timestamptz, jobs text) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  INSERT INTO telemetry_job AS j
    (id, tenant_id, key, outcome, cost_center, reported_by_id, first_seen_at, last_seen_at)
  SELECT u.id, owner, u.key, u.outcome, u.center, u.reporter, seen, seen
  FROM json_to_recordset(jobs::json) AS u(id uuid, key text, outcome text, center text, reporter uuid) ORDER BY u.key
  ON CONFLICT (tenant_id, key) DO UPDATE SET
    last_seen_at = greatest(j.last_seen_at, excluded.last_seen_at),
    outcome = CASE WHEN excluded.outcome = '' THEN j.outcome ELSE excluded.outcome END,
    cost_center = CASE WHEN excluded.cost_center = '' THEN j.cost_center ELSE excluded.cost_center END $$;
REVOKE ALL ON FUNCTION telemetry_note_jobs(uuid, timestamptz, text) FROM PUBLIC;
"""
OLD = """
DROP FUNCTION telemetry_note_jobs(uuid, timestamptz, text);
CREATE FUNCTION telemetry_note_jobs(
  owner uuid, seen timestamptz, ids uuid[], keys text[], outcomes text[], centers text[], reporters uuid[]
) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  INSERT INTO telemetry_job AS j
    (id, tenant_id, key, outcome, cost_center, reported_by_id, first_seen_at, last_seen_at)
  SELECT u.id, owner, u.key, u.outcome, u.center, u.reporter, seen, seen
  FROM unnest(ids, keys, outcomes, centers, reporters) AS u(id, key, outcome, center, reporter) ORDER BY u.key
  ON CONFLICT (tenant_id, key) DO UPDATE SET
    last_seen_at = greatest(j.last_seen_at, excluded.last_seen_at),
    outcome = CASE WHEN excluded.outcome = '' THEN j.outcome ELSE excluded.outcome END,
    cost_center = CASE WHEN excluded.cost_center = '' THEN j.cost_center ELSE excluded.cost_center END $$;
REVOKE ALL ON FUNCTION telemetry_note_jobs(uuid, timestamptz, uuid[], text[], text[], text[], uuid[]) FROM PUBLIC;
"""


class Migration(migrations.Migration):
    dependencies = [("telemetry", "0005_job_tenant")]

    operations = [migrations.RunSQL(NEW, OLD)]
