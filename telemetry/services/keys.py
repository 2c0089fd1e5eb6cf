"""Ingest keys: replaced without a gap."""

from datetime import timedelta

from django.db import transaction

from arm import clock
from arm import services as core
from arm.errors import Conflict
from arm.models import ApiKey, User
from registry.models import KeyScope
from registry.services import issue_ingest_key


@transaction.atomic
def rotate_ingest_key(*, key: ApiKey, keep_hours: int, actor: User, reason: str) -> core.Issued:
    """A new key with the reach and name of this one, which ends at once (0) or `keep_hours` from now."""
    scope = KeyScope.objects.select_related("environment", "provider").get(key=key)
    if scope.environment is None or scope.provider is None:
        raise Conflict(f"{key} speaks for one instance; it is replaced on the instance's page.")
    if not key.live:
        raise Conflict(f"{key} is no longer in use; issue a new one.")
    issued = issue_ingest_key(
        environment=scope.environment, provider=scope.provider, name=key.name, actor=actor, reason=reason
    )
    if keep_hours:
        core.expire_key(key=key, at=clock.now() + timedelta(hours=keep_hours), actor=actor, reason=reason)
    else:
        core.revoke_key(key=key, actor=actor, reason=reason)
    return issued
