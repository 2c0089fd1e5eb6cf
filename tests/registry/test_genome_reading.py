"""Bytes of a stranger either become one I-JSON object or are refused with a place and a sentence."""

import json
import re

import pytest
from hypothesis import given

from arm.errors import Invalid, TooLarge
from registry.genome import read, seal
from registry.genome.reading import MAX_BYTES, MAX_DEPTH
from tests.registry.genomes import genomes, json_values

JSON, YAML = "application/json", "application/yaml"


def refusal(data, media_type=JSON):
    with pytest.raises(Invalid) as refused:
        read(data, media_type=media_type)
    return [(problem["pointer"], problem["code"]) for problem in refused.value.errors]


@pytest.mark.parametrize(
    ("data", "where", "code"),
    [
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "/b/c", "duplicate"),
        (b'{"a": [0, 9007199254740992]}', "/a/1", "number"),
        (b'{"a": -9007199254740992}', "/a", "number"),
        (b'{"a": 1e20}', "/a", "number"),
        (b'{"a": 1e400}', "/a", "number"),
        (b'{"a": ' + b"9" * 6000 + b"}", "/a", "number"),
        (b'{"a": NaN}', "/a", "number"),
        (b'{"a": {"b/c": -Infinity}}', "/a/b~1c", "number"),
        (b'{"a": "\\ud800"}', "/a", "text"),
        (b'{"a": {"x\\udfff": 1}}', "/a", "text"),
        (b'{"a": "nul \\u0000"}', "/a", "text"),
        (b'{"a": "\xff"}', "", "encoding"),
        (b'\xef\xbb\xbf{"a": 1}', "", "encoding"),
        (b'{"a": 1,}', "", "syntax"),
        (b'{"a": 1} {"b": 2}', "", "syntax"),
        (b"", "", "syntax"),
        (b"[1]", "", "type"),
        (b"null", "", "type"),
        (b"[" * 100_000, "", "depth"),
        ('{"a": "\ud800"}', "", "encoding"),
    ],
)
def test_json_that_is_not_i_json_is_refused_with_its_place(data, where, code):
    assert refusal(data) == [(where, code)]


def test_every_flaw_is_named_at_once():
    data = b'{"a": NaN, "b": {"c": 1, "c": 99999999999999999}, "d": ["\\ud834"]}'
    assert refusal(data) == [("/a", "number"), ("/b/c", "duplicate"), ("/b/c", "number"), ("/d/0", "text")]


def test_a_document_may_be_as_deep_as_the_limit_and_no_deeper():
    def nested(levels):
        return b'{"a":' * levels + b"1" + b"}" * levels

    assert read(nested(MAX_DEPTH), media_type=JSON).document["a"]["a"]
    assert refusal(nested(MAX_DEPTH + 1)) == [("/a" * MAX_DEPTH, "depth")]
    flow = "a: " + "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert refusal(flow, YAML)[0][1] == "depth"
    assert read(flow.replace("[", "", 1).replace("]", "", 1), media_type=YAML).document["a"]


def test_more_than_five_mebibytes_are_too_large():
    fits = b'{"a": "' + b"x" * (MAX_BYTES - 9) + b'"}'
    assert len(fits) == MAX_BYTES and read(fits, media_type=JSON).document
    with pytest.raises(TooLarge, match="5,242,881 bytes"):
        read(fits + b" ", media_type=JSON)


def test_a_media_type_we_do_not_read_is_refused_and_a_suffix_is_enough():
    assert refusal(b"{}", "text/html") == [("", "media_type")]
    assert read(b'{"a": 1}', media_type="application/vnd.arm.genome+json; charset=utf-8").document == {"a": 1}


def test_yaml_means_what_json_would():
    text = """
    when: 2026-01-31
    at: 2026-01-31T09:30:00Z
    version: 1.10.0
    commit: "1234567"
    country: no
    count: 3
    share: 0.5
    yes: true
    nothing: ~
    empty:
    text: |
      two
      lines
    list: [a, {b: "1"}]
    """
    assert read(text, media_type=YAML).document == {
        "when": "2026-01-31",
        "at": "2026-01-31T09:30:00Z",
        "version": "1.10.0",
        "commit": "1234567",
        "country": "no",
        "count": 3,
        "share": 0.5,
        "yes": True,
        "nothing": None,
        "empty": None,
        "text": "two\nlines\n",
        "list": ["a", {"b": "1"}],
    }


@pytest.mark.parametrize(
    ("text", "where", "code"),
    [
        ("a: &x [1]\nb: *x", "/a", "alias"),
        ("a: 1\nb: *x", "/b", "alias"),
        ("a: [1, !!python/object/apply:os.system [ls]]", "/a/1", "tag"),
        ("a: !!int '3'", "/a", "tag"),
        ("a: {b: 1, b: 2}", "/a/b", "duplicate"),
        ("1: a", "", "name"),
        ("[a, b]: c", "", "name"),
        ("a: .nan", "/a", "number"),
        ("a: [9007199254740993]", "/a/0", "number"),
        ("a: 1\n---\nb: 2", "", "documents"),
        ("a: [", "", "syntax"),
        ("a: \x07", "", "syntax"),
        ("", "", "type"),
        ("- a", "", "type"),
        ('a: "nul \\0"', "/a", "text"),
    ],
)
def test_yaml_beyond_json_is_refused_with_its_place(text, where, code):
    assert refusal(text, YAML) == [(where, code)]


def test_an_alias_bomb_costs_nothing():
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    assert refusal("\n".join(lines), YAML) == [("/a0", "alias")]


def test_yaml_with_endless_values_is_too_large():
    with pytest.raises(TooLarge, match="values"):
        read("a: [" + "1," * 300_000 + "1]", media_type=YAML)


@given(json_values)
def test_what_json_can_say_is_read_back_from_json_and_yaml_alike(value):
    text = json.dumps({"a": value})
    assert (
        read(text, media_type=JSON).document == {"a": value} == read(for_yaml(text), media_type=YAML).document
    )


def for_yaml(text):
    """JSON is YAML but for one thing: characters beyond U+FFFF are escaped whole, not in halves."""
    pair = r"\\u(?:d[89ab]..)\\u(?:d[c-f]..)"
    return re.sub(pair, lambda found: f"\\U{ord(json.loads(chr(34) + found[0] + chr(34))):08x}", text)


@given(genomes())
def test_sealed_bytes_read_back_seal_to_the_same_digest(genome):
    sealed = seal(genome)
    assert seal(read(sealed.bytes, media_type=JSON).document).digest == sealed.digest
