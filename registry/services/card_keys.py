"""Whose signatures on agent cards are believed, and what a card's signatures say."""

import base64
import json
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from django.db import transaction

from arm import changes, clock
from arm.errors import Conflict, Invalid, Problem
from arm.models import Tenant, User
from arm.outbound import Failed, read_url
from arm.permissions import require
from arm.rights import Right
from evidence.signing.agent_cards import BadCard, verify

from .. import clients
from ..genome import Json, read
from ..models import CardKeySource
from ..protocol.a2a import without_empty
from .asking import Duplicate, refuse, require_reason

MAX_SIGNATURES = 8


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature of a card that was verified: by which key of which source."""

    kid: str
    url: str


@transaction.atomic
def trust_card_keys(
    *, tenant: Tenant, url: str, actor: User, reason: str, internal: bool = False
) -> CardKeySource:
    """Believe agent cards that are signed by the keys at this address. `internal`: its host may be one that is not
    public; then plain http is taken, too."""
    require(actor, Right.MANAGE_TENANT, tenant)
    require_reason(reason)
    address = url.strip()
    try:
        parts = read_url(address)
    except Failed as problem:
        raise Invalid(
            problem.message, [Problem(pointer="/url", code="url", message=problem.message)]
        ) from None
    if len(address) > 500:
        refuse("/url", "maxLength", "An address has at most 500 characters.")
    if parts.scheme != "https" and not internal:
        refuse("/url", "https", "Keys are believed over https only, except inside your own walls.")
    Tenant.objects.select_for_update().get(pk=tenant.pk)  # one entry at a time
    if held := CardKeySource.objects.filter(tenant=tenant, url=address, until=None).first():
        raise Duplicate(f"The keys at {address} are believed already.", held)
    made = CardKeySource.objects.create(tenant=tenant, url=address, internal=internal, created_by=actor)
    after = {"url": address, "internal": internal}
    changes.record(actor, "registry.card_keys.trusted", made, after=after, reason=reason)
    return made


@transaction.atomic
def end_card_keys(*, source: CardKeySource, actor: User, reason: str) -> CardKeySource:
    """From the next import on, its signatures prove nothing here."""
    require(actor, Right.MANAGE_TENANT, source)
    require_reason(reason)
    source = CardKeySource.objects.select_for_update().get(pk=source.pk)
    if source.until is not None:
        raise Conflict("This entry has already ended.")
    source.until = clock.now()
    source.save(update_fields=["until"])
    changes.record(actor, "registry.card_keys.ended", source, before={"url": source.url}, reason=reason)
    return source


def check_signatures(tenant: Tenant, data: bytes) -> tuple[list[Signed], list[str]]:
    """What the signatures of a card that has been read say: those that hold, and notes on those that nobody here
    vouches for. Invalid, with its pointer, for one that names a listed address and does not hold there; Unavailable
    where a listed address does not answer."""
    card = read(data, media_type="application/json").document
    stated = card.get("signatures") or []
    if not isinstance(stated, list) or len(stated) > MAX_SIGNATURES:
        refuse("/signatures", "maxItems", f"A card has a list of at most {MAX_SIGNATURES} signatures.")
    sources = {held.url: held for held in CardKeySource.objects.filter(tenant=tenant, until=None)}
    found: list[Signed] = []
    notes: list[str] = []
    keys: dict[str, Any] = {}
    for number, one in enumerate(stated):
        header = _header(one)
        jku, kid = header.get("jku"), str(header.get("kid", ""))[:80]
        if not isinstance(jku, str) or jku not in sources:
            where = (
                f"the keys at {jku[:200]} are"
                if isinstance(jku, str) and jku
                else "it names no address of keys that is"
            )
            notes.append(f"Signature {number + 1} was not verified: {where} not on your list.")
            continue
        if jku not in keys:
            held = clients.card_keys(jku, internal=sources[jku].internal)
            keys[jku] = {id: key for id, key in held.items() if isinstance(key, EllipticCurvePublicKey)}
        _require_valid(card, number, keys[jku])
        found.append(Signed(kid, jku))
        notes.append(f"Signature {number + 1} holds: it is of the key {kid} at {jku}.")
    return found, notes


def _require_valid(card: dict[str, Json], number: int, keys: dict[str, Any]) -> None:
    """Signers differ about empty members: one drops them before signing, another keeps them. Either is a signature over
    this card."""
    one = card["signatures"][number]
    bare = {name: value for name, value in card.items() if name != "signatures"}
    refusals = []
    for form in (bare, without_empty(bare)):
        try:
            verify(json.dumps(form | {"signatures": [one]}).encode(), keys)
            return
        except BadCard as refusal:
            refusals.append(str(refusal))
    where, _, message = refusals[0].partition(": ")
    pointer = where.replace("/signatures/0", f"/signatures/{number}")
    raise Invalid(
        "The agent card is not imported: it is not what its signature was made for.",
        [Problem(pointer=pointer, code="signature", message=message)],
    )


def _header(one: Json) -> dict[str, Json]:
    """The protected header of a signature, as far as it can be read."""
    text = one.get("protected") if isinstance(one, dict) else None
    try:
        raw = base64.urlsafe_b64decode(str(text) + "=" * (-len(str(text)) % 4))
        return read(raw, media_type="application/json").document
    except (ValueError, Invalid):
        return {}
