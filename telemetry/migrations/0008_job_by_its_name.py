"""A job's id follows from its name: one index says that it is noted once, and a batch's jobs cost half of what they did."""

from django.db import migrations, models

FUNCTIONS = """
CREATE FUNCTION telemetry_job_id(owner uuid, name text) RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$
  -- A version 8 UUID: 120 bits of a SHA-256 over the tenant's id and the name.
  SELECT overlay(overlay(left(encode(sha256(uuid_send(owner) || convert_to(name, 'UTF8')), 'hex'), 32)
    PLACING '8' FROM 13) PLACING '8' FROM 17)::uuid $$;
CREATE OR REPLACE FUNCTION telemetry_note_jobs(owner uuid, seen timestamptz, jobs json) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO telemetry_job AS j
    (id, tenant_id, key, outcome, cost_center, reported_by_id, first_seen_at, last_seen_at)
  SELECT telemetry_job_id(owner, k), owner, k, u.outcome, u.center, u.reporter, seen, seen
  FROM json_to_recordset(jobs) AS u(outcome text, center text, reporter uuid, keys json),
    json_array_elements_text(u.keys) AS k
  ORDER BY 1  -- in one order for everybody, so that two batches wait for each other instead of locking each other out
  ON CONFLICT (id) DO UPDATE SET
    last_seen_at = greatest(j.last_seen_at, excluded.last_seen_at),
    outcome = CASE WHEN excluded.outcome = '' THEN j.outcome ELSE excluded.outcome END,
    cost_center = CASE WHEN excluded.cost_center = '' THEN j.cost_center ELSE excluded.cost_center END;
END $$;
"""
RENAME = """
SELECT set_config('arm.tenants', arm_all_tenants()::text, true);
UPDATE telemetry_job SET id = telemetry_job_id(tenant_id, key);
SELECT set_config('arm.tenants', '', true);
"""


class Migration(migrations.Migration):
    dependencies = [("arm", "0002_walls"), ("telemetry", "0007_note_jobs_alike")]

    operations = [
        migrations.RunSQL(FUNCTIONS),
        migrations.RunSQL(RENAME),
        migrations.RemoveConstraint(model_name="job", name="job_once"),
        migrations.AlterField(
            model_name="job",
            name="id",
            field=models.UUIDField(editable=False, primary_key=True, serialize=False),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(fields=["tenant", "first_seen_at"], name="job_by_time"),
        ),
    ]
