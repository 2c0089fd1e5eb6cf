"""What the directory plugs into the ports of the core: its part of the navigation."""

from arm.panels import Entry
from arm.rights import Right


class Navigation:
    """The directory's pages."""

    entries = (
        Entry("Directory", "Agents", "registry:template_list", Right.READ_DIRECTORY, "templates"),
        Entry("Directory", "Versions", "registry:version_list", Right.READ_DIRECTORY, "versions"),
        Entry("Directory", "Instances", "registry:instance_list", Right.READ_DIRECTORY, "instances"),
        Entry("Releases", "Slots", "registry:slot_list", Right.READ_DIRECTORY, "directory"),
        Entry("Releases", "Roles", "registry:role_list", Right.READ_DIRECTORY, "people"),
        Entry("Releases", "Environments", "registry:environment_list", Right.READ_DIRECTORY, "environments"),
        Entry("Releases", "Providers", "registry:provider_list", Right.READ_DIRECTORY, "providers"),
    )
