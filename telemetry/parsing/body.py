"""From the bytes on the wire to the plain body, never larger than the limit."""

import zlib

from telemetry.parsing.errors import BodyTooLarge, Undecodable, UnsupportedMedia

_GZIP = 31  # wbits: a gzip header is required, window of 32 KiB


def plain(data: bytes, encoding: str, limit: int) -> bytes:
    """The body without its content encoding, at most `limit` bytes long.

    `encoding` is the Content-Encoding header ("" when absent). The limit holds after decompression, so a bomb costs no
    more memory than an honest body. Raises BodyTooLarge, Undecodable (broken gzip) or UnsupportedMedia.
    """
    match encoding.strip().lower():
        case "" | "identity":
            if len(data) > limit:
                raise BodyTooLarge(f"The body has {len(data)} bytes; {limit} are allowed.")
            return data
        case "gzip" | "x-gzip":
            return _gunzip(data, limit)
        case other:
            raise UnsupportedMedia(f"Content-Encoding “{other[:40]}” is not supported; use gzip or none.")


def _gunzip(data: bytes, limit: int) -> bytes:
    parts: list[bytes] = []
    room = limit
    while data:  # RFC 1952 allows several members one after the other
        member = zlib.decompressobj(_GZIP)
        try:
            part = member.decompress(data, room + 1)
        except zlib.error as error:
            raise Undecodable(f"The body is not valid gzip: {error}.") from error
        room -= len(part)
        if room < 0:
            raise BodyTooLarge(f"The decompressed body has more than {limit} bytes.")
        if not member.eof:
            raise Undecodable("The gzip body ends in the middle.")
        parts.append(part)
        data = member.unused_data
    if not parts:
        raise Undecodable("The body is empty, which is not valid gzip.")
    return parts[0] if len(parts) == 1 else b"".join(parts)
