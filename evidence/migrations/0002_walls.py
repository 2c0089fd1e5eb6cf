"""Walls around the log; what it says never changes; every record of a change waits for its leaf from its own commit on."""

from django.db import migrations

from arm import db

TABLES = ["signingkey", "log", "pendingleaf", "leaf", "node", "checkpoint"]

WAIT = """
CREATE FUNCTION evidence_wait_for_leaf() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO evidence_pendingleaf (tenant_id, kind, subject_id, digest, at)
  VALUES (NEW.tenant_id, 'change', NEW.id, NEW.digest, NEW.recorded_at);
  RETURN NULL;
END $$;
CREATE TRIGGER wait_for_leaf AFTER INSERT ON arm_changerecord
  FOR EACH ROW EXECUTE FUNCTION evidence_wait_for_leaf();
"""
WAIT_NO_MORE = "DROP TRIGGER wait_for_leaf ON arm_changerecord; DROP FUNCTION evidence_wait_for_leaf();"

# Records of before the log, oldest first. The owner stands behind the wall like everybody.
BACKLOG = """
SELECT set_config('arm.tenants', arm_all_tenants()::text, true);
INSERT INTO evidence_pendingleaf (tenant_id, kind, subject_id, digest, at)
SELECT tenant_id, 'change', id, digest, recorded_at FROM arm_changerecord ORDER BY recorded_at, id;
SELECT set_config('arm.tenants', '', true);
"""


class Migration(migrations.Migration):
    dependencies = [("evidence", "0001_initial"), ("arm", "0004_statistics")]

    operations = [
        *[db.row_level_security(f"evidence_{table}") for table in TABLES],
        db.append_only("evidence_leaf"),
        db.append_only("evidence_node"),
        db.append_only("evidence_checkpoint"),
        db.frozen("evidence_signingkey", ["tenant_id", "purpose", "kid", "jwk", "sealed", "not_before"]),
        db.frozen("evidence_signingkey", ["retired_at"], when="OLD.retired_at IS NOT NULL", name="retired"),
        migrations.RunSQL(WAIT, WAIT_NO_MORE),
        migrations.RunSQL(BACKLOG, migrations.RunSQL.noop),
    ]
