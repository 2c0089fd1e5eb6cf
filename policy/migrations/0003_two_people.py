"""Requests for a stop that takes two people, and behind which walls they stand."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import arm.clock
import arm.ids
from arm import db

ASKED = [
    *("whole_tenant", "environment_id", "role_id", "template_id", "version_id", "slot_id", "instance_id"),
    *("provider_id", "tool", "tool_class", "mode", "until", "reason_code", "reason", "digest"),
    *("asked_by_id", "asked_at", "in_person", "tenant_id"),
]
KEPT = "policy_restrictionrequest"


class Migration(migrations.Migration):
    dependencies = [
        ("arm", "0002_walls"),
        ("policy", "0002_walls"),
        ("registry", "0002_walls"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="RestrictionRequest",
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
                ("until", models.DateTimeField(editable=False, null=True)),
                (
                    "reason_code",
                    models.CharField(
                        choices=[
                            ("misbehaves", "It does what it should not"),
                            ("security", "Attack or stolen access"),
                            ("data", "Data in danger"),
                            ("cost", "Cost out of hand"),
                            ("compliance", "A rule or a control is broken"),
                            ("quality", "Its results are wrong"),
                            ("maintenance", "Maintenance"),
                            ("drill", "Drill"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "digest",
                    models.CharField(
                        help_text="Of scope, mode, tools, end and reason as asked for.", max_length=71
                    ),
                ),
                ("asked_at", models.DateTimeField(default=arm.clock.now, editable=False)),
                (
                    "in_person",
                    models.BooleanField(
                        help_text="Asked signed in, not by a token: only then the asker may count."
                    ),
                ),
                ("expires_at", models.DateTimeField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("requested", "Requested"),
                            ("confirmed", "Confirmed"),
                            ("declined", "Declined"),
                            ("expired", "Expired"),
                            ("withdrawn", "Withdrawn"),
                        ],
                        default="requested",
                        editable=False,
                        max_length=10,
                    ),
                ),
                ("closed_at", models.DateTimeField(editable=False, null=True)),
                (
                    "asked_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "closed_by",
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
                "ordering": ["-pk"],
            },
        ),
        migrations.CreateModel(
            name="RestrictionDecision",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=arm.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("confirm", models.BooleanField()),
                ("reason", models.CharField(blank=True, max_length=500)),
                ("digest", models.CharField(help_text="What the person saw.", max_length=71)),
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
                        to="policy.restrictionrequest",
                    ),
                ),
            ],
            options={
                "ordering": ["at"],
            },
        ),
        migrations.AddField(
            model_name="posture",
            name="request",
            field=models.OneToOneField(
                editable=False,
                help_text="The request that people confirmed; empty where one person or a rule stopped at once.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="posture",
                to="policy.restrictionrequest",
            ),
        ),
        migrations.AddIndex(
            model_name="restrictionrequest",
            index=models.Index(fields=["tenant", "state", "-id"], name="restriction_by_state"),
        ),
        migrations.AddConstraint(
            model_name="restrictionrequest",
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
                name="restriction_has_one_scope",
            ),
        ),
        migrations.AddConstraint(
            model_name="restrictionrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(("tool", ""), ("tool_class", ""), _connector="OR"),
                name="restriction_tool_or_class",
            ),
        ),
        migrations.AddConstraint(
            model_name="restrictionrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("closed_at", None), ("state", "requested")),
                    models.Q(
                        models.Q(("state", "requested"), _negated=True),
                        models.Q(("closed_at", None), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="restriction_closed",
            ),
        ),
        migrations.AddConstraint(
            model_name="restrictionrequest",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "requested")),
                fields=("tenant", "digest"),
                name="one_open_restriction_per_digest",
            ),
        ),
        migrations.AddConstraint(
            model_name="restrictiondecision",
            constraint=models.UniqueConstraint(fields=("request", "person"), name="one_answer_per_person"),
        ),
        db.row_level_security("policy_restrictionrequest"),
        db.row_level_security("policy_restrictiondecision"),
        db.append_only("policy_restrictiondecision"),
        migrations.RunSQL(
            f"CREATE TRIGGER kept BEFORE DELETE ON {KEPT} FOR EACH ROW EXECUTE FUNCTION arm_refuse();"
            f"CREATE TRIGGER kept_truncate BEFORE TRUNCATE ON {KEPT} EXECUTE FUNCTION arm_refuse();",
            f"DROP TRIGGER kept ON {KEPT}; DROP TRIGGER kept_truncate ON {KEPT};",
        ),
        db.frozen(KEPT, ASKED),
        db.frozen(
            KEPT,
            ["state", "expires_at", "closed_at", "closed_by_id"],
            when="OLD.state <> 'requested'",
            name="over_frozen",
        ),
        db.frozen("policy_posture", ["request_id"], name="request_frozen"),
    ]
