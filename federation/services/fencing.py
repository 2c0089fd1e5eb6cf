"""Who may still write. Asked in the transaction that writes: before it, another handshake or a revocation may come between.

Everything here takes locks in one order: the client, its session, instances, what is about them.
"""

from django.db import connection, transaction

from ..models import AdapterSession, ProviderClient
from ..protocol.refusals import client_revoked, stale_session

ENDED = "This session has ended: another handshake was made, or it said goodbye."


def hold_client(client: ProviderClient) -> None:
    """The client stays registered, and its newest session the newest, until this transaction ends: handshakes, goodbyes
    and revocations wait, other writers do not. Refused `client-revoked`."""
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("A client is held in the transaction that writes.")
    table = connection.ops.quote_name(ProviderClient._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT status FROM {table} WHERE id = %s FOR SHARE", [client.pk])  # noqa: S608 - a model's table
        row = cursor.fetchone()
    if row is None or row[0] != ProviderClient.Status.REGISTERED:
        raise client_revoked()


def hold_session(session: AdapterSession) -> None:
    """As hold_client, of the client of this session, which must still be open. Refused `stale-session`."""
    hold_client(session.client)
    if not AdapterSession.objects.filter(pk=session.pk, closed_at=None).exists():
        raise stale_session(ENDED)
