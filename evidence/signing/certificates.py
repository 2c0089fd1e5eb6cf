"""Certificates of keys that sign PDFs: readers of PDF want one around the public key."""

from datetime import datetime, timedelta

from cryptography import x509 as certificates
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.x509.oid import NameOID

VALID = timedelta(days=3653)


def self_signed(key: EllipticCurvePrivateKey, *, name: str, organisation: str, since: datetime) -> str:
    """A certificate (PEM) of this key for signing documents, valid for ten years."""
    who = certificates.Name(
        [
            certificates.NameAttribute(NameOID.ORGANIZATION_NAME, organisation[:64] or "ARM"),
            certificates.NameAttribute(NameOID.COMMON_NAME, name[:64]),
        ]
    )
    usage = {
        use: use in ("digital_signature", "content_commitment")
        for use in (
            "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
            "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
        )
    }  # fmt: skip
    made = (
        certificates.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(certificates.random_serial_number())
        .not_valid_before(since - timedelta(minutes=5))
        .not_valid_after(since + VALID)
        .add_extension(certificates.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(certificates.KeyUsage(**usage), critical=True)
        .add_extension(certificates.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def der(pem: str) -> bytes:
    """The bytes of a certificate. ValueError."""
    return certificates.load_pem_x509_certificate(pem.encode()).public_bytes(serialization.Encoding.DER)
