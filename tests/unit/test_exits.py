"""The page of exit codes is the one that the tree of errors gives."""

from __future__ import annotations

from pathlib import Path

from tests import exits

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "exit-codes.md"


def test_the_page_is_written_from_the_tree() -> None:
    """`nox -s docs` was run after the last change of an error."""
    assert PAGE.read_text(encoding="utf-8") == exits.page()
