"""JSON within limits."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.parsing.jsontext import USUAL, Bounds, read, read_object

SMALL = Bounds(size=1000, depth=3, values=20)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e9, 1e9) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_valid_reads_back(value: Any) -> None:
    """Any JSON value within the limits, escaped or not."""
    assert read(json.dumps(value)) == value
    assert read(json.dumps(value, ensure_ascii=False).encode()) == value


def sentence_about(content: bytes | str) -> str:
    """Why the text is refused; nothing if it is not."""
    try:
        read(content)
    except ValueError as error:
        return f"{error}" if type(error) is ValueError else repr(error) * 200
    return ""


@given(st.binary(max_size=200) | st.text(alphabet='[]{}",:\\u0dD8e9.-+ntf ', max_size=80))
def test_nothing_but_a_value_error_comes_out(content: bytes | str) -> None:
    """Any bytes: a value, or a ValueError of one short sentence."""
    assert len(sentence_about(content)) < 200


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[" * 100_000, "nested more than 64"),
        (b"[" * 100_000 + b"]" * 100_000, "nested more than 64"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "nested more than 64"),
        (b"[]," * 300_000, "more than 200000 values"),
        (b" " * (USUAL.size + 1), "the limit is 4194304"),
        (b"9" * 5_000, "larger than"),
        (str(2**60).encode(), "larger than 9007199254740991"),
        (str(-(2**53)).encode(), "larger than 9007199254740991"),
        (b"1e999", "too large"),
        (b"1." + b"0" * 5_000, "too long"),
        (b"NaN", "NaN"),
        (b"[-Infinity]", "Infinity"),
        (rb'"\ud800"', "lone surrogate"),
        (rb'{"\uDFFF": 1}', "lone surrogate"),
        ("\ud800", "lone surrogate"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b"\xff\xfe[\x00]\x00", "not UTF-8"),
        (b'{"a": 1, "a": 2}', "stands twice"),
        (b"", "not JSON"),
        (b"[1", "not JSON"),
        (b"<html>", "not JSON"),
        (b'"' + rb"\"" * 1_000_000, "not JSON"),
        (b"[[" + b'"' + rb"\"[[" * 1_000_000, "not JSON"),
    ],
    ids=lambda value: value if len(value) < 40 and isinstance(value, str) and value.isascii() else "text",
)
def test_a_text_beyond_the_limits_is_refused(content: bytes | str, words: str) -> None:
    """A sentence names the limit."""
    with pytest.raises(ValueError, match=words) as caught:
        read(content)
    assert type(caught.value) is ValueError


def test_brackets_in_text_do_not_count() -> None:
    """The depth is that of the values, also with quotes and backslashes in a text."""
    value = {"a": '[[[[{{{{"\\', "b": ["]", {"c": "\\\\[[[["}]}
    assert read(json.dumps(value), SMALL) == value


@given(st.integers(1, 8), st.sampled_from(["[", '{"a":']))
def test_the_depth_is_exact(depth: int, opening: str) -> None:
    """As deep as the limit passes, one deeper does not; siblings do not add up."""
    closing = "]" if opening == "[" else "}"
    inner = ",".join(["[]"] * 12)
    text = f"[{inner},{opening * (depth - 1)}{'0'}{closing * (depth - 1)}]"
    bounds = Bounds(depth=depth)
    if depth >= 2:
        assert read(text, bounds)
        with pytest.raises(ValueError, match="nested more"):
            read(text, Bounds(depth=depth - 1))


def test_whole_surrogate_pairs_are_text() -> None:
    """An escaped character beyond the first plane is two escapes."""
    assert read(rb'"\ud83d\ude00"') == "\U0001f600"


def test_an_object_is_an_object() -> None:
    """Another value is refused with a sentence."""
    assert read_object(b'{"a": 1}') == {"a": 1}
    with pytest.raises(ValueError, match="not a JSON object"):
        read_object(b"[]")
