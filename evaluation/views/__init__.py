"""The pages of evaluation."""

from .places import AllowHost, EndEndpoint, EndHost, EndpointList, HostList, SetEndpoint
from .runs import CancelRun, ResultList, RunDetail, RunList, StartRun
from .suites import (
    AssignSuite,
    CreateSuite,
    EndAssignment,
    SaveVersion,
    SuiteDetail,
    SuiteList,
    SuiteVersionDetail,
)

__all__ = [
    "AllowHost",
    "AssignSuite",
    "CancelRun",
    "CreateSuite",
    "EndAssignment",
    "EndEndpoint",
    "EndHost",
    "EndpointList",
    "HostList",
    "ResultList",
    "RunDetail",
    "RunList",
    "SaveVersion",
    "SetEndpoint",
    "StartRun",
    "SuiteDetail",
    "SuiteList",
    "SuiteVersionDetail",
]
