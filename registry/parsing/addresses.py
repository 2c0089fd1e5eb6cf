"""Addresses that an agent card names, as callers would use them. Pure."""

from urllib.parse import urlsplit

HERE = frozenset({"localhost", "127.0.0.1", "::1"})


def flaw_of(address: str, *, bare: bool = False) -> str:
    """What is wrong with an address that callers are sent to, in a sentence that does not repeat it; '' where nothing is.
    `bare`: it may also be a host and a port, as gRPC has it."""
    try:
        parts = urlsplit(f"//{address}" if bare and "://" not in address else address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "Must be an https address."
    if "@" in parts.netloc:
        return "Must name no user and no password: a card is read by everybody."
    if not host or any(mark.isspace() or not mark.isprintable() for mark in address):
        return "Must be an https address."
    if parts.scheme == "https" or (parts.scheme == "http" and host in HERE):
        return ""
    if bare and not parts.scheme and port and not parts.path:
        return ""
    return "Must be an https address; http is taken of localhost alone."
