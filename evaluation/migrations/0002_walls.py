"""Row-level security on every table; suite versions and results are append-only, and a run that came out is frozen."""

from django.db import migrations

from arm import db

TABLES = ["suite", "suiteversion", "assignment", "endpoint", "allowedhost", "run", "result"]
ABOUT = [
    "tenant_id", "suite_id", "suite_version_id", "template_id", "version_id", "genome_digest", "endpoint", "trigger",
    "created_at", "asked_by_id", "total",
]  # fmt: skip
CAME_OUT = [
    "state", "started_at", "finished_at", "done", "passed", "failed", "errored", "said", "results_digest",
]  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [("evaluation", "0001_initial"), ("registry", "0002_walls")]

    operations = [
        *[db.row_level_security(f"evaluation_{table}") for table in TABLES],
        db.append_only("evaluation_suiteversion"),
        db.append_only("evaluation_result"),
        db.frozen("evaluation_suite", ["tenant_id", "slug", "category", "created_at", "created_by_id"]),
        db.frozen(
            "evaluation_assignment",
            ["tenant_id", "suite_id", "template_id", "mandatory", "since", "created_by_id"],
        ),
        db.frozen(
            "evaluation_endpoint", ["tenant_id", "template_id", "version_id", "url", "since", "created_by_id"]
        ),
        db.frozen("evaluation_allowedhost", ["tenant_id", "entry", "since", "created_by_id"]),
        db.frozen("evaluation_run", ABOUT),
        db.frozen(
            "evaluation_run", CAME_OUT, when="OLD.state NOT IN ('queued', 'running')", name="came_out_frozen"
        ),
    ]
