"""Versions: what they are made of, when they are the same, and how they move."""

import json
from datetime import timedelta
from uuid import uuid4

import pytest
import yaml

from arm import clock
from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right, Risk
from registry import services
from registry.gates import GateRefused, Verdict
from registry.lifecycle import VersionState
from registry.models import AgentTemplate, AgentVersion, Dependency, Genome, Ownership, Prompt
from tests import make
from tests.registry.genomes import example, model, prompt, sha, tool

pytestmark = pytest.mark.django_db
V = VersionState


def person(name, tenant, *rights):
    user = make.user(name, member_of=tenant)
    make.grant(user, tenant, *rights)
    return user


@pytest.fixture
def alice(tenant):
    """An author."""
    return person("alice", tenant, Right.CREATE_VERSION, Right.SUBMIT_VERSION, Right.READ_DIRECTORY)


@pytest.fixture
def bob(tenant):
    return person("bob", tenant, Right.APPROVE_VERSION, Right.SUBMIT_VERSION)


@pytest.fixture
def rita(tenant):
    """A release manager."""
    return person("rita", tenant, Right.PROMOTE_RELEASE, Right.SUBMIT_VERSION)


@pytest.fixture
def mallory(tenant):
    return make.user("mallory", member_of=tenant)


@pytest.fixture
def template(alice):
    return make.template("invoices", name="Invoices")


def genome(template, **changes):
    return example(template=template.typeid, **changes)


def create(template, actor, document=None, **more):
    return services.create_version(
        template=template, genome=document or genome(template), actor=actor, reason="first build", **more
    )


def move(version, to, actor, reason="ready"):
    return services.move_version(version=version, to=to, actor=actor, reason=reason)


# templates


def test_who_registers_an_agent_owns_it_and_its_slug_is_taken(tenant, alice):
    made = services.register_template(
        tenant=tenant, slug="mail", name="Mail", tags=["Ops", "ops ", "mail"], actor=alice, reason="new"
    )
    assert made.tags == ["mail", "ops"] and made.cost_center == tenant.cost_center
    assert Ownership.objects.get(template=made).user == alice
    with pytest.raises(services.Duplicate) as refused:
        services.register_template(tenant=tenant, slug="mail", name="Other", actor=alice, reason="new")
    assert refused.value.existing == made


def test_owners_change_with_a_record_and_history_stays(tenant, alice, bob, template, mallory):
    boss = person("boss", tenant, Right.MANAGE_DIRECTORY)
    services.set_owners(template=template, owners=[alice], actor=boss, reason="starts")
    services.set_owners(template=template, owners=[bob], actor=boss, reason="alice left")
    held = (
        Ownership.objects.filter(template=template).order_by("since").values_list("user__username", "until")
    )
    assert [(name, until is None) for name, until in held] == [("alice", False), ("bob", True)]
    with pytest.raises(Invalid, match="people who work here"):
        services.set_owners(template=template, owners=[make.user("stranger")], actor=boss, reason="x")
    with pytest.raises(Invalid, match="has an owner"):
        services.set_owners(template=template, owners=[], actor=boss, reason="x")
    with pytest.raises(NotAllowed):
        services.set_owners(template=template, owners=[mallory], actor=alice, reason="x")


def test_an_author_describes_an_agent_and_only_the_directory_changes_its_risk(tenant, alice, template):
    services.update_template(
        template=template, actor=alice, reason="clearer", description="Pays.", tags=["b", "a"]
    )
    record = ChangeRecord.objects.get(verb="registry.template.updated")
    assert record.after == {"description": "Pays.", "tags": ["a", "b"]}
    with pytest.raises(NotAllowed):
        services.update_template(template=template, actor=alice, reason="less paper", risk=Risk.LOW)
    template.refresh_from_db()
    assert (template.description, template.risk) == ("Pays.", Risk.MEDIUM)


# genomes


def test_a_version_keeps_the_exact_bytes_under_their_digest(template, alice):
    version = create(template, alice, label="1.0.0")
    stored = bytes(version.genome.content)
    assert version.genome.digest == sha(stored.decode()) and version.number == 1
    assert "built_at" not in stored.decode()
    assert version.genome.build == {"built_at": "2026-01-31T09:30:00Z", "build_id": "8812"}
    assert (version.genome.missing, version.genome.completeness) == ([], 20)
    assert ChangeRecord.objects.get(verb="registry.version.created").after["genome"] == version.genome.digest


def test_the_same_genome_is_the_same_version_however_it_is_written(template, alice):
    first = create(template, alice)
    again = genome(template)
    again["tools"].reverse()
    again["provenance"]["build_id"] = "another run"
    with pytest.raises(services.Duplicate) as refused:
        create(template, alice, again)
    assert refused.value.existing == first
    assert (AgentVersion.objects.count(), Genome.objects.count()) == (1, 1)


def test_the_same_parts_under_two_templates_are_two_genomes(template, alice):
    other = make.template("other")
    one, two = create(template, alice), create(other, alice)
    assert one.genome.digest != two.genome.digest


def test_a_genome_of_another_template_is_refused(template, alice):
    with pytest.raises(Invalid) as refused:
        create(template, alice, example(template=make.template().typeid))
    assert [(p["pointer"], p["code"]) for p in refused.value.errors] == [("/template", "template")]


def test_a_wrong_genome_names_every_member_and_stores_nothing(template, alice):
    wrong = genome(template, tools=[tool(risk="red"), tool()], models=[model(), model()], colour="blue")
    with pytest.raises(Invalid) as refused:
        create(template, alice, wrong)
    assert {p["pointer"] for p in refused.value.errors} == {
        "/tools/0/risk",
        "/tools/1/name",
        "/models/1/role",
        "/colour",
    }
    assert (
        not AgentVersion.objects.exists()
        and not Genome.objects.exists()
        and not ChangeRecord.objects.exists()
    )


def test_a_stranger_creates_nothing(template, mallory):
    with pytest.raises(NotAllowed):
        create(template, mallory)


def test_what_a_version_uses_can_be_looked_up(template, alice):
    version = create(
        template, alice, genome(template, spawn={"allowed": True, "child_templates": [template.typeid]})
    )
    held = set(Dependency.objects.filter(version=version).values_list("kind", "name"))
    assert held == {
        ("model", "openai/gpt-4.1"),
        ("model", "openai/gpt-4.1-mini"),
        ("tool", "search"),
        ("tool", "pay_invoice"),
        ("prompt", prompt()["digest"]),
        ("agent", template.typeid),
    }
    assert Dependency.objects.get(name="pay_invoice").detail["risk"] == "RED"


def test_lineage_tells_a_successor_from_a_fork(template, alice):
    first = create(template, alice)
    successor = create(template, alice, genome(template, tools=[]), parents=[first])
    other = make.template("other")
    fork = create(other, alice, parents=[first])
    assert successor.parents.get().relation == "derived" and fork.parents.get().relation == "forked"


def test_a_draft_may_be_incomplete_and_be_repointed(template, alice):
    draft = create(template, alice, genome(template, models=None, tools=None))
    assert draft.genome.missing == ["models", "tools"] and not draft.genome.complete
    saved = services.save_genome(version=draft, genome=genome(template), actor=alice, reason="completed")
    assert saved.pk == draft.pk and saved.genome.complete
    assert Genome.objects.count() == 2  # what was there before stays
    record = ChangeRecord.objects.get(verb="registry.version.repointed")
    assert (record.before["missing"], record.after["missing"]) == (["models", "tools"], [])
    assert Dependency.objects.filter(version=saved, kind="tool").count() == 2


def test_saving_the_same_genome_again_changes_nothing(template, alice):
    draft = create(template, alice)
    services.save_genome(version=draft, genome=genome(template), actor=alice, reason="again")
    assert not ChangeRecord.objects.filter(verb="registry.version.repointed").exists()


def test_from_testing_on_the_genome_is_fixed_and_back_in_draft_a_change_is_another_version(template, alice):
    version = create(template, alice)
    move(version, V.TESTING, alice)
    with pytest.raises(Conflict, match="its genome is fixed"):
        services.save_genome(version=version, genome=genome(template, tools=[]), actor=alice, reason="x")
    move(version, V.DRAFT, alice)
    other = services.save_genome(
        version=version, genome=genome(template, tools=[]), actor=alice, reason="fix"
    )
    assert (other.number, other.parents.get().parent) == (2, version)
    version.refresh_from_db()
    assert json.loads(bytes(version.genome.content))["tools"]


class Incidents:
    """Stands where telemetry's incidents stand."""

    opened: list[dict[str, object]] = []

    def open(self, **incident):
        Incidents.opened.append(incident)
        return uuid4()


def test_reading_a_genome_that_was_tampered_with_shows_it_and_opens_an_incident(template, alice, settings):
    settings.INCIDENTS = f"{__name__}.Incidents"
    Incidents.opened = []
    version = create(template, alice)
    assert services.read_genome(genome=version.genome).intact and Incidents.opened == []

    tampered = version.genome
    tampered.content = bytes(tampered.content).replace(b"GREEN", b"AMBER")
    seen = services.read_genome(genome=tampered)
    assert not seen.intact and seen.computed != seen.genome.digest
    assert seen.document["tools"][1]["risk"] == "AMBER"
    (incident,) = Incidents.opened
    assert (incident["kind"], incident["subject_id"]) == ("tamper", version.pk)


def test_a_prompt_is_kept_once_under_its_digest(tenant, alice):
    def store():
        return services.store_prompt(
            tenant=tenant, content="Sei höflich.".encode(), media_type="text/plain", actor=alice, reason="r"
        )

    first = store()
    assert (first.digest, first.size) == (sha("Sei höflich."), 13)
    with pytest.raises(services.Duplicate) as refused:
        store()
    assert refused.value.existing == first and Prompt.objects.count() == 1


# lifecycle


def test_a_version_goes_its_way_and_each_step_is_recorded(template, alice, bob, rita):
    version = create(template, alice)
    for to, actor in (
        (V.TESTING, alice),
        (V.CANDIDATE, alice),
        (V.APPROVED, bob),
        (V.DEPRECATED, rita),
        (V.RETIRED, rita),
    ):
        version = move(version, to, actor)
        assert version.state == to
    steps = ChangeRecord.objects.filter(verb="registry.version.moved").order_by("pk")
    assert [record.after["state"] for record in steps] == [
        "testing",
        "candidate",
        "approved",
        "deprecated",
        "retired",
    ]
    assert steps[0].after["gates"][0]["gate"] == "genome complete"


def test_an_incomplete_genome_is_not_tested_and_the_refusal_names_all_that_is_missing(
    template, alice, settings
):
    settings.PROMOTION_GATES = [*settings.PROMOTION_GATES, f"{__name__}.NoSuite"]
    draft = create(template, alice, genome(template, models=None, provenance=None))
    with pytest.raises(GateRefused) as refused:
        move(draft, V.TESTING, alice)
    assert [gate["reason"] for gate in refused.value.extra["gates"]] == [
        "The genome lacks models, provenance.",
        "No suite is assigned.",
    ]
    assert AgentVersion.objects.get().state == V.DRAFT


class NoSuite:
    name = "suite assigned"

    def check(self, version, to):
        return Verdict(self.name, False, "No suite is assigned.")


def test_no_step_is_skipped(template, alice, bob):
    version = create(template, alice)
    make.grant(alice, template, Right.APPROVE_VERSION)
    with pytest.raises(Conflict, match="it can become Testing, Retired"):
        move(version, V.CANDIDATE, alice)


def test_the_right_for_a_step_is_that_of_the_step(template, alice, bob, mallory):
    version = move(create(template, alice), V.TESTING, alice)
    with pytest.raises(NotAllowed):
        move(version, V.CANDIDATE, mallory)
    candidate = move(version, V.CANDIDATE, bob)
    with pytest.raises(NotAllowed):
        move(candidate, V.APPROVED, alice)


@pytest.mark.parametrize("part", ["built", "submitted"])
def test_who_built_or_submitted_a_version_does_not_approve_it(template, alice, bob, part):
    approver = alice if part == "built" else bob
    make.grant(alice, template, Right.APPROVE_VERSION)
    version = move(create(template, alice), V.TESTING, approver)
    version = move(version, V.CANDIDATE, alice)
    with pytest.raises(NotAllowed, match=f"You {part}"):
        move(version, V.APPROVED, approver)


def test_in_a_tenant_of_one_the_builder_approves_and_the_record_says_so(template, alice):
    make.grant(alice, template, Right.APPROVE_VERSION)
    version = move(move(create(template, alice), V.TESTING, alice), V.CANDIDATE, alice)
    move(version, V.APPROVED, alice)
    assert ChangeRecord.objects.filter(verb="registry.version.moved").first().after["sod_mode"] == "reduced"


def test_a_version_is_retired_only_when_nothing_runs_it(template, rita):
    version = make.version(template=template, state=V.DEPRECATED)
    instance = make.instance(version=version)
    slot = make.slot(current_version=version)
    with pytest.raises(GateRefused, match="1 instance still at work with it, 1 slot bound to it"):
        move(version, V.RETIRED, rita)
    instance.state, instance.state_since = "retired", clock.now() - timedelta(days=89)
    instance.save()
    with pytest.raises(GateRefused, match=r"1 slot bound to it\. Telemetry of what ran it is kept until"):
        move(version, V.RETIRED, rita)
    instance.state_since -= timedelta(days=2)
    instance.save()
    slot.current_version = None
    slot.save()
    assert move(version, V.RETIRED, rita).state == V.RETIRED


# imports


def test_a_yaml_file_becomes_a_draft_of_the_template_it_names(tenant, template, alice):
    text = yaml.safe_dump(genome(template))
    made = services.import_genome(
        tenant=tenant, data=text.encode(), media_type="application/yaml", actor=alice, reason="from git"
    )
    assert made.version.template == template and not made.new_template and made.notes == ()
    assert made.version.genome.digest == create_elsewhere(template, alice)


def create_elsewhere(template, alice):
    with pytest.raises(services.Duplicate) as refused:
        create(template, alice)
    return refused.value.existing.genome.digest


def test_a_file_for_a_new_agent_registers_it_and_says_what_is_missing(tenant, alice):
    data = json.dumps(example(template=None, models=None)).encode()
    made = services.import_genome(
        tenant=tenant, data=data, media_type="application/json", name="Mail sorter", actor=alice, reason="new"
    )
    assert made.new_template and made.version.template.slug == "mail-sorter"
    assert json.loads(bytes(made.version.genome.content))["template"] == made.version.template.typeid
    assert made.notes == ("Still missing before it can be tested: models.",)


@pytest.mark.parametrize("named", ["tpl_01k9m2x4v8e0wbt5c7qf3hn6rd", "nonsense"])
def test_a_file_that_names_an_unknown_template_is_refused(tenant, alice, named):
    with pytest.raises(Invalid) as refused:
        services.import_genome(
            tenant=tenant,
            data=json.dumps(example(template=named)).encode(),
            media_type="application/json",
            actor=alice,
            reason="r",
        )
    assert refused.value.errors[0]["pointer"] == "/template"
    assert not AgentTemplate.objects.exists()


def test_a_file_that_names_no_agent_is_told_that_and_everything_else_that_is_wrong(tenant, alice):
    with pytest.raises(Invalid) as refused:
        services.import_genome(
            tenant=tenant, data=b'{"schema": 1, "models": [{"role": "x"}], "tools": 3}',
            media_type="application/json", actor=alice, reason="r",
        )  # fmt: skip
    pointers = [problem["pointer"] for problem in refused.value.errors]
    assert pointers[0] == "/name"
    assert {"/schema", "/tools"} <= set(pointers)
    assert "/template" not in pointers
    assert not AgentTemplate.objects.exists()


def test_an_agent_card_becomes_an_agent_with_a_draft_and_a_second_import_finds_it(tenant, alice):
    card = {
        "name": "Route planner",
        "description": "Plans routes.",
        "version": "1.2.0",
        "supportedInterfaces": [
            {"url": "https://a.example", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
        ],
        "skills": [{"id": "route", "name": "Route", "description": "Finds one.", "tags": ["maps"]}],
    }

    def bring_in():
        return services.import_agent_card(
            tenant=tenant, data=json.dumps(card).encode(), actor=alice, reason="found it"
        )

    made = bring_in()
    assert (made.version.template.slug, made.version.label, made.version.state) == (
        "route-planner",
        "1.2.0",
        V.DRAFT,
    )
    assert made.version.genome.missing == ["models", "prompts", "tools", "provenance"]
    assert made.version.template.description == "Plans routes."
    with pytest.raises(services.Duplicate) as refused:
        bring_in()
    assert refused.value.existing == made.version


@pytest.mark.parametrize(
    ("names", "slugs"),
    [
        (("契約レビュー", "請求書処理", "Обработка счетов"), ["agent", "agent-2", "agent-3"]),
        (("C helper", "C++ helper"), ["c-helper", "c-helper-2"]),
        (("x" * 90 + "!", "x" * 90 + "?"), ["x" * 80, "x" * 72 + "-2"]),
    ],
)
def test_names_that_share_a_short_name_are_agents_of_their_own(tenant, alice, names, slugs):
    def cards(label):
        return [
            services.import_agent_card(
                tenant=tenant, data=json.dumps({"name": name, "version": label, "skills": [{"id": label, "name": label, "description": label, "tags": ["t"]}]}).encode(),
                actor=alice, reason="found it",
            )
            for name in names
        ]  # fmt: skip

    made = cards("1")
    assert [one.version.template.slug for one in made] == slugs
    assert [one.version.template.name for one in made] == list(names)
    assert [one.new_template for one in made] == [True] * len(names)
    for one, slug in zip(made[1:], slugs[1:], strict=True):
        note = f"Another agent has the short name “{slugs[0]}”, so the new one has “{slug}”."
        assert note in one.notes
    again = cards("2")
    assert [one.version.template for one in again] == [one.version.template for one in made]
    assert [(one.new_template, one.version.number) for one in again] == [(False, 2)] * len(names)


def test_a_genome_for_a_new_agent_goes_to_no_agent_of_another_name(tenant, alice):
    held = make.template("c-helper", name="C helper")
    made = services.import_genome(
        tenant=tenant, data=json.dumps(example(template=None)).encode(), media_type="application/json",
        name="C++ helper", actor=alice, reason="new",
    )  # fmt: skip
    assert made.new_template and made.version.template.slug == "c-helper-2" and not held.versions.exists()
    assert made.notes == ("Another agent has the short name “c-helper”, so the new one has “c-helper-2”.",)


def test_a_hostile_card_leaves_nothing_behind(tenant, alice):
    data = b'{"name": "X", "skills": [{"id": 1}], "version": []}'
    with pytest.raises(Invalid) as refused:
        services.import_agent_card(tenant=tenant, data=data, actor=alice, reason="r")
    assert {p["pointer"] for p in refused.value.errors} == {"/version", "/skills/0/id", "/skills/0/name"}
    assert not AgentTemplate.objects.exists()
