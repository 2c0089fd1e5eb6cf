"""Rights on what does not exist yet, and the refusals that the services share."""

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
    if not reason.strip():
        refuse("/reason", "required", "Say why; it is kept with the change.")


def require_in_person(verb: str, where: str) -> None:
    """A second person's word is a person's: no token gives it, whoever the token acts as."""
    if not changes.in_person():
        raise NotAllowed(f"A token cannot {verb}: people do, signed in, {where}.")


def require_same_tenant(**rows: TenantRow | None) -> None:
    """Row-level security hides other tenants' rows; this also refuses two of my own that do not belong together."""
    present = {name: row for name, row in rows.items() if row is not None}
    home = next(iter(present.values())).tenant_id
    for name, row in present.items():
        if row.tenant_id != home:
            refuse(f"/{name}", "tenant", "It belongs to another tenant.")


def refuse(pointer: str, code: str, message: str) -> None:
    """Invalid with one problem."""
    raise Invalid(message, [Problem(pointer=pointer, code=code, message=message)])
