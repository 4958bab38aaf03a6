"""The trust page: every statement names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "trust.md"
_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`")


def test_every_test_on_the_page_exists() -> None:
    """By file and by name."""
    named = _TEST.findall(PAGE.read_text(encoding="utf-8"))
    assert len(named) > 30
    for file, name in named:
        source = (ROOT / file).read_text(encoding="utf-8")
        assert not name or f"def {name}(" in source, f"{file}: {name}"


def test_every_row_names_a_test() -> None:
    """A statement without a proof is a wish."""
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    bare = [row for row in rows if not _TEST.search(row) and "test |" not in row and "---" not in row]
    assert bare == []
