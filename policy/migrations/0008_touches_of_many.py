"""Deciders hear of many new instances by one statement, not by one for each."""

from django.db import migrations

MANY = """
CREATE FUNCTION policy_touch_made() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  told bigint;
BEGIN
  WITH touched AS (
    SELECT tenant_id, id FROM made UNION SELECT tenant_id, parent_id FROM made WHERE parent_id IS NOT NULL
  ), kept AS (
    INSERT INTO policy_touch (tenant_id, instance_id) SELECT tenant_id, id FROM touched
  )
  SELECT count(pg_notify('arm_policy', tenant_id || ' ' || id)) FROM touched INTO told;
  RETURN NULL;
END $$;
DROP TRIGGER policy_touch ON registry_agentinstance;
CREATE TRIGGER policy_touch_made AFTER INSERT ON registry_agentinstance REFERENCING NEW TABLE AS made
  FOR EACH STATEMENT EXECUTE FUNCTION policy_touch_made();
CREATE TRIGGER policy_touch AFTER UPDATE OF state, version_id, slot_id, role_id, parent_id ON registry_agentinstance
  FOR EACH ROW EXECUTE FUNCTION policy_touch_instance();
"""
EACH = """
DROP TRIGGER policy_touch ON registry_agentinstance;
DROP TRIGGER policy_touch_made ON registry_agentinstance;
DROP FUNCTION policy_touch_made();
CREATE TRIGGER policy_touch AFTER INSERT OR UPDATE OF state, version_id, slot_id, role_id, parent_id
  ON registry_agentinstance FOR EACH ROW EXECUTE FUNCTION policy_touch_instance();
"""


class Migration(migrations.Migration):
    dependencies = [("policy", "0007_places"), ("registry", "0036_words_of_many")]

    operations = [migrations.RunSQL(MANY, EACH)]
