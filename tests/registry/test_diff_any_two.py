"""Any two versions that one may see are compared: in words, and as a patch that makes the newer of the older."""

import json

import jsonpatch
import pytest
from django.urls import reverse
from hypothesis import given

from arm.crypto import canonical
from arm.rights import Right
from registry import services
from registry.genome import diff, normalise, patch
from tests import make
from tests.registry.genomes import example, genomes, model, tool

API = "/api/v1/registry/versions"


@given(genomes(), genomes())
def test_the_patch_makes_the_newer_genome_of_the_older(older, newer):
    operations = json.loads(json.dumps(patch(older, newer)))
    made = jsonpatch.apply_patch(normalise(older), operations)
    assert canonical(made) == canonical(normalise(newer))
    assert bool(operations) == bool(diff(older, newer))


def test_a_tool_that_was_added_does_not_change_those_behind_it():
    older = example(tools=[tool("b"), tool("c")])
    newer = example(tools=[tool("a"), tool("c", risk="RED")])
    assert [(step["op"], step["path"]) for step in patch(older, newer)] == [
        ("remove", "/tools/0"),
        ("add", "/tools/0"),
        ("replace", "/tools/1/risk"),
    ]


def test_true_and_one_are_two_things():
    older, newer = (example(models=[model(parameters={"stream": value})]) for value in (1, True))
    assert patch(older, newer) == [{"op": "replace", "path": "/models/0/parameters/stream", "value": True}]
    assert [(one.pointer, one.words) for one in diff(older, newer)] == [
        ("/models/0/parameters/stream", "Primary model, Parameters, Stream: 1 → yes")
    ]
    older, newer = (example(x_a=[{"n": value}]) for value in (0, False))
    assert diff(older, newer) and patch(older, newer)
    assert diff(example(x_a=[1]), example(x_a=[1.0])) == []  # one number in JSON, and one digest


@pytest.fixture
def acme(db):
    return make.tenant("acme")


@pytest.fixture
def vera(acme, client):
    vera = make.user("vera", member_of=acme)
    make.grant(vera, acme, Right.READ_DIRECTORY)
    client.force_login(vera)
    return vera


def version(slug, **changes):
    template = make.template(slug, name=slug.title())
    author = make.everything(make.user(member_of=template.tenant), template.tenant)
    return services.create_version(
        template=template,
        genome=example(template=template.typeid, **changes),
        label=f"{slug}-1.0",
        actor=author,
        reason="first",
    )


def test_versions_of_two_agents_are_compared_under_one_address(client, vera):
    mine, other = version("mine", tools=[tool("search")]), version("other", tools=[])
    page = client.get(f"{reverse('registry:version_diff', args=[mine.typeid])}?with={other.typeid}")
    text = page.content.decode()
    assert "Tool search added" in text and "As a JSON Patch" in text and f"?with={other.typeid}" in text


def test_the_picker_finds_by_agent_label_and_identifier_and_only_what_one_may_see(client, acme, vera):
    mine, other = version("mine"), version("other")
    theirs = make.version(template=make.template("theirs", tenant=make.tenant("else"), name="Other too"))
    url = reverse("registry:version_diff", args=[mine.typeid])
    for text in ("Othe", "other-1", other.typeid, other.genome.digest[:20]):
        page = client.get(url, {"q": text}).content.decode()
        assert f"?with={other.typeid}" in page and theirs.typeid not in page
    assert "No version matches" in client.get(url, {"q": "ver_nonsense"}).content.decode()
    assert client.get(url, {"with": theirs.typeid}).status_code == 404


def test_the_api_answers_the_patch_and_refuses_other_forms(client, vera):
    older, newer = version("mine", tools=[]), version("other", tools=[tool("search")])
    answer = client.get(f"{API}/{newer.typeid}/diff/", {"with": older.typeid, "as": "patch"})
    assert answer["Content-Type"].startswith("application/json-patch+json")
    stored = json.loads(bytes(older.genome.content))
    assert canonical(jsonpatch.apply_patch(stored, answer.json())) == bytes(newer.genome.content)
    refused = client.get(f"{API}/{newer.typeid}/diff/", {"with": older.typeid, "as": "xml"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/as")


def test_a_version_of_somebody_else_is_not_compared_by_the_api(client, acme, vera):
    mine = version("mine")
    theirs = make.version(template=make.template("theirs", tenant=make.tenant("else")))
    answer = client.get(f"{API}/{mine.typeid}/diff/", {"with": theirs.typeid})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/with")
