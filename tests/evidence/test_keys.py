"""A private key is stored sealed: without the key-encryption key, or moved to another owner, it is nothing."""

import os

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwcrypto.jwk import JWK

from evidence.signing import keys

KEK = os.urandom(32)


def test_the_key_id_is_the_thumbprint_of_rfc_8037() -> None:
    """The example of RFC 8037, appendix A.3."""
    public = keys.from_jwk(
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    )
    assert keys.key_id(public) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.mark.parametrize("kind", ["Ed25519", "P-256"])
def test_a_key_comes_back_from_its_jwk_and_two_seals_of_it_differ(kind: str) -> None:
    private = keys.generate(kind)
    public = private.public_key()
    assert keys.from_jwk(keys.jwk(public)) == public
    first, second = (keys.seal(private, kek=KEK, about="acme log") for _ in range(2))
    assert first != second
    again = keys.unseal(first, kek=KEK, about="acme log")
    keys.check(public, keys.make_signature(again, b"said"), b"said")
    with pytest.raises(keys.BadSignature):
        keys.check(public, keys.make_signature(again, b"said"), b"Said")


@pytest.mark.parametrize("kind", ["Ed25519", "P-256"])
def test_the_key_id_is_the_thumbprint_that_another_library_gives(kind: str) -> None:
    public = keys.generate(kind).public_key()
    assert keys.key_id(public) == JWK(**keys.jwk(public)).thumbprint()


@pytest.mark.parametrize(
    "key",
    [
        {},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "OKP", "crv": "X25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
        {"kty": "OKP", "crv": "Ed25519", "x": 7},
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"},  # no point of the curve
        {"kty": "EC", "crv": "P-256", "x": "AQ"},
    ],
)
def test_what_is_no_key_of_ours_is_refused(key: dict[str, str]) -> None:
    with pytest.raises(keys.BadKey):
        keys.from_jwk(key)


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
