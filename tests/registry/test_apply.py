"""`manage.py registry apply`: a plan stores nothing, an apply stores all or nothing, and a second one has nothing to do."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command

from arm.models import ChangeRecord, Tenant, User
from arm.rights import Right
from registry.models import AgentTemplate, AgentVersion, DeploymentSlot, Environment, RoleDefinition
from tests import make
from tests.registry.genomes import example

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Tenant:
    made = make.tenant("acme")
    make.provider("local")
    return made


@pytest.fixture
def alice(acme: Tenant) -> User:
    return make.everything(make.user("alice", member_of=acme), acme)


def put(at: Path, name: str, document: Any) -> None:
    path = at / name
    path.parent.mkdir(parents=True, exist_ok=True)
    text = document if isinstance(document, str) else yaml.safe_dump(document)
    path.write_text(json.dumps(document) if name.endswith(".json") else text)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    put(tmp_path, "places.yaml", {"items": [
        {"kind": "environment", "slug": "dev", "name": "Development"},
        {"kind": "role", "slug": "clerk", "name": "Clerk", "tier": 1, "risk": "low"},
        {"kind": "slot", "environment": "dev", "role": "clerk", "provider": "local"},
    ]})  # fmt: skip
    put(
        tmp_path,
        "agents/invoices.yaml",
        {"kind": "template", "slug": "invoices", "name": "Invoices", "owners": ["alice"]},
    )
    put(
        tmp_path,
        "agents/invoices-1.json",
        {"kind": "version", "template": "invoices", "genome": "genomes/1.json", "label": "1.0"},
    )
    put(tmp_path, "agents/genomes/1.json", example(template=None))
    return tmp_path


def run(at: Path, *options: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("registry", "apply", str(at), "--tenant", "acme", "--as", "alice", *options, stdout=out)
    except SystemExit as ended:
        return int(str(ended.code)), out.getvalue()
    return 0, out.getvalue()


def apply(at: Path) -> tuple[int, str]:
    return run(at, "--reason", "as in the repository")


def test_a_plan_says_what_would_happen_and_stores_nothing(files: Path, alice: User) -> None:
    code, said = run(files, "--plan")
    assert code == 2
    assert said.splitlines() == [
        "create  environment dev  (places.yaml#/items/0)",
        "create  role clerk  (places.yaml#/items/1)",
        "create  template invoices  (agents/invoices.yaml)",
        "create  version invoices@1  (agents/invoices-1.json)",
        "create  slot clerk@dev/local#1  (places.yaml#/items/2)",
        "Plan: 5 to create, 0 the same. Nothing is stored.",
    ]
    for model in (Environment, RoleDefinition, AgentTemplate, AgentVersion, DeploymentSlot, ChangeRecord):
        assert not model._default_manager.exists()


def test_it_is_applied_with_its_reason_and_a_second_time_there_is_nothing_to_do(
    files: Path, alice: User
) -> None:
    code, said = apply(files)
    assert (code, said.splitlines()[-1]) == (0, "Applied: 5 to create, 0 the same.")
    assert AgentVersion.objects.get().label == "1.0"
    assert {record.reason for record in ChangeRecord.objects.all()} == {"as in the repository"}
    assert {record.actor_id for record in ChangeRecord.objects.all()} == {alice.pk}
    count = ChangeRecord.objects.count()
    assert apply(files) == (0, "Nothing to do: all 5 are as the files say.\n")
    assert run(files, "--plan") == (0, "Nothing to do: all 5 are as the files say.\n")
    assert ChangeRecord.objects.count() == count


def test_a_change_is_shown_field_by_field_and_another_genome_is_another_version(
    files: Path, alice: User
) -> None:
    apply(files)
    put(
        files,
        "agents/invoices.yaml",
        {"kind": "template", "slug": "invoices", "name": "Invoices", "risk": "high", "description": "Pays."},
    )
    put(files, "agents/genomes/1.json", example(template=None, x_more="1"))
    code, said = run(files, "--plan")
    assert code == 2
    assert "change  template invoices" in said and "risk: medium → high" in said
    assert "description: (empty) → Pays." in said and "create  version invoices@2" in said
    assert apply(files)[1].splitlines()[-1] == "Applied: 1 to create, 1 to change, 3 the same."
    assert AgentTemplate.objects.get().risk == "high"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.yaml", "kind: template\nslug: [", "x.yaml: Not YAML"),
        ("x.yaml", "kind: template\nslug: a\nslug: b\nname: A", "x.yaml#/slug: This name comes twice"),
        ("x.json", '{"kind": "role", "tier": NaN}', "x.json#/tier"),
        ("x.json", '{"kind": "role", "tier": 9007199254740993}', "x.json#/tier"),
        ("x.json", "{", "line 1, column 2"),
        ("x.yaml", "kind: robot", "x.yaml#/kind: Must be one of"),
        ("x.yaml", "kind: role\nslug: a", "x.yaml#/name: Must not be empty"),
        ("x.yaml", "kind: role\nslug: a\nname: A\ncolour: red", "x.yaml#/colour: A role has no such member"),
        ("x.yaml", "kind: role\nslug: a\nname: A\ntier: 9", "x.yaml#/tier: Must be a whole number"),
        ("x.yaml", "kind: environment\nslug: a\nname: A\nproduction: yes", "x.yaml#/production"),
        ("x.yaml", "kind: version\ntemplate: invoices\ngenome: nowhere.json", "x.yaml#/genome: There is no file"),
        ("x.yaml", "kind: version\ntemplate: invoices\ngenome: ../../etc/passwd.json", "x.yaml#/genome: There is no file"),
        ("x.json", json.dumps({"schema": "arm.genome/v1"}), "x.json: No version names this genome"),
        ("x.yaml", "items:\n- 7", "x.yaml#/items/0: Must be an object"),
        ("x.yaml", "kind: template\nslug: a\nname: A\nrisk: huge", "x.yaml#/risk: Must be one of"),
        ("x.yaml", "kind: template\nslug: a\nname: A\nowners: [nobody]", "x.yaml#/owners: There is no such member"),
        ("x.yaml", "kind: version\ntemplate: nobody\ngenome: agents/genomes/1.json", "x.yaml#/template: There is no template"),
        ("x.yaml", "kind: slot\nenvironment: dev\nrole: clerk\nprovider: mars", "x.yaml#/provider: There is no provider"),
        ("x.json", json.dumps({"kind": "version", "template": "invoices", "genome": {"schema": "arm.genome/v1", "tools": 7}}),
         "x.json#/genome/tools: Must be a list"),
    ],
)  # fmt: skip
def test_a_broken_file_is_named_with_its_place_and_nothing_is_stored(
    files: Path, alice: User, name: str, content: str, said: str
) -> None:
    put(files, name, content) if not name.endswith(".json") else (files / name).write_text(content)
    with pytest.raises(CommandError) as refused:
        apply(files)
    assert said in str(refused.value), str(refused.value)
    assert not AgentTemplate.objects.exists() and not ChangeRecord.objects.exists()


def test_an_environment_that_is_otherwise_is_changed(files: Path, alice: User) -> None:
    make.environment("dev", name="Sandbox")
    assert "name: Sandbox → Development" in run(files, "--plan")[1]
    apply(files)
    assert Environment.objects.get().name == "Development"
    assert apply(files)[1] == "Nothing to do: all 5 are as the files say.\n"


def test_an_apply_needs_a_reason_a_directory_an_account_and_its_rights(
    files: Path, acme: Tenant, alice: User, tmp_path: Path
) -> None:
    with pytest.raises(CommandError, match="--reason"):
        run(files)
    with pytest.raises(CommandError, match="no directory"):
        apply(files / "nowhere")
    (files / "empty").mkdir()
    with pytest.raises(CommandError, match="holds no file"):
        apply(files / "empty")
    options = ["--tenant", "acme", "--reason", "x"]
    with pytest.raises(CommandError, match="no account"):
        call_command("registry", "apply", str(files), "--as", "nobody", *options)
    bob = make.user("bob", member_of=acme)
    make.grant(bob, acme, Right.READ_DIRECTORY)
    with pytest.raises(CommandError, match=r"places\.yaml#/items/0: You may not manage directory"):
        call_command("registry", "apply", str(files), "--as", "bob", *options)
    assert not ChangeRecord.objects.exists()


def test_a_link_out_of_the_directory_is_not_followed(files: Path, alice: User, tmp_path_factory: Any) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret.yaml"
    outside.write_text("kind: role\nslug: secret\nname: Secret\n")
    (files / "link.yaml").symlink_to(outside)
    with pytest.raises(CommandError, match="leads out of the directory"):
        apply(files)
    assert not RoleDefinition.objects.exists()
