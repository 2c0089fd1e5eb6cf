"""One genome has one digest, however it is written down."""

import hashlib
import json
import random
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from registry.genome import normalise, seal, wrong
from tests.registry.genomes import TEMPLATE, example, genomes, json_values, model, prompt, sha, tool, words

NFC, NFD = unicodedata.normalize("NFC", "Käse"), unicodedata.normalize("NFD", "Käse")


def shuffled(value, chance, rule="set"):
    """Members in another order everywhere; items in another order where the order means nothing."""
    if isinstance(value, dict):
        names = list(value)
        chance.shuffle(names)
        free = {"parameters", "annotations", "x_", "x_team.notes"}
        return {
            name: shuffled(value[name], chance, "free" if rule == "free" or name in free else "set")
            for name in names
        }
    if isinstance(value, list):
        items = [shuffled(item, chance, rule) for item in value]
        if rule != "free":
            chance.shuffle(items)
        return items
    return value


@given(genomes(), st.randoms(use_true_random=False))
def test_neither_the_order_of_members_nor_of_sets_counts(genome, chance):
    assert seal(shuffled(genome, chance)).digest == seal(genome).digest


@given(genomes())
def test_the_digest_is_the_sha256_of_the_stored_bytes(genome):
    sealed = seal(genome)
    assert sealed.digest == "sha256:" + hashlib.sha256(sealed.bytes).hexdigest()


@given(genomes() | st.dictionaries(words | st.sampled_from(list(example())), json_values, max_size=5))
def test_normalising_twice_changes_nothing_more(document):
    assert normalise(normalise(document)) == normalise(document)


@given(genomes(), st.text(min_size=1, max_size=9))
def test_when_and_by_which_run_it_was_built_is_no_part_of_the_digest(genome, build):
    rebuilt = genome | {
        "provenance": genome["provenance"] | {"built_at": "2031-01-01T00:00:00Z", "build_id": build}
    }
    assert seal(rebuilt).digest == seal(genome).digest
    assert seal(rebuilt).unhashed == {"built_at": "2031-01-01T00:00:00Z", "build_id": build}


@given(genomes(), st.sampled_from(["models", "prompts", "tools", "provenance", "x_"]))
def test_any_other_change_is_another_digest(genome, name):
    changed = genome | {
        "models": [held | {"revision": held["revision"] + "x"} for held in genome["models"]],
        "prompts": [prompt(text="Something else.")],
        "tools": [*genome["tools"], tool("one-more-than-any-random-tool")],
        "provenance": genome["provenance"] | {"commit": "feedfacefeed"},
        "x_": {"changed": True, "from": genome.get("x_")},
    }
    assert seal(genome | {name: changed[name]}).digest != seal(genome).digest


def test_names_are_nfc_and_nothing_else_is():
    genome = example(tools=[tool(NFD)], models=[model(parameters={"stop": NFD})], identity={"persona": NFD})
    held = normalise(genome)
    assert held["tools"][0]["name"] == NFC
    assert held["models"][0]["parameters"]["stop"] == NFD
    assert held["identity"]["persona"] == NFD


def test_absent_and_empty_are_the_same_except_for_tools():
    empty = example(memory={}, skills=[], secrets=[], limits={"max_turns": 3, "budget": None}, x_={})
    bare = example(limits={"max_turns": 3})
    assert seal(empty).digest == seal(bare).digest
    assert seal(example(tools=[])).digest != seal(example(tools=None)).digest
    assert json.loads(seal(example(tools=[])).bytes)["tools"] == []


def test_what_the_author_wrote_in_free_maps_is_left_alone():
    free = {"b": [3, 1, 2], "empty": [], "nothing": None}
    held = normalise(example(x_=free, models=[model(parameters=free)]))
    assert held["x_"] == free == held["models"][0]["parameters"]


def test_fallbacks_without_an_order_keep_the_one_they_were_written_in():
    first, second = model("fallback", name="b"), model("fallback", name="a")
    one, other = example(models=[model(), first, second]), example(models=[model(), second, first])
    assert wrong(one) == [] == wrong(other)
    assert seal(one).digest != seal(other).digest


def test_the_bytes_are_those_that_another_implementation_of_rfc_8785_wrote():
    genome = {
        "schema": "arm.genome/v1",
        "x_": {"€": 1.0, "\r": 1e-7, "1": "\u20ac\n", "a": [1e20 / 1e6, True, None]},
    }
    assert seal(genome).bytes.decode() == (
        '{"schema":"arm.genome/v1","x_":{"\\r":1e-7,"1":"€\\n","a":[100000000000000,true,null],"€":1}}'
    )


def test_random_orders_of_a_large_genome_agree():
    genome = example(tools=[tool(f"tool-{n}") for n in range(300)])
    assert len({seal(shuffled(genome, random.Random(seed))).digest for seed in range(5)}) == 1


def test_genomes_that_exist_keep_their_digests():
    """What was sealed is sealed for good: a schema that grows may not change the bytes of what it already took."""
    assert seal(example()).digest == "sha256:96c33e3a931c3516585daf0a1ee19c67526ead15cd115630a683666f7b150c72"
    identity = {"persona": "A clerk", "languages": ["pt-BR", "en"], "disclosure": "always"}
    full = example(
        identity=identity,
        runtime={"image": sha("image"), "framework": "langgraph"},
        memory={"kind": "vector", "retention_s": 86400, "pii": "redacted"},
        spawn={"allowed": True, "max_depth": 2, "max_children": 3, "child_templates": [TEMPLATE]},
        secrets=[{"name": "db", "ref": "vault://kv/agents/db"}],
        skills=[{"id": "read", "name": "Read", "description": "Reads.", "tags": ["b", "a"]}],
        data_sources=[{"id": "crm", "class": "internal", "access": "read"}],
        evaluations=[{"media_type": "application/json", "digest": sha("suite"), "size": 5}],
    )
    assert seal(full).digest == "sha256:20cd68b562b61ec43f623361970c1143f2cd170a419ea3b9e501a0029eaded33"
