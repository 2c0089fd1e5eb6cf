"""Whose yes the end of a stop takes, and whose is there: said on its page and asked again by the service."""

from dataclasses import dataclass
from uuid import UUID

from arm import clock, crypto
from arm.models import User
from arm.permissions import allowed
from arm.queries import single_handed
from arm.rights import Right

from ..engine import Exit, Mode
from ..engine.posture import APPROVERS, EXITS
from ..lifecycle import OPEN
from ..models import ApprovalRequest, Posture
from .restricting import PEOPLE, set_by, set_by_two


@dataclass(frozen=True, slots=True)
class Agreement:
    """`needs` people must agree (0: one operator alone lifts it); `people` did, the asking actor among them.

    `barred` took part, so that their yes does not count.
    """

    way_out: Exit
    needs: int
    people: frozenset[UUID]
    barred: frozenset[UUID]
    request: ApprovalRequest | None
    by_two: bool
    alone: bool

    @property
    def enough(self) -> bool:
        return len(self.people) >= self.needs or self.alone


def lift_action(posture: Posture) -> dict[str, str]:
    """What an approver of the end of this stop signs."""
    return {"verb": "policy.posture.lift", "posture": posture.typeid}


def agreement(posture: Posture, actor: User) -> Agreement:
    """How far the end of this stop is agreed, were this person to lift it now."""
    way_out, by_two = EXITS[Mode(posture.mode)], set_by_two(posture)
    needs = max(APPROVERS[way_out], PEOPLE if by_two else 0) if way_out in APPROVERS else 0
    if not needs:
        return Agreement(way_out, 0, frozenset(), frozenset(), None, False, False)
    digest = crypto.digest(crypto.canonical(lift_action(posture)))
    asked = ApprovalRequest.objects.filter(subject_id=posture.pk, digest=digest)
    request = asked.filter(state__in=OPEN, expires_at__gt=clock.now()).first()
    people: set[UUID] = set()
    if request is not None:
        people |= set(request.decisions.filter(approve=True).values_list("person_id", flat=True))
    barred: frozenset[UUID] = frozenset()
    if way_out == Exit.OPERATOR:
        asker = request.requested_by if request is not None else None
        people |= {
            person.pk for person in (actor, asker) if person is not None and _releases(person, posture)
        }
    else:
        if allowed(actor, Right.APPROVE_RELEASE, posture):
            people.add(actor.pk)
        requesters = {person for person in asked.values_list("requested_by_id", flat=True) if person}
        barred = frozenset(set_by(posture) | requesters)
    alone = single_handed(posture.tenant_id)
    return Agreement(way_out, needs, frozenset(people - barred), barred, request, by_two, alone)


def _releases(person: User, posture: Posture) -> bool:
    return allowed(person, Right.RELEASE_INSTANCE, posture) or allowed(person, Right.APPROVE_RELEASE, posture)
