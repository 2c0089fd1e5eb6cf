"""What a cap makes of calls without a price. Caps that are in force keep what they did: such calls are left out."""

from django.db import migrations, models

OLD = "costs_book(uuid, json)"
NEW = """
CREATE FUNCTION costs_book(owner uuid, sums json, blind boolean)
  RETURNS TABLE (cap uuid, day date, spent numeric, unpriced_model text)
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
    SELECT c.id, d.day, d.amount_picos, '' FROM spent d
    JOIN costs_cap c ON c.instance_id = d.instance_id AND c.currency = d.currency
    WHERE c.until IS NULL AND d.amount_picos > c.per_day * 1000000000000
      AND NOT EXISTS (SELECT FROM costs_capbreach b WHERE b.cap_id = c.id AND b.day = d.day);
  IF blind THEN
    RETURN QUERY
      SELECT c.id, u.day, 0::numeric, coalesce(min(k.text), 'a model without a name')
      FROM json_to_recordset(sums) AS u(instance uuid, day date, basis smallint, model integer,
        input bigint, cached bigint, output bigint)
      JOIN costs_cap c ON c.instance_id = u.instance AND c.until IS NULL AND c.unpriced = 'passes'
      LEFT JOIN telemetry_code k ON k.id = u.model
      WHERE u.basis = 5 AND u.input + u.cached + u.output > 0
        AND NOT EXISTS (SELECT FROM costs_capbreach b WHERE b.cap_id = c.id AND b.day = u.day)
      GROUP BY c.id, u.day ORDER BY c.id, u.day;
  END IF;
END $$;
REVOKE ALL ON FUNCTION costs_book(uuid, json, boolean) FROM PUBLIC;
"""
CHOICES = [("passes", "Count as passed"), ("ignored", "Leave out")]
HELP = (
    "Calls of a model that neither the rate card nor the list prices: as they cost nothing here, leaving them out lets "
    "the instance spend past its cap."
)


def unpriced(default):
    return models.CharField(
        "Calls without a price", max_length=7, choices=CHOICES, default=default, help_text=HELP
    )


class Migration(migrations.Migration):
    dependencies = [("costs", "0004_book"), ("telemetry", "0007_note_jobs_alike")]

    operations = [
        migrations.AddField("cap", "unpriced", unpriced("ignored")),
        migrations.AlterField("cap", "unpriced", unpriced("passes")),
        migrations.AddField(
            "capbreach",
            "unpriced_model",
            models.CharField(
                default="",
                help_text="The model without a price that passed it; empty: the amount did.",
                max_length=200,
            ),
        ),
        migrations.RunSQL(f"DROP FUNCTION {OLD}", migrations.RunSQL.noop),
        migrations.RunSQL(NEW, "DROP FUNCTION costs_book(uuid, json, boolean)"),
    ]
