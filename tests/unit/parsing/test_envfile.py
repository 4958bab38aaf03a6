"""Files of variables: what is read, and that nothing is guessed."""

from __future__ import annotations

import pytest

from release.parsing.envfile import parse


def test_values_are_read_as_they_are_written() -> None:
    """Quotes, comments and `export` as in shells; no shell is asked."""
    text = (
        "\ufeff# comment\n\nA=1\nexport B = two words # said\nC='$x # y'  # z\n"
        'D="a\\n\\"b\\" \\$5" # z\nE=\nF=a#b\nG=http://x/?a=b\nH= # nothing\n'
    )
    values, problems = parse(text)
    assert problems == []
    assert values == {
        "A": "1",
        "B": "two words",
        "C": "$x # y",
        "D": 'a\n"b" $5',
        "E": "",
        "F": "a#b",
        "G": "http://x/?a=b",
        "H": "",
    }


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("canary", "it is not NAME=value"),
        ("1A=canary", "it is not NAME=value"),
        ("A='canary", "the quotes of A do not end"),
        ('A="canary" canary', "the quotes of A do not end"),
        ("A=${canary}", "A refers to a variable or a command"),
        ("A=$canary", "A refers to a variable or a command"),
        ('A="$(canary)"', "A refers to a variable or a command"),
        ("A=canary\0", "null character"),
    ],
)
def test_what_cannot_be_read_is_named_by_its_line(line: str, found: str) -> None:
    """Without a part of its value."""
    values, (problem,) = parse(f"\n{line}\nB=2\n")
    assert values == {"B": "2"}
    assert problem.startswith("line 2: ")
    assert found in problem
    assert "canary" not in problem


def test_a_name_that_is_there_twice_is_a_problem() -> None:
    """One of them would be lost without a word."""
    values, problems = parse("A=1\nA=2\n")
    assert (values, problems) == ({"A": "1"}, ["line 2: A is there twice"])
