"""Credentials looked up before their tenant is known, by functions of the database that answer with the tenant only."""

from uuid import UUID

from django.db import connection

from arm import db

from ..models import AccessToken, Invite, ProviderClient


def token_by_digest(digest: bytes) -> AccessToken | None:
    """The access token with this SHA-256, with its client and provider; its tenant is then in sight."""
    if not _see_tenant("SELECT federation_tenant_of_token(%s)", digest):
        return None
    return AccessToken.objects.select_related("client__provider").filter(digest=digest).first()


def invite_by_digest(digest: bytes) -> Invite | None:
    """The invitation with this SHA-256; its tenant is then in sight."""
    if not _see_tenant("SELECT federation_tenant_of_invite(%s)", digest):
        return None
    return Invite.objects.select_related("provider").filter(digest=digest).first()


def client_by_id(pk: UUID) -> ProviderClient | None:
    """The client with this identifier; its tenant is then in sight."""
    if not _see_tenant("SELECT federation_tenant_of_client(%s)", pk):
        return None
    return ProviderClient.objects.select_related("provider").filter(pk=pk).first()


def _see_tenant(look_up: str, key: bytes | UUID) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(look_up, [key])
        (tenant_id,) = cursor.fetchone()
    if tenant_id is None:
        return False
    db.set_tenants([tenant_id])
    return True
