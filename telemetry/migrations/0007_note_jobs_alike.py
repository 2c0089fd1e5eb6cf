"""Jobs come to the function by what they have in common, and get their ids there; no index that another one covers."""

import django.db.models.deletion
from django.db import migrations, models

NEW = """
DROP FUNCTION telemetry_note_jobs(uuid, timestamptz, text);
CREATE FUNCTION telemetry_note_jobs(owner uuid, seen timestamptz, jobs json) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  INSERT INTO telemetry_job AS j
    (id, tenant_id, key, outcome, cost_center, reported_by_id, first_seen_at, last_seen_at)
  -- A version 7 UUID of the moment, as PostgreSQL 16 has no function for one.
  SELECT overlay(encode(substring(int8send((extract(epoch FROM seen) * 1000)::bigint) FROM 3)
      || substring(uuid_send(gen_random_uuid()) FROM 7), 'hex') PLACING '7' FROM 13)::uuid,
    owner, k, u.outcome, u.center, u.reporter, seen, seen
  FROM json_to_recordset(jobs) AS u(outcome text, center text, reporter uuid, keys json),
    json_array_elements_text(u.keys) AS k
  ORDER BY k
  ON CONFLICT (tenant_id, key) DO UPDATE SET
    last_seen_at = greatest(j.last_seen_at, excluded.last_seen_at),
    outcome = CASE WHEN excluded.outcome = '' THEN j.outcome ELSE excluded.outcome END,
    cost_center = CASE WHEN excluded.cost_center = '' THEN j.cost_center ELSE excluded.cost_center END $$;
REVOKE ALL ON FUNCTION telemetry_note_jobs(uuid, timestamptz, json) FROM PUBLIC;
"""


class Migration(migrations.Migration):
    dependencies = [("arm", "0002_walls"), ("telemetry", "0006_note_jobs")]

    operations = [
        migrations.RunSQL(NEW, migrations.RunSQL.noop),
        migrations.AlterField(
            model_name="job",
            name="tenant",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                editable=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="arm.tenant",
            ),
        ),
    ]
