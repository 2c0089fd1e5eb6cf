"""The pages of evaluation."""

from .certifications import (
    CertificationList,
    CertificationTypeList,
    CreateCertificationType,
    DeclareCapability,
    IssueCertification,
    RevokeCertification,
)
from .places import AllowHost, EndEndpoint, EndHost, EndpointList, HostList, SetEndpoint
from .runs import CancelRun, EndBaseline, PinBaseline, ResultList, RunDetail, RunList, StartRun
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
    "CertificationList",
    "CertificationTypeList",
    "CreateCertificationType",
    "CreateSuite",
    "DeclareCapability",
    "EndAssignment",
    "EndBaseline",
    "EndEndpoint",
    "EndHost",
    "EndpointList",
    "HostList",
    "IssueCertification",
    "PinBaseline",
    "ResultList",
    "RevokeCertification",
    "RunDetail",
    "RunList",
    "SaveVersion",
    "SetEndpoint",
    "StartRun",
    "SuiteDetail",
    "SuiteList",
    "SuiteVersionDetail",
]
