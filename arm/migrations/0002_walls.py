"""Row-level security, the append-only stream, and the three look-ups that must precede knowing the tenant."""

from django.db import migrations

from arm import db

WALLED = ["arm_team", "arm_rolebinding", "arm_tenantusergrant", "arm_tenantgroupgrant", "arm_changerecord"]


class Migration(migrations.Migration):
    dependencies = [("arm", "0001_initial")]

    operations = [
        db.FUNCTIONS,
        *[db.row_level_security(table) for table in WALLED],
        # Not forced on the owner: the definer functions below look past these three walls, and only they.
        db.row_level_security("arm_tenant", "id", force=False),
        db.row_level_security("arm_membership", force=False),
        db.row_level_security("arm_apikey", force=False),
        db.append_only("arm_changerecord"),
        db.append_only("arm_securityevent"),
        migrations.RunSQL(
            """
            CREATE FUNCTION arm_tenants_of(person uuid) RETURNS uuid[]
              LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
                SELECT coalesce(array_agg(tenant_id ORDER BY tenant_id), '{}')
                FROM arm_membership WHERE user_id = person AND active $$;
            CREATE FUNCTION arm_all_tenants() RETURNS uuid[]
              LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
                SELECT coalesce(array_agg(id ORDER BY id), '{}') FROM arm_tenant $$;
            CREATE FUNCTION arm_tenant_of_key(secret bytea) RETURNS uuid
              LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
                SELECT tenant_id FROM arm_apikey WHERE digest = secret $$;
            """,
            "DROP FUNCTION arm_tenant_of_key(bytea); DROP FUNCTION arm_all_tenants();"
            "DROP FUNCTION arm_tenants_of(uuid);",
        ),
    ]
