"""What a file says too long, twice or of nothing is named at its place, and a second time there is nothing to do."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError

from arm.models import Tenant
from registry.models import Environment, Project, RoleDefinition
from tests import make
from tests.registry.genomes import example
from tests.registry.test_apply import put, run

pytestmark = pytest.mark.django_db
PLACE = {"kind": "environment", "slug": "dev", "name": "Development"}
PROJECT = {"kind": "project", "slug": "ledger", "name": "Ledger"}
CLERK = {"kind": "role", "slug": "clerk", "name": "Clerk"}


@pytest.fixture(autouse=True)
def acme() -> Tenant:
    tenant = make.tenant("acme")
    make.everything(make.user("alice", member_of=tenant), tenant)
    return tenant


@pytest.mark.parametrize(
    ("thing", "member", "value"),
    [
        (PLACE, "slug", "s" * 41),
        (PLACE, "name", "n" * 121),
        (PLACE, "name", "   "),
        (PLACE, "cost_tags", {"": "x"}),
        (PLACE, "cost_tags", {"k" * 201: "x"}),
        (PLACE, "cost_tags", {"team": "x" * 201}),
        (PROJECT, "slug", "s" * 61),
        (PROJECT, "name", "n" * 161),
        (PROJECT, "name", "\t"),
        (PROJECT, "cost_center", "c" * 81),
        (CLERK, "slug", "s" * 81),
        (CLERK, "name", "n" * 161),
        (CLERK, "cost_center", "c" * 81),
        (CLERK, "currency", "EUROS"),
        (CLERK, "currency", "EUR"),
    ],
)
def test_what_the_registry_cannot_keep_is_named(
    tmp_path: Path, thing: dict[str, Any], member: str, value: Any
) -> None:
    put(tmp_path, "a.yaml", {"items": [thing | {member: value}]})
    for how in (["--plan"], ["--reason", "r"]):
        with pytest.raises(CommandError, match=f"a.yaml#/items/0/{member}: "):
            run(tmp_path, *how)
    stored = [kind.objects.filter(name=thing["name"]) for kind in (Environment, Project, RoleDefinition)]
    assert not any(rows.exists() for rows in stored)


def test_a_label_too_long_is_named(tmp_path: Path) -> None:
    put(tmp_path, "a.yaml", {"items": [
        {"kind": "template", "slug": "desk", "name": "Desk", "owners": ["alice"]},
        {"kind": "version", "template": "desk", "genome": "g.json", "label": "1" * 81},
    ]})  # fmt: skip
    put(tmp_path, "g.json", example(template=None))
    with pytest.raises(CommandError, match=r"a.yaml#/items/1/label: Must have at most 80"):
        run(tmp_path, "--plan")


@pytest.mark.parametrize("thing", [PLACE, PROJECT, CLERK], ids=lambda thing: thing["kind"])
def test_two_places_do_not_say_what_one_thing_is(tmp_path: Path, thing: dict[str, Any]) -> None:
    put(tmp_path, "a.yaml", thing)
    put(tmp_path, "b.yaml", {"items": [thing | {"name": "Otherwise"}]})
    with pytest.raises(CommandError, match=r"b.yaml#/items/0/slug: a.yaml# says what this"):
        run(tmp_path, "--plan")


def test_a_second_time_there_is_nothing_to_do(tmp_path: Path) -> None:
    role = CLERK | {"budget_per_day": "5", "currency": "EUR"}
    put(tmp_path, "a.yaml", {"items": [PLACE | {"cost_tags": {"team": "x"}}, PROJECT, role]})
    assert run(tmp_path, "--reason", "r")[0] == 0
    assert "all 3 are as the files say" in run(tmp_path, "--plan")[1]
