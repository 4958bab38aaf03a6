"""Text of others commands nothing, and stays readable."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.programs.process import append_to_log
from release.secrets.redact import Mask, Redacted
from release.text.control_characters import (
    LONGEST_LINE,
    InertStream,
    indent_continuation,
    inert,
    inert_line,
    inert_lines,
    json_text,
)
from tests.unit.hostile import INTACT, commands_in, hostile


@pytest.mark.attack(
    "text with control sequences, direction marks, invisible characters or CI commands",
    "one function makes all text inert before it is shown or logged",
)
@given(hostile)
def test_no_text_commands_anything(text: str) -> None:
    """Neither the text nor a line of it; and once is enough."""
    shown = inert(text)
    assert commands_in(shown) == []
    assert inert(shown) == shown
    assert shown.encode().decode() == shown


@given(hostile, st.integers(1, 4))
def test_text_of_others_has_as_many_lines_as_it_is_given(text: str, count: int) -> None:
    """It cannot add a line that looks like one of ours."""
    assert "\n" not in inert_line(text)
    assert commands_in(inert_line(text)) == []
    assert inert_lines([text] * count).count("\n") == count - 1
    assert all(line == "" or line[0].isspace() for line in indent_continuation(inert(text)).split("\n")[1:])


@pytest.mark.parametrize("text", INTACT)
def test_what_is_legitimate_stays_as_it_is(text: str) -> None:
    """Accents, scripts, emoji, code."""
    assert inert(text) == text


def test_a_command_stays_readable() -> None:
    """A blank takes its meaning; only where a command would begin."""
    assert inert("a::b\n  ::warning::x\n##[error]y ## z") == "a::b\n  : :warning::x\n## [error]y ## z"
    assert inert("\u200b::add-mask::x") == ": :add-mask::x"
    assert inert("\u3000:\x1b[0m:add-mask::x") == "\u3000: :add-mask::x"


def test_an_open_title_sequence_hides_no_later_line() -> None:
    """A log's remainder stays visible."""
    assert inert("a\x1b]0;title\nb") == "a\nb"


documents = st.recursive(
    hostile | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile, inner, max_size=3),
    max_leaves=6,
)


def _whole(data: Any) -> Any:
    """With U+FFFD for each lone surrogate, as the document has it."""
    if isinstance(data, str):
        return "".join("\ufffd" if "\ud800" <= each <= "\udfff" else each for each in data)
    if isinstance(data, dict):
        return {_whole(key): _whole(value) for key, value in data.items()}
    return [_whole(value) for value in data] if isinstance(data, list) else data


@given(documents)
def test_json_says_the_same_in_ascii(data: Any) -> None:
    """A reader gets every character back; the terminal and the runner get none that commands."""
    text = json_text(data)
    assert text.isascii()
    assert commands_in(text) == []
    assert json.loads(text) == _whole(data)


def test_json_stays_json_when_a_secret_is_a_word_of_it() -> None:
    """The text is masked, the word of the format is not."""
    mask = Mask([Redacted("true"), Redacted('": "')])
    assert json.loads(json_text({"a": True, "b": 'true": "x'}, clean=mask)) == {"a": True, "b": "******x"}


@given(hostile, st.lists(st.integers(0, 40), max_size=6))
def test_pieces_of_text_are_as_inert_as_the_whole(text: str, cuts: list[int]) -> None:
    """Wherever they are cut, and in the middle of a sequence."""
    stream, places = InertStream(), sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    shown = "".join(stream.feed(text[a:b]) for a, b in itertools.pairwise(places)) + stream.end()
    assert shown == inert(text)


def test_a_line_without_an_end_is_broken() -> None:
    """Memory is bounded, nothing is lost, and no piece of it begins with a command."""
    stream = InertStream()
    text = "x" * LONGEST_LINE + "::set-output name=a::b" + "y" * LONGEST_LINE
    pieces = [stream.feed(text[at : at + 1000]) for at in range(0, len(text), 1000)]
    shown = "".join([*pieces, stream.end()])
    assert commands_in(shown) == []
    assert max(map(len, shown.split("\n"))) <= LONGEST_LINE + 1
    assert shown.replace("\n", "").replace(": :", "::") == text


@pytest.mark.attack(
    "a program puts an invisible character into a secret that it prints",
    "a log is masked again when such characters are removed",
)
def test_a_log_is_inert_and_masked(tmp_path: Any) -> None:
    """A person reads it with `cat`, and a CI job too."""
    log = tmp_path / "test.log"
    with append_to_log(log, Mask([Redacted("s3cr3t-value")])) as write:
        for piece in (
            "\x1b[31mred\x1b[0m\n:",
            ":add-mask::x\n",
            "s3cr3t\u200b-value s3cr3t-",
            "value\n\ud800",
        ):
            write(piece)
    assert log.read_text() == "red\n: :add-mask::x\n*** ***\n\ufffd"
