"""Canonical bytes are those of the maintained library for RFC 8785, whatever is faster."""

from enum import StrEnum

import pytest
import rfc8785
from hypothesis import example, given, settings
from hypothesis import strategies as st

from arm.crypto import LARGEST, canonical

numbers = st.integers(-(2**54), 2**54) | st.floats()
texts = st.text(st.characters(), max_size=6)  # lone surrogates, too
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda held: st.lists(held, max_size=4) | st.dictionaries(texts, held, max_size=4),
    max_leaves=12,
)


class Word(StrEnum):
    one = "one"


@given(values)
@example({"b": "\x00\x1f\x7f\x80\u2028\u2029\ufffd</&>", "a": '"\\/\b\f\n\r\t'})
@example({"\ue000": 1, "\U0001f600": 2, "a": 3})
@example({"\U0001f600": [Word.one, 1.0, -0.0, 1e21, LARGEST, -LARGEST]})
@example({"x": [True, 1, None, {}], "": []})
@settings(max_examples=500)
def test_they_are_the_library_s_and_what_it_refuses_is_refused(value):
    try:
        expected = rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError):
        with pytest.raises(ValueError, match="Not canonical JSON"):
            canonical(value)
    else:
        assert canonical(value) == expected


@pytest.mark.parametrize(
    "value", [LARGEST + 1, -LARGEST - 1, float("nan"), float("inf"), "\ud800", {"\udfff": 1}]
)
def test_what_has_no_canonical_bytes_is_refused_at_any_depth(value):
    for held in (value, [value], {"a": {"b": [value]}}):
        with pytest.raises(ValueError, match="Not canonical JSON"):
            canonical(held)
