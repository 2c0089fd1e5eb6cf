"""Row-level security on every table of the directory; genomes and prompts are append-only."""

from django.db import migrations

from arm import db

TABLES = [
    "environment",
    "provider",
    "project",
    "agenttemplate",
    "ownership",
    "prompt",
    "genome",
    "agentversion",
    "versionparent",
    "dependency",
    "roledefinition",
    "deploymentslot",
    "slotbinding",
    "agentinstance",
    "instancestatus",
    "instanceinterval",
    "keyscope",
    "environmentusergrant",
    "environmentgroupgrant",
    "providerusergrant",
    "providergroupgrant",
    "templateusergrant",
    "templategroupgrant",
]


class Migration(migrations.Migration):
    dependencies = [("registry", "0001_initial"), ("arm", "0002_walls")]

    operations = [
        *[db.row_level_security(f"registry_{table}") for table in TABLES],
        db.append_only("registry_genome"),
        db.append_only("registry_prompt"),
        db.frozen(
            "registry_agentversion", ["template_id", "number", "tenant_id", "created_by_id"], name="frozen"
        ),
        db.frozen("registry_agentversion", ["genome_id"], when="OLD.state <> 'draft'", name="genome_frozen"),
        db.frozen("registry_slotbinding", ["slot_id", "version_id", "since", "reason", "tenant_id"]),
        db.frozen("registry_instanceinterval", ["instance_id", "version_id", "state", "since", "tenant_id"]),
        db.frozen("registry_agentinstance", ["template_id", "environment_id", "provider_id", "tenant_id"]),
    ]
