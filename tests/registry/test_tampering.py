"""The owner of the database drops the trigger and changes a genome: the next night's sweep finds it."""

from datetime import timedelta

import pytest
from django.db import connections, transaction

from arm import clock, db
from registry import services, tasks
from registry.models import IntegrityFinding
from telemetry.models import Incident
from tests import make
from tests.registry.genomes import example

pytestmark = pytest.mark.usefixtures("committed")


def test_a_row_changed_by_the_owner_is_found_and_its_repair_as_well(monkeypatch):
    acme = make.tenant()
    alice = make.everything(make.user(member_of=acme), acme)
    template = make.template(tenant=acme)
    with db.tenants([acme.pk]):
        version = services.create_version(
            template=template, genome=example(template=template.typeid), actor=alice, reason="first"
        )
    as_it_was = bytes(version.genome.content)
    behind_arm(acme, version.genome.pk, as_it_was.replace(b"GREEN", b"AMBER"))
    assert tasks.sweep(tenant_id=acme.pk) > 0
    finding = IntegrityFinding.objects.get(genome=version.genome)
    assert finding.restored_at is None and Incident.objects.get().subject_id == version.pk
    behind_arm(acme, version.genome.pk, as_it_was)
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=1))
    tasks.sweep(tenant_id=acme.pk)
    finding.refresh_from_db()
    assert finding.restored_at is not None


def behind_arm(tenant, pk, content):
    with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
        cursor.execute("SELECT set_config('arm.tenants', %s, true)", ["{" + str(tenant.pk) + "}"])
        cursor.execute("ALTER TABLE registry_genome DISABLE TRIGGER append_only")
        cursor.execute("UPDATE registry_genome SET content = %s WHERE id = %s", [content, pk])
        assert cursor.rowcount == 1
        cursor.execute("ALTER TABLE registry_genome ENABLE TRIGGER append_only")
