"""Reading PDFs that were signed as PAdES: other code than what signs them, so that a mistake there is found here.

A signature covers all of the file but itself. Whatever is appended later, however well-formed, is found.
"""

import re
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO

from asn1crypto import cms, parser
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader

from .keys import BadSignature, PublicKey, check

_RANGE = re.compile(rb"/ByteRange ?\[ ?(\d{1,12}) (\d{1,12}) (\d{1,12}) (\d{1,12}) ?\]")
MAX_SIGNATURE_BYTES = 64 * 1024


class BadPdf(ValueError):
    """The file is no PDF that was signed here, or was changed since; the message says what."""


@dataclass(frozen=True, slots=True)
class SignedPdf:
    """A PDF whose signature fits: the certificate in it (DER) and the files that it carries."""

    certificate: bytes
    attachments: dict[str, bytes]


def verify(pdf: bytes, *, key: PublicKey, certificate: bytes = b"") -> SignedPdf:
    """What a signed PDF holds. BadPdf unless its one signature is of this key and covers the whole file, and names this
    `certificate` (DER, where one is known): a reader shows whose name stands in it.

    Not the code that signs: ranges, digest and signature are read and compared here.
    """
    if not pdf.startswith(b"%PDF-"):
        raise BadPdf("It does not begin like a PDF.")
    ranges = _RANGE.findall(pdf)
    if len(ranges) != 1:
        raise BadPdf(f"It has {len(ranges)} signatures; one is expected.")
    start, length, second, rest = (int(number) for number in ranges[0])
    if start != 0 or second + rest != len(pdf) or not 0 < length < second:
        raise BadPdf("Its signature does not cover the whole file: something was added to it.")
    gap = pdf[length:second]
    if not re.fullmatch(rb"<(?:[0-9a-fA-F]{2})+>", gap) or len(gap) > 2 * MAX_SIGNATURE_BYTES:
        raise BadPdf("What its signature leaves out is more than the signature itself.")
    signed = pdf[:length] + pdf[second:]
    found = _cms(bytes.fromhex(gap[1:-1].decode()), signed, key)
    if certificate and found != certificate:
        raise BadPdf("The certificate in it is not the one that was published with the key.")
    return SignedPdf(found, attachments(pdf))


def attachments(pdf: bytes) -> dict[str, bytes]:
    """The files embedded in a PDF, by name; nothing of its signature is checked. BadPdf."""
    try:
        root = PdfFileReader(BytesIO(pdf)).root
        if "/Names" not in root or "/EmbeddedFiles" not in root["/Names"]:
            return {}
        names = root["/Names"]["/EmbeddedFiles"]["/Names"]
        held = [(names[at], names[at + 1]) for at in range(0, len(names) - 1, 2)]
        return {str(about.get("/UF", name)): bytes(about["/EF"]["/F"].data) for name, about in held}
    except (PdfError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as problem:
        raise BadPdf("It cannot be read as a PDF.") from problem


def _cms(blob: bytes, signed: bytes, key: PublicKey) -> bytes:
    """Check the CMS structure over the signed bytes; the certificate in it."""
    try:
        if blob[parser.peek(blob) :].strip(b"\0"):
            raise BadPdf("Something stands behind its signature.")
        content = cms.ContentInfo.load(blob)["content"]
        (signer,) = content["signer_infos"]
        stated = {attribute["type"].native: attribute["values"] for attribute in signer["signed_attrs"]}
        digest, signature = bytes(stated["message_digest"][0].native), bytes(signer["signature"].native)
        algorithm = signer["digest_algorithm"]["algorithm"].native
        attributes = signer["signed_attrs"].untag().dump()
        certificate: bytes = content["certificates"][0].chosen.dump()
    except BadPdf:
        raise
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as problem:
        raise BadPdf("Its signature is not a CMS structure with one signer.") from problem
    if algorithm != "sha256" or digest != sha256(signed).digest():
        raise BadPdf("Its content is not what was signed: the digests differ.")
    try:
        check(key, signature, attributes)
    except BadSignature as problem:
        raise BadPdf("Its signature is not of the key that is expected.") from problem
    return certificate
