"""What docs/registry/exchange.md shows can be done as it stands there, and its maps leave nothing out."""

import json
import re
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client

from registry.genome import SCHEMA
from registry.models import AgentInstance, AgentTemplate, AgentVersion
from registry.protocol.sheet import COLUMNS
from registry.services import Format
from tests import make
from tests.registry.genomes import example

pytestmark = pytest.mark.django_db

PAGE = (Path(__file__).parent.parent.parent / "docs/registry/exchange.md").read_text()


def shown(language: str) -> str:
    (block,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(block)


def test_the_examples_of_the_page_work_one_after_the_other(tmp_path: Path) -> None:
    acme = make.tenant("acme")
    alice = make.everything(make.user("alice", member_of=acme), acme)
    make.provider("local")
    (tmp_path / "all.yaml").write_text(shown("yaml"))
    (tmp_path / "genomes").mkdir()
    (tmp_path / "genomes/invoices.json").write_text(json.dumps(example(template=None)))
    call_command(
        "registry",
        "apply",
        str(tmp_path),
        "--as",
        "alice",
        "--tenant",
        "acme",
        "--reason",
        "docs",
        verbosity=0,
    )
    assert AgentVersion.objects.get().label == "1.0"
    client = Client()
    client.force_login(alice)
    made = client.post("/api/v1/registry/bulk/instances/", shown("json"), content_type="application/json")
    assert (made.status_code, AgentInstance.objects.count()) == (201, 2)
    file = SimpleUploadedFile("agents.csv", shown("csv").encode())
    sent = client.post("/api/v1/registry/table-imports/", {"kind": "templates", "file": file}).json()
    assert (sent["state"], sent["counts"]["create"], sent["counts"]["change"]) == ("checked", 1, 1)
    url = f"/api/v1/registry/table-imports/{sent['id']}/apply/"
    assert client.post(url, {"reason": "docs"}, content_type="application/json").json()["state"] == "applied"
    assert AgentTemplate.objects.get(slug="invoices").tags == ["finance", "mail"]


def test_the_maps_name_every_format_member_and_column() -> None:
    for format in Format:
        assert f"`{format}`" in PAGE, format
    for member in SCHEMA["properties"]:
        assert f"`{member}`" in PAGE, member
    for kind, names in COLUMNS.items():
        row = next(
            line
            for line in PAGE.splitlines()
            if line.startswith(f"| {'agents' if kind == 'templates' else kind} |")
        )
        assert [name for name in re.findall(r"`([a-z_]+)`", row)] == list(names)
