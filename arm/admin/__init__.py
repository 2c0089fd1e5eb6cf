"""The second workplace: every noun with object-level rights; every write goes through a service and is recorded."""

from arm.admin.base import EstimatedPaginator, ScopedAdmin, SeenFilter
from arm.admin.commands import AdminCommand
from arm.admin.core import ApiKeyAdmin, ChangeRecordAdmin, RoleBindingAdmin, SecurityEventAdmin
from arm.admin.lists import SavedViewAdmin
from arm.admin.people import ReasonOnly
from arm.admin.scopes import ScopeAdmin

__all__ = [
    "AdminCommand", "ApiKeyAdmin", "ChangeRecordAdmin", "EstimatedPaginator", "ReasonOnly", "RoleBindingAdmin",
    "SavedViewAdmin",
    "ScopeAdmin", "ScopedAdmin", "SecurityEventAdmin", "SeenFilter",
]  # fmt: skip
