"""The keys that somebody publishes at an address that this tenant has listed."""

from collections.abc import Mapping
from typing import Any

from arm.errors import Invalid, Unavailable
from arm.outbound import Allowed, Failed, Resolver, read_url, send, system_resolver
from evidence.signing.keys import BadKey, PublicKey, from_jwk

from . import genome

SECONDS = 5.0
MOST = 256 * 1024
MAX_KEYS = 100
AGENT = "ARM-registry/1"


def card_keys(url: str, *, internal: bool, resolve: Resolver = system_resolver) -> Mapping[str, PublicKey]:
    """Key id → key of the JWK Set at `url`; keys of kinds that sign no cards are left out.

    Unavailable where there is no answer that can be used: then nothing is known of a signature, neither way.
    """
    allowed = Allowed(frozenset({(read_url(url).hostname or "").lower()})) if internal else Allowed()
    try:
        answer = send(
            "GET",
            url,
            headers={"Accept": "application/json", "User-Agent": AGENT},
            allowed=allowed,
            seconds=SECONDS,
            most=MOST,
            resolve=resolve,
        )
    except Failed as problem:
        raise Unavailable(f"The keys at {url} cannot be had: {problem.message}", retry_after=10) from None
    if answer.status != 200:
        raise Unavailable(f"The keys at {url} cannot be had: it answered {answer.status}.", retry_after=10)
    try:
        listed: Any = genome.read(answer.body, media_type="application/json").document.get("keys")
    except Invalid as problem:
        raise Unavailable(f"What {url} answers is no JWK Set: {problem.message}", retry_after=10) from None
    if not isinstance(listed, list):
        raise Unavailable(f"What {url} answers is no JWK Set.", retry_after=10)
    found = {}
    for key in listed[:MAX_KEYS]:
        if isinstance(key, dict) and isinstance(key.get("kid"), str):
            try:
                found[key["kid"]] = from_jwk(key)
            except BadKey:
                continue
    return found
