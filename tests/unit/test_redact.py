"""Secrets show themselves to nobody."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from release.redact import MASK, Mask, Redacted

VALUE = 'can"ary\nsecond line'


@pytest.mark.parametrize("show", [str, repr, "{}".format, lambda value: f"{[value]}"])
def test_a_redacted_value_is_not_in_any_text_of_it(show: object) -> None:
    """Text, repr, formats and containers show stars."""
    assert callable(show)
    assert "ary" not in show(Redacted(VALUE))


@pytest.mark.parametrize("write", [json.dumps, pickle.dumps, copy.deepcopy])
def test_a_redacted_value_refuses_to_be_written(write: object) -> None:
    """JSON, pickle and copies of it are a TypeError, not a leak."""
    assert callable(write)
    with pytest.raises(TypeError):
        write(Redacted(VALUE))


def test_a_redacted_value_has_no_attribute_with_the_value_in_its_dictionary() -> None:
    """`vars` finds nothing, and the value comes only by name."""
    assert not hasattr(Redacted(VALUE), "__dict__")
    assert Redacted(VALUE).reveal() == VALUE


@pytest.mark.parametrize("text", [VALUE, json.dumps({"a": VALUE}), "x second line y"])
def test_a_mask_finds_the_value_its_lines_and_its_json_form(text: str) -> None:
    """What a log may hold of a secret is taken out."""
    masked = Mask([Redacted(VALUE)])(text)
    assert MASK in masked
    assert "second line" not in masked
    assert 'can"ary' not in masked


def test_a_mask_takes_the_longer_value_first() -> None:
    """A secret that holds another leaves no rest."""
    assert Mask([Redacted("abcd"), Redacted("abcdefgh")])("abcdefgh") == MASK


def test_a_mask_leaves_values_of_three_characters() -> None:
    """They would make every text unreadable."""
    assert Mask([Redacted("abc"), Redacted("")])("abcabc") == "abcabc"
