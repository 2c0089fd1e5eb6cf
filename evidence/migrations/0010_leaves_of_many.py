"""Many records of one act wait for their leaves by one statement, not by one for each."""

from django.db import migrations

MANY = """
DROP TRIGGER wait_for_leaf ON arm_changerecord;
CREATE OR REPLACE FUNCTION evidence_wait_for_leaf() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO evidence_pendingleaf (tenant_id, kind, subject_id, digest, at)
    SELECT tenant_id, 'change', id, digest, recorded_at FROM made;
  RETURN NULL;
END $$;
CREATE TRIGGER wait_for_leaf AFTER INSERT ON arm_changerecord REFERENCING NEW TABLE AS made
  FOR EACH STATEMENT EXECUTE FUNCTION evidence_wait_for_leaf();
"""
EACH = """
DROP TRIGGER wait_for_leaf ON arm_changerecord;
CREATE OR REPLACE FUNCTION evidence_wait_for_leaf() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO evidence_pendingleaf (tenant_id, kind, subject_id, digest, at)
  VALUES (NEW.tenant_id, 'change', NEW.id, NEW.digest, NEW.recorded_at);
  RETURN NULL;
END $$;
CREATE TRIGGER wait_for_leaf AFTER INSERT ON arm_changerecord
  FOR EACH ROW EXECUTE FUNCTION evidence_wait_for_leaf();
"""


class Migration(migrations.Migration):
    dependencies = [("evidence", "0009_sheets"), ("arm", "0009_replies_rest_on_rights")]

    operations = [migrations.RunSQL(MANY, EACH)]
