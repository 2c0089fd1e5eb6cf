"""A private key is stored sealed: without the key-encryption key, or moved to another owner, it is nothing."""

import os

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from evidence.signing import keys

KEK = os.urandom(32)


def test_the_key_id_is_the_thumbprint_of_rfc_8037() -> None:
    """The example of RFC 8037, appendix A.3."""
    public = keys.from_jwk({"x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    assert keys.key_id(public) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_a_public_key_comes_back_from_its_jwk() -> None:
    public = Ed25519PrivateKey.generate().public_key()
    assert keys.from_jwk(keys.jwk(public)) == public
    assert isinstance(public, Ed25519PublicKey)


def test_a_sealed_key_comes_back_and_two_seals_of_it_differ() -> None:
    private = Ed25519PrivateKey.generate()
    first, second = (keys.seal(private, kek=KEK, about="acme log") for _ in range(2))
    assert first != second
    assert private.private_bytes_raw() not in first
    assert keys.unseal(first, kek=KEK, about="acme log").private_bytes_raw() == private.private_bytes_raw()


def test_a_sealed_key_of_another_owner_another_kek_or_a_changed_one_is_refused() -> None:
    sealed = keys.seal(Ed25519PrivateKey.generate(), kek=KEK, about="acme log")
    for data, kek, about in (
        (sealed, KEK, "other log"),
        (sealed, os.urandom(32), "acme log"),
        (sealed[:-1] + bytes([sealed[-1] ^ 1]), KEK, "acme log"),
        (b"", KEK, "acme log"),
    ):
        with pytest.raises(keys.CannotUnseal):
            keys.unseal(data, kek=kek, about=about)
