"""The cast of the page tests: each signs in with the rights of their role on the tenant."""

from arm.models import Tenant, User
from arm.roles import ROLES
from tests import make


def hire(tenant: Tenant, **roles: str) -> dict[str, User]:
    """`hire(acme, erin="approver")`: people by name, each with the rights of a built-in role, none a superuser."""
    people = {}
    for name, role in roles.items():
        people[name] = make.user(name, member_of=tenant)
        binding = make.grant(people[name], tenant, *ROLES[role].rights)
        binding.role = role
        binding.save(update_fields=["role"])
    return people


CAST = {
    "alice": "author",
    "dan": "fleet_operator",
    "erin": "approver",
    "frank": "approver",
    "grace": "grc_analyst",
    "vera": "viewer",
    "judy": "tenant_admin",
}
