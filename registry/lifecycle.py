"""States of versions and instances, and which may follow which. Data and pure functions only."""

from django.db.models import TextChoices


class VersionState(TextChoices):
    DRAFT = "draft", "Draft"
    TESTING = "testing", "Testing"
    CANDIDATE = "candidate", "Candidate"
    APPROVED = "approved", "Approved"
    DEPRECATED = "deprecated", "Deprecated"
    RETIRED = "retired", "Retired"


class InstanceState(TextChoices):
    PROVISIONING = "provisioning", "Provisioning"
    ACTIVE = "active", "Active"
    PAUSED = "paused", "Paused"
    READ_ONLY = "read_only", "Read only"
    DRAINING = "draining", "Draining"
    QUARANTINED = "quarantined", "Quarantined"
    RETIRED = "retired", "Retired"
