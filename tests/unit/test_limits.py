"""The page of limits is the one that the constants give."""

from __future__ import annotations

from pathlib import Path

from tests import limits

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "limits.md"


def test_the_page_is_written_from_the_constants() -> None:
    """`nox -s docs` was run after the last change of a limit."""
    assert PAGE.read_text(encoding="utf-8") == limits.page()
