"""Walls around the federation; keys, documents and proofs that never change; the look-ups that precede the tenant."""

from django.db import migrations

from arm import db

FORCED = [
    "assertion", "adaptersession", "controlkey", "desired", "command", "attestation", "instancereport", "snapshot",
    "snapshotpage",
]  # fmt: skip
LOOKED_UP = ["invite", "providerclient", "accesstoken"]
"""Not forced on the owner: the definer functions below look past these walls, and only they."""

LOOK_UPS = """
CREATE FUNCTION federation_tenant_of_token(secret bytea) RETURNS uuid
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT tenant_id FROM federation_accesstoken WHERE digest = secret $$;
CREATE FUNCTION federation_tenant_of_invite(secret bytea) RETURNS uuid
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT tenant_id FROM federation_invite WHERE digest = secret $$;
CREATE FUNCTION federation_tenant_of_client(client uuid) RETURNS uuid
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT tenant_id FROM federation_providerclient WHERE id = client $$;
"""
NO_LOOK_UPS = """
DROP FUNCTION federation_tenant_of_token(bytea);
DROP FUNCTION federation_tenant_of_invite(bytea);
DROP FUNCTION federation_tenant_of_client(uuid);
"""
KEYS = ["auth_jwk", "auth_kid", "attest_jwk", "attest_kid"]
ORDER = [
    "tenant_id",
    "provider_id",
    "instance_id",
    "generation",
    "document",
    "sha256",
    "from_state",
    "to_state",
    "jti",
]
ENDED = "OLD.state IN ('enforced', 'rejected', 'failed', 'superseded', 'undeliverable')"


class Migration(migrations.Migration):
    dependencies = [("federation", "0001_initial")]

    operations = [
        *[db.row_level_security(f"federation_{table}") for table in FORCED],
        *[db.row_level_security(f"federation_{table}", force=False) for table in LOOKED_UP],
        db.append_only("federation_attestation"),
        db.frozen("federation_invite", ["tenant_id", "provider_id", "digest", "invited_by_id", "expires_at"]),
        db.frozen("federation_invite", ["used_at"], when="OLD.used_at IS NOT NULL", name="used_once"),
        db.frozen("federation_providerclient", ["tenant_id", "provider_id", "invite_id", *KEYS]),
        db.frozen("federation_providerclient", ["status"], when="OLD.status = 'revoked'", name="revoked"),
        db.frozen("federation_providerclient", ["epoch"], when="NEW.epoch < OLD.epoch", name="epochs_grow"),
        db.frozen("federation_accesstoken", ["tenant_id", "client_id", "digest", "scope", "expires_at"]),
        db.frozen("federation_controlkey", ["tenant_id", "kid", "jwk", "sealed", "made_at"]),
        db.frozen("federation_desired", ["generation"], when="NEW.generation < OLD.generation", name="grows"),
        db.frozen("federation_command", ORDER),
        db.frozen("federation_command", ["state"], when=ENDED, name="ended"),
        migrations.RunSQL(LOOK_UPS, NO_LOOK_UPS),
    ]
