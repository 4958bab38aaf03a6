"""The page of attacks is the one that the marks of the tests give."""

from __future__ import annotations

from pathlib import Path

from tests import attacks

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "attacks.md"


def test_the_page_is_written_from_the_marks() -> None:
    """`nox -s docs` was run after the last change of a mark."""
    assert PAGE.read_text(encoding="utf-8") == attacks.page()


def test_no_attack_is_listed_twice() -> None:
    """Each test makes its own attack."""
    found = [(each.file, each.test) for each in attacks.attacks()]
    assert len(found) == len(set(found))
