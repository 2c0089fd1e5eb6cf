"""Row-level security, what may never change, daily partitions, and the word to every decider that something did."""

from django.db import migrations

from arm import db

TABLES = [
    "policy",
    "policyversion",
    "binding",
    "toolrisk",
    "tenantpolicy",
    "posture",
    "approvalrequest",
    "approvaldecision",
    "limitusage",
    "limitlease",
    "decision",
]
TARGETS = ["whole_tenant", "environment_id", "role_id", "template_id", "version_id", "slot_id", "instance_id"]
KEPT = ["policy", "policyversion", "binding", "toolrisk", "posture", "approvalrequest"]
OVER = "OLD.state IN ('denied', 'expired', 'cancelled', 'consumed', 'voided')"

PARTITIONS = """
CREATE FUNCTION policy_day_key(day date) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT (lpad(to_hex((extract(epoch FROM day::timestamp) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;
CREATE FUNCTION policy_make_partitions(first date, last date) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
  day date;
  name text;
  made integer := 0;
BEGIN
  IF last - first > 400 THEN RAISE EXCEPTION 'At most 400 days at once.'; END IF;
  PERFORM pg_advisory_xact_lock(7265711);
  FOR day IN SELECT generate_series(first, last, interval '1 day')::date LOOP
    name := 'policy_decision_' || to_char(day, 'YYYYMMDD');
    IF to_regclass('partitions.' || name) IS NULL THEN
      EXECUTE format('CREATE TABLE partitions.%I PARTITION OF policy_decision FOR VALUES FROM (%L) TO (%L)',
                     name, policy_day_key(day), policy_day_key(day + 1));
      made := made + 1;
    END IF;
  END LOOP;
  RETURN made;
END $$;
"""

# A row of policy_touch says: since this transaction, what a decider remembers of this tenant (or this one agent) is
# old. Deciders hear of it by NOTIFY at once, and find it by its transaction id if they missed that. The table names
# tenants and agents only by their ids, and belongs to no tenant.
TOUCHES = """
CREATE TABLE policy_touch (
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  tenant_id uuid NOT NULL,
  instance_id uuid,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX touch_by_transaction ON policy_touch (xid);
CREATE FUNCTION policy_touch(tenant uuid, instance uuid) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = public AS $$
    INSERT INTO policy_touch (tenant_id, instance_id) VALUES (tenant, instance);
    SELECT pg_notify('arm_policy', tenant || ' ' || coalesce(instance::text, ''));
$$;
CREATE FUNCTION policy_touch_tenant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM policy_touch(CASE WHEN TG_OP = 'DELETE' THEN OLD.tenant_id ELSE NEW.tenant_id END, NULL);
  RETURN NULL;
END $$;
CREATE FUNCTION policy_touch_instance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM policy_touch(NEW.tenant_id, NEW.id);
  IF NEW.parent_id IS NOT NULL THEN
    PERFORM policy_touch(NEW.tenant_id, NEW.parent_id);
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION policy_prune_touches() RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = public AS $$
    DELETE FROM policy_touch WHERE at < clock_timestamp() - interval '1 hour';
$$;
"""
UNTOUCH = """
DROP FUNCTION policy_prune_touches();
DROP FUNCTION policy_touch_instance();
DROP FUNCTION policy_touch_tenant();
DROP FUNCTION policy_touch(uuid, uuid);
DROP TABLE policy_touch;
"""
WATCHED = {
    "registry_agentversion": "UPDATE OF state, genome_id",
    "registry_agenttemplate": "UPDATE OF risk",
    "registry_deploymentslot": "UPDATE OF current_version_id, previous_version_id",
    "registry_environment": "UPDATE OF production, name",
    "registry_keyscope": "INSERT OR UPDATE OR DELETE",
    "arm_apikey": "UPDATE OF revoked_at, expires_at, user_id OR DELETE",
    "arm_rolebinding": "INSERT OR UPDATE",
    "arm_membership": "UPDATE",
    "policy_policyversion": "UPDATE OF state",
    "policy_binding": "INSERT OR UPDATE",
    "policy_toolrisk": "INSERT OR UPDATE",
    "policy_tenantpolicy": "INSERT OR UPDATE",
    "policy_posture": "INSERT OR UPDATE",
}


def watched(table, events, function="policy_touch_tenant"):
    return migrations.RunSQL(
        f"CREATE TRIGGER policy_touch AFTER {events} ON {table} FOR EACH ROW EXECUTE FUNCTION {function}();",
        f"DROP TRIGGER policy_touch ON {table};",
    )


def kept(table):
    """Rows may end, but never disappear."""
    return migrations.RunSQL(
        f"CREATE TRIGGER kept BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION arm_refuse();"
        f"CREATE TRIGGER kept_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION arm_refuse();",
        f"DROP TRIGGER kept ON {table}; DROP TRIGGER kept_truncate ON {table};",
    )


class Migration(migrations.Migration):
    dependencies = [("policy", "0001_initial"), ("registry", "0002_walls"), ("arm", "0002_walls")]

    operations = [
        *[db.row_level_security(f"policy_{table}") for table in TABLES],
        db.append_only("policy_decision"),
        db.append_only("policy_approvaldecision"),
        *[kept(f"policy_{table}") for table in KEPT],
        db.frozen(
            "policy_policyversion",
            ["policy_id", "number", "content", "digest", "tier", "note", "created_by_id", "tenant_id"],
        ),
        db.frozen("policy_binding", [*TARGETS, "policy_id", "since", "bound_by_id", "reason", "tenant_id"]),
        db.frozen(
            "policy_binding", ["until", "ended_by_id"], when="OLD.until IS NOT NULL", name="end_frozen"
        ),
        db.frozen(
            "policy_posture",
            [*TARGETS, "provider_id", "tool", "tool_class", "mode", "reason", "set_by_id", "set_at", "until"]
            + ["reach", "tenant_id"],
        ),
        db.frozen(
            "policy_posture",
            ["lifted_at", "lifted_by_id", "lift_reason"],
            when="OLD.lifted_at IS NOT NULL",
            name="lift_frozen",
        ),
        db.frozen(
            "policy_approvalrequest",
            ["kind", "subject_kind", "subject_id", "instance_id", "action", "digest", "policy_digest"]
            + ["requested_by_id", "excluded", "roles", "quorum", "created_at", "expires_at", "tenant_id"],
        ),
        db.frozen("policy_approvalrequest", ["state", "consumed_by"], when=OVER, name="over_frozen"),
        migrations.RunSQL(
            PARTITIONS,
            "DROP FUNCTION policy_make_partitions(date, date); DROP FUNCTION policy_day_key(date);",
        ),
        migrations.RunSQL(TOUCHES, UNTOUCH),
        *[watched(table, events) for table, events in WATCHED.items()],
        watched(
            "registry_agentinstance",
            "INSERT OR UPDATE OF state, version_id, slot_id, role_id, parent_id",
            "policy_touch_instance",
        ),
    ]
