"""What the planner needs to know of tables that have grown, whoever notices: the worker may not ANALYZE for itself.

Growth is read from the catalogue and the files, which a crash leaves as they are; autovacuum goes by counters that a
crash sets back to nothing, and never looks at the parent of partitions.
"""

from django.db import migrations

OUTGROWN = """
CREATE FUNCTION arm_outgrown(parents boolean) RETURNS SETOF oid
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.oid FROM pg_class c
  WHERE NOT parents AND c.relkind = 'r'
    AND c.relnamespace IN (to_regnamespace('public'), to_regnamespace('partitions'))
    AND pg_relation_size(c.oid) > 0
    AND (c.reltuples < 0 OR pg_relation_size(c.oid) / 8192 > 1.2 * c.relpages + 16)
  UNION ALL
  SELECT p.oid FROM pg_class p LEFT JOIN LATERAL (
    SELECT coalesce(sum(greatest(c.reltuples, 0)), 0) AS rows
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = p.oid
  ) parts ON true
  WHERE parents AND p.relkind = 'p' AND p.relnamespace = to_regnamespace('public')
    AND (p.reltuples < 0 OR parts.rows > 1.2 * p.reltuples + 1000)
$$;
REVOKE ALL ON FUNCTION arm_outgrown(boolean) FROM PUBLIC;
"""

# One table for each call, so that its lock is gone before the next: making a partition waits for an ANALYZE of its parent.
ANALYSE = """
CREATE FUNCTION arm_analyse(which oid) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  subject record;
BEGIN
  SELECT n.nspname, c.relname, c.relkind INTO subject FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = which AND c.relkind IN ('r', 'p') AND n.nspname IN ('public', 'partitions');
  IF NOT FOUND THEN RETURN; END IF;  -- dropped meanwhile
  -- Before PostgreSQL 18 a parent is analysed with all its partitions.
  EXECUTE format('ANALYZE %s %I.%I',
    CASE WHEN subject.relkind = 'p' AND current_setting('server_version_num')::int >= 180000 THEN 'ONLY' ELSE '' END,
    subject.nspname, subject.relname);
END $$;
REVOKE ALL ON FUNCTION arm_analyse(oid) FROM PUBLIC;
"""


class Migration(migrations.Migration):
    dependencies = [("arm", "0003_account_events")]

    operations = [
        migrations.RunSQL(OUTGROWN, "DROP FUNCTION arm_outgrown(boolean)"),
        migrations.RunSQL(ANALYSE, "DROP FUNCTION arm_analyse(oid)"),
    ]
