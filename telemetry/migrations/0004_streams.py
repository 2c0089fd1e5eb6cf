"""The event stream in daily partitions, the wall around every table, and what the ingest role may call.

The ingest role may INSERT into partitions and nothing else. What a batch needs beside that (which ids are known, what
to quarantine, which jobs to note) it asks of functions that run as the owner inside the wall: they see the tenant that
the transaction has named, like everybody. `telemetry.services.partitions.prepare` hands the functions out.
"""

from django.db import migrations

from arm import db

EVENT = """
CREATE TABLE telemetry_event (
  event_id uuid NOT NULL, occurred_at timestamptz NOT NULL,
  tenant_id uuid NOT NULL, provider_id uuid NOT NULL, environment_id uuid NOT NULL,
  template_id uuid NOT NULL, version_id uuid NOT NULL, instance_id uuid NOT NULL,
  received_at timestamptz NOT NULL,
  trace_id uuid NOT NULL, span_id bigint NOT NULL, parent_span_id bigint,
  type smallint NOT NULL, status smallint NOT NULL, flags smallint NOT NULL, mapper_version smallint NOT NULL,
  duration_ms integer, ttft_ms integer, generation integer,
  input_tokens integer, cache_read_tokens integer, cache_write_tokens integer,
  output_tokens integer, reasoning_tokens integer,
  provider_code integer, model_requested_code integer, model_used_code integer, finish_code integer,
  tool_code integer, error_code integer, cost_center_code integer, outcome_code integer,
  job text NOT NULL, conversation text NOT NULL, content_digest bytea, attributes text NOT NULL,
  UNIQUE (event_id, occurred_at)
) PARTITION BY RANGE (occurred_at);
CREATE INDEX telemetry_event_time ON telemetry_event USING brin (occurred_at);
CREATE INDEX telemetry_event_instance ON telemetry_event (instance_id, event_id);
"""

# A partition is made apart and then attached: readers of the parent are not held up.
ENSURE_PARTITION = """
CREATE FUNCTION telemetry_ensure_partition(parent text, day date) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  name text := parent || '_' || to_char(day, 'YYYYMMDD');
BEGIN
  IF NOT EXISTS (SELECT FROM pg_class WHERE relname = parent AND relkind = 'p' AND relnamespace = 'public'::regnamespace)
  THEN RAISE EXCEPTION '% is not a partitioned table', parent; END IF;
  IF day NOT BETWEEN current_date - 1100 AND current_date + 10 THEN
    RAISE EXCEPTION '% is outside of what may be stored', day; END IF;
  IF to_regclass(format('partitions.%I', name)) IS NOT NULL THEN RETURN false; END IF;
  PERFORM pg_advisory_xact_lock(hashtext('telemetry_ensure_partition'));
  IF to_regclass(format('partitions.%I', name)) IS NOT NULL THEN RETURN false; END IF;
  EXECUTE format('CREATE TABLE partitions.%I (LIKE public.%I INCLUDING DEFAULTS)', name, parent);
  EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION partitions.%I FOR VALUES FROM (%L) TO (%L)', parent, name,
    day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
  RETURN true;
END $$;
"""

DROP_PARTITIONS = """
CREATE FUNCTION telemetry_drop_partitions(parent text, before date) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  part record; dropped integer := 0;
BEGIN
  IF parent <> 'telemetry_event' OR before > current_date - 1 THEN
    RAISE EXCEPTION 'only past events may be dropped'; END IF;
  FOR part IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = to_regclass(parent) AND c.relname < parent || '_' || to_char(before, 'YYYYMMDD')
  LOOP
    EXECUTE format('DROP TABLE partitions.%I', part.relname);
    dropped := dropped + 1;
  END LOOP;
  RETURN dropped;
END $$;
"""

KNOWN = """
CREATE FUNCTION telemetry_known(ids uuid[], since timestamptz, until timestamptz) RETURNS SETOF uuid
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT event_id FROM telemetry_event
    WHERE occurred_at BETWEEN since AND until AND event_id = ANY(ids) $$;
"""

QUARANTINE = """
CREATE FUNCTION telemetry_quarantine(
  owner uuid, place uuid, sender uuid, received timestamptz, room integer,
  ids uuid[], reasons text[], details text[], times timestamptz[], payloads text[]
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  today date := (received AT TIME ZONE 'UTC')::date;
BEGIN
  WITH incoming AS (
    SELECT DISTINCT ON (u.id) u.* FROM unnest(ids, reasons, details, times, payloads)
      AS u(id, reason, detail, occurred, payload) ORDER BY u.id
  ), fresh AS (
    SELECT * FROM incoming i WHERE NOT EXISTS (SELECT FROM telemetry_quarantinedevent q WHERE q.id = i.id)
  ), kept AS (
    SELECT c.reason, c.spans FROM telemetry_quarantinecount c
    WHERE c.tenant_id = owner AND c.environment_id = place AND c.provider_id = sender AND c.day = today
  ), stored AS (
    INSERT INTO telemetry_quarantinedevent
      (id, tenant_id, environment_id, provider_id, reason, detail, occurred_at, received_at, payload)
    SELECT n.id, owner, place, sender, n.reason, n.detail, n.occurred, received, n.payload::jsonb
    FROM (SELECT f.*, row_number() OVER (PARTITION BY f.reason ORDER BY f.id) AS nth FROM fresh f) n
    LEFT JOIN kept USING (reason)
    WHERE coalesce(kept.spans, 0) + n.nth <= room
    ON CONFLICT DO NOTHING
  )
  INSERT INTO telemetry_quarantinecount AS c (tenant_id, environment_id, provider_id, reason, day, spans)
  SELECT owner, place, sender, reason, today, count(*) FROM fresh GROUP BY reason ORDER BY reason
  ON CONFLICT (tenant_id, environment_id, provider_id, reason, day) DO UPDATE SET spans = c.spans + excluded.spans;
END $$;
"""

JOBS = """
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
"""

FUNCTIONS = [
    "telemetry_ensure_partition(text, date)",
    "telemetry_drop_partitions(text, date)",
    "telemetry_known(uuid[], timestamptz, timestamptz)",
    "telemetry_quarantine(uuid, uuid, uuid, timestamptz, integer, uuid[], text[], text[], timestamptz[], text[])",
    "telemetry_note_jobs(uuid, timestamptz, uuid[], text[], text[], text[], uuid[])",
]
WALLED = ["event", "code", "job", "quarantinedevent", "quarantinecount"]


class Migration(migrations.Migration):
    dependencies = [("telemetry", "0003_events")]

    operations = [
        migrations.RunSQL(EVENT, "DROP TABLE telemetry_event"),
        *[db.row_level_security(f"telemetry_{table}") for table in WALLED],
        db.append_only("telemetry_event"),
        *[
            migrations.RunSQL(sql, f"DROP FUNCTION {function}")
            for sql, function in zip(
                [ENSURE_PARTITION, DROP_PARTITIONS, KNOWN, QUARANTINE, JOBS], FUNCTIONS, strict=True
            )
        ],
        *[
            migrations.RunSQL(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC", migrations.RunSQL.noop)
            for function in FUNCTIONS
        ],
    ]
