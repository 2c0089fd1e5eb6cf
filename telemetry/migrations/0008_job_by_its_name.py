"""A job's id follows from its name: its one index says that it is noted once. New jobs are copied, as events are."""

from django.db import migrations, models

from arm import db

FUNCTIONS = """
CREATE FUNCTION telemetry_job_id(owner uuid, name text) RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$
  -- A version 8 UUID: 120 bits of a SHA-256 over the tenant's id and the name; telemetry.services.jobs.job_id says the same.
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
# COPY goes into a partition, past the wall of the table: there is one, and the ingest role may only add to it.
TABLE = """
ALTER TABLE telemetry_job RENAME TO telemetry_job_before;
CREATE TABLE telemetry_job (
  id uuid NOT NULL, tenant_id uuid NOT NULL, key varchar(200) NOT NULL, outcome varchar(200) NOT NULL,
  cost_center varchar(200) NOT NULL, reported_by_id uuid NOT NULL,
  first_seen_at timestamptz NOT NULL, last_seen_at timestamptz NOT NULL
) PARTITION BY HASH (id);
CREATE TABLE partitions.telemetry_job PARTITION OF telemetry_job FOR VALUES WITH (MODULUS 1, REMAINDER 0);
SELECT set_config('arm.tenants', arm_all_tenants()::text, true);
INSERT INTO telemetry_job
  SELECT telemetry_job_id(tenant_id, key), tenant_id, key, outcome, cost_center, reported_by_id, first_seen_at, last_seen_at
  FROM telemetry_job_before;
SELECT set_config('arm.tenants', '', true);
DROP TABLE telemetry_job_before;
ALTER TABLE telemetry_job ADD PRIMARY KEY (id);
CREATE INDEX job_by_time ON telemetry_job (tenant_id, first_seen_at);
"""
# It reads the partition, and keeps to the wall by a condition that no index answers: by the wall's own the planner would
# read all jobs of the tenant.
KNOWN = """
CREATE FUNCTION telemetry_known_jobs(ids uuid[]) RETURNS SETOF uuid
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp
  SET enable_seqscan = off  -- the table grows from nothing to millions before anybody has counted it
  AS $$
BEGIN
  RETURN QUERY SELECT j.id FROM partitions.telemetry_job j WHERE j.id = ANY(ids)
    AND (j.tenant_id = ANY(nullif(current_setting('arm.tenants', true), '')::uuid[])) IS TRUE;
END $$;
REVOKE ALL ON FUNCTION telemetry_known_jobs(uuid[]) FROM PUBLIC;
"""


class Migration(migrations.Migration):
    dependencies = [("arm", "0002_walls"), ("telemetry", "0007_note_jobs_alike")]

    operations = [
        migrations.RunSQL(FUNCTIONS),
        migrations.SeparateDatabaseAndState(
            [migrations.RunSQL(TABLE)],
            [
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
            ],
        ),
        db.row_level_security("telemetry_job"),
        migrations.RunSQL(KNOWN),
    ]
