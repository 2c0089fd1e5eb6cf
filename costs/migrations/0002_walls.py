"""The ledger in daily partitions, the wall around every table, and the function that sums a batch."""

from django.db import migrations

from arm import db

LEDGER = """
CREATE TABLE costs_ledgerentry (
  entry_id uuid NOT NULL, occurred_at timestamptz NOT NULL,
  tenant_id uuid NOT NULL, provider_id uuid NOT NULL, environment_id uuid NOT NULL,
  template_id uuid NOT NULL, version_id uuid NOT NULL, instance_id uuid NOT NULL, role_id uuid,
  basis smallint NOT NULL,
  input_tokens integer, cache_read_tokens integer, cache_write_tokens integer, output_tokens integer,
  amount_picos bigint NOT NULL, reported_picos bigint,
  currency_code integer NOT NULL, price_ref_code integer, model_provider_code integer, model_code integer,
  cost_center_code integer, outcome_code integer, job text NOT NULL,
  UNIQUE (entry_id, occurred_at)
) PARTITION BY RANGE (occurred_at);
CREATE INDEX costs_ledgerentry_time ON costs_ledgerentry USING brin (occurred_at);
"""

BOOK = """
CREATE FUNCTION costs_book(
  owner uuid, days date[], environments uuid[], templates uuid[], versions uuid[], instances uuid[], roles uuid[],
  centers integer[], outcomes integer[], providers integer[], models integer[], currencies integer[],
  currency_names text[], bases smallint[], attributions boolean[], calls bigint[], inputs bigint[], cached bigint[],
  outputs bigint[], amounts numeric[]
) RETURNS TABLE (cap uuid, day date, spent numeric)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  -- In one order for everybody, so that two batches wait for each other instead of locking each other out.
  INSERT INTO costs_spendrollup AS r (tenant_id, day, environment_id, template_id, version_id, instance_id, role_id,
    cost_center_id, outcome_id, model_provider_id, model_id, currency_id, basis, attributed,
    calls, input_tokens, cached_tokens, output_tokens, amount_picos)
  SELECT owner, u.* FROM unnest(days, environments, templates, versions, instances, roles, centers, outcomes,
    providers, models, currencies, bases, attributions, calls, inputs, cached, outputs, amounts) AS u
  ORDER BY 6, 2, 5, 7, 8, 9, 10, 11, 12, 13
  ON CONFLICT (day, instance_id, version_id, role_id, cost_center_id, outcome_id, model_provider_id, model_id,
    currency_id, basis, attributed) DO UPDATE SET
    calls = r.calls + excluded.calls, input_tokens = r.input_tokens + excluded.input_tokens,
    cached_tokens = r.cached_tokens + excluded.cached_tokens, output_tokens = r.output_tokens + excluded.output_tokens,
    amount_picos = r.amount_picos + excluded.amount_picos;
  INSERT INTO costs_instanceday AS d (tenant_id, instance_id, day, currency, amount_picos)
  SELECT owner, u.instance, u.day, u.currency, sum(u.amount)
  FROM unnest(instances, days, currency_names, amounts) AS u(instance, day, currency, amount)
  GROUP BY u.instance, u.day, u.currency ORDER BY u.instance, u.day, u.currency
  ON CONFLICT (instance_id, day, currency) DO UPDATE SET amount_picos = d.amount_picos + excluded.amount_picos;
  RETURN QUERY
    SELECT c.id, d.day, d.amount_picos FROM costs_cap c
    JOIN costs_instanceday d ON d.instance_id = c.instance_id AND d.currency = c.currency
    WHERE c.instance_id = ANY(instances) AND d.day = ANY(days) AND c.until IS NULL
      AND d.amount_picos > c.per_day * 1000000000000
      AND NOT EXISTS (SELECT FROM costs_capbreach b WHERE b.cap_id = c.id AND b.day = d.day);
END $$;
"""

SIGNATURE = (
    "costs_book(uuid, date[], uuid[], uuid[], uuid[], uuid[], uuid[], integer[], integer[], integer[], integer[],"
    " integer[], text[], smallint[], boolean[], bigint[], bigint[], bigint[], bigint[], numeric[])"
)
WALLED = ["costmodel", "ledgerentry", "spendrollup", "instanceday", "cap", "capbreach"]
RATE = ["provider", "model", "currency", "input_mtok", "cache_read_mtok", "cache_write_mtok", "output_mtok"]


class Migration(migrations.Migration):
    dependencies = [("costs", "0001_initial"), ("telemetry", "0004_streams")]

    operations = [
        migrations.RunSQL(LEDGER, "DROP TABLE costs_ledgerentry"),
        *[db.row_level_security(f"costs_{table}") for table in WALLED],
        db.append_only("costs_ledgerentry"),
        db.append_only("costs_capbreach"),
        db.frozen("costs_costmodel", [*RATE, "per_call", "starts_at", "digest", "tenant_id"]),
        db.frozen("costs_cap", ["instance_id", "per_day", "currency", "since", "tenant_id"]),
        migrations.RunSQL(BOOK, f"DROP FUNCTION {SIGNATURE}"),
        migrations.RunSQL(f"REVOKE ALL ON FUNCTION {SIGNATURE} FROM PUBLIC", migrations.RunSQL.noop),
    ]
