"""docs/tour.md, command by command, against a new installation: what the page says is what happens."""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from arm.management.local import ROOT

from .product import ADMIN_PASSWORD, Product, product

pytestmark = pytest.mark.processes
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
END = "--- end of block"


def answers_of(said: str) -> list[Any]:
    """Every JSON document that a block printed, in order."""
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def running() -> Iterator[Product]:
    with product() as found:
        found.start()
        yield found


@pytest.fixture(scope="module")
def said(running: Product, tmp_path_factory: pytest.TempPathFactory) -> list[list[Any]]:
    """What each block after the first answered; they run in one shell, in a directory of their own."""
    start, *blocks = BLOCK.findall((ROOT / "docs/tour.md").read_text())
    assert start.rstrip().endswith("./run --port 8000")
    place = tmp_path_factory.mktemp("tour")
    (place / "manage.py").symlink_to(ROOT / "manage.py")
    (place / ".venv").symlink_to(ROOT / ".venv")
    script = "set -euo pipefail\n" + "".join(f"{block}\necho '{END}' >&2\n" for block in blocks)
    script = script.replace("127.0.0.1:8000", f"127.0.0.1:{running.port}")
    script = script.replace("127.0.0.1:8001", f"127.0.0.1:{running.port + 1}")
    script = script.replace("correct horse battery staple", ADMIN_PASSWORD)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=place, env={**running.environment, "ARM_DATA": str(running.data)}, timeout=120, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "Signature is Valid" in done.stdout and ": 0 wrong" in done.stdout  # of the card, and of the pack
    return [answers_of(part) for part in done.stdout.split(END)][: len(blocks)]


def test_every_command_of_the_tour_does_what_the_tour_says(said: list[list[Any]]) -> None:
    names, imported, evaluation, promoted, rules, instance, _, watched, active, asked, approved, *last = said
    assert names == []

    template, first, second = imported
    assert first["version"]["template"] == template["id"]
    assert second["code"] == "duplicate"
    assert second["id"] == first["version"]["id"]

    suite, assignment, allowed, endpoint = evaluation
    assert (assignment["suite"], assignment["mandatory"]) == (suite["suite"], True)
    assert allowed["entry"] == "127.0.0.1" and endpoint["version"] is None

    assert [version["state"] for version in promoted] == ["testing", "candidate", "approved"]

    draft, risk, activated, binding = rules
    assert (risk["tool"], risk["risk"]) == ("send_email", "red")
    assert (activated["id"], activated["state"]) == (draft["id"], "active")
    assert (binding["policy"], binding["target"]) == (draft["policy"], template["id"])

    (made,) = instance
    assert (made["stored"], made["created"]) == (True, 1)

    *accepted, ledger = watched
    assert accepted == [{}, {}]
    assert [entry["amount"] for entry in ledger["results"]] == ["0.004"]
    assert [answer["desired"]["state"] for answer in active] == ["active"]

    assert [answer["decision"] for answer in asked] == ["allow", "approve"]
    request, decided, *decisions = approved
    assert request["state"] == "pending"
    assert decided["state"] == "approved"
    assert [answer["decision"] for answer in decisions] == ["approve", "allow", "approve"]

    (restricted, denied), proven = last
    assert restricted["desired"]["state"] == "quarantined"
    assert denied["decision"] == "deny"

    assert [(made["kind"], made["state"]) for made in proven] == [
        ("agent_card", "requested"),
        ("audit_pack", "requested"),
    ]
