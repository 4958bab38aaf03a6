"""The reference of commands is the one that the parsers give."""

from __future__ import annotations

from pathlib import Path

import release
from tests import command_reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "commands.md"


def test_the_page_is_written_from_the_parsers() -> None:
    """`nox -s docs` was run after the last change of an option."""
    assert PAGE.read_text(encoding="utf-8") == command_reference.page()


def test_every_task_has_a_section() -> None:
    """And every option that it takes has a row with a meaning."""
    text = PAGE.read_text(encoding="utf-8")
    for name, task in release.namespace().tasks.items():
        section = text.partition(f"\n## invoke {name}")[2].partition("\n## ")[0]
        rows = [line for line in section.splitlines() if line.startswith("| `")]
        assert len(rows) == len(task.get_arguments()), name
        assert all(row.split("|")[2].strip() for row in rows), name


def test_a_collection_that_was_read_leaves_the_help_of_the_next_one() -> None:
    """invoke takes the help out of a task when it reads its arguments."""
    for tasks in (release.namespace().tasks, release.namespace().tasks):
        (topic,) = tasks["explain"].get_arguments()
        assert topic.help
