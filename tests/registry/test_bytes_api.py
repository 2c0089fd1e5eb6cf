"""What the directory's API tells of bytes: sweeps and findings, genomes as files, documents that failed."""

import pytest
from django.urls import reverse

from arm.models import SecurityEvent, Tenant
from arm.rights import Right
from registry import services
from registry.models import AgentVersion, IntegrityFinding
from telemetry.models import Incident
from tests import make
from tests.registry.calling import API, Caller, pointers

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(acme: Tenant) -> Caller:
    return Caller(make.everything(make.user("alice", member_of=acme), acme))


# --- sweeps and findings -------------------------------------------------------------------------------------


@pytest.fixture
def found(acme: Tenant) -> IntegrityFinding:
    """A sweep has found a genome that is not what its digest says."""
    version = make.version(template=make.template("invoices", name="Invoices"))
    wrong = make.genome(template=version.template)
    type(wrong).objects.bulk_create(
        [
            type(wrong)(
                tenant=acme, template=wrong.template, digest="sha256:" + "1" * 64, content=wrong.content
            )
        ]
    )
    tampered = type(wrong).objects.get(digest__startswith="sha256:1111")
    make.version(template=version.template, genome=tampered)
    sweep = services.begin_sweep(tenant_id=acme.pk)
    assert sweep is not None
    while services.sweep_on(sweep_id=sweep.pk):
        pass
    return IntegrityFinding.objects.get()


def test_a_sweep_tells_its_counts_and_a_finding_its_versions_and_incident(
    found: IntegrityFinding, alice: Caller
) -> None:
    (sweep,) = alice.get("sweeps/").json()["results"]
    assert (sweep["phase"], sweep["genomes"], sweep["prompts"], sweep["wrong"]) == ("done", 3, 0, 1)
    assert alice.get(f"sweeps/{sweep['id']}/").json() == sweep
    assert alice.get("sweeps/?wrong=false").json()["results"] == []
    (row,) = alice.get(f"findings/?open=true&sweep={sweep['id']}").json()["results"]
    assert found.genome is not None
    version = AgentVersion.objects.get(genome=found.genome)
    incident = Incident.objects.get()
    assert row["versions"] == [version.typeid] and row["incident"] == incident.typeid
    assert (row["genome"], row["prompt"], row["digest"]) == (found.genome.typeid, None, found.digest)
    assert row["computed"] != row["digest"] and row["restored_at"] is None
    assert alice.get(f"findings/{row['id']}/").json() == row
    assert alice.get("findings/?open=false").json()["results"] == []
    assert pointers(alice.get("findings/?colour=1")) == {"/colour"}
    page = alice.client.get("/registry/integrity/").content.decode()
    assert f"/incidents/{incident.typeid}/" in page
    assert alice.client.get(found.incident_url).status_code == 200


def test_a_finding_names_the_versions_whose_genomes_use_the_prompt(acme: Tenant, alice: Caller) -> None:
    prompt = make.prompt("Be kind.")
    version = make.version()
    version.dependencies.create(
        tenant=acme, template=version.template, kind="prompt", name=prompt.digest, detail={}
    )
    finding = services.note_tampered(prompt, "sha256:" + "2" * 64)
    row = alice.get(f"findings/{finding.typeid}/").json()
    assert (row["prompt"], row["genome"], row["versions"]) == (prompt.typeid, None, [version.typeid])
    assert row["sweep"] is None


def test_of_findings_one_sees_those_of_ones_own_agents(acme: Tenant, found: IntegrityFinding) -> None:
    assert found.genome is not None
    carol, dave = make.user("carol", member_of=acme), make.user("dave", member_of=acme)
    make.grant(carol, found.genome.template, Right.READ_DIRECTORY)
    make.grant(dave, make.template(), Right.READ_DIRECTORY)
    assert [row["id"] for row in Caller(carol).get("findings/").json()["results"]] == [found.typeid]
    assert Caller(carol).get("sweeps/").json()["results"] == []  # rounds are over the whole directory
    assert Caller(dave).get("findings/").json()["results"] == []
    assert Caller(dave).get(f"findings/{found.typeid}/").status_code == 404


def test_the_admin_shows_sweeps_and_findings_and_leads_on(found: IntegrityFinding, alice: Caller) -> None:
    listed = alice.client.get(reverse("admin:registry_integritysweep_changelist"))
    assert listed.status_code == 200
    sweep = alice.client.get(reverse("admin:registry_integritysweep_change", args=[found.sweep_id]))
    assert found.digest in sweep.content.decode()
    page = alice.client.get(
        reverse("admin:registry_integrityfinding_change", args=[found.pk])
    ).content.decode()
    assert "Genome of Invoices" in page and f"?digest={found.digest}" in page and found.incident_url in page
    assert 'name="_save"' not in page
    rows = alice.client.get(reverse("admin:registry_integrityfinding_changelist")).content.decode()
    assert found.digest in rows


# --- genomes as files ----------------------------------------------------------------------------------------


def test_whoever_takes_a_genome_leaves_a_line_in_the_security_log(alice: Caller) -> None:
    version = make.version(template=make.template(name="Invoices"))
    doors = [
        f"/registry/versions/{version.typeid}/genome.json",
        f"{API}versions/{version.typeid}/genome/",
        f"{API}genomes/{version.genome.typeid}/content/",
    ]
    for number, door in enumerate(doors, 1):
        taken = alice.client.get(door)
        assert taken.content == bytes(version.genome.content)
        lines = SecurityEvent.objects.filter(kind=SecurityEvent.Kind.EXPORTED, user_id=alice.user.pk)
        assert lines.count() == number, door
        said = lines.latest("at")
        assert said.detail == {"genome": version.genome.typeid, "digest": version.genome.digest}
        assert said.label == "genome of Invoices"
    for door in doors[1:]:
        unchanged = alice.client.get(door, headers={"If-None-Match": f'"{version.genome.digest}"'})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert SecurityEvent.objects.filter(kind=SecurityEvent.Kind.EXPORTED).count() == len(doors)


def test_a_genome_that_is_not_what_its_digest_says_is_not_taken_and_the_incident_stays(
    found: IntegrityFinding, alice: Caller
) -> None:
    assert found.genome is not None
    version = AgentVersion.objects.get(genome=found.genome)
    IntegrityFinding.objects.filter(pk=found.pk).update(
        restored_at=found.found_at
    )  # as if nobody had looked yet
    for path in (
        f"versions/{version.typeid}/genome/",
        f"versions/{version.typeid}/export/?format=genome",
        f"genomes/{found.genome.typeid}/content/",
    ):
        refused = alice.get(path)
        assert (refused.status_code, refused.json()["code"]) == (409, "tampered"), path
        assert IntegrityFinding.objects.filter(restored_at=None).count() == 1, path
        IntegrityFinding.objects.update(restored_at=found.found_at)
    page = alice.client.get(f"/registry/versions/{version.typeid}/genome.json", follow=True)
    assert "it is not handed out" in page.content.decode()
    assert not SecurityEvent.objects.filter(kind=SecurityEvent.Kind.EXPORTED).exists()


# --- documents that failed -----------------------------------------------------------------------------------


def test_a_step_of_a_document_that_failed_is_tried_again_by_who_may_make_it(
    acme: Tenant, alice: Caller
) -> None:
    held = make.card(make.version())
    url = f"evidence/{held.typeid}/retry/"
    etag = alice.get(f"evidence/{held.typeid}/")["ETag"]
    nothing = alice.send("post", url, {"reason": "again"}, If_Match=etag)
    assert (nothing.status_code, nothing.json()["code"]) == (409, "conflict")
    type(held.artefact).objects.filter(pk=held.artefact_id).update(
        problem="The signer was away.", retry_at=None
    )
    assert alice.send("post", url, {"reason": "again"}, If_Match='"of another"').status_code == 412
    tried = alice.post(url, reason="again")
    assert tried.status_code == 200, tried.content
    vera = Caller(make.hired("vera", "auditor", acme))
    assert vera.post(url, reason="mine").status_code == 403
