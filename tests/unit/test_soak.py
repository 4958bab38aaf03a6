"""The page of what only the soak plays is the one that its tables give."""

from __future__ import annotations

from pathlib import Path

from tests.soak import rows

ROOT = Path(__file__).parents[2]


def test_the_page_is_written_from_the_tables() -> None:
    """`nox -s docs` was run after the last change of them."""
    assert rows.PAGE.read_text(encoding="utf-8") == rows.page()


def test_the_tables_name_tests_that_exist() -> None:
    """Each file is there, and each test is in it."""
    for test in rows.TABLE:
        file, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")
    for sample in rows.SAMPLES:
        assert [*ROOT.glob(f"tests/engine/**/{sample.test}")], sample.test
