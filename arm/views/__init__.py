"""Pages: what they share, and the core's own."""

from arm.views.base import (
    CommandView,
    CreateView,
    FilteredList,
    Scoped,
    ShownOnce,
    current_tenant,
    export_csv,
)
from arm.views.doors import (
    ChangePassword,
    ChooseTenant,
    SignIn,
    csrf_failure,
    handler400,
    handler403,
    handler404,
    handler500,
    health,
    ready,
)
from arm.views.lists import ChangeView, DefaultViewSet, DeleteView, SaveView, ViewList
from arm.views.pages import ChangeDetail, ChangeList, Gallery, Home, Search
from arm.views.people import (
    AddMember,
    BindRole,
    CreateTeam,
    IssueToken,
    JoinTeam,
    LeaveTeam,
    MemberList,
    RemoveMember,
    RevokeToken,
    UnbindRole,
)

__all__ = [
    "AddMember", "BindRole", "ChangeDetail", "ChangeList", "ChangePassword", "ChangeView", "ChooseTenant", "CommandView",
    "CreateTeam", "CreateView", "DefaultViewSet", "DeleteView", "FilteredList", "Gallery", "Home", "IssueToken", "JoinTeam", "LeaveTeam",
    "MemberList", "RemoveMember", "RevokeToken", "SaveView", "Scoped", "Search", "ShownOnce", "SignIn", "UnbindRole",
    "ViewList", "csrf_failure", "current_tenant", "export_csv", "handler400", "handler403", "handler404", "handler500",
    "health", "ready",
]  # fmt: skip
