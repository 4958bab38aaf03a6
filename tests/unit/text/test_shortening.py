"""Short forms of long text."""

from __future__ import annotations

from release.text.shortening import counted, once_each, shortened, tail


def test_a_short_text_stays_and_a_long_one_says_how_much_is_missing() -> None:
    """Up to the limit nothing is cut."""
    assert shortened("x" * 10, 10) == "x" * 10
    assert shortened("x" * 12_345, 10) == "xxxxxxxxxx… (12,335 more characters)"


def test_the_last_lines_are_each_short() -> None:
    """And as many as are asked for."""
    last = tail(["a", "b", "c" * 10_000], 2)
    assert (last[0], len(last[1]) < 3000) == ("b", True)


def test_a_number_has_its_noun() -> None:
    """One is not many."""
    assert [counted(number, "event") for number in (0, 1, 2)] == ["0 events", "1 event", "2 events"]


def test_equal_lines_after_each_other_are_one_with_their_number() -> None:
    """An access log that repeats one line leaves room for the lines before it."""
    assert once_each(["starts", *["GET / 503"] * 20, "ends"]) == ["starts", "GET / 503 (20 times)", "ends"]
    assert once_each([]) == []
