"""Rights on what does not exist yet, and the refusals that the services share."""

from collections.abc import Sequence
from typing import Final

from django.db.models import Model

from arm import changes
from arm.errors import Conflict, Invalid, NotAllowed, Problem
from arm.models import TenantRow, User
from arm.permissions import allowed
from arm.rights import Right


class Duplicate(Conflict):
    """It is there already: `existing` is the object, `id` in the answer its identifier."""

    code = "duplicate"

    def __init__(self, message: str, existing: TenantRow) -> None:
        super().__init__(message, id=existing.typeid)
        self.existing = existing


def require_on_any(actor: User, right: Right, *scopes: Model) -> None:
    """Like `require`, for a row that will stand below all these scopes: the right on one of them is enough."""
    if not any(allowed(actor, right, scope) for scope in scopes):
        names = " or ".join(str(scope) for scope in scopes)
        raise NotAllowed(f"You may not {right.name.lower().replace('_', ' ')}: {names}.", right=right.value)


def require_reason(reason: str) -> None:
    """Governance without a reason is not recorded, so it does not happen."""
    refuse_all(without_reason(reason))


def without_reason(reason: str) -> list[Problem]:
    """The problem that `require_reason` refuses; nothing where a reason is said."""
    return [] if reason.strip() else [wrong("reason", "required", "Say why; it is kept with the change.")]


def require_in_person(verb: str, where: str) -> None:
    """A second person's word is a person's: no token gives it, whoever the token acts as."""
    if not changes.in_person():
        raise NotAllowed(f"A token cannot {verb}: people do, signed in, {where}.")


def require_same_tenant(**rows: TenantRow | None) -> None:
    """Row-level security hides other tenants' rows; this also refuses two of my own that do not belong together."""
    refuse_all(strangers(**rows))


def strangers(**rows: TenantRow | None) -> list[Problem]:
    """The problems that `require_same_tenant` refuses: whatever is of another tenant than the first."""
    present = {name: row for name, row in rows.items() if row is not None}
    home = next(iter(present.values())).tenant_id if present else None
    return [
        wrong(name, "tenant", "It belongs to another tenant.")
        for name, row in present.items()
        if row.tenant_id != home
    ]


OF_STATE: Final = frozenset({"conflict", "closed"})
"""Codes of what is well said, but not in this state."""


def wrong(member: str, code: str, message: str) -> Problem:
    """What is wrong with one member of a request."""
    return Problem(pointer=f"/{member}", code=code, message=message)


def refuse_all(problems: Sequence[Problem]) -> None:
    """Every one of these problems at once, if there are any: Conflict where all of them are `OF_STATE`, else Invalid."""
    if not problems:
        return
    said = " ".join(dict.fromkeys(problem["message"] for problem in problems))
    if all(problem["code"] in OF_STATE for problem in problems):
        raise Conflict(said, errors=list(problems))
    raise Invalid(said, problems)


def refuse(pointer: str, code: str, message: str) -> None:
    """Invalid with one problem."""
    raise Invalid(message, [Problem(pointer=pointer, code=code, message=message)])
