"""A closed account, or one that lost the platform, is heard of by every decider of the tenants it works in."""

from django.db import migrations

ACCOUNTS = """
CREATE FUNCTION policy_touch_account() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  tenant uuid;
BEGIN
  FOREACH tenant IN ARRAY arm_tenants_of(NEW.id) LOOP
    PERFORM policy_touch(tenant, NULL);
  END LOOP;
  RETURN NULL;
END $$;
CREATE TRIGGER policy_touch AFTER UPDATE OF is_active, is_superuser ON arm_user
  FOR EACH ROW WHEN (OLD.is_active <> NEW.is_active OR OLD.is_superuser <> NEW.is_superuser)
  EXECUTE FUNCTION policy_touch_account();
"""


class Migration(migrations.Migration):
    dependencies = [("policy", "0003_two_people"), ("arm", "0003_account_events")]

    operations = [
        migrations.RunSQL(
            ACCOUNTS, "DROP TRIGGER policy_touch ON arm_user; DROP FUNCTION policy_touch_account();"
        )
    ]
