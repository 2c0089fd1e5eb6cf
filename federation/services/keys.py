"""ARM's control keys: made when a provider is approved, unsealed by whoever serves the protocol (ADR 33).

A stop waits neither for the signer nor for a worker, so the key of control messages is not the signer's: it is sealed
with a key that follows from ARM_CONTROL_KEY, which web and gateway hold, and it signs nothing that is evidence.
"""

from functools import lru_cache
from uuid import UUID

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import transaction

from arm import changes, clock
from arm.models import Tenant
from evidence.signing.keys import CannotUnseal, PrivateKey, generate, jwk, key_id, seal, unseal

from ..models import ControlKey


@lru_cache(maxsize=8)
def _sealing_key(secret: str) -> bytes:
    return HKDF(hashes.SHA256(), length=32, salt=None, info=b"arm control keys").derive(secret.encode())


@lru_cache(maxsize=256)
def _unsealed(sealed: bytes, about: str, secret: str) -> PrivateKey:
    return unseal(sealed, kek=_sealing_key(secret), about=about)


@transaction.atomic
def control_key(tenant_id: UUID) -> tuple[ControlKey, PrivateKey]:
    """The key in use and its private half. One is made where there is none, or where what sealed it has been changed:
    no stop waits for somebody to mend a setting."""
    key = ControlKey.objects.filter(tenant=tenant_id, retired_at=None).first()
    if key is not None:
        try:
            return key, _unsealed(bytes(key.sealed), key.about, settings.CONTROL_KEY)
        except CannotUnseal:
            pass
    return _made(tenant_id)


def _made(tenant_id: UUID) -> tuple[ControlKey, PrivateKey]:
    tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)  # two make one
    before = ControlKey.objects.filter(tenant=tenant, retired_at=None).first()
    if before is not None:
        try:
            return before, _unsealed(bytes(before.sealed), before.about, settings.CONTROL_KEY)
        except CannotUnseal:
            ControlKey.objects.filter(pk=before.pk).update(retired_at=clock.now())
    private = generate("P-256")
    public = private.public_key()
    key = ControlKey(tenant=tenant, kid=key_id(public), jwk=jwk(public))
    key.sealed = seal(private, kek=_sealing_key(settings.CONTROL_KEY), about=key.about)
    key.save(force_insert=True)
    links = [before.typeid] if before else []
    changes.record(None, "federation.controlkey.created", key, after={"kid": key.kid}, links=links)
    return key, private
