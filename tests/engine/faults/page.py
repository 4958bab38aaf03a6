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

This page lists what a release does if something around it fails. A test causes each fault and compares the
result (`tests/engine/faults`). It uses a real registry behind a proxy that does one thing wrong, real git
servers and a real engine. Then the fault ends and the test runs the same command again. There must be exactly
one release: one record, one git tag, one digest under the registry's tag.

## Retries

- A fault that may pass is tried again, a few times, with growing pauses. A line announces every new attempt.
- If a registry names a pause (`Retry-After`), the pause has this length, up to half a minute.
- A refusal is final, and so is a longer pause: the release fails at once.
- A status, a header, an error code or the kind of a broken connection decides, never the wording of a
  message.
- An engine reports a failed upload only as a sentence. The tool then asks the registry whether it accepts
  uploads.
- BuildKit says where a build failed, but not why. A build is tried twice more if it failed outside of the
  Dockerfile's instructions or while it looked up base images. The same holds if the engine did not answer.
  It is tried once more if BuildKit did not start and the engine answers.

`exit` is the exit code of `nox -s release`.

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
