"""Words and labels of many new instances are written by one statement, not by one for each."""

from django.db import migrations

MANY = """
CREATE FUNCTION registry_keep_words_made() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO registry_instanceword (tenant_id, word, instance_id)
    SELECT made.tenant_id, word, made.id FROM made, registry_words(made.name) AS word;
  INSERT INTO registry_instancelabel (tenant_id, label, instance_id)
    SELECT made.tenant_id, left(said.key || '=' || said.value, 401), made.id
    FROM made, jsonb_each_text(made.labels) AS said;
  RETURN NULL;
END $$;
DROP TRIGGER labels_made ON registry_agentinstance;
DROP TRIGGER words_made ON registry_agentinstance;
CREATE TRIGGER words_made AFTER INSERT ON registry_agentinstance REFERENCING NEW TABLE AS made
  FOR EACH STATEMENT EXECUTE FUNCTION registry_keep_words_made();
"""
EACH = """
DROP TRIGGER words_made ON registry_agentinstance;
DROP FUNCTION registry_keep_words_made();
CREATE TRIGGER words_made AFTER INSERT ON registry_agentinstance FOR EACH ROW EXECUTE FUNCTION registry_keep_words();
CREATE TRIGGER labels_made AFTER INSERT ON registry_agentinstance FOR EACH ROW
  WHEN (NEW.labels <> '{}'::jsonb) EXECUTE FUNCTION registry_keep_labels();
"""


class Migration(migrations.Migration):
    dependencies = [("registry", "0035_live_by_version")]

    operations = [migrations.RunSQL(MANY, EACH)]
