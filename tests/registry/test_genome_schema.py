"""The published schema is the one in use, and another validator agrees with it."""

import json
from pathlib import Path

from jsonschema import Draft202012Validator

from registry.genome import OPTIONAL, PROFILES, REQUIRED, SCHEMA
from tests.registry.genomes import example

PUBLISHED = Path(__file__).parents[2] / "docs/schemas/arm.genome.v1.json"


def written() -> str:
    return json.dumps(SCHEMA, indent=2, ensure_ascii=False) + "\n"


def test_the_published_file_is_the_schema_in_use():
    assert PUBLISHED.read_text(encoding="utf-8") == written()


def test_it_is_a_json_schema_of_2020_12_that_accepts_the_example():
    Draft202012Validator.check_schema(SCHEMA)
    assert list(Draft202012Validator(SCHEMA).iter_errors(example())) == []


def test_every_object_is_closed_except_the_free_maps():
    def visit(rule):
        if rule.get("type") == "object":
            assert rule.get("additionalProperties") is False or rule["x-arm-free"] is True
        free = rule.get("patternProperties", {}).values()
        assert all(inner["x-arm-free"] is True for inner in free)
        for inner in (*rule.get("properties", {}).values(), *([rule["items"]] if "items" in rule else [])):
            visit(inner)

    visit(SCHEMA)


def test_each_member_is_required_or_a_profile_or_counted_as_neither():
    assert set(SCHEMA["properties"]) == {*REQUIRED, *PROFILES, *OPTIONAL}
    assert SCHEMA["required"] == list(REQUIRED)
