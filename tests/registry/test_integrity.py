"""What is stored is looked at every night: a row that was changed behind ARM is found, shown, and stops its version."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from arm import clock
from arm.crypto import digest
from arm.models import ChangeRecord
from arm.rights import Right
from registry import queries, services, tasks
from registry.gates import GateRefused
from registry.lifecycle import InstanceState, VersionState
from registry.models import Dependency, Genome, IntegrityFinding, IntegritySweep, Prompt
from registry.services import integrity
from telemetry.models import Incident
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def small_steps(monkeypatch):
    monkeypatch.setattr(integrity, "ROWS", 2)


def sweep(tenant):
    """One whole round; how many steps it took."""
    held, steps = services.begin_sweep(tenant_id=tenant.pk), 0
    while held is not None and services.sweep_on(sweep_id=held.pk):
        steps += 1
    return steps


def wrong_genome(template):
    """Stored as it would look after somebody changed the bytes."""
    content = make.genome(template=template).content
    return Genome.objects.create(
        tenant=template.tenant, template=template, digest=digest(b"as it was"), content=content
    )


def test_a_round_covers_every_genome_and_prompt_and_says_so(acme, small_steps):
    template = make.template()
    held = [make.genome(template=template) for _ in range(5)]
    make.prompt("Be kind."), make.prompt("Be brief.")
    assert (
        sweep(acme) == 6
    )  # 2+2+1 genomes, none left, 2 prompts, none left, no versions: the last step ends it
    row = IntegritySweep.objects.get()
    octets = sum(len(bytes(one.content)) for one in held) + len("Be kind.Be brief.")
    assert (row.genomes, row.prompts, row.octets, row.wrong) == (5, 2, octets, 0)
    assert row.finished_at and not IntegrityFinding.objects.exists() and not Incident.objects.exists()


def test_what_does_not_match_is_found_wherever_it_stands_and_opens_one_incident(acme, small_steps):
    template = make.template()
    make.genome(template=template), make.genome(template=template)
    wrong = wrong_genome(template)
    version = make.version(template=template, genome=wrong)
    make.genome(template=template)
    text = make.prompt("Be kind.")
    bad = Prompt.objects.create(tenant=acme, digest=digest(b"x"), content=b"y", size=1)
    sweep(acme)
    found = {row.genome or row.prompt: row.computed for row in IntegrityFinding.objects.all()}
    assert found == {wrong: digest(bytes(wrong.content)), bad: digest(b"y")} and text not in found
    incidents = Incident.objects.order_by("opened_at")
    assert {(row.kind, row.severity, row.subject_id) for row in incidents} == {
        ("tamper", "s0", version.pk),
        ("tamper", "s0", acme.pk),
    }
    assert ChangeRecord.objects.filter(verb="registry.genome.tampered").count() == 1


def test_a_second_night_finds_it_again_and_tells_it_once(acme, monkeypatch):
    wrong_genome(make.template())
    sweep(acme)
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=1))
    sweep(acme)
    assert [row.wrong for row in IntegritySweep.objects.all()] == [1, 1]
    assert IntegrityFinding.objects.count() == Incident.objects.count() == 1


def test_a_night_has_one_round_and_a_missed_one_is_made_up_for(acme, monkeypatch):
    assert sweep(acme) > 0 and services.begin_sweep(tenant_id=acme.pk) is None
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=1))
    assert services.begin_sweep(tenant_id=acme.pk) is not None


def test_an_interrupted_round_goes_on_where_it_stopped(acme, small_steps):
    template = make.template()
    for _ in range(4):
        make.genome(template=template)
    begun = services.begin_sweep(tenant_id=acme.pk)
    services.sweep_on(sweep_id=begun.pk)
    assert services.begin_sweep(tenant_id=acme.pk) == begun
    sweep(acme)
    assert IntegritySweep.objects.get().genomes == 4


def test_a_step_takes_no_more_bytes_than_its_limit_and_still_gets_on(acme, monkeypatch):
    monkeypatch.setattr(integrity, "OCTETS", 10)
    template = make.template()
    for _ in range(3):
        make.genome(template=template)
    sweep(acme)
    assert IntegritySweep.objects.get().genomes == 3


def test_a_row_of_another_tenant_is_left_to_its_own_round(acme):
    other = make.tenant("other")
    make.genome(template=make.template(tenant=other))
    sweep(acme)
    assert IntegritySweep.objects.get().genomes == 0


def test_the_schedule_queues_a_round_for_every_tenant(acme, queued):
    make.tenant("other")
    assert tasks.sweep_everywhere() == 2 == list(queued()).count("registry.tasks.sweep")


def test_the_worker_runs_a_round_in_steps_of_its_own(acme, small_steps):
    template = make.template()
    for _ in range(3):
        make.genome(template=template)
    assert tasks.sweep(tenant_id=acme.pk) > 2 and IntegritySweep.objects.get().finished_at


def test_the_trigger_refuses_the_change_that_the_sweep_would_find(acme):
    held = make.genome()
    with pytest.raises(DatabaseError), transaction.atomic():
        Genome.objects.filter(pk=held.pk).update(content=b"{}")


def test_the_end_of_a_round_cannot_be_rewritten(acme):
    sweep(acme)
    with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
        IntegritySweep.objects.update(wrong=7)


def test_reading_marks_it_as_a_sweep_does(acme):
    held = wrong_genome(make.template())
    services.read_genome(genome=held)
    found = IntegrityFinding.objects.get()
    assert (found.genome, found.sweep) == (held, None)


def test_a_tampered_version_is_not_promoted_bound_or_activated(acme, alice):
    template = make.template()
    version = make.version(template=template, genome=wrong_genome(template))
    approved = make.approved(template=template, genome=wrong_genome(make.template()))
    waiting = make.instance(version=approved, state=InstanceState.PROVISIONING)
    slot = make.slot()
    for call in (
        lambda: services.move_version(version=version, to=VersionState.TESTING, actor=alice, reason="go"),
        lambda: services.bind_slot(slot=slot, version=approved, actor=alice, reason="go"),
        lambda: services.move_instance(instance=waiting, to=InstanceState.ACTIVE, actor=alice, reason="go"),
    ):
        with pytest.raises(GateRefused) as refused:
            call()
        assert "genome intact" in {gate["gate"] for gate in refused.value.extra["gates"]}
    withdrawn = services.move_version(version=version, to=VersionState.RETIRED, actor=alice, reason="bad")
    assert withdrawn.state == VersionState.RETIRED


def test_the_pages_show_what_was_found(client, acme, alice):
    template = make.template("invoices")
    version = make.version(template=template, genome=wrong_genome(template))
    fine = make.version(template=template)
    sweep(acme)
    client.force_login(alice)
    page = client.get(reverse("registry:integrity")).content.decode()
    assert "is not the one that was sealed" in page and version.genome.digest in page
    listed = client.get(reverse("registry:version_list")).content.decode()
    marked = [row for row in listed.split("<tr")[1:] if "Tampered" in row]
    assert len(marked) == 1 and version.get_absolute_url() in marked[0]
    only = client.get(f"{reverse('registry:version_list')}?tampered=true").content.decode()
    assert version.typeid in only and fine.typeid not in only


def test_who_reads_one_agent_sees_its_finding_and_no_round(client, acme):
    mine, theirs = make.template("mine"), make.template("theirs")
    held, hidden = wrong_genome(mine), wrong_genome(theirs)
    sweep(acme)
    bob = make.user("bob", member_of=acme)
    make.grant(bob, mine, Right.READ_DIRECTORY)
    client.force_login(bob)
    page = client.get(reverse("registry:integrity")).content.decode()
    assert digest(bytes(held.content)) in page and digest(bytes(hidden.content)) not in page
    assert "Nothing was swept yet" in page


def test_of_a_prompt_that_everybody_uses_no_more_versions_are_fetched_than_are_named(
    acme, alice, monkeypatch
):
    monkeypatch.setattr(queries.integrity, "MOST", 3)
    prompt = make.prompt("Be kind.")
    wrong = IntegrityFinding.objects.create(
        tenant=acme, prompt=prompt, digest=prompt.digest, computed="sha256:0"
    )
    versions = [make.version() for _ in range(6)]
    for version in versions:
        Dependency.objects.create(tenant=acme, version=version, kind="prompt", name=prompt.digest)
    other = wrong_genome(make.template())
    torn = [
        make.version(template=other.template, number=n, genome=other, repeats=n > 10) for n in range(10, 15)
    ]
    second = IntegrityFinding.objects.create(
        tenant=acme, genome=other, digest=other.digest, computed="sha256:1"
    )
    with CaptureQueriesContext(connection) as asked:
        found = queries.versions_found([wrong, second], alice)
    assert found == {
        wrong.pk: [version.pk for version in versions[:3]], second.pk: [version.pk for version in torn[:3]]
    }  # fmt: skip
    for query in asked.captured_queries:
        if "ROW_NUMBER" in query["sql"]:
            with connection.cursor() as cursor:
                cursor.execute(query["sql"])
                assert len(cursor.fetchall()) == 3
    assert sum("ROW_NUMBER" in query["sql"] for query in asked.captured_queries) == 2
