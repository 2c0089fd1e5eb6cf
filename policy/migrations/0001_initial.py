"""Policies, bindings, postures, approvals, limits, and the partitioned record of decisions."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import arm.clock
import arm.ids

DECISION = """
CREATE TABLE policy_decision (
  id uuid NOT NULL, tenant_id uuid NOT NULL, at timestamptz NOT NULL, instance_id uuid NOT NULL,
  version_id uuid NOT NULL, key_id uuid NOT NULL, action smallint NOT NULL, tool varchar(128) NOT NULL,
  risk smallint NOT NULL, decision smallint NOT NULL, would smallint NOT NULL, reasons text NOT NULL,
  obligations varchar(200) NOT NULL, action_digest bytea NOT NULL, policy_digest bytea NOT NULL,
  verdict_digest bytea NOT NULL, approval_id uuid, job varchar(200) NOT NULL, outcome varchar(200) NOT NULL,
  run varchar(200) NOT NULL, age_ms integer NOT NULL, request_id varchar(64) NOT NULL,
  PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX decision_by_instance ON policy_decision (instance_id, id);
CREATE INDEX decision_by_tenant ON policy_decision (tenant_id, id);
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("arm", "0002_walls"),
        ("registry", "0002_walls"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ApprovalRequest",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=arm.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("tool_call", "Action of an agent"),
                            ("reactivation", "Return from a stop"),
                            ("promotion", "Promotion"),
                            ("retirement", "Retirement"),
                        ],
                        max_length=12,
                    ),
                ),
                ("title", models.CharField(max_length=250)),
                ("subject_kind", models.CharField(max_length=80)),
                ("subject_id", models.UUIDField()),
                (
                    "action",
                    models.JSONField(
                        help_text="Exactly what is asked for; secrets masked. The digest is of the original."
                    ),
                ),
                ("digest", models.CharField(max_length=71)),
                ("risk", models.CharField(blank=True, max_length=6)),
                ("reasons", models.JSONField(default=list)),
                ("policy_digest", models.CharField(blank=True, max_length=71)),
                ("decision_id", models.UUIDField(help_text="The decision that asked.", null=True)),
                (
                    "excluded",
                    models.JSONField(default=list, help_text="Ids of people whose decision does not count."),
                ),
                (
                    "roles",
                    models.JSONField(default=list, help_text="Every approver must hold each of these roles."),
                ),
                ("quorum", models.PositiveSmallIntegerField(default=1)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("escalated", "Escalated"),
                            ("approved", "Approved"),
                            ("denied", "Denied"),
                            ("expired", "Expired"),
                            ("cancelled", "Cancelled"),
                            ("consumed", "Consumed"),
                            ("voided", "Voided"),
                        ],
                        default="pending",
                        editable=False,
                        max_length=10,
                    ),
                ),
                ("created_at", models.DateTimeField(default=arm.clock.now, editable=False)),
                ("expires_at", models.DateTimeField()),
                ("escalates_at", models.DateTimeField(null=True)),
                ("escalates_to", models.CharField(blank=True, max_length=40)),
                ("decided_at", models.DateTimeField(editable=False, null=True)),
                ("closed_at", models.DateTimeField(editable=False, null=True)),
                (
                    "consumed_by",
                    models.UUIDField(editable=False, help_text="The decision that used it.", null=True),
                ),
                (
                    "instance",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="registry.agentinstance",
                    ),
                ),
                (
                    "requested_by",
                    models.ForeignKey(
                        help_text="Empty: the agent.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="arm.tenant",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
            },
        ),
        migrations.CreateModel(
            name="ApprovalDecision",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=arm.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("approve", models.BooleanField()),
                ("reason", models.CharField(max_length=500)),
                ("digest", models.CharField(help_text="What the person saw.", max_length=71)),
                (
                    "opened_at",
                    models.DateTimeField(help_text="When the person opened the request.", null=True),
                ),
                ("at", models.DateTimeField(default=arm.clock.now, editable=False)),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="arm.tenant",
                    ),
                ),
                (
                    "request",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="decisions",
                        to="policy.approvalrequest",
                    ),
                ),
            ],
            options={
                "ordering": ["at"],
            },
        ),
        # One partition a day, by ranges of the UUIDv7 key; no foreign keys, since COPY would pay for each.
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(DECISION, "DROP TABLE policy_decision;")],
            state_operations=[
                migrations.CreateModel(
                    name="Decision",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                default=arm.ids.uuid7, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("at", models.DateTimeField()),
                        ("version_id", models.UUIDField()),
                        ("key_id", models.UUIDField(help_text="The credential that asked.")),
                        (
                            "action",
                            models.SmallIntegerField(
                                choices=[
                                    (0, "run_start"),
                                    (1, "run_step"),
                                    (2, "model_call"),
                                    (3, "tool_call"),
                                ]
                            ),
                        ),
                        ("tool", models.CharField(max_length=128)),
                        ("risk", models.SmallIntegerField(choices=[(0, "green"), (1, "yellow"), (2, "red")])),
                        (
                            "decision",
                            models.SmallIntegerField(choices=[(0, "allow"), (1, "approve"), (2, "deny")]),
                        ),
                        (
                            "would",
                            models.SmallIntegerField(choices=[(0, "allow"), (1, "approve"), (2, "deny")]),
                        ),
                        (
                            "reasons",
                            models.TextField(help_text="Codes and the rules they came from, as JSON."),
                        ),
                        ("obligations", models.CharField(max_length=200)),
                        ("action_digest", models.BinaryField(max_length=32)),
                        ("policy_digest", models.BinaryField(max_length=32)),
                        ("verdict_digest", models.BinaryField(max_length=32)),
                        ("approval_id", models.UUIDField(null=True)),
                        ("job", models.CharField(max_length=200)),
                        ("outcome", models.CharField(max_length=200)),
                        ("run", models.CharField(max_length=200)),
                        ("age_ms", models.IntegerField(help_text="How old the facts were.")),
                        ("request_id", models.CharField(max_length=64)),
                        (
                            "instance",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="registry.agentinstance",
                            ),
                        ),
                        (
                            "tenant",
                            models.ForeignKey(
                                editable=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="arm.tenant",
                            ),
                        ),
                    ],
                    options={
                        "ordering": ["-pk"],
                        "default_permissions": (),
                    },
                ),
            ],
        ),
        migrations.CreateModel(
            name="LimitUsage",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=arm.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("per", models.CharField(max_length=5)),
                ("unit", models.CharField(max_length=6)),
                ("currency", models.CharField(blank=True, max_length=3)),
                (
                    "window",
                    models.CharField(help_text="2026-11-22, 2026-11, or the run's id.", max_length=160),
                ),
                ("used", models.DecimalField(decimal_places=6, default=0, max_digits=24)),
                ("updated_at", models.DateTimeField(default=arm.clock.now)),
                (
                    "instance",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="registry.agentinstance",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="arm.tenant",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="LimitLease",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=arm.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("holder", models.CharField(max_length=80)),
                ("amount", models.DecimalField(decimal_places=6, max_digits=24)),
                ("returned", models.DecimalField(decimal_places=6, default=0, max_digits=24)),
                ("taken_at", models.DateTimeField(default=arm.clock.now)),
                ("expires_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(null=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="arm.tenant",
                    ),
                ),
                (
                    "usage",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="leases",
                        to="policy.limitusage",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Policy",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=arm.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("slug", models.SlugField(max_length=80)),
                ("name", models.CharField(max_length=160)),
                ("purpose", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(default=arm.clock.now, editable=False)),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="arm.tenant",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "policies",
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="Binding",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=arm.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("whole_tenant", models.BooleanField(default=False)),
                ("since", models.DateTimeField(default=arm.clock.now, editable=False)),
                ("until", models.DateTimeField(editable=False, null=True)),
                ("reason", models.CharField(max_length=500)),
                (
                    "bound_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "ended_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="registry.environment",
                    ),
                ),
                (
                    "instance",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="registry.agentinstance",
                    ),
                ),
                (
                    "role",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="registry.roledefinition",
                    ),
                ),
                (
                    "slot",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="registry.deploymentslot",
                    ),
                ),
                (
                    "template",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="registry.agenttemplate",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="arm.tenant",
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="registry.agentversion",
                    ),
                ),
                (
                    "policy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="bindings",
                        to="policy.policy",
                    ),
                ),
            ],
            options={
                "ordering": ["-since"],
            },
        ),
        migrations.CreateModel(
            name="PolicyVersion",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=arm.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                (
                    "content",
                    models.BinaryField(help_text="RFC 8785 bytes; `sha256sum` of them is the digest."),
                ),
                ("digest", models.CharField(max_length=71)),
                ("tier", models.PositiveSmallIntegerField()),
                (
                    "note",
                    models.CharField(
                        blank=True, help_text="What changed, in its author's words.", max_length=500
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("draft", "Draft"),
                            ("active", "Active"),
                            ("superseded", "Superseded"),
                            ("withdrawn", "Withdrawn"),
                        ],
                        default="draft",
                        editable=False,
                        max_length=10,
                    ),
                ),
                ("created_at", models.DateTimeField(default=arm.clock.now, editable=False)),
                ("activated_at", models.DateTimeField(editable=False, null=True)),
                ("ended_at", models.DateTimeField(editable=False, null=True)),
                (
                    "activated_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "policy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="versions",
                        to="policy.policy",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="arm.tenant",
                    ),
                ),
            ],
            options={
                "ordering": ["policy", "-number"],
            },
        ),
        migrations.CreateModel(
            name="Posture",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=arm.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("whole_tenant", models.BooleanField(default=False)),
                (
                    "tool",
                    models.CharField(blank=True, help_text="Only this tool (name or glob).", max_length=128),
                ),
                (
                    "tool_class",
                    models.CharField(blank=True, help_text="Only tools of this class.", max_length=12),
                ),
                (
                    "mode",
                    models.CharField(
                        choices=[
                            ("draining", "Draining"),
                            ("paused", "Paused"),
                            ("read_only", "Read only"),
                            ("quarantined", "Quarantined"),
                            ("killed", "Killed"),
                        ],
                        editable=False,
                        max_length=12,
                    ),
                ),
                ("reason", models.CharField(max_length=500)),
                ("set_at", models.DateTimeField(default=arm.clock.now, editable=False)),
                ("until", models.DateTimeField(editable=False, null=True)),
                ("lifted_at", models.DateTimeField(editable=False, null=True)),
                ("lift_reason", models.CharField(blank=True, max_length=500)),
                (
                    "reach",
                    models.JSONField(
                        default=dict, editable=False, help_text="What it stopped when it was set, in numbers."
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="registry.environment",
                    ),
                ),
                (
                    "instance",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="registry.agentinstance",
                    ),
                ),
                (
                    "lifted_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "provider",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="registry.provider",
                    ),
                ),
                (
                    "role",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="registry.roledefinition",
                    ),
                ),
                (
                    "set_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "slot",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="registry.deploymentslot",
                    ),
                ),
                (
                    "template",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="registry.agenttemplate",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="arm.tenant",
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="registry.agentversion",
                    ),
                ),
            ],
            options={
                "ordering": ["-set_at"],
            },
        ),
        migrations.CreateModel(
            name="TenantPolicy",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=arm.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("require", "Refuse requests without job or outcome"),
                            ("warn", "Accept them and count them"),
                        ],
                        default="require",
                        max_length=8,
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="arm.tenant",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ToolRisk",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=arm.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("tool", models.CharField(help_text="A tool's name, or a glob like crm_*.", max_length=128)),
                (
                    "risk",
                    models.CharField(
                        blank=True,
                        choices=[("green", "Green"), ("yellow", "Yellow"), ("red", "Red")],
                        max_length=6,
                    ),
                ),
                ("tool_class", models.CharField(blank=True, max_length=12)),
                (
                    "ceiling",
                    models.PositiveSmallIntegerField(
                        blank=True, help_text="Highest tier for this tool.", null=True
                    ),
                ),
                ("note", models.CharField(max_length=500)),
                ("since", models.DateTimeField(default=arm.clock.now, editable=False)),
                ("until", models.DateTimeField(editable=False, null=True)),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="arm.tenant",
                    ),
                ),
            ],
            options={
                "ordering": ["tool"],
            },
        ),
        migrations.AddIndex(
            model_name="approvalrequest",
            index=models.Index(fields=["tenant", "state", "-id"], name="approval_by_state"),
        ),
        migrations.AddIndex(
            model_name="approvalrequest",
            index=models.Index(fields=["instance", "-id"], name="approval_by_instance"),
        ),
        migrations.AddConstraint(
            model_name="approvalrequest",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ("pending", "escalated", "approved"))),
                fields=("subject_id", "digest"),
                name="one_open_request_per_action",
            ),
        ),
        migrations.AddConstraint(
            model_name="approvalrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(("quorum__gte", 1)), name="quorum_at_least_one"
            ),
        ),
        migrations.AddConstraint(
            model_name="approvaldecision",
            constraint=models.UniqueConstraint(fields=("request", "person"), name="one_decision_per_person"),
        ),
        migrations.AddConstraint(
            model_name="limitusage",
            constraint=models.UniqueConstraint(
                fields=("instance", "per", "unit", "currency", "window"), name="one_counter_per_window"
            ),
        ),
        migrations.AddConstraint(
            model_name="limitusage",
            constraint=models.CheckConstraint(
                condition=models.Q(("used__gte", 0)), name="usage_not_negative"
            ),
        ),
        migrations.AddConstraint(
            model_name="limitlease",
            constraint=models.CheckConstraint(
                condition=models.Q(("returned__gte", 0), ("returned__lte", models.F("amount"))),
                name="lease_returns_what_it_had",
            ),
        ),
        migrations.AddConstraint(
            model_name="policy",
            constraint=models.UniqueConstraint(fields=("tenant", "slug"), name="policy_slug_unique"),
        ),
        migrations.AddIndex(
            model_name="binding",
            index=models.Index(
                condition=models.Q(("until", None)), fields=["tenant"], name="binding_in_force"
            ),
        ),
        migrations.AddConstraint(
            model_name="binding",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("environment__isnull", True),
                        ("instance__isnull", True),
                        ("role__isnull", True),
                        ("slot__isnull", True),
                        ("template__isnull", True),
                        ("version__isnull", True),
                        ("whole_tenant", True),
                    ),
                    models.Q(
                        ("environment__isnull", False),
                        ("instance__isnull", True),
                        ("role__isnull", True),
                        ("slot__isnull", True),
                        ("template__isnull", True),
                        ("version__isnull", True),
                        ("whole_tenant", False),
                    ),
                    models.Q(
                        ("environment__isnull", True),
                        ("instance__isnull", True),
                        ("role__isnull", False),
                        ("slot__isnull", True),
                        ("template__isnull", True),
                        ("version__isnull", True),
                        ("whole_tenant", False),
                    ),
                    models.Q(
                        ("environment__isnull", True),
                        ("instance__isnull", True),
                        ("role__isnull", True),
                        ("slot__isnull", True),
                        ("template__isnull", False),
                        ("version__isnull", True),
                        ("whole_tenant", False),
                    ),
                    models.Q(
                        ("environment__isnull", True),
                        ("instance__isnull", True),
                        ("role__isnull", True),
                        ("slot__isnull", True),
                        ("template__isnull", True),
                        ("version__isnull", False),
                        ("whole_tenant", False),
                    ),
                    models.Q(
                        ("environment__isnull", True),
                        ("instance__isnull", True),
                        ("role__isnull", True),
                        ("slot__isnull", False),
                        ("template__isnull", True),
                        ("version__isnull", True),
                        ("whole_tenant", False),
                    ),
                    models.Q(
                        ("environment__isnull", True),
                        ("instance__isnull", False),
                        ("role__isnull", True),
                        ("slot__isnull", True),
                        ("template__isnull", True),
                        ("version__isnull", True),
                        ("whole_tenant", False),
                    ),
                    _connector="OR",
                ),
                name="binding_has_one_target",
            ),
        ),
        migrations.AddConstraint(
            model_name="binding",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_by", None), ("until", None)), ("until__isnull", False), _connector="OR"
                ),
                name="binding_end",
            ),
        ),
        migrations.AddConstraint(
            model_name="binding",
            constraint=models.UniqueConstraint(
                condition=models.Q(("until", None)),
                fields=("policy", "environment"),
                name="policy_once_per_environment",
            ),
        ),
        migrations.AddConstraint(
            model_name="binding",
            constraint=models.UniqueConstraint(
                condition=models.Q(("until", None)), fields=("policy", "role"), name="policy_once_per_role"
            ),
        ),
        migrations.AddConstraint(
            model_name="binding",
            constraint=models.UniqueConstraint(
                condition=models.Q(("until", None)),
                fields=("policy", "template"),
                name="policy_once_per_template",
            ),
        ),
        migrations.AddConstraint(
            model_name="binding",
            constraint=models.UniqueConstraint(
                condition=models.Q(("until", None)),
                fields=("policy", "version"),
                name="policy_once_per_version",
            ),
        ),
        migrations.AddConstraint(
            model_name="binding",
            constraint=models.UniqueConstraint(
                condition=models.Q(("until", None)), fields=("policy", "slot"), name="policy_once_per_slot"
            ),
        ),
        migrations.AddConstraint(
            model_name="binding",
            constraint=models.UniqueConstraint(
                condition=models.Q(("until", None)),
                fields=("policy", "instance"),
                name="policy_once_per_instance",
            ),
        ),
        migrations.AddConstraint(
            model_name="binding",
            constraint=models.UniqueConstraint(
                condition=models.Q(("until", None), ("whole_tenant", True)),
                fields=("policy", "tenant"),
                name="policy_once_per_tenant",
            ),
        ),
        migrations.AddIndex(
            model_name="policyversion",
            index=models.Index(fields=["tenant", "digest"], name="policy_by_digest"),
        ),
        migrations.AddConstraint(
            model_name="policyversion",
            constraint=models.UniqueConstraint(fields=("policy", "number"), name="policy_number_unique"),
        ),
        migrations.AddConstraint(
            model_name="policyversion",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "active")), fields=("policy",), name="one_active_policy_version"
            ),
        ),
        migrations.AddConstraint(
            model_name="policyversion",
            constraint=models.CheckConstraint(
                condition=models.Q(("tier__lte", 5)), name="policy_tier_0_to_5"
            ),
        ),
        migrations.AddIndex(
            model_name="posture",
            index=models.Index(
                condition=models.Q(("lifted_at", None)), fields=["tenant"], name="posture_in_force"
            ),
        ),
        migrations.AddConstraint(
            model_name="posture",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("environment__isnull", True),
                        ("instance__isnull", True),
                        ("provider__isnull", True),
                        ("role__isnull", True),
                        ("slot__isnull", True),
                        ("template__isnull", True),
                        ("version__isnull", True),
                        ("whole_tenant", True),
                    ),
                    models.Q(
                        ("environment__isnull", False),
                        ("instance__isnull", True),
                        ("provider__isnull", True),
                        ("role__isnull", True),
                        ("slot__isnull", True),
                        ("template__isnull", True),
                        ("version__isnull", True),
                        ("whole_tenant", False),
                    ),
                    models.Q(
                        ("environment__isnull", True),
                        ("instance__isnull", True),
                        ("provider__isnull", True),
                        ("role__isnull", False),
                        ("slot__isnull", True),
                        ("template__isnull", True),
                        ("version__isnull", True),
                        ("whole_tenant", False),
                    ),
                    models.Q(
                        ("environment__isnull", True),
                        ("instance__isnull", True),
                        ("provider__isnull", True),
                        ("role__isnull", True),
                        ("slot__isnull", True),
                        ("template__isnull", False),
                        ("version__isnull", True),
                        ("whole_tenant", False),
                    ),
                    models.Q(
                        ("environment__isnull", True),
                        ("instance__isnull", True),
                        ("provider__isnull", True),
                        ("role__isnull", True),
                        ("slot__isnull", True),
                        ("template__isnull", True),
                        ("version__isnull", False),
                        ("whole_tenant", False),
                    ),
                    models.Q(
                        ("environment__isnull", True),
                        ("instance__isnull", True),
                        ("provider__isnull", True),
                        ("role__isnull", True),
                        ("slot__isnull", False),
                        ("template__isnull", True),
                        ("version__isnull", True),
                        ("whole_tenant", False),
                    ),
                    models.Q(
                        ("environment__isnull", True),
                        ("instance__isnull", False),
                        ("provider__isnull", True),
                        ("role__isnull", True),
                        ("slot__isnull", True),
                        ("template__isnull", True),
                        ("version__isnull", True),
                        ("whole_tenant", False),
                    ),
                    models.Q(
                        ("environment__isnull", True),
                        ("instance__isnull", True),
                        ("provider__isnull", False),
                        ("role__isnull", True),
                        ("slot__isnull", True),
                        ("template__isnull", True),
                        ("version__isnull", True),
                        ("whole_tenant", False),
                    ),
                    _connector="OR",
                ),
                name="posture_has_one_scope",
            ),
        ),
        migrations.AddConstraint(
            model_name="posture",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("lift_reason", ""), ("lifted_at", None), ("lifted_by", None)),
                    ("lifted_at__isnull", False),
                    _connector="OR",
                ),
                name="posture_lift",
            ),
        ),
        migrations.AddConstraint(
            model_name="posture",
            constraint=models.CheckConstraint(
                condition=models.Q(("tool", ""), ("tool_class", ""), _connector="OR"),
                name="posture_tool_or_class",
            ),
        ),
        migrations.AddConstraint(
            model_name="posture",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("mode", "killed"), _negated=True),
                    models.Q(("lifted_at", None), ("until", None)),
                    _connector="OR",
                ),
                name="killed_is_never_lifted",
            ),
        ),
        migrations.AddConstraint(
            model_name="tenantpolicy",
            constraint=models.UniqueConstraint(fields=("tenant",), name="one_policy_setting_per_tenant"),
        ),
        migrations.AddConstraint(
            model_name="toolrisk",
            constraint=models.UniqueConstraint(
                condition=models.Q(("until", None)), fields=("tenant", "tool"), name="tool_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="toolrisk",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("risk", ""), _negated=True), ("ceiling__isnull", False), _connector="OR"
                ),
                name="tool_risk_says_something",
            ),
        ),
        migrations.AddConstraint(
            model_name="toolrisk",
            constraint=models.CheckConstraint(
                condition=models.Q(("ceiling", None), ("ceiling__lte", 5), _connector="OR"),
                name="ceiling_0_to_5",
            ),
        ),
    ]
