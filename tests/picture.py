"""A picture of a real run: the tutorial's service is released on a terminal, and rich draws what was on it.

nox -s picture        writes docs/run.svg
"""

from __future__ import annotations

import io
import itertools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import rich.console
from rich.style import Style
from rich.text import Text

from release.images.engine import Engine
from tests.engine import lab
from tests.engine.service import IDENTITY
from tests.engine.test_docs import TUTORIAL, blocks
from tests.terminal import Terminal

ROOT = Path(__file__).parents[1]
COLUMNS = 96
NAME = "greeter"
"""Not the tutorial's: its test may run at the same time."""


def main() -> None:
    """Release and draw."""
    with tempfile.TemporaryDirectory() as folder:
        service = make_service(Path(folder) / NAME)
        try:
            rows = released(service)
        finally:
            lab.remove_service(Engine.connect(), NAME)
    draw(rows, ROOT / "docs/run.svg")


def make_service(folder: Path) -> Path:
    """The example in a repository of its own, with the files that the tutorial shows."""
    shutil.copytree(ROOT / "examples/api", folder, ignore=shutil.ignore_patterns(".*_cache", "__pycache__"))
    for block in blocks(TUTORIAL):
        if block.file is not None:
            (folder / block.file).write_text(block.text.replace('"hello"', f'"{NAME}"'))
    (folder / ".gitignore").write_text(".release/\n__pycache__/\n")
    git = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for words in ("init --quiet --initial-branch main", "add ."):
        subprocess.run([*git, *words.split()], cwd=folder, check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "feat: greet people by name"], cwd=folder, check=True)
    return folder


def released(service: Path) -> list[Text]:
    """What is on the terminal while test, smoke and push run, and what is there in the end."""
    terminal, middle, most = Terminal(COLUMNS, 24), list[Text](), 0

    def look(frame: tuple[str, ...]) -> None:
        nonlocal middle, most
        live = sum(line.startswith("▸") and len(line.split()) > 3 for line in frame)
        if live >= most and any("✓ build" in line for line in frame):
            middle, most = styled(terminal), live

    seen = terminal.run(
        [sys.executable, "-m", "nox", "-s", "release"], cwd=service, env=IDENTITY, on_frame=look
    )
    if seen.status != 0:
        raise SystemExit(seen.text)
    gap = Text("\n          … and in the end:\n", style="dim italic")
    return [Text("$ nox -s release", style="bold"), *middle, gap, *styled(terminal)]


def styled(terminal: Terminal) -> list[Text]:
    """The terminal's rows that have something, in their colours."""
    rows = [_row(terminal, number) for number in range(terminal.rows)]
    return [row for row in rows if row.plain]


def _row(terminal: Terminal, number: int) -> Text:
    cells = [terminal.screen.buffer[number][column] for column in range(terminal.columns)]
    text = Text()
    for (foreground, bold), run in itertools.groupby(cells, key=lambda cell: (cell.fg, cell.bold)):
        color = None if foreground == "default" else foreground.replace("brown", "yellow")
        text.append("".join(cell.data for cell in run), Style(color=color, bold=bold))
    text.rstrip()
    return text


def draw(rows: list[Text], path: Path) -> None:
    """Write the picture."""
    console = rich.console.Console(record=True, width=COLUMNS, file=io.StringIO())
    for row in rows:
        console.print(row)
    path.write_text(console.export_svg(title=NAME, unique_id="run"), encoding="utf-8")


if __name__ == "__main__":
    main()
