"""What evidence adds to pages of others."""

from arm.panels import Entry
from arm.rights import Right


class Navigation:
    """Evidence's entries."""

    entries = (
        Entry("Governance", "Log", "evidence:log", Right.READ_EVIDENCE, "log"),
        Entry("Governance", "Verify a file", "evidence:verify", Right.READ_EVIDENCE, "search"),
    )
