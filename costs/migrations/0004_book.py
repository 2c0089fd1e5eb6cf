"""The sums of a batch come to the function as one JSON text: eighteen arrays cost more to send than to add up."""

from django.db import migrations

OLD = (
    "costs_book(uuid, date[], uuid[], uuid[], uuid[], uuid[], uuid[], integer[], integer[], integer[], integer[],"
    " integer[], text[], smallint[], boolean[], bigint[], bigint[], bigint[], bigint[], numeric[])"
)
NEW = """
CREATE FUNCTION costs_book(owner uuid, sums json) RETURNS TABLE (cap uuid, day date, spent numeric)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  -- In one order for everybody, so that two batches wait for each other instead of locking each other out.
  INSERT INTO costs_spendrollup AS r (tenant_id, day, environment_id, template_id, version_id, instance_id, role_id,
    cost_center_id, outcome_id, model_provider_id, model_id, currency_id, basis, attributed,
    calls, input_tokens, cached_tokens, output_tokens, amount_picos)
  SELECT owner, u.* FROM json_to_recordset(sums) AS u(day date, environment uuid, template uuid, version uuid,
    instance uuid, role uuid, center integer, outcome integer, provider integer, model integer, currency integer,
    basis smallint, attributed boolean, calls bigint, input bigint, cached bigint, output bigint, amount numeric)
  ORDER BY instance, day, version, role, center, outcome, provider, model, currency, basis, attributed
  ON CONFLICT (day, instance_id, version_id, role_id, cost_center_id, outcome_id, model_provider_id, model_id,
    currency_id, basis, attributed) DO UPDATE SET
    calls = r.calls + excluded.calls, input_tokens = r.input_tokens + excluded.input_tokens,
    cached_tokens = r.cached_tokens + excluded.cached_tokens, output_tokens = r.output_tokens + excluded.output_tokens,
    amount_picos = r.amount_picos + excluded.amount_picos;
  RETURN QUERY
    WITH spent AS (
      INSERT INTO costs_instanceday AS d (tenant_id, instance_id, day, currency, amount_picos)
      SELECT owner, u.instance, u.day, u.currency_name, sum(u.amount)
      FROM json_to_recordset(sums) AS u(instance uuid, day date, currency_name text, amount numeric)
      GROUP BY u.instance, u.day, u.currency_name ORDER BY u.instance, u.day, u.currency_name
      ON CONFLICT (instance_id, day, currency) DO UPDATE SET amount_picos = d.amount_picos + excluded.amount_picos
      RETURNING d.instance_id, d.day, d.currency, d.amount_picos
    )
    SELECT c.id, d.day, d.amount_picos FROM spent d
    JOIN costs_cap c ON c.instance_id = d.instance_id AND c.currency = d.currency
    WHERE c.until IS NULL AND d.amount_picos > c.per_day * 1000000000000
      AND NOT EXISTS (SELECT FROM costs_capbreach b WHERE b.cap_id = c.id AND b.day = d.day);
END $$;
REVOKE ALL ON FUNCTION costs_book(uuid, json) FROM PUBLIC;
"""


class Migration(migrations.Migration):
    dependencies = [("costs", "0003_names")]

    operations = [
        migrations.RunSQL(f"DROP FUNCTION {OLD}", migrations.RunSQL.noop),
        migrations.RunSQL(NEW, "DROP FUNCTION costs_book(uuid, json)"),
    ]
