"""The fault matrix as a document, written from the same table that the tests play."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.engine.faults.case import Cell
from tests.engine.faults.matrix import CELLS

FILE: Final = Path(__file__).parents[3] / "docs/reference/faults.md"

_TEXT: Final = """\
# Faults

<!-- Written from tests/engine/faults/matrix.py by `nox -s docs`; every row is a test. -->

What a release does when something around it fails. Each row is made to happen and compared by a test
(`tests/engine/faults`): with a real registry behind a proxy that does one thing wrong, real git servers and a
real engine. Afterwards the trouble ends, the same command is run again, and there is exactly one release: one
record, one git tag, one digest under the registry's tag.

What may pass is tried again, a few times, with growing pauses; a registry that names a pause (`Retry-After`)
gets it, up to half a minute. Every new attempt is told. What asks for more patience, and every refusal, is
believed at once. Nothing is decided from the words of a message: a status, a header, an error code or the
kind of a broken connection decides. An engine reports a failed upload in words alone: then the registry is
asked whether it would take one. BuildKit does not say what kind of failure ended a build, but where: a build
that ended outside of its Dockerfile's instructions, while it looked up base images, or with an engine that
did not answer, is tried twice more. Where BuildKit did not start and the engine answers, once is enough.

`exit` is that of `nox -s release`.

{tables}"""

_HEAD: Final = (
    "| fault | what happened | what was retried | final state | exit |\n| --- | --- | --- | --- | --- |\n"
)


def page() -> str:
    """The document, in Markdown."""
    stages = dict.fromkeys(cell.stage for cell in CELLS)
    return _TEXT.format(tables="\n".join(map(_section, stages)))


def _section(stage: str) -> str:
    rows = (row for cell in CELLS if cell.stage == stage for row in _rows(cell))
    return f"## At {stage}\n\n{_HEAD}{''.join(rows)}"


def _rows(cell: Cell) -> Iterator[str]:
    happened = f'"{cell.happened}"' if cell.happened else "it goes on"
    long = " (played by `nox -s soak`)" if cell.is_long else ""
    yield f"| {cell.fault}{long} | {happened} | {cell.retried} | {cell.state} | {cell.exit} |\n"
