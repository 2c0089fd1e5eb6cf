"""What a canary or a handover lets work is told to the gateways at once, as what a slot is bound to is."""

from django.db import migrations

COLUMNS = "current_version_id, previous_version_id"


def told_of(columns: str) -> str:
    return (
        "DROP TRIGGER policy_touch ON registry_deploymentslot;"
        f"CREATE TRIGGER policy_touch AFTER UPDATE OF {columns} ON registry_deploymentslot "
        "FOR EACH ROW EXECUTE FUNCTION policy_touch_tenant();"
    )


class Migration(migrations.Migration):
    dependencies = [("policy", "0004_closed_accounts"), ("registry", "0018_exchange")]

    operations = [
        migrations.RunSQL(told_of(f"{COLUMNS}, canary_version_id"), told_of(COLUMNS)),
        migrations.RunSQL(
            "CREATE TRIGGER policy_touch AFTER INSERT OR UPDATE OF ended_at ON registry_handover "
            "FOR EACH ROW EXECUTE FUNCTION policy_touch_tenant();",
            "DROP TRIGGER policy_touch ON registry_handover;",
        ),
    ]
