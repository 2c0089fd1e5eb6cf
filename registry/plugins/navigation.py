"""The directory's pages in the navigation."""

from arm.panels import Entry
from arm.rights import Right


class Navigation:
    """The directory's pages."""

    entries = (
        Entry("Directory", "Agents", "registry:template_list", Right.READ_DIRECTORY, "templates", "a"),
        Entry("Directory", "Versions", "registry:version_list", Right.READ_DIRECTORY, "versions", "v"),
        Entry("Directory", "Instances", "registry:instance_list", Right.READ_DIRECTORY, "instances", "i"),
        Entry("Directory", "Projects", "registry:project_list", Right.READ_DIRECTORY, "directory"),
        Entry("Directory", "Draining", "registry:draining_list", Right.READ_DIRECTORY, "incidents"),
        Entry("Directory", "Bulk actions", "registry:bulk_list", Right.READ_DIRECTORY, "directory", "b"),
        Entry("Directory", "Fleet at a time", "registry:fleet_at", Right.READ_DIRECTORY, "changes"),
        Entry("Directory", "Who uses what", "registry:uses_list", Right.READ_DIRECTORY, "search"),
        Entry("Directory", "Imports", "registry:import_list", Right.READ_DIRECTORY, "plus"),
        Entry("Releases", "Channels", "registry:channel_board", Right.READ_DIRECTORY, "versions"),
        Entry("Releases", "Rollouts", "registry:rollout_list", Right.READ_DIRECTORY, "changes"),
        Entry("Releases", "Rollbacks", "registry:rollback_list", Right.READ_DIRECTORY, "changes"),
        Entry("Releases", "Exceptions", "registry:exception_list", Right.READ_DIRECTORY, "incidents"),
        Entry("Releases", "Slots", "registry:slot_list", Right.READ_DIRECTORY, "directory", "s"),
        Entry("Releases", "Roles and coverage", "registry:role_list", Right.READ_DIRECTORY, "people"),
        Entry(
            "Releases", "Environments", "registry:environment_list", Right.READ_DIRECTORY, "environments", "e"
        ),
        Entry("Releases", "Providers", "registry:provider_list", Right.READ_DIRECTORY, "providers", "o"),
        Entry("Governance", "Cards and packs", "registry:evidence_list", Right.READ_EVIDENCE, "versions"),
        Entry("Settings", "Signers of cards", "registry:card_key_list", Right.MANAGE_TENANT, "keys"),
        Entry("Governance", "Integrity", "registry:integrity", Right.READ_DIRECTORY, "versions"),
        Entry("Settings", "Evidence before work", "registry:evidence_rule", Right.MANAGE_DIRECTORY, "keys"),
        Entry(
            "Settings", "Approvals of versions", "registry:approvals_rule", Right.MANAGE_DIRECTORY, "people"
        ),
        Entry(
            "Settings", "Forced deprecation", "registry:deprecation_rule", Right.MANAGE_DIRECTORY, "incidents"
        ),
        Entry("Settings", "Genome profiles", "registry:profiles", Right.MANAGE_DIRECTORY, "versions"),
    )
