"""The worked example of docs/reference/metrics.md, read from its tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.unit.ledger.metrics.scripted import Script, at, gate
from tests.unit.repository import Repository

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "metrics.md"
SINCE, UNTIL = "2026-10-23 22:00", "2026-10-26 23:00"


def table(first: str) -> list[list[str]]:
    """The rows of the table whose header begins with this word."""
    lines = PAGE.read_text(encoding="utf-8").partition(f"\n| {first} |")[2].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def before(moment: str, seconds: float) -> str:
    """So many seconds before a moment, as records write it."""
    start = datetime.fromisoformat(at(moment)).astimezone(UTC) - timedelta(seconds=seconds)
    return start.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def example(here: Repository) -> Script:
    """The ledger of the example, appended in the order of the times."""
    script = Script(here)
    steps = [(row[0], row) for first in ("released", "started", "rebuilt") for row in table(first)]
    for _, row in sorted(steps, key=lambda step: step[0]):
        if len(row) == 8:
            _released(script, *row)
        elif len(row) == 5:
            start, end, version, reason, status = row
            script.deployed(version, start, end, status, reason=reason)
        else:
            moment, version, by, result = row
            script.rebuilt(version, moment, result, None if by == "machine" else by)
    return script


def _released(
    script: Script, moment: str, version: str, committed: str, changed: str, lock: str, *times: str
) -> None:
    chain, build, test = (float(text.split()[0]) for text in times)
    start = before(moment, chain)
    gates = [gate("build", start, build), gate("test", start, test)]
    script.released(version, moment, committed=committed, lock=lock, changed=changed.split(), gates=gates)
