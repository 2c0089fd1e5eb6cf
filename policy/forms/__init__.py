"""Forms of policy's pages: they parse and validate; services write."""

from .approvals import DecideForm, opened_now
from .policies import BindForm, DocumentField, DraftForm, PolicyForm, ToolRiskForm
from .scopes import SCOPES, scope_by_id
from .simulator import AskForm, WhatIfForm
from .stops import MODES, ConfirmRequestForm, ConfirmStopForm, RequestStopForm, StopForm

__all__ = [
    "MODES",
    "SCOPES",
    "AskForm",
    "BindForm",
    "ConfirmRequestForm",
    "ConfirmStopForm",
    "DecideForm",
    "DocumentField",
    "DraftForm",
    "PolicyForm",
    "RequestStopForm",
    "StopForm",
    "ToolRiskForm",
    "WhatIfForm",
    "opened_now",
    "scope_by_id",
]
