"""What children spend counts against the caps of those above them."""

import django.db.models.deletion
from django.db import migrations, models

from arm import db

LINE = """
    WITH RECURSIVE line(instance, above, far) AS (
      SELECT i.id, i.parent_id, 1 FROM registry_agentinstance i
      WHERE i.id IN (SELECT u.instance FROM json_to_recordset(sums) AS u(instance uuid)) AND i.parent_id IS NOT NULL
      UNION ALL
      SELECT l.instance, i.parent_id, l.far + 1 FROM line l JOIN registry_agentinstance i ON i.id = l.above
      WHERE i.parent_id IS NOT NULL AND l.far < 64
    )
"""
BOOK = """
CREATE OR REPLACE FUNCTION costs_book(owner uuid, sums json, blind boolean)
  RETURNS TABLE (cap uuid, day date, spent numeric, unpriced_model text)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  started boolean;
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
    SELECT c.id, d.day, d.amount_picos + coalesce(b.amount_picos, 0), '' FROM spent d
    JOIN costs_cap c ON c.instance_id = d.instance_id AND c.currency = d.currency
    LEFT JOIN costs_belowday b ON b.instance_id = d.instance_id AND b.day = d.day AND b.currency = d.currency
    WHERE c.until IS NULL AND d.amount_picos + coalesce(b.amount_picos, 0) > c.per_day * 1000000000000
      AND NOT EXISTS (SELECT FROM costs_capbreach b WHERE b.cap_id = c.id AND b.day = d.day);
  -- Most instances are started by nobody: one look at the batch spares them the rest.
  SELECT EXISTS (
    SELECT FROM registry_agentinstance i WHERE i.parent_id IS NOT NULL
      AND i.id IN (SELECT u.instance FROM json_to_recordset(sums) AS u(instance uuid))
  ) INTO started;
  IF started THEN
    RETURN QUERY
      {LINE}, below AS (
        INSERT INTO costs_belowday AS b (tenant_id, instance_id, day, currency, amount_picos)
        SELECT owner, l.above, u.day, u.currency_name, sum(u.amount)
        FROM json_to_recordset(sums) AS u(instance uuid, day date, currency_name text, amount numeric)
        JOIN line l ON l.instance = u.instance
        GROUP BY l.above, u.day, u.currency_name ORDER BY l.above, u.day, u.currency_name
        ON CONFLICT (instance_id, day, currency) DO UPDATE SET amount_picos = b.amount_picos + excluded.amount_picos
        RETURNING b.instance_id, b.day, b.currency, b.amount_picos
      )
      SELECT c.id, b.day, b.amount_picos + coalesce(d.amount_picos, 0), '' FROM below b
      JOIN costs_cap c ON c.instance_id = b.instance_id AND c.currency = b.currency
      LEFT JOIN costs_instanceday d ON d.instance_id = b.instance_id AND d.day = b.day AND d.currency = b.currency
      WHERE c.until IS NULL AND b.amount_picos + coalesce(d.amount_picos, 0) > c.per_day * 1000000000000
        AND NOT EXISTS (SELECT FROM costs_capbreach h WHERE h.cap_id = c.id AND h.day = b.day);
  END IF;
  IF blind THEN
    RETURN QUERY
      {LINE}, held(instance, bearer) AS (
        SELECT DISTINCT u.instance, u.instance FROM json_to_recordset(sums) AS u(instance uuid)
        UNION SELECT l.instance, l.above FROM line l
      )
      SELECT c.id, u.day, 0::numeric, coalesce(min(k.text), 'a model without a name')
      FROM json_to_recordset(sums) AS u(instance uuid, day date, basis smallint, model integer,
        input bigint, cached bigint, output bigint)
      JOIN held h ON h.instance = u.instance
      JOIN costs_cap c ON c.instance_id = h.bearer AND c.until IS NULL AND c.unpriced = 'passes'
      LEFT JOIN telemetry_code k ON k.id = u.model
      WHERE u.basis = 5 AND u.input + u.cached + u.output > 0
        AND NOT EXISTS (SELECT FROM costs_capbreach b WHERE b.cap_id = c.id AND b.day = u.day)
      GROUP BY c.id, u.day ORDER BY c.id, u.day;
  END IF;
END $$;
REVOKE ALL ON FUNCTION costs_book(uuid, json, boolean) FROM PUBLIC;
""".replace("{LINE}", LINE)
# What today's children have spent already counts from the first moment.
FILL = """
ALTER TABLE registry_agentinstance NO FORCE ROW LEVEL SECURITY;
ALTER TABLE costs_instanceday NO FORCE ROW LEVEL SECURITY;
INSERT INTO costs_belowday (tenant_id, instance_id, day, currency, amount_picos)
WITH RECURSIVE line(instance, above, far) AS (
  SELECT i.id, i.parent_id, 1 FROM registry_agentinstance i WHERE i.parent_id IS NOT NULL
  UNION ALL
  SELECT l.instance, i.parent_id, l.far + 1 FROM line l JOIN registry_agentinstance i ON i.id = l.above
  WHERE i.parent_id IS NOT NULL AND l.far < 64
)
SELECT d.tenant_id, l.above, d.day, d.currency, sum(d.amount_picos)
FROM costs_instanceday d JOIN line l ON l.instance = d.instance_id
GROUP BY d.tenant_id, l.above, d.day, d.currency;
ALTER TABLE registry_agentinstance FORCE ROW LEVEL SECURITY;
ALTER TABLE costs_instanceday FORCE ROW LEVEL SECURITY;
"""


class Migration(migrations.Migration):
    dependencies = [("costs", "0005_unpriced"), ("registry", "0011_lineage")]

    operations = [
        migrations.CreateModel(
            name="BelowDay",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("day", models.DateField()),
                ("currency", models.CharField(max_length=3)),
                ("amount_picos", models.DecimalField(decimal_places=0, max_digits=38)),
                (
                    "instance",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="registry.agentinstance",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="arm.tenant"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["tenant", "day"], name="below_day_by_day")],
                "constraints": [
                    models.UniqueConstraint(fields=("instance", "day", "currency"), name="below_day_once")
                ],
            },
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        db.row_level_security("costs_belowday"),
        migrations.RunSQL(BOOK, migrations.RunSQL.noop),
    ]
