"""Files of a whole registry: roles with all that they ask, places in order, lineage; and an export that an apply leaves as it is."""

import json
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command

from arm.models import ChangeRecord, Membership, SecurityEvent, Tenant, User
from arm.rights import Right
from registry import staffing
from registry.models import (
    AgentTemplate,
    AgentVersion,
    DeploymentSlot,
    Environment,
    Genome,
    Project,
    RoleDefinition,
    VersionParent,
)
from registry.protocol.files import KINDS, WHOLE
from registry.services.emptying import empty_slot
from registry.services.roles import DESCRIBING
from registry.services.versions import create_version
from tests import make
from tests.registry.genomes import example
from tests.registry.test_apply import put

pytestmark = pytest.mark.django_db

ROLE = {
    "kind": "role", "slug": "clerk", "name": "Clerk", "tier": 1, "risk": "low", "purpose": "Pays invoices.",
    "capabilities": [{"name": "reading", "least": 80}, {"name": "adding", "least": 95}],
    "certifications": ["finance"], "budget_per_day": "12.50", "budget_per_month": 250, "currency": "EUR",
    "success_rate": 99.5, "latency_ms": 900, "availability": "99.9",
    "coverage": [{"environment": "dev", "least": 2}], "failover": True, "cost_center": "CC1", "approvals": 3,
}  # fmt: skip


@pytest.fixture
def acme() -> Tenant:
    made = make.tenant("acme")
    make.provider("local")
    return made


@pytest.fixture
def alice(acme: Tenant) -> User:
    return make.everything(make.user("alice", member_of=acme), acme)


@pytest.fixture
def files(tmp_path: Path, alice: User) -> Path:
    put(tmp_path, "whole.yaml", {"items": [
        {"kind": "environment", "slug": "dev", "name": "Development", "cost_tags": {"stage": "d"}, "aggregate_days": 30},
        {"kind": "environment", "slug": "prod", "name": "Production", "production": True},
        {"kind": "project", "slug": "ledger", "name": "Ledger", "cost_center": "CC9"},
        ROLE,
        {"kind": "template", "slug": "pay", "name": "Pay", "owners": ["alice"], "tags": ["money"], "project": "ledger"},
        {"kind": "version", "template": "pay", "label": "2", "genome": "2.json", "parents": ["1", {"template": "pay", "label": "0"}]},
        {"kind": "version", "template": "pay", "label": "1", "genome": "1.json", "parents": ["0"]},
        {"kind": "version", "template": "pay", "label": "0", "genome": "0.json"},
        {"kind": "slot", "environment": "dev", "role": "clerk", "provider": "local"},
    ]})  # fmt: skip
    for number in range(3):
        put(tmp_path, f"{number}.json", example(template=None, x_build=str(number)))
    return tmp_path


def command(verb: str, at: Path, *options: str, who: str = "alice") -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("registry", verb, str(at), "--tenant", "acme", "--as", who, *options, stdout=out)
    except SystemExit as ended:
        return int(str(ended.code)), out.getvalue()
    return 0, out.getvalue()


def apply(at: Path) -> tuple[int, str]:
    return command("apply", at, "--reason", "as in the repository")


def edit(at: Path, kind: str, slug: str, **members: Any) -> None:
    """Change what a file says of one thing; None takes a member out."""
    document = yaml.safe_load((at / "whole.yaml").read_text())
    (item,) = (
        one
        for one in document["items"]
        if one["kind"] == kind and slug in (one.get("slug"), one.get("label"))
    )
    item |= members
    put(at, "whole.yaml", document)


NOTHING = "Nothing to do: all 9 are as the files say.\n"


def test_a_role_can_say_in_a_file_whatever_a_role_can_say() -> None:
    assert KINDS["role"] == {"slug"} | DESCRIBING | staffing.ASKS
    assert WHOLE["approvals"] == (1, staffing.MOST_APPROVALS)


def test_everything_is_made_parents_before_children_and_then_there_is_nothing_to_do(files: Path) -> None:
    assert apply(files)[1].splitlines()[-1] == "Applied: 9 to create, 0 the same."
    role = RoleDefinition.objects.get()
    assert role.needs == {"reading": 80, "adding": 95} and role.covers == {"dev": 2} and role.failover
    assert role.approvals == 3
    assert (role.budget_per_day, role.success_rate, role.latency_ms) == (
        Decimal("12.5"),
        Decimal("99.5"),
        900,
    )
    pay = AgentTemplate.objects.get()
    assert (
        pay.project == Project.objects.get(slug="ledger")
        and pay.cost_center == "CC9"
        and pay.tags == ["money"]
    )
    edges = VersionParent.objects.values_list("version__label", "parent__label")
    assert sorted(edges) == [("1", "0"), ("2", "0"), ("2", "1")]
    assert Environment.objects.get(slug="dev").aggregate_days == 30
    count = ChangeRecord.objects.count()
    assert apply(files) == (0, NOTHING) and command("apply", files, "--plan") == (0, NOTHING)
    assert ChangeRecord.objects.count() == count


def test_a_role_is_changed_field_by_field_and_a_plan_stores_none_of_it(files: Path) -> None:
    apply(files)
    edit(files, "role", "clerk", tier=3, budget_per_day="", coverage=[], failover=False,
         capabilities=[{"name": "reading", "least": 90}])  # fmt: skip
    code, said = command("apply", files, "--plan")
    lines = {line.strip() for line in said.splitlines() if "→" in line}
    assert code == 2 and lines == {
        "tier: 1 → 3", "budget_per_day: 12.5 → (empty)", "coverage: dev ≥ 2 → (empty)", "failover: true → false",
        "capabilities: adding ≥ 95, reading ≥ 80 → reading ≥ 90", "revision: 1 → 2",
    } - {"revision: 1 → 2"}  # fmt: skip
    assert RoleDefinition.objects.get().tier == 1
    apply(files)
    role = RoleDefinition.objects.get()
    assert (role.tier, role.budget_per_day, role.budget_per_month, role.coverage) == (
        3,
        None,
        Decimal(250),
        [],
    )
    assert apply(files) == (0, NOTHING)


def test_places_of_environments_are_what_the_files_say(files: Path) -> None:
    apply(files)
    make.environment("staging", name="Staging", position=3)
    edit(files, "environment", "dev", position=2)
    edit(files, "environment", "prod", position=3)
    code, said = command("apply", files, "--plan")
    assert code == 2 and "position: 1 → 2" in said and "position: 2 → 3" in said
    apply(files)
    order = list(Environment.objects.order_by("position").values_list("slug", flat=True))
    assert order == ["staging", "dev", "prod"]
    assert apply(files) == (0, NOTHING)


def test_a_project_and_an_agent_in_it_are_changed(files: Path) -> None:
    apply(files)
    edit(files, "project", "ledger", name="The ledger")
    edit(files, "template", "pay", project="", tags=[])
    said = command("apply", files, "--plan")[1]
    assert (
        "name: Ledger → The ledger" in said
        and "project: ledger → (empty)" in said
        and "tags: money → (empty)" in said
    )
    apply(files)
    assert AgentTemplate.objects.get().project is None and Project.objects.get().name == "The ledger"
    assert apply(files) == (0, NOTHING)


def test_lineage_is_changed_while_a_version_is_a_first_draft_and_history_after_it(files: Path) -> None:
    apply(files)
    edit(files, "version", "2", parents=["1"])
    assert "parents: pay@1, pay@2 → pay@2" in command("apply", files, "--plan")[1]
    apply(files)
    assert apply(files) == (0, NOTHING)
    AgentVersion.objects.filter(label="2").update(state="testing")
    edit(files, "version", "2", parents=["0"])
    with pytest.raises(CommandError, match=r"whole\.yaml#/items/5.*what it comes from is history"):
        apply(files)


@pytest.mark.parametrize(
    ("kind", "slug", "members", "said"),
    [
        ("role", "clerk", {"budget_per_day": "lots"}, "/items/3/budget_per_day: Must be a number"),
        ("role", "clerk", {"budget_per_day": "1.1234567"}, "/items/3/budget_per_day: Must be a number of at most 12"),
        ("role", "clerk", {"budget_per_day": 300}, "/items/3/budget_per_day: A day may not cost more"),
        ("role", "clerk", {"success_rate": 101}, "/items/3/success_rate: Per cent"),
        ("role", "clerk", {"approvals": 0}, "/items/3/approvals: Must be a whole number from 1 to 9"),
        ("role", "clerk", {"failover": "yes"}, "/items/3/failover: Must be true or false"),
        ("role", "clerk", {"capabilities": 7}, "/items/3/capabilities: A list of objects"),
        ("role", "clerk", {"capabilities": [{"name": "x", "least": 101}]}, "/items/3/capabilities/0/least: A whole number"),
        ("role", "clerk", {"coverage": [{"environment": "mars", "least": 1}]}, "/items/3/coverage/0/environment: There is no environment"),
        ("role", "clerk", {"latency_ms": "fast"}, "/items/3/latency_ms: A whole number"),
        ("environment", "dev", {"position": 9}, "/items/0/position: There are 2 places"),
        ("environment", "dev", {"position": "first"}, "/items/0/position: Must be a whole number"),
        ("environment", "dev", {"cost_tags": [7]}, "/items/0/cost_tags: Names and texts"),
        ("template", "pay", {"project": "mars"}, "/items/4/project: There is no such row"),
        ("template", "pay", {"project": 7}, "/items/4/project: Must be a string"),
        ("template", "pay", {"owners": []}, "/items/4/owners: An agent has an owner"),
        ("version", "1", {"parents": ["nowhere"]}, "/items/6/parents/0: There is no version “nowhere”"),
        ("version", "1", {"parents": [{"label": "0", "number": 1}]}, "/items/6/parents: A parent is"),
        ("version", "1", {"parents": "0"}, "/items/6/parents: A parent is"),
        ("version", "0", {"parents": ["2"]}, "/items/7/parents/0: There is no version “2”, it is not yours to see, or it comes"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_file_and_pointer_and_nothing_is_stored(
    files: Path, kind: str, slug: str, members: dict[str, Any], said: str
) -> None:
    edit(files, kind, slug, **members)
    with pytest.raises(CommandError) as refused:
        apply(files)
    assert f"whole.yaml#{said}" in str(refused.value), str(refused.value)
    assert not ChangeRecord.objects.exists() and not Environment.objects.exists()


def test_what_is_wrong_with_a_change_is_named_too_and_nothing_of_the_rest_is_done(files: Path) -> None:
    apply(files)
    edit(files, "project", "ledger", name="Other")
    edit(files, "role", "clerk", capabilities=[{"name": "UPPER", "least": 1}])
    with pytest.raises(CommandError, match=r"whole\.yaml#/items/3/capabilities/0/name: A short name"):
        apply(files)
    assert Project.objects.get().name == "Ledger"


def test_a_label_that_two_versions_have_names_none_of_them(files: Path) -> None:
    edit(files, "version", "1", parents=[])
    edit(files, "version", "2", label="0", parents=[])
    apply(files)
    document = yaml.safe_load((files / "whole.yaml").read_text())
    document["items"].append(
        {"kind": "version", "template": "pay", "label": "3", "genome": "3.json", "parents": ["0"]}
    )
    put(files, "whole.yaml", document)
    put(files, "3.json", example(template=None, x_build="3"))
    with pytest.raises(
        CommandError, match=r"#/items/9/parents/0: Several versions are called “0”: name its digest"
    ):
        apply(files)
    first = AgentVersion.objects.order_by("number").first()
    assert first is not None
    document["items"][-1]["parents"] = [first.genome.digest]
    put(files, "whole.yaml", document)
    apply(files)
    assert VersionParent.objects.get(version__label="3").parent == first


def test_another_label_for_a_genome_that_is_there_is_refused_and_not_passed_over(files: Path) -> None:
    apply(files)
    edit(files, "version", "2", label="two")
    with pytest.raises(CommandError, match=r"#/items/5/label: pay@3 has this genome and the label “2”"):
        apply(files)


def test_what_stays_the_same_asks_for_no_right_to_change_it(files: Path, acme: Tenant) -> None:
    apply(files)
    bob = make.user("bob", member_of=acme)
    make.grant(bob, acme, Right.READ_DIRECTORY)
    assert command("apply", files, "--plan", who="bob") == (0, NOTHING)
    edit(files, "role", "clerk", tier=2)
    with pytest.raises(CommandError, match=r"#/items/3: You may not manage directory"):
        command("apply", files, "--plan", who="bob")


# export


def test_of_its_own_export_an_apply_finds_nothing_to_do(files: Path, tmp_path: Path) -> None:
    apply(files)
    out = tmp_path / "out"
    assert command("export", out)[1].startswith("Written: 8 files")
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert names == [
        "agents/genomes/pay-1.genome.json", "agents/genomes/pay-2.genome.json", "agents/genomes/pay-3.genome.json",
        "agents/pay.yaml", "environments.yaml", "projects.yaml", "roles.yaml", "slots.yaml",
    ]  # fmt: skip
    assert command("apply", out, "--plan") == (0, NOTHING)
    assert SecurityEvent.objects.get().detail == {"files": 8, "agents": []}


def test_a_closed_slot_is_not_written_as_one_to_be_opened(files: Path, tmp_path: Path) -> None:
    apply(files)
    alice = User.objects.get(username="alice")
    for slot in DeploymentSlot.objects.all():
        empty_slot(slot=slot, actor=alice, reason="The desk is gone", close=True)
    command("export", tmp_path / "out")
    assert not (tmp_path / "out/slots.yaml").exists() and (tmp_path / "out/roles.yaml").exists()


def test_it_takes_odd_texts_numbers_and_people_who_left_along(
    files: Path, acme: Tenant, tmp_path: Path
) -> None:
    apply(files)
    odd = "0o17\n  # no comment: - 1e5 “ü” \u2028 yes"
    make.template(
        "odd", name="1e3", description=f"{odd} \n", intended_use="~", tags=["1.0", "no"], cost_center="007"
    )
    create_version(
        template=AgentTemplate.objects.get(slug="odd"), genome=example(template=None), label="2024-01-01",
        description="null", actor=User.objects.get(username="alice"), reason="x",
    )  # fmt: skip
    RoleDefinition.objects.update(purpose=odd, budget_per_month=Decimal("123456789012.123456"))
    leaver = make.user("leaver")
    pay = AgentTemplate.objects.get(slug="pay")
    pay.ownerships.create(tenant=acme, user=leaver)  # type: ignore[attr-defined]
    out = tmp_path / "out"
    command("export", out)
    assert command("apply", out, "--plan") == (0, "Nothing to do: all 11 are as the files say.\n")
    assert "owners" not in (out / "agents/pay.yaml").read_text()


def test_an_export_can_be_made_somewhere_else(files: Path, tmp_path: Path) -> None:
    apply(files)
    out = tmp_path / "out"
    command("export", out)
    other = make.tenant("other")
    make.provider("local", tenant=other)
    make.everything(User.objects.get(username="alice"), other)
    Membership.objects.create(tenant=other, user=User.objects.get(username="alice"))
    said = StringIO()
    call_command(
        "registry", "apply", str(out), "--tenant", "other", "--as", "alice", "--reason", "moved", stdout=said
    )
    assert said.getvalue().splitlines()[-1] == "Applied: 9 to create, 0 the same."
    assert VersionParent.objects.filter(tenant=other).count() == 3
    assert Genome.objects.filter(tenant=other).count() == 3


def test_an_export_is_of_what_somebody_sees_and_may_take_away(
    files: Path, acme: Tenant, tmp_path: Path
) -> None:
    apply(files)
    make.template("hidden")
    bob = make.user("bob", member_of=acme)
    make.grant(bob, AgentTemplate.objects.get(slug="pay"), Right.READ_DIRECTORY)
    with pytest.raises(CommandError, match="You may not export"):
        command("export", tmp_path / "out", who="bob")
    make.grant(bob, AgentTemplate.objects.get(slug="pay"), Right.EXPORT)
    command("export", tmp_path / "out", who="bob")
    names = sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert names == [f"pay-{n}.genome.json" for n in (1, 2, 3)] + ["pay.yaml"]
    assert "project" not in (tmp_path / "out/agents/pay.yaml").read_text()


def test_a_genome_that_was_tampered_with_is_not_written_and_nor_is_the_rest(
    files: Path, tmp_path: Path
) -> None:
    apply(files)
    stored = Genome.objects.all()[0]
    other = Genome.objects.create(
        tenant=stored.tenant,
        template=stored.template,
        digest=f"sha256:{0:064}",
        content=bytes(stored.content),
    )
    AgentVersion.objects.filter(label="2").update(genome=other)
    with pytest.raises(CommandError, match="does not match its digest; nothing is written"):
        command("export", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_that_are_there_are_not_written_over_unasked(files: Path, tmp_path: Path) -> None:
    apply(files)
    with pytest.raises(CommandError, match="holds files already"):
        command("export", files)
    said = command("export", files, "--replace")[1]
    assert "left    whole.yaml" in said
    assert json.loads((files / "0.json").read_text())["x_build"] == "0"
