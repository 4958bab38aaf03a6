"""The document of the fault matrix says what the tests play."""

from __future__ import annotations

from tests.engine.faults.matrix import CELLS
from tests.engine.faults.page import FILE, page


def test_the_document_is_written_from_the_table() -> None:
    """After a change of the table: nox -s docs."""
    assert FILE.read_text(encoding="utf-8") == page()


def test_no_cell_is_there_twice() -> None:
    """A fault at a stage has one outcome."""
    assert len({cell.name for cell in CELLS}) == len(CELLS)
