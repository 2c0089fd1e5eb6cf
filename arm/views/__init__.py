"""Pages: what they share, and the core's own."""

from arm.views.base import (
    CommandView,
    CreateView,
    FilteredList,
    Scoped,
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
from arm.views.pages import (
    BindRole,
    ChangeDetail,
    ChangeList,
    Gallery,
    Home,
    MemberList,
    Search,
    UnbindRole,
)

__all__ = [
    "BindRole", "ChangeDetail", "ChangeList", "ChangePassword", "ChooseTenant", "CommandView", "CreateView",
    "FilteredList", "Gallery", "Home", "MemberList", "Scoped", "Search", "SignIn", "UnbindRole", "csrf_failure",
    "current_tenant", "export_csv", "handler400", "handler403", "handler404", "handler500", "health",
    "ready",
]  # fmt: skip
