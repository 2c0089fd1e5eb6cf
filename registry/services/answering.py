"""Who may answer for an agent, as owner or successor: one judge for pages, API, tables, files and acts on many."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from arm.errors import Invalid, Problem
from arm.models import Tenant, User
from arm.services.roles import lock_members

from ..protocol.rows import TemplateRow
from ..queries import who_answers
from .asking import refuse


def people_named(tenant_id: UUID, names: Sequence[str], member: str = "owners") -> list[User]:
    """The people with these user names, in their order. Invalid, with `/<member>/<place>`, for each who is none here."""
    found, why = who_answers(tenant_id, names)
    _refuse(member, [_problem(member, place, why[name]) for place, name in enumerate(names) if name in why])
    return [found[name] for name in names]


def hold_people(tenant: Tenant, people: Iterable[User]) -> None:
    """Nobody of these leaves the tenant until this transaction ends. Before any agent is locked: whoever leaves is locked
    first, too, and then what they answer for."""
    lock_members(tenant, people)


def in_turn(tenant: Tenant, rows: Iterable[TemplateRow], actor: User) -> None:
    """Before rows of agents are judged to be stored: nobody whom they name leaves meanwhile, and short names are given one
    at a time."""
    people, _ = who_answers(tenant.pk, {name for row in rows for name in row.owners or ()})
    hold_people(tenant, {actor, *people.values()})
    Tenant.objects.select_for_update().get(pk=tenant.pk)


def refuse_others(
    tenant_id: UUID,
    people: Sequence[User],
    member: str,
    problems: Sequence[Problem] = (),
    *,
    named: bool = True,
) -> None:
    """Invalid for whoever of these cannot answer for an agent of the tenant, beside `problems`. Not `named`: the actor, in
    whose place others are to be named."""
    _, why = who_answers(tenant_id, [person.username for person in people])
    if why and not named:
        refuse(f"/{member}", "required", f"Name who answers for it. {' '.join(why.values())}")
    wrong = [
        _problem(member, place, why[person.username])
        for place, person in enumerate(people)
        if person.username in why
    ]
    _refuse(member, [*problems, *wrong])


def _problem(member: str, place: int, message: str) -> Problem:
    return Problem(pointer=f"/{member}/{place}", code="member", message=message)


def _refuse(member: str, problems: Sequence[Problem]) -> None:
    if problems:
        raise Invalid(f"{member.capitalize()} are people who work here.", problems)
