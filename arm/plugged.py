"""Part of the settings: who answers what lower apps ask, what runs when, and what stands on whose pages.

Dotted paths, like MIDDLEWARE: an app names what it offers, nobody imports upwards.
"""

PROMOTION_GATES: list[str] = [
    "registry.gates.GenomeComplete",
    "registry.gates.GenomeIntact",
    "registry.gates.PromptsKept",
    "registry.gates.retirement.NoLiveInstance",
    "registry.gates.retirement.RetentionSatisfied",
    "registry.gates.standing.NotRolledBack",
    "registry.gates.compatibility.CompatibleWithBefore",
    "registry.gates.approving.QuorumReached",
    "registry.fitness.CardBegun",
    "registry.gates.documents.LineageSheetBegun",
    "registry.gates.documents.EvaluationReportBegun",
    "policy.plugins.PolicyValidates",
    "evaluation.plugins.SuiteAssigned",
    "evaluation.plugins.SuitesPassed",
    "evaluation.plugins.baselines.NotWorse",
    "evaluation.plugins.SafetyHolds",
    "evaluation.plugins.CertificationsHold",
]
ACTIVATION_GATES: list[str] = [
    "registry.gates.VersionMayRun",
    "registry.gates.GenomeIntact",
    "registry.gates.open_places.PlaceOpen",
    "registry.gates.placed.InItsPlace",
    "registry.gates.TelemetrySeen",
    "registry.fitness.InstanceFitsItsRole",
    "policy.plugins.PolicyBound",
    "costs.plugins.WithinCap",
]
WORK_IN_FLIGHT: list[str] = [
    "telemetry.plugins.JobsInFlight",
    "federation.plugins.InFlightAtProvider",
]  # who sees what instances have not ended
RETIREMENT_GATES: list[str] = ["registry.gates.NoWorkInFlight"]
DRAINED_GATES: list[str] = [
    "policy.plugins.StopsAbove",
    "telemetry.plugins.JobsLeft",
]  # what else holds a drained instance before ARM retires it by itself (registry.gates.draining)
SPAWN_RULES: list[str] = [
    "policy.plugins.SpawnRules"
]  # what stands in the way of a child (registry.gates.spawning)
BINDING_GATES: list[str] = [
    "registry.gates.VersionMayBeBound",
    "registry.gates.GenomeIntact",
    "registry.gates.open_places.PlaceOpen",
    "registry.gates.stopped.NothingStands",
    "registry.plugins.ChannelOrder",
    "registry.plugins.EvidenceVerified",
    "registry.fitness.FitsItsRole",
    "policy.plugins.SlotHasPolicy",
]
ROLE_GATES: list[str] = [
    "registry.fitness.CapabilitiesReached",
    "registry.fitness.CertificationsValid",
    "registry.fitness.WithinRole",
    "registry.fitness.EvidenceVerified",
    "registry.gates.approving.ApprovedByEnough",
]  # what a version needs for a role (registry.fitness)
EVALUATION_REPORT = "evaluation.plugins.report.Report"  # who tells what was measured of versions
CAPABILITIES = "evaluation.plugins.Capabilities"  # who knows what versions are measured to be capable of
CERTIFICATIONS = "evaluation.plugins.Certifications"  # who knows which certifications versions hold
HEALTH_FACTS: list[str] = [
    "telemetry.plugins.Health",
    "costs.plugins.Health",
    "evaluation.plugins.health.Health",
]  # who knows how a version does in a slot (registry.facts.HealthFacts)
ROLE_FACTS: list[str] = [
    "costs.plugins.RoleBudgets",
    "telemetry.plugins.RoleObjectives",
]  # who knows how a role's budgets and objectives are kept (registry.facts.RoleFacts)
RESTRICTION_EFFECTS: list[str] = [
    "policy.plugins.ApprovalsVoided"
]  # what else ends when an instance is stopped
DESIRED_EFFECTS: list[str] = [
    "federation.plugins.ProvidersTold"
]  # who hears that else is wanted of instances
MEMBER_EFFECTS: list[str] = [
    "registry.plugins.OwnersSucceed",
    "registry.plugins.ExceptionsEnd",
]  # what else ends when somebody leaves, or their account is closed
CERTAINTIES: list[str] = ["federation.plugins.Certainty"]  # who knows how it is known what instances are
APPROVALS = "policy.plugins.Approvals"  # who collects second persons' decisions (registry.gates.Approvals)
ALLOWANCES = "costs.plugins.Allowances"  # who holds instances to what they may spend (registry.facts)
CARRIED_OVER: list[str] = [
    "policy.plugins.BindingsCarried",
    "costs.plugins.CapsCarried",
]  # who keeps rules for single instances, which their replacements take over (registry.facts)
LEDGER = "costs.plugins.Ledger"  # who prices linked events and books them with their batch
INCIDENTS = "telemetry.plugins.Incidents"  # who opens an incident when a rule finds something wrong
WITNESSES: list[str] = ["policy.plugins.DecisionsSeen"]  # who tells an incident's timeline what it saw
TENANT_DEFAULTS: list[str] = ["registry.services.ensure_tenant_defaults"]  # what every new tenant starts with
HOME_PANELS: list[str] = [
    "registry.plugins.FleetPanel",
    "registry.plugins.Staffing",
    "telemetry.plugins.OpenIncidents",
    "costs.plugins.SpendToday",
    "evaluation.plugins.Evaluations",
    "registry.plugins.EvidenceCoverage",
    "registry.plugins.HeldBack",
    "registry.plugins.StillDraining",
    "registry.plugins.VersionsToApprove",
    "policy.plugins.ApprovalsWaiting",
    "policy.plugins.StopsRequested",
    "policy.plugins.StopsInForce",
]
SEARCH: list[str] = [
    "arm.panels.SearchPages",
    "registry.plugins.SearchAgents",
    "registry.plugins.SearchVersions",
    "registry.plugins.SearchInstances",
    "registry.plugins.SearchPlaces",
    "telemetry.plugins.Search",
    "policy.plugins.Search",
    "evaluation.plugins.Search",
    "federation.plugins.Search",
    "arm.listing.SearchViews",
]
ENVIRONMENT_PANELS: list[str] = ["policy.plugins.EnvironmentRules"]
PROVIDER_PANELS: list[str] = ["federation.plugins.ClientOfProvider"]
TEMPLATE_PANELS: list[str] = [
    "evaluation.plugins.TemplateSuites",
    "telemetry.plugins.TemplateIncidents",
    "costs.plugins.TemplateSpend",
]
PROJECT_PANELS: list[str] = ["costs.plugins.ProjectSpend"]
VERSION_PANELS: list[str] = [
    "registry.plugins.VersionApprovals",
    "registry.plugins.VersionEvidenceList",
    "registry.plugins.VersionExports",
    "registry.plugins.VersionReleases",
    "evaluation.plugins.VersionEvaluation",
    "evaluation.plugins.VersionCertifications",
    "telemetry.plugins.VersionIncidents",
    "costs.plugins.VersionSpend",
    "telemetry.plugins.Activity",
    "policy.plugins.PolicyInForce",
    "policy.plugins.LastApprovals",
    "policy.plugins.LastDecisions",
]
INSTANCE_PANELS: list[str] = [
    "federation.plugins.InstanceAtProvider",
    "telemetry.plugins.InstanceIncidents",
    "costs.plugins.InstanceSpend",
    "telemetry.plugins.Activity",
    "policy.plugins.InstanceStop",
    "policy.plugins.PolicyInForce",
    "policy.plugins.LastApprovals",
    "policy.plugins.LastDecisions",
]
ARTEFACT_PAGE = (
    "registry:evidence_detail"  # the name of the address where an artefact is shown, by its identifier
)
INCIDENT_PAGE = "telemetry:incident_detail"  # the name of the address where an incident is shown
CARD_SECTIONS: list[str] = [
    "policy.plugins.CardPolicy",
    "telemetry.plugins.CardIncidents",
    "evaluation.plugins.CardEvaluation",
    "costs.plugins.CardBudget",
]  # who says something on an Agent Card beside the directory
PACK_SECTIONS: list[str] = [
    "registry.plugins.packs.VersionPack",
    "registry.plugins.packs.RollbackPack",
    "evaluation.plugins.PackEvaluation",
]  # whose files an Audit Pack holds
PAST_FACTS: list[str] = [
    "registry.plugins.approving.VersionApprovedThen",
    "policy.plugins.PolicyThen",
    "policy.plugins.ApprovalsThen",
    "costs.plugins.CapsThen",
]  # who says what held for an instance at a moment that has passed (registry.sections)
NAVIGATION: list[str] = [
    "arm.panels.Navigation",
    "registry.plugins.Navigation",
    "policy.plugins.Navigation",
    "telemetry.plugins.Navigation",
    "costs.plugins.Navigation",
    "evaluation.plugins.Navigation",
    "evidence.plugins.Navigation",
    "federation.plugins.Navigation",
]
SCHEDULES: list[tuple[str, str, float]] = [
    ("approvals", "policy.tasks.expire_everywhere", 1),
    ("policy tidying", "policy.tasks.tidy", 60),
    ("telemetry partitions", "telemetry.tasks.keep_partitions", 60),
    ("caps passed", "costs.tasks.sweep_caps", 1),
    ("rollouts", "registry.tasks.advance_everywhere", 0.25),
    ("evaluation runs", "evaluation.tasks.sweep_runs", 0.25),
    ("integrity", "registry.tasks.sweep_everywhere", 30),
    ("table imports", "registry.tasks.sweep_tables", 1),
    ("acts on many rows", "registry.tasks.sweep_bulk", 1),
    ("certifications", "evaluation.tasks.sweep_certifications", 5),
    ("deprecated versions", "registry.tasks.sweep_overdue", 10),
    ("drained instances", "registry.tasks.retire_drained_everywhere", 1),
    ("owners and roles", "registry.tasks.sweep_lacking", 10),
    ("statistics", "arm.statistics.keep", 10),
    ("logs", "evidence.tasks.tend_logs", 0.25),
    ("federation", "federation.tasks.look_everywhere", 0.25),
    ("artefacts", "evidence.tasks.tend_artefacts", 0.25),
    ("answers", "arm.services.tidying.tidy", 60),
]  # (name, dotted path run for each tenant or once, minutes)
LIMITS = "policy.plugins.Limits"  # who counts what is used of the limits
POLICY_FACTS: dict[str, str] = {}  # fact: dotted path of who knows it (policy.facts)
PREPARE: list[str] = [
    "arm.grants.prepare",
    "policy.tasks.prepare_partitions",
    "telemetry.services.prepare",
    "costs.services.prepare",
    "arm.statistics.prepare",
]  # functions of the owner's alias, called by `manage.py prepare` after migrating
SUBSCRIBERS: dict[str, list[str]] = {
    "registry.version.moved": ["evaluation.tasks.version_moved", "registry.tasks.version_moved"],
    "registry.slot.bound": ["registry.tasks.slot_bound"],
    "registry.slot.rolled_back": ["registry.tasks.slot_bound"],
    "registry.slot.returned": ["registry.tasks.slot_bound"],
    "evaluation.suite.versioned": ["registry.tasks.something_changed"],
    "evaluation.suite.assigned": ["registry.tasks.something_changed"],
    "evaluation.baseline.pinned": ["registry.tasks.something_changed"],
    "evaluation.baseline.ended": ["registry.tasks.something_changed"],
    "policy.version.activated": ["registry.tasks.something_changed"],
    "policy.binding.created": ["registry.tasks.something_changed"],
    "policy.binding.ended": ["registry.tasks.something_changed"],
    "policy.tool.classified": ["registry.tasks.something_changed"],
    "policy.tool.declassified": ["registry.tasks.something_changed"],
    "policy.default.set": ["registry.tasks.something_changed"],
    "telemetry.incident.opened": ["telemetry.tasks.incident_told"],
    "telemetry.incident.raised": ["telemetry.tasks.incident_told"],
    "telemetry.incident.triaged": ["telemetry.tasks.incident_told"],
    "telemetry.incident.reopened": ["telemetry.tasks.incident_told"],
}
DEMO_GOVERNANCE: list[str] = [
    "policy.demo.build",
    "registry.demo.build",
    "federation.demo.build",
    "policy.demo.tighten",
    "costs.demo.set_budget",
]  # through services, in one transaction of the tenant
DEMO_OBSERVERS: list[str] = [
    "evaluation.demo.follow"
]  # told of each agent as it is registered, and of each version as it comes to Testing
DEMO_ACTIVITY: list[str] = [
    "costs.demo.send",
]  # through the public endpoints, after the governance has committed
DEMO_CONNECTIONS: list[str] = [
    "costs.demo.report_helpers",
    "registry.demo.asking.start_helpers_of_helpers",
    "federation.demo.connect",
]  # endpoints and processes of others, when all of it has committed
DEMO_AFTERMATH: list[str] = [
    "registry.demo.settle",
    "telemetry.demo.build",
    "policy.demo.ask",
    "registry.demo.releases.release",
    "registry.demo.prove",
    "registry.demo.asking.ask",
    "registry.demo.asking.preview_a_large_act",
    "registry.demo.asking.start_helpers",
    "costs.demo.grant",
    "registry.demo.asking.send_tables",
    "registry.demo.asking.take_a_card",
    "registry.demo.people.leave",
    "registry.demo.governing.govern",
    "evaluation.demo.pin",
]  # what needs telemetry to have been seen
LANES: dict[str, str] = {
    "/otlp/v1/traces": "telemetry.gateway.traces",
    "/api/v1/policy/decide": "policy.gateway.decide",
    "/api/v1/policy/decide/batch": "policy.gateway.decide_batch",
    "/api/v1/policy/decide/approval": "policy.gateway.approval",
    "/federation/v1/sessions/*/heartbeat": "federation.gateway.lane.heartbeat",
    "/federation/v1/poll": "federation.gateway.lane.poll",
}  # path: dotted path of a WSGI callable in front of Django
