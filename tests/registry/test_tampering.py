"""The owner of the database drops the trigger and changes a genome: the next night's sweep finds it."""

from datetime import timedelta

import pytest
from django.db import connections, transaction

from arm import clock, crypto, db
from arm.errors import Conflict
from registry import gates, services, tasks
from registry.lifecycle import VersionState
from registry.models import AgentVersion, IntegrityFinding
from registry.services.exchange import Format, Tampered
from telemetry.models import Incident
from tests import make
from tests.registry.genomes import example

pytestmark = pytest.mark.usefixtures("committed")


def test_a_row_changed_by_the_owner_is_found_and_its_repair_as_well(monkeypatch):
    acme = make.tenant()
    version = made(acme)
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


def test_bytes_and_digest_changed_together_are_found_by_what_was_recorded(monkeypatch):
    acme = make.tenant()
    version = made(acme)
    as_it_was, recorded = bytes(version.genome.content), version.genome.digest
    other = as_it_was.replace(b"GREEN", b"AMBER")
    behind_arm(acme, version.genome.pk, other, crypto.digest(other))
    tasks.sweep(tenant_id=acme.pk)
    with db.tenants([acme.pk]):
        finding = IntegrityFinding.objects.get()
        assert (finding.version, finding.digest, finding.computed) == (
            version,
            recorded,
            crypto.digest(other),
        )
        assert Incident.objects.get().subject_id == version.pk and finding.restored_at is None
        assert list(AgentVersion.objects.tampered()) == [version]
    behind_arm(acme, version.genome.pk, as_it_was, recorded)
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=1))
    tasks.sweep(tenant_id=acme.pk)
    finding.refresh_from_db()
    assert finding.restored_at is not None


def test_a_move_afterwards_makes_nothing_right_and_nothing_goes_on(monkeypatch):
    acme = make.tenant()
    version = made(acme)
    other = bytes(version.genome.content).replace(b"GREEN", b"AMBER")
    behind_arm(acme, version.genome.pk, other, crypto.digest(other))
    alice = make.everything(make.user(member_of=acme), acme)
    with db.tenants([acme.pk]):
        version = AgentVersion.objects.get(pk=version.pk)
        assert not version.intact
        assert not gates.GenomeIntact().check(version, VersionState.TESTING).passed
        with pytest.raises(Conflict, match="not the one that was sealed"):
            services.issue_card(version=version, actor=alice, reason="for the auditor")
        with pytest.raises(Tampered):
            services.export_version(version=version, format=Format.GENOME, actor=alice)
        services.move_version(version=version, to=VersionState.RETIRED, actor=alice, reason="away with it")
    tasks.sweep(tenant_id=acme.pk)
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=1))
    tasks.sweep(tenant_id=acme.pk)
    with db.tenants([acme.pk]):
        assert IntegrityFinding.objects.get(version=version).restored_at is None


def test_a_version_pointed_at_another_genome_behind_arm_is_found(monkeypatch):
    acme = make.tenant()
    alice = make.everything(make.user(member_of=acme), acme)
    template = make.template(tenant=acme)
    with db.tenants([acme.pk]):
        first, second = (
            services.create_version(
                template=template,
                genome=example(template=template.typeid, limits={"max_turns": turns}),
                actor=alice,
                reason="first",
            )
            for turns in (20, 30)
        )
        AgentVersion.objects.filter(pk=first.pk).update(
            genome=second.genome, repeats=True
        )  # a draft: no trigger stands in the way, and the mark gets past the index
    tasks.sweep(tenant_id=acme.pk)
    with db.tenants([acme.pk]):
        assert IntegrityFinding.objects.get().version == first


def made(tenant):
    """A version as somebody creates it, with its record."""
    alice = make.everything(make.user(member_of=tenant), tenant)
    template = make.template(tenant=tenant)
    with db.tenants([tenant.pk]):
        return services.create_version(
            template=template, genome=example(template=template.typeid), actor=alice, reason="first"
        )


def behind_arm(tenant, pk, content, digest=None):
    """What the owner of the database can do: take the trigger away, change the row, put it back."""
    for statement, values in (
        ("ALTER TABLE registry_genome DISABLE TRIGGER append_only", []),
        (
            "UPDATE registry_genome SET content = %s, digest = coalesce(%s, digest) WHERE id = %s",
            [content, digest, pk],
        ),
        ("ALTER TABLE registry_genome ENABLE TRIGGER append_only", []),
    ):
        with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
            cursor.execute("SELECT set_config('arm.tenants', %s, true)", ["{" + str(tenant.pk) + "}"])
            cursor.execute(statement, values)
