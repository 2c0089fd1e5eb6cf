"""Whom the adapter takes its orders from: the ARM that it registered with, by the keys that it has seen there."""

import json
import logging
from typing import Any

from .crypto import thumbprint
from .store import Store

log = logging.getLogger("arm_adapter")


class NotTrusted(Exception):
    """Whoever answers is not shown to be the ARM that this adapter registered with: nothing is acted on."""


class Trust:
    """What is known of ARM, kept in the store: its issuer, and its signing keys by their thumbprints (RFC 7638)."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(json.loads(self.store.fact("arm_keys") or "[]"))

    def begin(self, url: str, issuer: str, keys: list[dict[str, Any]]) -> None:
        """What was seen at the registration. Before the first approval there may be no keys yet."""
        self._call(url, issuer)
        self._keep(frozenset(map(_thumbprint, keys)))

    def meet(self, url: str, issuer: str) -> None:
        """NotTrusted for another issuer than is known at this address. An address that the configuration names anew is
        somebody's decision: its issuer is kept, and its keys must be known still."""
        known, place = self.store.fact("arm_issuer"), self.store.fact("arm_url")
        if not known or place != url:
            log.warning("at %s, ARM calls itself %s; that is kept", url, issuer)
            self._call(url, issuer)
        elif issuer != known:
            raise NotTrusted(f"It calls itself {issuer}; this adapter is registered with {known}.")

    def renew(self, keys: list[dict[str, Any]]) -> None:
        """New keys count only beside one that is known. NotTrusted where none of the list is."""
        known, listed = self.keys, frozenset(map(_thumbprint, keys))
        if not known and listed:
            log.warning("these signing keys are kept as ARM's from now on: %s", ", ".join(sorted(listed)))
        elif known and not known & listed:
            raise NotTrusted(
                "None of the signing keys that it lists is one that is known; register anew if that is right."
            )
        if listed != known:
            self._keep(listed)

    def _call(self, url: str, issuer: str) -> None:
        self.store.keep("arm_url", url)
        self.store.keep("arm_issuer", issuer)

    def _keep(self, keys: frozenset[str]) -> None:
        self.store.keep("arm_keys", json.dumps(sorted(keys)))


def _thumbprint(jwk: dict[str, Any]) -> str:
    return thumbprint({name: str(jwk[name]) for name in ("crv", "kty", "x", "y") if name in jwk})
