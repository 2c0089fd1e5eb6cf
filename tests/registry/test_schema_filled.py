"""A genome need not say which schema it follows: it is stored with it. What was stored without it leaves and comes back."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from arm import crypto
from arm.errors import Invalid
from arm.models import Tenant, User
from registry import genome, services
from registry.models import AgentTemplate, AgentVersion, Genome
from registry.services import Format
from tests import make
from tests.registry.genomes import example
from tests.registry.test_apply import apply, put
from tests.registry.test_exchange import WHOLE, bring_in, export

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Tenant:
    return make.tenant("acme", name="Acme")


@pytest.fixture
def alice(acme: Tenant) -> User:
    return make.everything(make.user("alice", member_of=acme), acme)


@pytest.fixture
def agent(acme: Tenant) -> AgentTemplate:
    return make.template("letters", name="Letters", description="Writes them.")


def create(of: AgentTemplate, by: User, **members: Any) -> AgentVersion:
    return services.create_version(template=of, genome=example(**members), actor=by, reason="new")


@pytest.fixture
def before(agent: AgentTemplate) -> AgentVersion:
    """A draft as it was stored while nobody filled the schema in."""
    document = genome.normalise(example(template=agent.typeid))
    del document["schema"]
    content = crypto.canonical(document)
    held = Genome.objects.create(
        tenant=agent.tenant,
        template=agent,
        content=content,
        digest=crypto.digest(content),
        missing=["schema"],
    )
    return make.version(template=agent, genome=held, label="old")


@pytest.mark.parametrize("said", [None, ""])
def test_a_draft_without_its_schema_has_the_digest_of_one_that_says_it(
    agent: AgentTemplate, alice: User, said: Any
) -> None:
    made = create(agent, alice, template=None, schema=said)
    assert made.genome.missing == []
    assert made.genome.document()["schema"] == genome.NAME
    assert made.genome.digest == genome.seal(example(template=agent.typeid)).digest
    with pytest.raises(services.Duplicate):
        create(agent, alice, template=agent.typeid)


@pytest.mark.parametrize("said", [0, False, "arm.genome/v2"])
def test_a_wrong_schema_is_not_taken_for_none(agent: AgentTemplate, alice: User, said: Any) -> None:
    with pytest.raises(Invalid) as refused:
        create(agent, alice, template=None, schema=said)
    assert [one["pointer"] for one in refused.value.errors] == ["/schema"]


@pytest.mark.parametrize("format", WHOLE)
def test_what_was_stored_without_it_leaves_in_every_format_and_is_found_again(
    acme: Tenant, alice: User, before: AgentVersion, format: Format
) -> None:
    data = export(before, alice, format)
    with pytest.raises(services.Duplicate) as held:
        bring_in(format, tenant=acme, data=data, actor=alice)
    assert held.value.existing == before


def test_a_draft_that_was_stored_without_it_has_it_once_it_is_saved_again(
    alice: User, before: AgentVersion
) -> None:
    document = before.genome.document()
    saved = services.save_genome(version=before, genome=document, actor=alice, reason="again")
    assert saved.pk == before.pk and saved.genome.document() == {"schema": genome.NAME, **document}


def test_a_directory_takes_what_was_stored_without_it_and_finds_nothing_to_do(
    tmp_path: Path, alice: User, before: AgentVersion
) -> None:
    out = tmp_path / "out"
    call_command("registry", "export", str(out), "--tenant", "acme", "--as", "alice", stdout=StringIO())
    assert "schema" not in json.loads((out / "agents/genomes/letters-1.genome.json").read_text())
    assert apply(out)[1].startswith("Nothing to do")


def test_a_genome_in_a_file_of_a_directory_need_not_say_it(
    tmp_path: Path, alice: User, agent: AgentTemplate
) -> None:
    put(tmp_path, "v.yaml", {"kind": "version", "template": agent.slug, "genome": "genomes/1.json"})
    put(tmp_path, "genomes/1.json", example(template=None, schema=None))
    assert apply(tmp_path)[0] == 0
    assert AgentVersion.objects.get().genome.document()["schema"] == genome.NAME
    assert apply(tmp_path)[1].startswith("Nothing to do")
