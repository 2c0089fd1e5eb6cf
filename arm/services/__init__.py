"""Writes of the core: tenants, accounts, members and teams, role bindings, API keys, sign-in security."""

from arm.services.accounts import (
    Account,
    close_account,
    create_account,
    make_platform_admin,
    reopen_account,
    reset_password,
    unmake_platform_admin,
)
from arm.services.keys import Issued, expire_key, issue_key, revoke_key
from arm.services.lists import change_view, delete_view, may_share, save_view, set_default_view
from arm.services.members import (
    add_member,
    add_new_member,
    create_team,
    issue_service_token,
    join_team,
    leave_team,
    remove_member,
)
from arm.services.replies import forget_replies, recall, remember, require_again
from arm.services.roles import BOUND_BY_ADMINS, bind, renew_bindings, unbind
from arm.services.signs import beat, claim_schedule, note_security
from arm.services.tenants import create_tenant

__all__ = [
    "BOUND_BY_ADMINS",
    "Account",
    "Issued",
    "add_member",
    "add_new_member",
    "beat",
    "bind",
    "change_view",
    "claim_schedule",
    "close_account",
    "create_account",
    "create_team",
    "create_tenant",
    "delete_view",
    "expire_key",
    "forget_replies",
    "issue_key",
    "issue_service_token",
    "join_team",
    "leave_team",
    "make_platform_admin",
    "may_share",
    "note_security",
    "recall",
    "remember",
    "remove_member",
    "renew_bindings",
    "reopen_account",
    "require_again",
    "reset_password",
    "revoke_key",
    "save_view",
    "set_default_view",
    "unbind",
    "unmake_platform_admin",
]  # fmt: skip
