"""Who may stop a scope at once, who needs a second person, and who may only ask. The services judge by the same."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from arm import crypto, ids
from arm.models import Tenant, TenantRow, User
from arm.permissions import allowed
from arm.queries import single_handed
from arm.rights import Right
from registry.models import AgentInstance, Environment

from ..engine import Mode
from ..models import Posture, RestrictionRequest
from .people import holders

INCIDENT = "inc"
"""The prefix that incidents are shown with; whoever keeps them lies beside this app."""
PEOPLE = 2
"""How many different people it takes to stop production or a whole tenant."""


class Way(StrEnum):
    """What a person can do about a scope."""

    AT_ONCE = "at_once"
    FIRST_OF_TWO = "first_of_two"
    ASK = "ask"
    NONE = "none"


def takes_two(scope: Tenant | TenantRow) -> bool:
    """Whether one person alone may not stop this: production, and a whole tenant."""
    return isinstance(scope, Tenant) or (isinstance(scope, Environment) and scope.production)


def right_to_stop(scope: Tenant | TenantRow) -> Right:
    return Right.RESTRICT_INSTANCE if isinstance(scope, AgentInstance) else Right.RESTRICT_WIDELY


def right_to_ask(scope: Tenant | TenantRow) -> Right:
    """One agent: whoever may request restrictions. Anything wider: whoever answers for incidents there."""
    return Right.REQUEST_RESTRICTION if isinstance(scope, AgentInstance) else Right.MANAGE_INCIDENT


def way_to_stop(scope: Tenant | TenantRow, actor: User) -> Way:
    """The strongest thing that this person can do about the scope."""
    if allowed(actor, right_to_stop(scope), scope):
        if not takes_two(scope) or single_handed(tenant_of(scope)):
            return Way.AT_ONCE
        return Way.FIRST_OF_TWO
    return Way.ASK if allowed(actor, right_to_ask(scope), scope) else Way.NONE


def tenant_of(scope: Tenant | TenantRow) -> UUID:
    return scope.pk if isinstance(scope, Tenant) else scope.tenant_id


def who_may_stop(scope: Tenant | TenantRow, *, without: Iterable[UUID] = ()) -> tuple[str, ...]:
    """Names of people who may set a stop here, or be its second person."""
    return holders(right_to_stop(scope), scope, tenant_of(scope), without=without)


def asked_digest(
    *,
    scope: Tenant | TenantRow,
    mode: Mode,
    tool: str,
    tool_class: str,
    until: datetime | None,
    reason_code: str,
    reason: str,
) -> str:
    """The digest of exactly what is asked for; whoever confirms, confirms this."""
    asked = {
        "verb": "policy.posture.set",
        "scope": ids.encode(scope.prefix, scope.pk),
        "scope_name": str(scope),
        "mode": mode.value,
        "tool": tool,
        "tool_class": tool_class,
        "until": until.isoformat() if until else None,
        "reason_code": reason_code,
        "reason": reason,
    }
    return crypto.digest(crypto.canonical(asked))


def digest_now(request: RestrictionRequest) -> str:
    """The digest of what the request says today: another one, where its scope has changed its name."""
    return asked_digest(
        scope=scope_of(request),
        mode=Mode(request.mode),
        tool=request.tool,
        tool_class=request.tool_class,
        until=request.until,
        reason_code=request.reason_code,
        reason=request.reason,
    )


def scope_of(stop: RestrictionRequest | Posture) -> Tenant | TenantRow:
    target = stop.target
    if not isinstance(target, Tenant | TenantRow):
        raise TypeError(f"{target!r} is nothing that can be stopped.")
    return target


def needed(scope: Tenant | TenantRow) -> int:
    """How many people with the right must want the stop of this scope."""
    return PEOPLE if takes_two(scope) else 1


def triggers(request: RestrictionRequest) -> frozenset[UUID]:
    """Who wants it and may: people who hold the right to stop the scope now, asked in person or said yes."""
    people = {row.person for row in request.decisions.filter(confirm=True).select_related("person")}
    if request.in_person:
        people.add(request.asked_by)
    scope = scope_of(request)
    return frozenset(
        person.pk
        for person in people
        if person.kind == User.Kind.PERSON and allowed(person, right_to_stop(scope), scope)
    )


def set_by(posture: Posture) -> frozenset[UUID]:
    """Everybody who had a hand in the stop: who set it, who asked for it, who confirmed it."""
    hands = {posture.set_by_id} if posture.set_by_id else set()
    if posture.request is not None:
        hands.add(posture.request.asked_by_id)
        hands |= set(posture.request.decisions.filter(confirm=True).values_list("person_id", flat=True))
    return frozenset(hands)


def set_by_two(posture: Posture) -> bool:
    """Whether it took two people to set it, so that it takes two to end it."""
    return posture.request_id is not None and takes_two(scope_of(posture))
