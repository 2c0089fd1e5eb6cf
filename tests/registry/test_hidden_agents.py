"""Who may not see an agent is answered by every import as if it was not there."""

import json
from typing import Any

import pytest
from django.test import Client

from arm.errors import NotAllowed
from arm.models import Tenant, User
from arm.rights import Right
from registry import services
from registry.models import AgentTemplate
from registry.protocol import rows
from registry.services import Format
from tests import make
from tests.registry.genomes import example

pytestmark = pytest.mark.django_db
API = "/api/v1/registry/imports/"
NAME = "Poacher"


@pytest.fixture
def acme() -> Tenant:
    return make.tenant("acme")


@pytest.fixture
def alice(acme: Tenant) -> User:
    return make.everything(make.user("alice", member_of=acme), acme)


@pytest.fixture
def mallory(acme: Tenant) -> User:
    return make.user("mallory", member_of=acme)


@pytest.fixture
def hidden(acme: Tenant) -> AgentTemplate:
    return make.template("poacher", name=NAME, description="Knows the gamekeeper.")


def answer(by: User, door: str, file: bytes, **said: str) -> tuple[int, dict[str, Any]]:
    client = Client()
    client.force_login(by)
    query = "&".join(f"{name}={value}" for name, value in {"reason": "mine", **said}.items())
    sent = client.post(f"{API}{door}/?{query}", file, content_type="application/json")
    body = sent.json()
    body.pop("request_id", None)
    return sent.status_code, body


def files(of: AgentTemplate, by: User) -> dict[str, bytes]:
    """Everything that names the agent: by its identifier, by its name, or by both."""
    version = services.create_version(template=of, genome=example(template=of.typeid), actor=by, reason="new")
    card = {"name": of.name, "version": "1", "description": "x", "skills": []}
    found = {
        door: services.export_version(version=version, format=format, actor=by).content
        for door, format in (
            ("genome", Format.GENOME),
            ("cyclonedx", Format.CYCLONEDX_17),
            ("oasf", Format.OASF),
        )
    }
    return found | {"agent-card": json.dumps(card).encode()}


@pytest.mark.parametrize("door", ["genome", "cyclonedx", "oasf", "agent-card"])
def test_an_agent_that_is_not_mallorys_to_see_is_answered_as_one_that_is_not_there(
    alice: User, mallory: User, hidden: AgentTemplate, door: str
) -> None:
    file = files(hidden, alice)[door]
    far = make.tenant("far")
    nobody = make.template("nobody", name="Nobody", description="x", tenant=far)
    absent = files(nobody, make.everything(make.user("erin", member_of=far), far))[door]
    told = answer(mallory, door, file)
    assert told == answer(mallory, door, absent)
    assert told[0] in (403, 422) and NAME not in json.dumps(told)
    named = answer(mallory, door, file, template=hidden.typeid)
    assert named == answer(mallory, door, file, template=nobody.typeid)


@pytest.mark.parametrize("door", ["genome", "cyclonedx", "oasf", "agent-card"])
def test_who_sees_the_agent_and_may_not_make_versions_of_it_is_told_so(
    alice: User, mallory: User, hidden: AgentTemplate, door: str
) -> None:
    make.grant(mallory, hidden, Right.READ_DIRECTORY)
    status, body = answer(mallory, door, files(hidden, alice)[door])
    assert status == 403 and NAME in body["detail"]


@pytest.mark.parametrize("update", [False, True])
def test_a_row_tells_nobody_which_short_names_are_taken_by_agents_they_may_neither_see_nor_make(
    acme: Tenant, mallory: User, hidden: AgentTemplate, update: bool
) -> None:
    def told(slug: str) -> Any:
        given = rows.read_templates([{"slug": slug, "name": "X"}])
        with pytest.raises(NotAllowed) as refused:
            services.register_templates(
                tenant=acme, rows=given.rows, actor=mallory, reason="mine", dry_run=True, update=update
            )
        return refused.value.message, refused.value.extra

    assert told("poacher") == told("nobody")
