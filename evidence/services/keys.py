"""Signing keys: made on first use by the signer, which alone can unseal them."""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from arm import changes, clock
from arm.models import Tenant

from ..models import SigningKey
from ..signing.certificates import self_signed
from ..signing.keys import CannotUnseal, PrivateKey, generate, jwk, key_id, seal, unseal


def key_encryption_key() -> bytes:
    """32 bytes from ARM_KEY_ENCRYPTION_KEY. ImproperlyConfigured everywhere but in the signer, which alone has it."""
    secret: str = settings.KEY_ENCRYPTION_KEY
    if not secret:
        raise ImproperlyConfigured(
            "Only the signer signs: start it with ARM_KEY_ENCRYPTION_KEY (`openssl rand -base64 48`)."
        )
    return HKDF(hashes.SHA256(), length=32, salt=None, info=b"arm signing keys").derive(secret.encode())


@transaction.atomic
def active_key(*, tenant: Tenant, purpose: str) -> SigningKey:
    """The tenant's key for this purpose; made and recorded when there is none yet. ImproperlyConfigured: see above."""
    Tenant.objects.select_for_update().get(pk=tenant.pk)  # two signers make one key
    known = SigningKey.objects.filter(tenant=tenant, purpose=purpose, retired_at=None).first()
    if known is not None:
        return known
    kek, private = key_encryption_key(), generate(SigningKey.KINDS[SigningKey.Purpose(purpose)])
    public, now = private.public_key(), clock.now()
    key = SigningKey(tenant=tenant, purpose=purpose, kid=key_id(public), jwk=jwk(public), not_before=now)
    if purpose == SigningKey.Purpose.PDF and isinstance(private, EllipticCurvePrivateKey):
        key.certificate = self_signed(private, name="ARM evidence", organisation=tenant.name, since=now)
    key.sealed = seal(private, kek=kek, about=key.about)
    key.save(force_insert=True)
    changes.record(None, "evidence.signingkey.created", key, after={"purpose": purpose, "kid": key.kid})
    return key


def unsealed(key: SigningKey) -> PrivateKey:
    """The private half. CannotUnseal with another key-encryption key; ImproperlyConfigured outside of the signer."""
    return unseal(bytes(key.sealed), kek=key_encryption_key(), about=key.about)


def unsealed_ed25519(key: SigningKey) -> Ed25519PrivateKey:
    """The same for what only Ed25519 signs. CannotUnseal where the key is of another kind."""
    held = unsealed(key)
    if not isinstance(held, Ed25519PrivateKey):
        raise CannotUnseal(f"The key of {key.about} is not an Ed25519 key.")
    return held
